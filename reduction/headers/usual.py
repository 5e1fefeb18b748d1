"""Frames that tell time and place as the ones before them did, read at a fraction of the cost.

The rules of `times`, `places` and `readers` ask for many keywords that a camera never writes, and
try forms that it does not use. What they found of one header says which cards they took; another
of the same layout that has these in the same form, with nothing to doubt, needs no more than their
values. Whatever is not as it was is left to the rules.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from reduction.cards import Cards
from reduction.frameinfo import NOTHING_TOLD, FrameInfo, Note, Origins, ToldColumns, doubts_of
from reduction.headers import forms
from reduction.headers.draft import Draft
from reduction.headers.forms import Field, Fields, Form, card_of, field
from reduction.headers.places import counts_hours, has_wcs
from reduction.headers.readers import AIRMASS_KEYWORDS, TEMPERATURE_KEYWORDS
from reduction.headers.times import (
    DATE_KEYWORDS,
    IN_FUTURE,
    JD_KEYWORDS,
    MJD_KEYWORDS,
    STATED_MIDDLE,
    agrees,
    is_utc,
    since_noon,
)
from reduction.headers.writer import Writer
from reduction.layouts import CARD

_MAX_BASES: Final = 256  # temperatures of a night
A_DAY: Final = timedelta(days=1)  # by which clocks and zones may be off
_LONGEST_S: Final = 1e6  # of an exposure whose middle surely has a date
_MIDDLE: Final[Note] = ("", "start + exposure / 2", None)
_OWN: Final = ("ra_deg", "dec_deg", "airmass", "start_utc", "mid_utc", "night")
# Cards that must be as they were: the equinox of a place, who made a file, and what its times are.
_ALIKE: Final = ("EQUINOX", "CREATOR", "TIMESYS")
# What is told by other rules: of the time, and of several amplifiers.
_OTHER_RULES: Final = ("MJD-AVG", "DETSEC", "DETSECA")

Temperature = tuple[Mapping[str, Any], Mapping[str, Note]]


class _Noted(NamedTuple):
    """Notes, the doubts among them, and these with that of the kind."""

    notes: Mapping[str, Note]
    doubts: Mapping[str, str]
    all_doubts: Mapping[str, str]

    @classmethod
    def of(cls, notes: Mapping[str, Note], steady: Mapping[str, Any]) -> "_Noted":
        doubts, of_kind = doubts_of(notes), steady.get("kind_doubt")
        return cls(notes, doubts, doubts | ({"kind": of_kind} if of_kind else {}))


class Usual:
    """How the frames of one layout that agree in all that is steady tell the rest.

    Parameters
    ----------
    draft : Draft
        Of one of them, after all rules.
    steady : mapping
        The values that all of them have.
    fields : Fields
        Where its values stand.
    temperature : callable
        Returns values and notes of a detector's temperature.

    Attributes
    ----------
    form : Form
        How they write it.
    read_cards : set of int
        The numbers of the cards that `base_of` looks at.
    half : timedelta
        Of the exposure.
    doubts, doubts_of_future : mapping
        What is doubted of a frame, and of one from the future.
    since_noon : timedelta
        How far local noon lies behind 0 h UTC.
    """

    __slots__ = (
        "_bases", "_exptime_s", "_notes", "_notes_of_future", "_steady", "_temperature",
        "_temperature_cards", "_temperature_notes", "doubts", "doubts_of_future", "form", "half",
        "read_cards", "since_noon",
    )  # fmt: skip

    def __init__(
        self,
        draft: Draft,
        steady: Mapping[str, Any],
        fields: Fields,
        temperature: Callable[[Cards], Temperature],
    ) -> None:
        self.form = Form.of(draft.cards.raw_bytes, fields, _cards(draft.cards, _ALIKE))
        role = {} if fields.dec is None else {"position_role": draft.values["position_role"]}
        self._steady = {**steady, **role}
        keyword, rule, _ = draft.notes["start_utc"]
        told = (draft.notes | {"start_utc": (keyword, rule, why)} for why in (None, IN_FUTURE))
        self._notes, self._notes_of_future = [_Noted.of(notes, steady) for notes in told]
        self.doubts = self._notes.all_doubts
        self.doubts_of_future = self._notes_of_future.all_doubts
        self._exptime_s: float = steady.get("exptime_s") or 0.0
        self.half = timedelta(seconds=self._exptime_s / 2)
        self.since_noon = since_noon(steady.get("longitude_deg") or 0.0)
        self._temperature = temperature
        at = _cards(draft.cards, TEMPERATURE_KEYWORDS)
        self._temperature_cards = [slice(start, start + CARD) for start in at]
        self.read_cards = {start // CARD for start in at}
        self._temperature_notes = temperature(draft.cards)[1]
        self._bases: dict[tuple[bytes, ...], FrameInfo] = {}

    def read(self, cards: Cards, now: datetime) -> FrameInfo | None:
        """Return what a frame is, None where it tells something in another way."""
        base = self.base_of(cards)
        if base is None:
            return None
        kept, told = tell_all([self], [base], [cards.raw_bytes], now + A_DAY)
        if not kept:
            return None
        one = told.one(0)
        notes = self._notes if one.doubts is self.doubts else self._notes_of_future
        own = {name: getattr(one, name) for name in _OWN}
        own["origins"] = Origins(cards.raw, notes.notes, notes.doubts)
        return base.with_own(own)

    def base_of(self, cards: Cards) -> FrameInfo | None:
        """Return a frame of this temperature, without what is its own."""
        raw = cards.raw_bytes
        key = tuple([raw[part] for part in self._temperature_cards])
        base = self._bases.get(key)
        if base is None:
            values, notes = self._temperature(cards)
            if notes != self._temperature_notes:
                return None
            if len(self._bases) >= _MAX_BASES:
                self._bases.clear()
            base = self._bases[key] = FrameInfo.of({**self._steady, **values})
        return base

    def says_otherwise(
        self, start: datetime, julian: float | None, middle: datetime | None
    ) -> bool:
        """Tell whether a time that stands in a header twice may differ; None stands nowhere."""
        if julian is not None and not agrees(start, julian, self._exptime_s):
            return True
        return middle is not None and not start <= middle <= start + A_DAY


def tell_all(
    usuals: Sequence[Usual], bases: Sequence[FrameInfo], raws: Sequence[bytes], latest: datetime
) -> tuple[Sequence[int], ToldColumns]:
    """Return which of some frames tell all in the usual way, by their places, and what they tell.

    Parameters
    ----------
    usuals : sequence of Usual
        How each is told, all by the same form; not empty.
    bases : sequence of FrameInfo
        Each without what is its own.
    raws : sequence of bytes
        Their headers.
    latest : datetime
        Those from after it are doubted.
    """
    places = range(len(raws))
    found = usuals[0].form.read(raws)
    odd = _odd(found, usuals)
    if odd:
        kept = [i for i in places if i not in odd]
        if not kept:
            return kept, NOTHING_TOLD
        left = [[column[i] for i in kept] for column in (usuals, bases, raws)]
        return kept, tell_all(*left, latest)[1]  # type: ignore[arg-type, call-arg]
    start, airmass, ra, dec, _, middle = found
    timed, nowhere = [*zip(start or (), usuals, strict=True)], [None] * len(raws)
    return places, ToldColumns(
        base=bases,
        ra_deg=ra or nowhere,
        dec_deg=dec or nowhere,
        airmass=airmass or nowhere,
        start_utc=start or (),
        mid_utc=middle or [at + one.half for at, one in timed],
        night=[(at - one.since_noon).date() for at, one in timed],
        doubts=[one.doubts if at <= latest else one.doubts_of_future for at, one in timed],
    )


def _odd(found: Sequence[list[Any] | None], usuals: Sequence[Usual]) -> set[int]:
    """Return the places of frames which the rules must look at."""
    start, _, ra, dec, julian, middle = found
    columns = [column for column in found if column is not None and None in column]
    odd = {i for column in columns for i, value in enumerate(column) if value is None}
    if ra is not None and dec is not None and 0 in ra:
        odd |= {i for i, place in enumerate(zip(ra, dec, strict=True)) if place == (0, 0)}
    if start is not None and (julian or middle):
        nowhere = [None] * len(usuals)
        times = zip(start, julian or nowhere, middle or nowhere, strict=True)
        odd |= {
            i for i, told in enumerate(times) if i not in odd and usuals[i].says_otherwise(*told)
        }
    return odd


def usual(
    draft: Draft,
    steady: Mapping[str, Any],
    writer: Writer,
    temperature: Callable[[Cards], Temperature],
) -> Usual | None:
    """Return how frames like this one are told, None where the rules must look at each.

    Parameters
    ----------
    draft : Draft
        Of this one, after all rules; its cards have no others behind them.
    steady : mapping
        Its values but for time, place, temperature and airmass.
    writer : Writer
        Of it.
    temperature : callable
        Returns values and notes of the temperature some cards tell.
    """
    cards = draft.cards
    if has_wcs(cards) or cards.present(_OTHER_RULES) or not is_utc(cards):
        return None
    date, julian, middle = _date(draft), _julian(draft), _middle(draft)
    airmass = _airmass_field(draft)
    place = _place_fields(draft, writer)
    if date is None or julian is False or middle is False or airmass is False or place is False:
        return None
    ra, dec = place or (None, None)
    return Usual(draft, steady, Fields(date, airmass, ra, dec, julian, middle), temperature)


def _cards(cards: Cards, keywords: tuple[str, ...]) -> list[int]:
    """Return where the cards of those keywords that are there begin."""
    return [card_of(cards, keyword) for keyword in cards.present(keywords)]


def _date(draft: Draft) -> Field | None:
    present = draft.cards.present(DATE_KEYWORDS)
    if not present or "DATE-OBS" in present[1:]:  # of which the comment counts, too
        return None
    keyword, rule, doubt = draft.notes.get("start_utc", ("", "", None))
    is_plain = (keyword, rule) == (present[0], "UTC") and doubt in (None, IN_FUTURE)
    if not is_plain or (draft.get("exptime_s") or 0.0) > _LONGEST_S:
        return None
    return field(draft.cards, present[0], forms.moment, forms.no)


def _julian(draft: Draft) -> Field | Literal[False] | None:
    """Return where the Julian date stands; None where nowhere, False where not as usual."""
    for keywords, parse in ((MJD_KEYWORDS, forms.mjd), (JD_KEYWORDS, forms.jd)):
        present = draft.cards.present(keywords)
        if present:
            return field(draft.cards, present[0], forms.no, parse) or False
    return None


def _middle(draft: Draft) -> Field | Literal[False] | None:
    """Return where the middle is stated; None where nowhere, False where not as usual."""
    noted = draft.notes.get("mid_utc")
    if "DATE-AVG" not in draft.cards:
        return None if noted == _MIDDLE else False
    is_stated = noted == (*STATED_MIDDLE, None)
    return (field(draft.cards, "DATE-AVG", forms.moment, forms.no) or False) if is_stated else False


def _airmass_field(draft: Draft) -> Field | Literal[False] | None:
    """Return where the airmass stands; None where nowhere, False where not as usual."""
    present = draft.cards.present(AIRMASS_KEYWORDS)
    if not present:
        return None
    return field(draft.cards, present[0], forms.no, forms.airmass) or False


def _place_fields(draft: Draft, writer: Writer) -> tuple[Field, Field] | Literal[False] | None:
    """Return where the position stands; None where nowhere, False where not as usual."""
    cards = draft.cards
    pairs = [(ra_key, dec_key) for ra_key, dec_key, _ in writer.positions if ra_key in cards]
    if not pairs:
        return None
    ra_key, dec_key = pairs[0]
    if dec_key not in cards or draft.notes.get("ra_deg", ("",))[0] != ra_key:
        return False
    in_number = forms.number_of_hours if counts_hours(cards, ra_key) else forms.around
    ra = field(cards, ra_key, forms.hours, in_number)
    dec = field(cards, dec_key, forms.upwards_in_fields, forms.upwards_in_degrees)
    return False if ra is None or dec is None or draft.get("ra_deg") is None else (ra, dec)
