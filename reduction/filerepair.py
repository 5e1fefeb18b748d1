"""Repairs of a whole file: each of its images is mended, and what is no image stays as it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reduction import fitsio
from reduction.cards import Cards, ProductCard
from reduction.errors import ReductionError
from reduction.fitswrite import Hdu, float_hdu
from reduction.guard import BLOCK
from reduction.headers.extensions import bits_of, name_cards, name_of, whole_cards
from reduction.headers.task_products import with_time
from reduction.imagewrite import as_primary, image_hdu, plain_cards
from reduction.oneimage.repair import (
    BadCropError,
    Direction,
    crop,
    cropped_header,
    destripe,
    fixed_header,
)

Limits = tuple[int | None, int | None, int | None, int | None]  # x1, y1, x2, y2
_SCIENCE: Final = "SCI"


class BadExtensionsError(ReductionError):
    """Images of one file that cannot be mended together; the message says why."""


@dataclass(frozen=True, slots=True)
class _Part:
    """An HDU as it is stored."""

    cards: Cards
    shape: tuple[int, ...]
    tiles: bool
    data: memoryview

    @property
    def has_image(self) -> bool:
        return len(self.shape) > 1

    @property
    def n_planes(self) -> int:
        return math.prod(self.shape[:-2])

    @property
    def pixels(self) -> npt.NDArray[Any]:
        """Its one plane, in the type and the byte order of the file."""
        bits = bits_of(self.cards)
        kind = np.dtype(f">{'f' if bits < 0 else 'u' if bits == 8 else 'i'}{abs(bits) // 8}")
        ny, nx = self.shape[-2:]
        return np.frombuffer(self.data, kind, ny * nx).reshape(ny, nx)


def fixed(path: Path) -> list[Hdu]:
    """Return a file with the headers of all its images mended.

    Raises
    ------
    BadFileError
        Where it is no FITS file with an image.
    """
    parts = _parts(path)
    if _is_one_image(parts):
        one = fitsio.read_image(path)
        return [image_hdu(one.data, fixed_header(one.cards))]
    return [_stored(part, _mended(part)) for part in parts]


def _mended(part: _Part) -> list[ProductCard]:
    cards = whole_cards(part.cards)
    if part.has_image:
        return fixed_header(cards)
    # What stands before the images may say of the sky what they share.
    return cards if part.shape or len(part.data) else with_time(cards)


def cropped(path: Path, limits: Limits) -> list[Hdu]:
    """Return a file with all its images cut to the same columns and rows, stored as they were.

    Parameters
    ----------
    path : Path
        Of any FITS file.
    limits : tuple of int or None
        As of `reduction.oneimage.repair.crop`.

    Raises
    ------
    BadCropError
        Where nearly nothing would be left, or an image cannot be cut as the others are.
    BadExtensionsError
        Where nobody says which image is meant.
    BadFileError
        Where it is no FITS file with an image.
    """
    parts = _parts(path)
    if _is_one_image(parts):
        one = fitsio.read_image(path)
        found = crop([one.data], *limits)
        data = found.planes[0]
        return [image_hdu(data, cropped_header(one.cards, found.x0, found.y0, data.shape))]
    shape = parts[_science(parts)].shape[-2:]
    images = {i: part for i, part in enumerate(parts) if part.has_image}
    for i, part in images.items():
        _check_cut(i, part, shape)
    found = crop([part.pixels for part in images.values()], *limits)
    planes = dict(zip(images, found.planes, strict=True))
    size = (found.planes[0].shape[0], found.planes[0].shape[1])
    made = []
    for i, part in enumerate(parts):
        cards = whole_cards(part.cards)
        if i in planes or not len(part.data):  # before them may stand what they inherit
            cards = cropped_header(cards, found.x0, found.y0, size)
        made.append(_stored(part, cards, planes.get(i)))
    return made


def _check_cut(number: int, part: _Part, shape: tuple[int, ...]) -> None:
    if part.tiles:
        why = "is compressed: unpack the file"
    elif part.n_planes > 1:
        why = f"is a cube of {part.n_planes} planes: make a task of one of them"
    elif part.shape[-2:] != shape:
        why = "has another size than the image: make a task of the image alone"
    else:
        return
    raise BadCropError(f"it cannot be cut, as its extension {number} {why}")


def destriped(path: Path, direction: Direction) -> list[Hdu]:
    """Return a file whose image, of several the one called SCI, has lost its stripes.

    Raises
    ------
    BadExtensionsError
        Where nobody says which image is meant, or it is a cube.
    BadFileError
        Where it is no FITS file with an image.
    """
    parts = _parts(path)
    if _is_one_image(parts):
        one = fitsio.read_image(path)
        return [image_hdu(destripe(one.data, direction), one.cards)]
    at = _science(parts)
    if (n := parts[at].n_planes) > 1:
        raise BadExtensionsError(f"its image is a cube of {n} planes: make a task of one of them")
    cards = [*name_cards(whole_cards(parts[at].cards)), *plain_cards(parts[at].cards)]
    mended = float_hdu(cards, destripe(fitsio.read_image(path, at).data, direction))
    if at == 0:
        mended = Hdu(as_primary(mended.cards), mended.values)
    return [mended if i == at else _stored(p, whole_cards(p.cards)) for i, p in enumerate(parts)]


def _parts(path: Path) -> list[_Part]:
    return [_Part(hdu.cards, hdu.shape, hdu.tiles, data) for hdu, data in fitsio.stored_hdus(path)]


def _is_one_image(parts: Sequence[_Part]) -> bool:
    """Tell whether a file holds one plane, and nothing that a single image could not take in."""
    held = [part for part in parts if len(part.data)]
    return not held or (len(held) == 1 and held[0].has_image and held[0].n_planes == 1)


def _science(parts: Sequence[_Part]) -> int:
    """Return where the image is that the others belong to."""
    images = [i for i, part in enumerate(parts) if part.has_image]
    chosen = [i for i in images if name_of(parts[i].cards).upper() == _SCIENCE]
    for candidates in (images, chosen):
        if len(candidates) == 1:
            return candidates[0]
    raise BadExtensionsError(
        f"it holds {len(images)} images, and not one alone is called {_SCIENCE}: make a task of "
        "the one that is meant"
    )


def _stored(
    part: _Part, cards: Sequence[ProductCard], pixels: npt.NDArray[Any] | None = None
) -> Hdu:
    """Return an HDU with these cards; its data byte for byte, or other pixels of their type."""
    data = bytes(part.data) if pixels is None else pixels.tobytes()
    values = np.frombuffer(data + bytes(-len(data) % BLOCK), ">u4").astype(np.uint32)
    values.flags.writeable = False
    return Hdu(cards, values)
