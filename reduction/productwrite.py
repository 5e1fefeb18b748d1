"""Products on their way to the disk: an empty primary HDU with their cards, SCI, VAR and DQ."""

from collections.abc import Sequence
from pathlib import Path

from reduction.cards import ProductCard
from reduction.fitswrite import (
    Hdu,
    flags_hdu,
    float_hdu,
    primary_hdu,
    stage_hdus,
    write_hdus,
)
from reduction.flags import PixelFlag
from reduction.image import Image
from reduction.wholefiles import Staged


def _flag_cards() -> list[ProductCard]:
    return [
        (f"FLAG{flag.value.bit_length() - 1}", flag.name, f"pixels with bit {flag.value} set")
        for flag in PixelFlag
    ]


def write_product(
    path: Path,
    image: Image,
    cards: Sequence[ProductCard],
    *,
    sci_cards: Sequence[ProductCard] = (),
    dq_cards: Sequence[ProductCard] = (),
) -> None:
    """Write a product: an empty primary HDU with its cards, then SCI, VAR and DQ.

    Every HDU carries CHECKSUM and DATASUM. The file appears whole or not at all.

    Parameters
    ----------
    path : Path
        Replaced where it exists; its folder must exist.
    image : Image
        Data and variance are stored as 32-bit floats, the mask as unsigned 16-bit integers.
    cards : sequence of (keyword, value, comment)
        Of the primary HDU: what it is and where it comes from.
    sci_cards, dq_cards : sequence of (keyword, value, comment)
        Added to SCI (its coordinates, say) and to DQ.

    Raises
    ------
    OSError
        Where the disk is full, say; nothing is left behind.
    """
    write_hdus(path, _product_hdus(image, cards, sci_cards, dq_cards))


def stage_product(
    path: Path,
    image: Image,
    cards: Sequence[ProductCard],
    *,
    sci_cards: Sequence[ProductCard] = (),
) -> Staged:
    """Write a product beside its place, and take its SHA-256 on the way.

    Parameters
    ----------
    path : Path
        The name it is to have.
    image : Image
        As of `write_product`.
    cards, sci_cards : sequence of (keyword, value, comment)
        As of `write_product`.

    Returns
    -------
    Staged
        Synced, and to be put in its place or discarded.

    Raises
    ------
    OSError
        Where the disk is full, say; nothing is left behind.
    """
    return stage_hdus(path, _product_hdus(image, cards, sci_cards, ()), digest=True)


def _product_hdus(
    image: Image,
    cards: Sequence[ProductCard],
    sci_cards: Sequence[ProductCard],
    dq_cards: Sequence[ProductCard],
) -> list[Hdu]:
    """Return the HDUs of a product."""
    unit = {"adu": "adu", "electron": "electron", "1": ""}[image.unit]
    squared = f"{unit}2" if unit else ""
    sci: list[ProductCard] = [("EXTNAME", "SCI", "pixel values"), ("BUNIT", unit, "their unit")]
    var: list[ProductCard] = [("EXTNAME", "VAR", "variance of SCI"), ("BUNIT", squared, "")]
    flags: list[ProductCard] = [("EXTNAME", "DQ", "flags, 0 is a good pixel"), *_flag_cards()]
    return [
        primary_hdu(cards),
        float_hdu([*sci, *sci_cards], image.data),
        float_hdu(var, image.variance),
        flags_hdu([*flags, *dq_cards], image.mask),
    ]
