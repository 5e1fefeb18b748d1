"""Frames that tell time and place as the ones before them did, read at a fraction of the cost.

The rules of `times`, `places` and `readers` ask for many keywords that a camera never writes, and
try forms that it does not use. What they found of one header says which cards they took; another
of the same layout that has these in the same form, with nothing to doubt, needs no more than their
values. Whatever is not as it was is left to the rules.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from reduction.cards import Cards
from reduction.frameinfo import FrameInfo, Note, Origins, doubts_of
from reduction.headers.draft import Draft
from reduction.headers.places import counts_hours, has_wcs
from reduction.headers.readers import AIRMASS_KEYWORDS, TEMPERATURE_KEYWORDS, airmass_of
from reduction.headers.times import (
    DATE_KEYWORDS,
    IN_FUTURE,
    OTHER_TIME_KEYWORDS,
    plain_utc,
    since_noon,
)
from reduction.headers.values import three_fields
from reduction.headers.writer import Writer
from reduction.layouts import CARD, KEYWORD

_VALUE: Final = KEYWORD + 1  # where the field of a value begins in its card
_NUMBER_END: Final = 30  # of a card in FITS's fixed format
_MAX_BASES: Final = 256  # temperatures of a night
_DAY: Final = timedelta(days=1)
_LONGEST_S: Final = 1e6  # of an exposure whose middle surely has a date
_MIDDLE: Final[Note] = ("", "start + exposure / 2", None)

Temperature = tuple[Mapping[str, Any], Mapping[str, Note]]
_Parse = Callable[[bytes], Any]


class _Field(NamedTuple):
    """Where a value stands in a header, and what stands before and behind it in its card."""

    part: slice
    before: slice
    head: bytes
    behind: slice
    tail: bytes
    parse: _Parse

    def read(self, raw: bytes) -> Any:  # noqa: ANN401 - what `parse` returns
        """Return the value, None where the card has another form or the value another kind."""
        if raw[self.before] != self.head or raw[self.behind] != self.tail:
            return None
        return self.parse(raw[self.part])


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
    head, tail = card[:start], card[stop:]
    parts = slice(at + start, at + stop), slice(at, at + start), slice(at + stop, at + CARD)
    if not is_fixed or parse(card[start:stop]) is None:
        return None
    return _Field(parts[0], parts[1], head, parts[2], tail, parse)


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
    return plain_utc(text.decode("latin-1"))


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


def _upwards_in_fields(text: bytes) -> float | None:
    return _upwards(three_fields(text.decode("latin-1")))


def _upwards_in_degrees(token: bytes) -> float | None:
    return _upwards(_number(token))


def _airmass(token: bytes) -> float | None:
    return airmass_of(_number(token))


@dataclass(frozen=True, slots=True)
class _Fields:
    """Where frames have what is their own; `airmass` and `place` may be nowhere."""

    date: _Field
    airmass: _Field | None
    place: tuple[_Field, _Field] | None


class Usual:
    """How the frames of one layout that agree in all that is steady tell the rest.

    Parameters
    ----------
    draft : Draft
        Of one of them, after all rules.
    steady : mapping
        The values that all of them have.
    fields : _Fields
        Where the others stand.
    temperature : callable
        Returns values and notes of a detector's temperature.
    """

    __slots__ = (
        "_alike", "_bases", "_fields", "_half", "_notes", "_notes_of_future", "_since_noon",
        "_steady", "_temperature", "_temperature_cards", "_temperature_notes",
    )  # fmt: skip

    def __init__(
        self,
        draft: Draft,
        steady: Mapping[str, Any],
        fields: _Fields,
        temperature: Callable[[Cards], Temperature],
    ) -> None:
        raw = draft.cards.raw_bytes
        self._fields = fields
        role = {} if fields.place is None else {"position_role": draft.values["position_role"]}
        self._steady = {**steady, **role}
        keyword, rule, _ = draft.notes["start_utc"]
        told = (draft.notes | {"start_utc": (keyword, rule, why)} for why in (None, IN_FUTURE))
        self._notes, self._notes_of_future = [(notes, doubts_of(notes)) for notes in told]
        self._half = timedelta(seconds=(steady.get("exptime_s") or 0.0) / 2)
        self._since_noon = since_noon(steady.get("longitude_deg") or 0.0)
        self._alike = [(part, raw[part]) for part in _parts(draft.cards, ("EQUINOX",))]
        self._temperature = temperature
        self._temperature_cards = _parts(draft.cards, TEMPERATURE_KEYWORDS)
        self._temperature_notes = temperature(draft.cards)[1]
        self._bases: dict[tuple[bytes, ...], FrameInfo] = {}

    def read(self, cards: Cards, now: datetime) -> FrameInfo | None:
        """Return what a frame is, None where it tells something in another way."""
        raw, fields = cards.raw_bytes, self._fields
        start: datetime | None = fields.date.read(raw)
        base = self._base(cards, raw)
        if base is None or start is None or start.year < 1970:
            return None
        notes = self._notes if start <= now + _DAY else self._notes_of_future
        own: dict[str, Any] = {
            "start_utc": start,
            "mid_utc": start + self._half,
            "night": (start - self._since_noon).date(),
        }
        if fields.airmass is not None:
            own["airmass"] = fields.airmass.read(raw)
        if fields.place is not None:
            own["ra_deg"], own["dec_deg"] = self._place(fields.place, raw)
        if None in own.values():
            return None
        own["origins"] = Origins(cards.raw, *notes)
        return base.with_own(own)

    def _place(self, place: tuple[_Field, _Field], raw: bytes) -> tuple[float | None, float | None]:
        ra, dec = place[0].read(raw), place[1].read(raw)
        is_told = ra != 0 or dec != 0
        for part, card in self._alike:
            is_told = is_told and raw[part] == card
        return (ra, dec) if is_told else (None, None)

    def _base(self, cards: Cards, raw: bytes) -> FrameInfo | None:
        """Return a frame of this temperature, without what is its own."""
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
    if has_wcs(cards) or cards.present(OTHER_TIME_KEYWORDS):
        return None
    date = _date(draft)
    airmass = _airmass_field(draft)
    place = _place_fields(draft, writer)
    if date is None or airmass is False or place is False:
        return None
    return Usual(draft, steady, _Fields(date, airmass, place), temperature)


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
    is_middle = draft.notes.get("mid_utc") == _MIDDLE
    if not is_plain or not is_middle or (draft.get("exptime_s") or 0.0) > _LONGEST_S:
        return None
    return _field(draft.cards, present[0], _moment, _no)


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
