"""An index of quads: fours of stars of a catalogue by their shape, at all scales it has stars for.

The sky is divided into cells, and the brightest few stars of each make a level; each level's cells
are half as wide as those of the one before. A star makes quads with its neighbours of the level,
so that a frame of any width has some tens of stars of one level on it, and quads that fit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.kernels.quads import Quads, Sky, store_quads
from reduction.refcat.geometry import vectors
from reduction.refcat.pixels import nested_of

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Allocate = Callable[[str, tuple[int, ...], Any], npt.NDArray[Any]]

A_CELL: Final = 2  # brightest stars of a cell that make a level
NEAREST, MANY_NEAREST = 7, 6  # neighbours a star makes quads with: of a few stars, and of many
MANY: Final = 300_000  # stars, of which each takes 150 bytes with six neighbours, 250 with seven
COARSEST: Final = 2  # HEALPix order of the widest cells, of 15 degrees
LEAST_A_LEVEL: Final = 4
FINEST_IN_MEMORY: Final = 12  # cells of 52 arcseconds
TREE_ROWS: Final = 200_000  # asked for their neighbours at a time
FEWEST_BINS, MOST_BINS = 6, 48  # of an axis of the code
BINS_A_QUAD: Final = 3.0  # of which six in seven lie where no code can be


@dataclass(frozen=True, slots=True)
class QuadTables:
    """Stars of all levels and their quads, as the kernels take them."""

    sky: Sky
    quads: Quads

    @property
    def n_quads(self) -> int:
        """How many quads there are."""
        return len(self.quads.owner)


def brightest_of_cells(cells: Indices, brightness: npt.NDArray[Any], n: int = A_CELL) -> Indices:
    """Return which are among the brightest `n` of their cell.

    Parameters
    ----------
    cells : integer array, ``(n,)``
        Of each star, ascending.
    brightness : array, ``(n,)``
        Magnitudes; stars without one (NaN) are the faintest.

    Returns
    -------
    integer array
        Places in the arrays, ascending.
    """
    order = np.lexsort((brightness, cells))
    new = np.diff(cells[order], prepend=cells[0] - 1) != 0 if len(cells) else np.empty(0, bool)
    first = np.flatnonzero(new)
    rank = np.arange(len(cells)) - np.repeat(first, np.diff(first, append=len(cells)))
    return np.sort(order[rank < n])


def levels_of(cells: Indices, brightness: npt.NDArray[Any], order: int) -> Iterator[Indices]:
    """Yield which stars make each level, the finest first.

    Parameters
    ----------
    cells : integer array, ``(n,)``
        Nested HEALPix cell of each star at the finest order, ascending.
    brightness : array, ``(n,)``
        Magnitudes.
    order : int
        The finest.
    """
    chosen = brightest_of_cells(cells, brightness)
    for coarser in range(order - COARSEST + 1):
        if coarser:
            # The brightest of a cell are among the brightest of the four it is made of.
            among = brightest_of_cells(cells[chosen] >> 2 * coarser, brightness[chosen])
            if len(among) == len(chosen):
                continue
            chosen = chosen[among]
        if len(chosen) < LEAST_A_LEVEL:
            return
        yield chosen


def tables_of(levels: Sequence[Floats], allocate: Allocate | None = None) -> QuadTables:
    """Make the quads of some levels.

    Parameters
    ----------
    levels : sequence of float array, ``(n, 3)``
        Unit vectors of the stars of each.
    allocate : callable, optional
        Gives the arrays, by name, shape and type: in memory, or of a file.

    Returns
    -------
    QuadTables
        Written into the arrays that were given.

    References
    ----------
    Lang et al. (2010), AJ 139, 1782, section 2.
    """
    give = allocate or _in_memory
    n = sum(len(level) for level in levels)
    nearest = NEAREST if n < MANY else MANY_NEAREST
    sky = Sky(give("xyz", (n, 3), np.float32), give("near", (n, nearest), np.int32))
    start = 0
    for level in levels:
        sky.xyz[start : start + len(level)] = level
        _fill_neighbours(level, sky.near, start)
        start += len(level)
    n_axis = _bins_for(n)
    counts = np.zeros(n_axis**4 + 1, np.uint32)
    nothing = np.empty(0, np.uint32), np.empty((0, 4), np.uint8), np.empty((0, 4), np.uint8)
    triples = np.array(list(combinations(range(nearest), 3)), np.uint8)
    store_quads(sky, triples, Quads(counts, *nothing, n_axis), counts)
    starts = give("starts", counts.shape, np.uint32)
    np.cumsum(counts, out=starts)
    n_quads = int(starts[-1])
    quads = Quads(
        starts,
        give("owner", (n_quads,), np.uint32),
        give("slots", (n_quads, 4), np.uint8),
        give("rest", (n_quads, 4), np.uint8),
        n_axis,
    )
    if n_quads:
        store_quads(sky, triples, quads, np.array(starts))
    return QuadTables(sky, quads)


def quads_of(ra_deg: Floats, dec_deg: Floats) -> QuadTables:
    """Make the quads of some stars of a piece of sky, in memory.

    Parameters
    ----------
    ra_deg, dec_deg : float arrays, ``(n,)``
        Positions, degrees, the brightest first.
    """
    cells = nested_of(ra_deg, dec_deg, FINEST_IN_MEMORY)
    order = np.argsort(cells, kind="stable")
    xyz = vectors(ra_deg[order], dec_deg[order]).T
    levels = levels_of(cells[order], order.astype(np.float64), FINEST_IN_MEMORY)
    return tables_of([xyz[level] for level in levels])


def _in_memory(_name: str, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    return np.empty(shape, dtype)


def _fill_neighbours(level: Floats, near: npt.NDArray[np.int32], start: int) -> None:
    """Write the nearest of each star of a level, counted from where the level starts."""
    tree = cKDTree(level)
    n = min(near.shape[1] + 1, len(level))
    near[start : start + len(level)] = -1
    for first in range(0, len(level), TREE_ROWS):
        some = level[first : first + TREE_ROWS]
        _, found = tree.query(some, k=range(1, n + 1))
        own = np.arange(first, first + len(some))[:, None]
        # Of stars at one place each is its own nearest only by chance: it is put last.
        ranked = np.take_along_axis(found, np.argsort(found == own, axis=1, kind="stable"), axis=1)
        rows = near[start + first : start + first + len(some)]
        rows[:, : n - 1] = ranked[:, : n - 1] + start


def _bins_for(n_stars: int) -> int:
    """Return bins of an axis, so that all take less room than the quads that stars make."""
    return int(np.clip((BINS_A_QUAD * 8 * n_stars) ** 0.25, FEWEST_BINS, MOST_BINS))
