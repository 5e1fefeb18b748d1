"""Values out of header cards: numbers with their units, texts that mean nothing, angles."""

import math
import re
from functools import lru_cache

from reduction.cards import Cards

# What writers put where they have nothing to say.
_ABSENT = frozenset(
    {"", "N/A", "NA", "UNKNOWN", "UNSPECIFIED", "NONE", "NULL", "UNDEFINED", "NAN", "---", "NOTSET"}
)
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?)")
_FIELDS = re.compile(r"[:\s]+|(?<=\d)[hdm°'](?=\s*\d)\s*|[hdms°'\"]\s*$")
_MAX_TEXT = 200
# The commonest angle, three fields between colons or blanks.
_THREE_FIELDS = re.compile(r"([+-]?)(\d{1,9})[: ](\d{1,9})[: ](\d{1,9}\.?\d{0,15})", re.ASCII)


@lru_cache(maxsize=4096)
def meant(text: str) -> str | None:
    """Return a text without its padding, None where it says nothing ('N/A', 'UNKNOWN', '')."""
    stripped = text.strip()
    return None if stripped.upper() in _ABSENT else stripped[:_MAX_TEXT]


def text_of(cards: Cards, keyword: str) -> str | None:
    """Return a keyword's value as text, digits as written; None where it says nothing."""
    return meant(cards.text(keyword))


def first_text(cards: Cards, keywords: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the first keyword that says something, and what."""
    for keyword in cards.present(keywords):
        text = meant(cards.text(keyword))
        if text is not None:
            return keyword, text
    return None


@lru_cache(maxsize=4096)
def leading_number(text: str) -> float | None:
    """Return the number a text begins with: 30.0 of ``30.0 s``; None where there is none."""
    found = _NUMBER.match(text)
    if not found:
        return None
    value = float(found[1].upper().replace("D", "E"))
    return value if math.isfinite(value) else None


def number_of(cards: Cards, keyword: str) -> float | None:
    """Return a keyword's value as a finite number, None where it has none."""
    value = cards.get(keyword)
    if value is None or value is True or value is False:
        return None
    if isinstance(value, str):
        return leading_number(value)
    return float(value) if math.isfinite(value) else None


def first_number(cards: Cards, keywords: tuple[str, ...]) -> tuple[str, float] | None:
    """Return the first keyword that holds a finite number, and the number."""
    for keyword in cards.present(keywords):
        value = number_of(cards, keyword)
        if value is not None:
            return keyword, value
    return None


@lru_cache(maxsize=4096)
def sexagesimal(text: str) -> float | None:
    """Return a sexagesimal text in units of its first field.

    Fields are parted by colons, blanks or unit letters; seconds may reach 60. A fourth field is
    hundredths of the third, as PRISM writes them.

    Parameters
    ----------
    text : str
        ``-25:17:06``, ``09 02 22``, ``18h20m48.1s``.

    Returns
    -------
    float or None
        None where the text is no angle.
    """
    usual = _THREE_FIELDS.fullmatch(text)
    if usual:
        return _in_three_fields(usual)
    body = text.strip()
    sign = -1.0 if body.startswith("-") else 1.0
    fields = [field for field in _FIELDS.split(body.lstrip("+-").strip()) if field]
    if not 1 <= len(fields) <= 4 or not all(re.fullmatch(r"\d{1,9}\.?\d{0,15}", f) for f in fields):
        return None
    if len(fields) == 4:
        fields = [fields[0], fields[1], f"{fields[2].rstrip('.')}.{fields[3].replace('.', '')}"]
    if any(float(field) > 60 for field in fields[1:]):
        return None
    return sign * math.fsum(float(field) / 60.0**i for i, field in enumerate(fields))


@lru_cache(maxsize=4096)
def three_fields(text: str) -> float | None:
    """Return what `sexagesimal` does of an angle in three fields, None of any other."""
    usual = _THREE_FIELDS.fullmatch(text)
    return None if usual is None else _in_three_fields(usual)


def _in_three_fields(found: re.Match[str]) -> float | None:
    sign, whole, minutes, seconds = found.groups()
    if float(minutes) > 60 or float(seconds) > 60:
        return None
    value = math.fsum((float(whole), float(minutes) / 60.0, float(seconds) / 3600.0))
    return -value if sign == "-" else value


def degrees_of(cards: Cards, keyword: str) -> float | None:
    """Return a latitude, longitude or declination in degrees, sexagesimal or not."""
    value = cards.get(keyword)
    if isinstance(value, str):
        if len(_FIELDS.split(value.strip())) == 1 or "deg" in value.lower():
            return leading_number(value)
        return sexagesimal(value)
    return number_of(cards, keyword)


def is_true(cards: Cards, keyword: str) -> bool:
    """Tell whether a keyword says yes: T, 'TRUE', 'on', 1."""
    value = cards.get(keyword)
    if isinstance(value, str):
        return value.strip().upper() in ("TRUE", "ON", "T", "YES", "1")
    return value is True or value == 1
