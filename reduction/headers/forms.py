"""How headers of one camera write the values that differ from frame to frame, and reading them.

Many headers are read value by value, not one header after the other.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from reduction.cards import Cards
from reduction.headers.readers import airmass_of
from reduction.headers.times import mjd_of_jd, mjd_of_number
from reduction.headers.values import three_fields
from reduction.layouts import CARD, KEYWORD, cutter

_VALUE: Final = KEYWORD + 1  # where the field of a value begins in its card
_NUMBER_END: Final = 30  # of a card in FITS's fixed format
_TO_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
# The forms of a date with its time, with up to nine decimals, all their digits zeros.
_MOMENTS: Final = frozenset(b"0000-00-00T00:00:00" + b".000000000"[:n] for n in (0, *range(2, 11)))
_YEARS: Final = (b"1970", b"9999")  # before and from then on the rules have doubts

Parse = Callable[[bytes], Any]  # returns None of what is written, or meant, in another way
_ParseAll = Callable[[Sequence[bytes]], list[Any] | None]


class Field(NamedTuple):
    """Where a value stands in a header, and its card's other bytes before and behind it."""

    card: int
    start: int
    stop: int
    parse: Parse

    @property
    def around(self) -> tuple[slice, slice]:
        """What stands in the card before the value, and behind it."""
        return slice(self.card, self.start), slice(self.stop, self.card + CARD)


class Fields(NamedTuple):
    """Where the values stand that frames have of their own; None is nowhere."""

    date: Field
    airmass: Field | None
    ra: Field | None
    dec: Field | None
    julian: Field | None  # the Julian date that the date is compared with
    middle: Field | None  # where it is stated


def field(cards: Cards, keyword: str, parse_text: Parse, parse_number: Parse) -> Field | None:
    """Return where a keyword's text, or its number in fixed format, stands; None for others."""
    at = card_of(cards, keyword)
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
    return Field(at, at + start, at + stop, parse)


def card_of(cards: Cards, keyword: str) -> int:
    """Return where the card of a keyword begins."""
    return cards.layout.at[keyword] - _VALUE


class Form:
    """How headers write what frames have of their own, all of them in the same way.

    Headers of one layout have the same form, the very object, where they write it in the same way.

    Parameters
    ----------
    fields : Fields
        Where each value stands.
    others : tuple of int
        Where other cards begin that must be the same.
    alike : tuple of bytes
        These cards, and what stands around the values, in the order of the header.
    """

    __slots__ = ("_alike", "_alike_of", "_fields", "_nothing", "_there", "_values_of")

    def __init__(self, fields: Fields, others: tuple[int, ...], alike: tuple[bytes, ...]) -> None:
        self._fields = fields
        self._there = sorted([one for one in fields if one is not None], key=_start_of)
        self._alike_of, self._alike = _alike_of(fields, others), alike
        self._values_of = cutter([slice(one.start, one.stop) for one in self._there])
        self._nothing = (b"",) * len(self._there)

    @staticmethod
    def of(raw: bytes, fields: Fields, others: Sequence[int]) -> "Form":
        """Return the form of a header."""
        told = tuple(others)
        return _known_form(fields, told, _alike_of(fields, told)(raw))

    def read(self, raws: Sequence[bytes]) -> list[list[Any] | None]:
        """Return the values of headers, for each of `Fields` those of all, None for one nowhere.

        A value is None where it is written, or meant, in another way; the date is where anything
        else that must be the same is not.
        """
        alike, alike_of, values_of = self._alike, self._alike_of, self._values_of
        values = [values_of(raw) if alike_of(raw) == alike else self._nothing for raw in raws]
        columns = zip(*values, strict=True)
        found = {one: _parsed(one.parse, next(columns)) for one in self._there}
        return [None if one is None else found[one] for one in self._fields]


def _parsed(parse: Parse, tokens: Sequence[bytes]) -> list[Any]:
    quick = _QUICK.get(parse)
    found = None if quick is None else quick(tokens)
    return [*map(parse, tokens)] if found is None else found


def _start_of(one: Field) -> int:
    return one.start


