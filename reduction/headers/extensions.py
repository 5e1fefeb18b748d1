"""HDUs as parts of a file: how they are called, how they are stored, which sums they have."""

import math
import re
from collections.abc import MutableMapping, Sequence
from typing import Any, Final

from reduction.cards import Cards, ProductCard

_NAMES: Final = ("EXTNAME", "EXTVER", "EXTLEVEL", "INHERIT")
# Sums of the HDU as it was, and cards that are the rest of others.
_WRITTEN_ANEW: Final = re.compile(r"CHECKSUM|DATASUM|ZHECKSUM|ZDATASUM|CONTINUE|END")


def name_of(cards: Cards) -> str:
    """Return how an HDU is called, as it is written; empty where it has no name."""
    return cards.text("EXTNAME").strip()


def name_cards(cards: Sequence[ProductCard]) -> list[ProductCard]:
    """Return those cards of an HDU that tell it from the others of its file."""
    return [card for card in cards if card[0] in _NAMES]


def whole_cards(cards: Cards) -> list[ProductCard]:
    """Return all cards of an HDU, how it is stored included, without its sums."""
    return [
        (keyword, value, comment)
        for keyword, value, comment in cards.cards()
        if not _WRITTEN_ANEW.fullmatch(keyword)
        and (keyword or comment or value)
        and (value is None or isinstance(value, str | bool | int | float))
        and not (isinstance(value, float) and not math.isfinite(value))
    ]


def bits_of(cards: Cards) -> int:
    """Return the bits of a stored value; negative where it is a floating-point number."""
    bits = cards.get("BITPIX")
    return bits if isinstance(bits, int) else 8


def forget_size(header: MutableMapping[str, Any]) -> None:
    """Take out of a header how many axes its pixels have: none, says one that holds no pixels."""
    header.pop("NAXIS", None)
