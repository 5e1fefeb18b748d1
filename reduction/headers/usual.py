"""Frames that tell time and place as the ones before them did, read at a fraction of the cost.

The rules of `times`, `places` and `readers` ask for many keywords that a camera never writes, and
try forms that it does not use. What they found of one header says which cards they took; another
of the same layout that has these in the same form, with nothing to doubt, needs no more than their
values. Whatever is not as it was is left to the rules.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter, call, itemgetter
from typing import Any, Final, Literal, NamedTuple

from reduction.cards import Cards
from reduction.frameinfo import FrameInfo, Note, Origins, Told, doubts_of
from reduction.headers.draft import Draft
from reduction.headers.places import counts_hours, has_wcs
from reduction.headers.readers import AIRMASS_KEYWORDS, TEMPERATURE_KEYWORDS, airmass_of
from reduction.headers.times import (
    DATE_KEYWORDS,
    IN_FUTURE,
    JD_KEYWORDS,
    MJD_KEYWORDS,
    STATED_MIDDLE,
    agrees,
    is_utc,
    mjd_of_jd,
    mjd_of_number,
    since_noon,
)
from reduction.headers.values import three_fields
from reduction.headers.writer import Writer
from reduction.layouts import CARD, KEYWORD, cutter

_VALUE: Final = KEYWORD + 1  # where the field of a value begins in its card
_NUMBER_END: Final = 30  # of a card in FITS's fixed format
_MAX_BASES: Final = 256  # temperatures of a night
_TO_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
# The forms of a date with its time, with up to nine decimals, all their digits zeros.
_MOMENTS: Final = frozenset(b"0000-00-00T00:00:00" + b".000000000"[:n] for n in (0, *range(2, 11)))
A_DAY: Final = timedelta(days=1)  # by which clocks and zones may be off
_YEARS: Final = (1970, 9999)  # before and from then on the rules have doubts
_LONGEST_S: Final = 1e6  # of an exposure whose middle surely has a date
_MIDDLE: Final[Note] = ("", "start + exposure / 2", None)
_OWN: Final = ("ra_deg", "dec_deg", "airmass", "start_utc", "mid_utc", "night")
# Cards that must be as they were: the equinox of a place, who made a file, and what its times are.
_ALIKE: Final = ("EQUINOX", "CREATOR", "TIMESYS")
# What is told by other rules: of the time, and of several amplifiers.
_OTHER_RULES: Final = ("MJD-AVG", "DETSEC", "DETSECA")

Temperature = tuple[Mapping[str, Any], Mapping[str, Note]]
_Parse = Callable[[bytes], Any]


class _Field(NamedTuple):
    """Where a value stands in a header, and what stands before and behind it in its card."""

    before: slice
    part: slice
    behind: slice
    parse: _Parse  # returns None of what is written, or meant, in another way


def _field(cards: Cards, keyword: str, parse_text: _Parse, parse_number: _Parse) -> _Field | None:
    """Return where a keyword's text, or its number in fixed format, stands; None for others."""
    at = cards.layout.at[keyword] - _VALUE
    card = cards.raw_bytes[at : at + CARD]
    if card[_VALUE:].lstrip().startswith(b"'"):
        start, parse = card.index(b"'", _VALUE) + 1, parse_text
        stop = card.find(b"'", start)
        is_fixed = stop > 0 and card[stop + 1 : stop + 2] != b"'"
    else:
        start, stop, parse = _VALUE, _NUMBER_END, parse_number
        is_fixed = card[stop] in b" /"
    if not is_fixed or parse(card[start:stop]) is None:
        return None
    at_value, behind = at + start, at + stop
    return _Field(slice(at, at_value), slice(at_value, behind), slice(behind, at + CARD), parse)


def _no(_token: bytes) -> None:
    return None


def _number(token: bytes) -> float | None:
    """Return a finite number as every reader of FITS has it."""
    try:
        value = float(token)
    except ValueError:
        return None
    return value if b"_" not in token and math.isfinite(value) else None


def _moment(text: bytes) -> datetime | None:
    # As `plain_utc`, which has to look closer at texts of any form, at half its cost.
    if text.translate(_TO_ZEROS) not in _MOMENTS:
        return None
    try:
        return datetime.fromisoformat(text.decode("ascii") + "+00:00")
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _hours(text: bytes) -> float | None:
    hours = three_fields(text.decode("latin-1"))
    return hours * 15 % 360 if hours is not None and 0 <= hours <= 24 else None


