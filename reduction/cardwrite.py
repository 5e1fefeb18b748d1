"""Header cards as text: values of any length, in the form FITS gives them."""

import math
from collections.abc import Iterable

from reduction.cards import ProductCard
from reduction.guard import BLOCK
from reduction.layouts import CARD

_STRING = 68  # longest string of one card, less one where it is continued, for its "&"


def _number_text(value: float) -> str:
    """Return a number as FITS writes it; NaN and infinity have no form and become no value."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return ""
    text = repr(value).upper()
    return text if "." in text or "E" in text else text + ".0"


def _printable(text: str) -> str:
    """Return text that a FITS header may hold; what is not ASCII becomes a question mark."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _value_text(value: str | bool | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "T" if value else "F"
    return value if isinstance(value, str) else _number_text(value)


def _card(head: str, text: str, comment: str) -> bytes:
    card = head + text
    room = CARD - len(card) - 3
    if room > 0 and (words := _whole_words(_printable(comment), room)):
        card += f" / {words}"
    return card.encode("ascii").ljust(CARD)[:CARD]


def _whole_words(comment: str, room: int) -> str:
    """Return as much of a comment as has room, never part of a word; nothing may be left."""
    if len(comment) <= room:
        return comment
    return comment[: room + 1].rpartition(" ")[0].rstrip(" ,;:")


def _string_cards(head: str, value: str, comment: str) -> list[bytes]:
    text = _printable(value).replace("'", "''")
    room = CARD - len(head) - 2
    if len(text) <= room:
        return [_card(head, f"'{text:<8}'".ljust(20), comment)]
    pieces: list[str] = []
    while len(text) > (limit := (room if not pieces else _STRING) - 1):
        # A quote is two characters: they stay on one card.
        cut = limit - (1 if text[:limit].count("'") % 2 else 0)
        pieces.append(text[:cut] + "&")
        text = text[cut:]
    pieces.append(text)
    cards = [_card(head, f"'{pieces[0]}'", "")]
    cards += [_card("CONTINUE  ", f"'{piece}'", "") for piece in pieces[1:-1]]
    cards.append(_card("CONTINUE  ", f"'{pieces[-1]}'", comment))
    return cards


def format_card(keyword: str, value: str | bool | float | None, comment: str = "") -> bytes:
    """Return the card or cards of one value.

    Parameters
    ----------
    keyword : str
        One of more than eight characters, or with a blank, becomes a HIERARCH card; COMMENT and
        HISTORY hold text.
    value : str, bool, int, float or None
        A string too long for one card is continued; a number that is not finite has no value.
    comment : str
        Cut where the card ends.

    Returns
    -------
    bytes
        Whole cards of 80 ASCII characters.
    """
    keyword = keyword.upper()
    if keyword in ("COMMENT", "HISTORY"):
        text = _printable(str(value))
        rows = [text[i : i + CARD - 8] for i in range(0, max(len(text), 1), CARD - 8)]
        return b"".join(f"{keyword:<8}{row}".encode("ascii").ljust(CARD) for row in rows)
    long = len(keyword) > 8 or " " in keyword
    head = f"HIERARCH {keyword} = " if long else f"{keyword:<8}= "
    if isinstance(value, str):
        return b"".join(_string_cards(head, value, comment))
    text = _value_text(value)
    return _card(head, text if long else text.rjust(20), comment)


def format_cards(cards: Iterable[ProductCard]) -> bytes:
    """Return the cards of some values, one after the other."""
    return b"".join(format_card(*card) for card in cards)


def format_header(cards: Iterable[ProductCard]) -> bytes:
    """Return a whole header, END and padding too."""
    return ended(format_cards(cards))


def ended(cards: bytes) -> bytes:
    """Return cards as a whole header, with END and padding."""
    raw = cards + b"END".ljust(CARD)
    return raw + b" " * (-len(raw) % BLOCK)