def _alike_of(fields: Fields, others: tuple[int, ...]) -> Callable[[bytes], tuple[bytes, ...]]:
    parts = [part for one in fields if one is not None for part in one.around]
    parts += [slice(start, start + CARD) for start in others]
    return cutter(sorted(parts, key=_slice_start))


def _slice_start(part: slice) -> int:
    start: int = part.start
    return start


_known_form = lru_cache(maxsize=256)(Form)


# What the values are: each returns None of a token that is none, or that the rules would doubt.


def no(_token: bytes) -> None:
    """Return None: such a value is not written in this way."""


def moment(text: bytes) -> datetime | None:
    """Return a date with its time, UTC, of the years nobody doubts."""
    # As `plain_utc`, which has to look closer at texts of any form, at half its cost.
    if text.translate(_TO_ZEROS) not in _MOMENTS or not _YEARS[0] <= text < _YEARS[1]:
        return None
    try:
        return datetime.fromisoformat(text.decode("ascii") + "+00:00")
    except ValueError:
        return None


def _moments(texts: Sequence[bytes]) -> list[datetime] | None:
    zeros, whole = texts[0].translate(_TO_ZEROS), b"".join(texts)
    is_usual = zeros in _MOMENTS and whole.translate(_TO_ZEROS) == zeros * len(texts)
    if not is_usual or not _YEARS[0] <= min(texts) <= max(texts) < _YEARS[1]:
        return None
    ended = b"+00:00 ".join([*texts, b""]).decode("ascii").split()
    try:
        return [*map(datetime.fromisoformat, ended)]
    except ValueError:
        return None


def _number(token: bytes) -> float | None:
    """Return a finite number as every reader of FITS has it."""
    try:
        value = float(token)
    except ValueError:
        return None
    return value if b"_" not in token and math.isfinite(value) else None


def _numbers(tokens: Sequence[bytes]) -> list[float] | None:
    try:
        values = [*map(float, tokens)]
    except ValueError:
        return None
    return values if b"_" not in b"".join(tokens) else None


@lru_cache(maxsize=4096)
def hours(text: bytes) -> float | None:
    """Return a right ascension in degrees, of hours in three fields."""
    found = three_fields(text.decode("latin-1"))
    return found * 15 % 360 if found is not None and 0 <= found <= 24 else None


def number_of_hours(token: bytes) -> float | None:
    """Return a right ascension in degrees, of a number of hours."""
    found = _number(token)
    return found * 15 if found is not None and 0 <= found * 15 <= 360 else None


def around(token: bytes) -> float | None:
    """Return a right ascension in degrees."""
    return _turned(_number(token))


def _turned(value: float | None) -> float | None:
    return value if value is not None and 0 <= value <= 360 else None


def _upwards(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= 90 else None


@lru_cache(maxsize=4096)
def upwards_in_fields(text: bytes) -> float | None:
    """Return a declination in degrees, of three fields."""
    return _upwards(three_fields(text.decode("latin-1")))


def upwards_in_degrees(token: bytes) -> float | None:
    """Return a declination in degrees."""
    return _upwards(_number(token))


def airmass(token: bytes) -> float | None:
    """Return an airmass that can be one."""
    return airmass_of(_number(token))


def mjd(token: bytes) -> float | None:
    """Return a modified Julian date, also of a whole one under its name."""
    value = _number(token)
    return None if value is None else mjd_of_number(value)


def jd(token: bytes) -> float | None:
    """Return the modified Julian date of a Julian date."""
    value = _number(token)
    return None if value is None else mjd_of_jd(value)


def _each(of: Callable[[float | None], float | None]) -> _ParseAll:
    """Return what parses numbers of which `of` takes those that can be; none that is not finite."""

    def parse(tokens: Sequence[bytes]) -> list[float | None] | None:
        values = _numbers(tokens)
        return None if values is None else [*map(of, values)]

    return parse


# How a column is parsed where each of its values is as usual, at half the cost; else None.
_QUICK: Final[Mapping[Parse, _ParseAll]] = {
    moment: _moments,
    around: _each(_turned),
    upwards_in_degrees: _each(_upwards),
    airmass: _each(airmass_of),
}