def _number_of_hours(token: bytes) -> float | None:
    hours = _number(token)
    return hours * 15 if hours is not None and 0 <= hours * 15 <= 360 else None


def _around(token: bytes) -> float | None:
    value = _number(token)
    return value if value is not None and 0 <= value <= 360 else None


def _upwards(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= 90 else None


@lru_cache(maxsize=4096)
def _upwards_in_fields(text: bytes) -> float | None:
    return _upwards(three_fields(text.decode("latin-1")))


def _upwards_in_degrees(token: bytes) -> float | None:
    return _upwards(_number(token))


def _airmass(token: bytes) -> float | None:
    return airmass_of(_number(token))


def _mjd(token: bytes) -> float | None:
    value = _number(token)
    return None if value is None else mjd_of_number(value)


def _jd(token: bytes) -> float | None:
    value = _number(token)
    return None if value is None else mjd_of_jd(value)


class _Fields(NamedTuple):
    """Where the values stand that frames have of their own; None is nowhere."""

    date: _Field
    airmass: _Field | None
    ra: _Field | None
    dec: _Field | None
    julian: _Field | None  # the Julian date that the date is compared with
    middle: _Field | None  # where it is stated


class _Form:
    """How headers write what frames have of their own, all of them in the same way.

    Parameters
    ----------
    raw : bytes
        One of these headers.
    fields : sequence of _Field or None
        Where each value stands; None is nowhere.
    alike : list of slice
        Of other cards that must be the same.
    """

    __slots__ = ("_alike", "_alike_of", "_order", "_parses", "_values_of")

    def __init__(self, raw: bytes, fields: Sequence[_Field | None], alike: Iterable[slice]) -> None:
        there = sorted([field for field in fields if field is not None], key=_start_of)
        places = [-1 if field is None else there.index(field) for field in fields]
        around = [part for field in there for part in (field.before, field.behind)]
        self._alike_of = cutter(sorted([*around, *alike], key=attrgetter("start")))
        self._alike = self._alike_of(raw)
        self._values_of = cutter([field.part for field in there])
        self._parses = [field.parse for field in there]
        self._order = itemgetter(*places)

    def read(self, raw: bytes) -> tuple[Any, ...] | None:
        """Return the values of the fields; None where any is written, or meant, in another way."""
        if self._alike_of(raw) != self._alike:
            return None
        values: list[Any] = [*map(call, self._parses, self._values_of(raw))]
        if None in values:
            return None
        values.append(None)
        found: tuple[Any, ...] = self._order(values)
        return found


def _start_of(field: _Field) -> int:
    at: int = field.part.start
    return at


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
    fields : _Fields
        Where its values stand.
    temperature : callable
        Returns values and notes of a detector's temperature.
    """

    __slots__ = (
        "_bases", "_exptime_s", "_form", "_half", "_notes", "_notes_of_future", "_since_noon",
        "_steady", "_temperature", "_temperature_cards", "_temperature_notes", "read_cards",
    )  # fmt: skip

    def __init__(
        self,
        draft: Draft,
        steady: Mapping[str, Any],
        fields: _Fields,
        temperature: Callable[[Cards], Temperature],
    ) -> None:
        raw = draft.cards.raw_bytes
        self._form = _Form(raw, fields, _parts(draft.cards, _ALIKE))
        role = {} if fields.dec is None else {"position_role": draft.values["position_role"]}
        self._steady = {**steady, **role}
        keyword, rule, _ = draft.notes["start_utc"]
        told = (draft.notes | {"start_utc": (keyword, rule, why)} for why in (None, IN_FUTURE))
        self._notes, self._notes_of_future = [_Noted.of(notes, steady) for notes in told]
        self._exptime_s: float = steady.get("exptime_s") or 0.0
        self._half = timedelta(seconds=self._exptime_s / 2)
        self._since_noon = since_noon(steady.get("longitude_deg") or 0.0)
        self._temperature = temperature
        self._temperature_cards = _parts(draft.cards, TEMPERATURE_KEYWORDS)
        self.read_cards = {part.start // CARD for part in self._temperature_cards}
        self._temperature_notes = temperature(draft.cards)[1]
        self._bases: dict[tuple[bytes, ...], FrameInfo] = {}

    def read(self, cards: Cards, now: datetime) -> FrameInfo | None:
        """Return what a frame is, None where it tells something in another way."""
        base = self.base_of(cards)
        told = None if base is None else self.tell(base, cards.raw_bytes, now + A_DAY)
        if told is None:
            return None
        notes = self._notes if told.doubts is self._notes.all_doubts else self._notes_of_future
        own = {name: getattr(told, name) for name in _OWN}
        own["origins"] = Origins(cards.raw, notes.notes, notes.doubts)
        return told.base.with_own(own)

    def tell(self, base: FrameInfo, raw: bytes, latest: datetime) -> Told | None:
        """Return what a frame tells of itself; one from after `latest` is doubted."""
        found = self._form.read(raw)
        if found is None:
            return None
        start, airmass, ra, dec, julian, middle = found
        if not _YEARS[0] <= start.year < _YEARS[1] or (ra == 0 and dec == 0):
            return None
        if julian is not None and not agrees(start, julian, self._exptime_s):
            return None
        if middle is None:
            middle = start + self._half
        elif not start <= middle <= start + A_DAY:
            return None
        notes = self._notes if start <= latest else self._notes_of_future
        night = (start - self._since_noon).date()
        return Told(base, ra, dec, airmass, start, middle, night, notes.all_doubts)

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
    return Usual(draft, steady, _Fields(date, airmass, ra, dec, julian, middle), temperature)


def _parts(cards: Cards, keywords: tuple[str, ...]) -> list[slice]:
    """Return where the cards of those keywords are that are there."""
    starts = [cards.layout.at[keyword] - _VALUE for keyword in cards.present(keywords)]
    return [slice(start, start + CARD) for start in starts]


def _date(draft: Draft) -> _Field | None:
    present = draft.cards.present(DATE_KEYWORDS)
    if not present or "DATE-OBS" in present[1:]:  # of which the comment counts, too
        return None
    keyword, rule, doubt = draft.notes.get("start_utc", ("", "", None))
    is_plain = (keyword, rule) == (present[0], "UTC") and doubt in (None, IN_FUTURE)
    if not is_plain or (draft.get("exptime_s") or 0.0) > _LONGEST_S:
        return None
    return _field(draft.cards, present[0], _moment, _no)


def _julian(draft: Draft) -> _Field | Literal[False] | None:
    """Return where the Julian date stands; None where nowhere, False where not as usual."""
    for keywords, parse in ((MJD_KEYWORDS, _mjd), (JD_KEYWORDS, _jd)):
        present = draft.cards.present(keywords)
        if present:
            return _field(draft.cards, present[0], _no, parse) or False
    return None


def _middle(draft: Draft) -> _Field | Literal[False] | None:
    """Return where the middle is stated; None where nowhere, False where not as usual."""
    noted = draft.notes.get("mid_utc")
    if "DATE-AVG" not in draft.cards:
        return None if noted == _MIDDLE else False
    is_stated = noted == (*STATED_MIDDLE, None)
    return (_field(draft.cards, "DATE-AVG", _moment, _no) or False) if is_stated else False


def _airmass_field(draft: Draft) -> _Field | Literal[False] | None:
    """Return where the airmass stands; None where nowhere, False where not as usual."""
    present = draft.cards.present(AIRMASS_KEYWORDS)
    if not present:
        return None
    return _field(draft.cards, present[0], _no, _airmass) or False


def _place_fields(draft: Draft, writer: Writer) -> tuple[_Field, _Field] | Literal[False] | None:
    """Return where the position stands; None where nowhere, False where not as usual."""
    cards = draft.cards
    pairs = [(ra_key, dec_key) for ra_key, dec_key, _ in writer.positions if ra_key in cards]
    if not pairs:
        return None
    ra_key, dec_key = pairs[0]
    if dec_key not in cards or draft.notes.get("ra_deg", ("",))[0] != ra_key:
        return False
    in_number = _number_of_hours if counts_hours(cards, ra_key) else _around
    ra = _field(cards, ra_key, _hours, in_number)
    dec = _field(cards, dec_key, _upwards_in_fields, _upwards_in_degrees)
    return False if ra is None or dec is None or draft.get("ra_deg") is None else (ra, dec)
