"""Which sky a catalogue has been loaded for."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.refcat.errors import BadRegionError
from reduction.refcat.geometry import Floats
from reduction.refcat.pixels import (
    Pixels,
    Ranges,
    centres_of,
    cover,
    n_pixels,
    neighbours_of,
    nested_of,
    order_for,
)
from reduction.refcat.regions import Region

SQUARE_DEGREES: Final = 4.0 * np.pi * np.degrees(1.0) ** 2
HOLE: Final = 6  # neighbours with stars around a cell without: a gap between stars, not an edge


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """The sky that is loaded, as runs of HEALPix cells.

    Attributes
    ----------
    ranges : Ranges
        The cells.
    is_declared : bool
        Whether whoever loaded it said so; else it is where there are stars.
    """

    ranges: Ranges
    is_declared: bool
    _before: Pixels = field(init=False, repr=False)  # cells before each run

    def __post_init__(self) -> None:
        lengths = self.ranges.stop - self.ranges.start
        object.__setattr__(self, "_before", np.cumsum(lengths) - lengths)

    @property
    def square_degrees(self) -> float:
        """How much sky that is."""
        return float(SQUARE_DEGREES) * self.ranges.n_pixels / n_pixels(self.ranges.order)

    def fraction(self, region: Region, cells: Ranges) -> float:
        """Return how much of a region is loaded.

        Parameters
        ----------
        region : Region
            On the sky.
        cells : Ranges
            Its cover, at any order.

        Returns
        -------
        float
            From 0 to 1, both exact.
        """
        loaded = self._loaded_in(cells)
        if loaded in (0.0, 1.0):
            return loaded
        order = order_for(region.cone.radius_deg / 4.0, self.ranges.order)
        pixels = cover(region.cone, order).pixels()
        inside = pixels[region.contains(*centres_of(pixels, order))]
        if inside.size == 0:
            middle = np.array([region.cone.ra_deg]), np.array([region.cone.dec_deg])
            inside = nested_of(*middle, order)
        return self._loaded_in(Ranges(order, inside, inside + 1))

    def contains(self, ra_deg: Floats, dec_deg: Floats) -> npt.NDArray[np.bool_]:
        """Tell of each position, degrees, whether its sky is loaded."""
        pixel = nested_of(ra_deg, dec_deg, self.ranges.order)
        return self._cells_below(pixel + 1) > self._cells_below(pixel)

    def _loaded_in(self, cells: Ranges) -> float:
        """Return the loaded fraction of some cells."""
        shift = 2 * (self.ranges.order - cells.order)
        if shift < 0:  # finer than ours: their own cells count as parts
            shift, cells = 0, Ranges(self.ranges.order, *_coarser(cells, self.ranges.order))
        start, stop = cells.start << shift, cells.stop << shift
        loaded = int((self._cells_below(stop) - self._cells_below(start)).sum())
        return loaded / max(int((stop - start).sum()), 1)

    def _cells_below(self, pixel: Pixels) -> Pixels:
        """Return how many loaded cells have a lower number than each of these."""
        run = np.searchsorted(self.ranges.start, pixel, side="right") - 1
        reached = np.minimum(pixel, self.ranges.stop[run]) - self.ranges.start[run]
        return np.where(run < 0, 0, self._before[run] + reached)


def whole_sky() -> Coverage:
    """Return the coverage of a catalogue of everything."""
    return Coverage(Ranges(0, np.array([0]), np.array([12])), is_declared=True)


def declared(region: Region, order: int = 10) -> Coverage:
    """Return the coverage of a region, to a cell: those whose middle lies in it."""
    order = order_for(region.cone.radius_deg / 64.0, order)
    pixels = cover(region.cone, order).pixels()
    inside = pixels[region.contains(*centres_of(pixels, order))]
    if inside.size == 0:
        raise BadRegionError("a piece of sky of no size cannot be loaded")
    return Coverage(Ranges.of_pixels(order, inside), is_declared=True)


def joined(parts: list[Coverage]) -> Coverage:
    """Return the coverage that is all of these."""
    order = max(part.ranges.order for part in parts)
    runs = [part.ranges.at(order) for part in parts]
    start = np.concatenate([run.start for run in runs])
    stop = np.concatenate([run.stop for run in runs])
    by_start = np.argsort(start, kind="stable")
    start, reach = start[by_start], np.maximum.accumulate(stop[by_start])
    first = np.concatenate([[True], start[1:] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return Coverage(
        Ranges(order, start[first], reach[last]), all(part.is_declared for part in parts)
    )


def of_stars(pixels: Pixels, order: int) -> Coverage:
    """Return where stars are, with the gaps between them.

    Parameters
    ----------
    pixels : int array
        Nested pixels that hold a star, sorted and different.
    order : int
        Theirs, coarse enough that a loaded cell without a star is rare.
    """
    around = neighbours_of(pixels, order).ravel()
    empty = around[around >= 0]
    empty = empty[~np.isin(empty, pixels)]
    cells, stars_beside = np.unique(empty, return_counts=True)
    filled = np.union1d(pixels, cells[stars_beside >= HOLE])
    return Coverage(Ranges.of_pixels(order, filled), is_declared=False)


def _coarser(cells: Ranges, order: int) -> tuple[Pixels, Pixels]:
    shift = 2 * (cells.order - order)
    coarse = Ranges(order, cells.start >> shift, ((cells.stop - 1) >> shift) + 1)
    runs = Ranges.of_pixels(order, np.unique(coarse.pixels()))
    return runs.start, runs.stop
