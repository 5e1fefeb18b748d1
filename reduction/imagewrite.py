"""Single images: one a file, in the primary HDU, as other programs expect a frame."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reduction.cards import Cards, ProductCard
from reduction.fitswrite import Hdu, float_hdu, write_hdus
from reduction.image import FloatPlane

# What says how pixels are stored and is written anew, or held for the old pixels alone.
_STORAGE: Final = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|DATAMIN|"
    r"DATAMAX|CHECKSUM|DATASUM|END|INHERIT|EXTNAME|EXTVER|EXTLEVEL|TFIELDS|T(TYPE|FORM)\d+|"
    r"Z(IMAGE|SIMPLE|TENSION|BITPIX|NAXIS\d*|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|QUANTIZ|DITHER0|"
    r"BLANK|EXTEND|PCOUNT|GCOUNT|HECKSUM|DATASUM|MASKCMP)|CONTINUE"
)


@dataclass(frozen=True, slots=True)
class PlainImage:
    """One image of a file, as it is.

    Attributes
    ----------
    data : float32 array, ``(ny, nx)``
        Physical values, native byte order, writable; BLANK is NaN. Of a cube its first plane.
    cards : list of (keyword, value, comment)
        Of its HDU, with those of the primary HDU before them; none of how it was stored.
    hdu : int
        Where it was.
    """

    data: FloatPlane
    cards: list[ProductCard]
    hdu: int


def plain_cards(cards: Cards, primary: Cards | None = None) -> list[ProductCard]:
    """Return the cards of an image that say something of it, not of how it was stored.

    Parameters
    ----------
    cards : Cards
        Of its HDU.
    primary : Cards, optional
        Of the primary HDU, where the image is in an extension: what only that says comes first.

    Returns
    -------
    list of (keyword, value, comment)
        In the order of the file; values of no kind FITS has are left out.
    """
    own = _told(cards)
    names = {keyword for keyword, _, _ in own}
    first = [card for card in _told(primary) if card[0] not in names] if primary else []
    return [*first, *own]


def _told(cards: Cards) -> list[ProductCard]:
    return [
        (keyword, value, comment)
        for keyword, value, comment in cards.cards()
        if keyword
        and not _STORAGE.fullmatch(keyword)
        and (value is None or isinstance(value, str | bool | int | float))
    ]


def write_image(path: Path, data: FloatPlane, cards: Sequence[ProductCard]) -> None:
    """Write an image into the primary HDU of a file of its own.

    It carries CHECKSUM and DATASUM, and appears whole or not at all.

    Parameters
    ----------
    path : Path
        Replaced where it exists; its folder must exist.
    data : float array, ``(ny, nx)``
        Stored as 32-bit floats.
    cards : sequence of (keyword, value, comment)
        What is said of it; cards about how it is stored are not taken.

    Raises
    ------
    OSError
        Where the disk is full, say; nothing is left behind.
    """
    write_hdus(path, [image_hdu(data, cards)])


def image_hdu(data: FloatPlane, cards: Sequence[ProductCard]) -> Hdu:
    """Return an image, ``(ny, nx)``, as the primary HDU that `write_image` writes."""
    kept = [card for card in cards if not _STORAGE.fullmatch(card[0])]
    made = float_hdu(kept, data)
    return Hdu(as_primary(made.cards), made.values)


def as_primary(cards: Sequence[ProductCard]) -> list[ProductCard]:
    """Return the cards of an image extension as those of a primary HDU."""
    only_extensions = {"XTENSION", "PCOUNT", "GCOUNT"}
    return [
        ("SIMPLE", True, "conforms to the FITS standard"),
        *(card for card in cards if card[0] not in only_extensions),
    ]
