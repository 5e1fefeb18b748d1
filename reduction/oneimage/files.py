"""Files of one image's planes: masks, segments, cutouts, the place alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry.wcs import TanSip
from reduction.cards import ProductCard
from reduction.fitswrite import Hdu, flags_hdu, float_hdu, primary_hdu
from reduction.headers.task_products import as_primary, cropped_header, named, place_cards

FILL: Final = np.nan  # of a cutout, beyond the image's edge


@dataclass(frozen=True, slots=True)
class Window:
    """A square around a place of an image.

    Attributes
    ----------
    x0, y0 : int
        Its first column and row; may lie beyond the image.
    side : int
        Of it, in pixels.
    """

    x0: int
    y0: int
    side: int

    @classmethod
    def around(cls, x: float, y: float, half_pix: int) -> "Window":
        """Return the square with a place in its middle pixel."""
        return cls(round(x) - half_pix, round(y) - half_pix, 2 * half_pix + 1)

    def of(self, plane: npt.NDArray[Any], fill: float) -> npt.NDArray[Any]:
        """Return a plane's part in it, filled beyond the edge."""
        ny, nx = plane.shape
        found = np.full((self.side, self.side), fill, plane.dtype)
        y1, y2 = max(0, self.y0), min(ny, self.y0 + self.side)
        x1, x2 = max(0, self.x0), min(nx, self.x0 + self.side)
        if y1 < y2 and x1 < x2:
            rows, columns = slice(y1 - self.y0, y2 - self.y0), slice(x1 - self.x0, x2 - self.x0)
            found[rows, columns] = plane[y1:y2, x1:x2]
        return found


def plane_hdu(plane: npt.NDArray[Any], cards: Sequence[ProductCard] = ()) -> Hdu:
    """Return a primary HDU that holds an image: 32-bit floats or integers, or 16-bit flags."""
    if plane.dtype == np.uint16:
        made = flags_hdu(cards, plane)
    elif plane.dtype.kind in "iu":
        whole = np.ascontiguousarray(plane, np.int32)
        made = _whole_numbers(whole, cards)
    else:
        made = float_hdu(cards, plane)
    return Hdu(as_primary(made.cards), made.values)


def _whole_numbers(plane: npt.NDArray[np.int32], cards: Sequence[ProductCard]) -> Hdu:
    """Return an image extension of 32-bit integers: as wide as floats, and stored alike."""
    made = float_hdu(cards, plane.view(np.float32))
    told: list[ProductCard] = [
        (keyword, 32 if keyword == "BITPIX" else value, comment)
        for keyword, value, comment in made.cards
    ]
    return Hdu(told, made.values)


def place_hdus(wcs: TanSip, shape: tuple[int, int]) -> list[Hdu]:
    """Return a file that holds nothing but where an image of `shape` lies."""
    return [primary_hdu(place_cards(wcs, shape))]


def cutout_hdus(
    window: Window,
    planes: Sequence[tuple[str, npt.NDArray[Any]]],
    about: Sequence[ProductCard],
    place: Sequence[ProductCard],
) -> list[Hdu]:
    """Return a cutout: what is known of it in the primary HDU, then its planes.

    Parameters
    ----------
    window : Window
        Which part.
    planes : sequence of (name, array)
        Of the whole image: floats, or flags as uint16.
    about : sequence of (keyword, value, comment)
        What is known of it.
    place : sequence of (keyword, value, comment)
        Where the whole image lies on the sky, empty where that is not known.
    """
    side = window.side, window.side
    moved = cropped_header(place, window.x0, window.y0, side)
    hdus = [primary_hdu(about)]
    for name, plane in planes:
        is_flags = plane.dtype.kind in "iub"
        part = window.of(plane, 0 if is_flags else FILL)
        cards = named(name, moved)
        hdus.append(
            flags_hdu(cards, part.astype(np.uint16))
            if is_flags
            else float_hdu(cards, part.astype(np.float32))
        )
    return hdus
