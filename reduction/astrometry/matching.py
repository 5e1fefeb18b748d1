"""Trial similarities that take a star list onto a catalogue near a pointing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.kernels.pairs import Cells, Pairs, Search, fill_cells, search

Floats = npt.NDArray[np.float64]
N_LISTED = 60  # brightest stars of the frame that are looked up
DEPTH = 3.0  # catalogue stars on the map for each star looked up: the bands of both may differ
CELL_PIX = 3.0  # of the map, where a star also fills the cells around its own
SHORTEST = 0.1  # pair, of the frame's longer side: short ones say little of scale and angle
KEPT = 10
CELLS = 5  # a side of the frame, whose brightest stars take turns where they are spread out
MOST_TRIALS = 4_000_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried.

    Attributes
    ----------
    n_bright : int
        Brightest stars of the frame from which pairs are taken.
    pair_depth : float
        Catalogue stars in pairs, for each star of the frame that is looked up.
    most_in_pairs : int
        Of these, however large the sky searched.
    enough : float
        Share of the stars that ends the search when they are found; above 1 it is never ended.
    skip : int
        Brightest stars of the frame that are left out, where catalogues lack them.
    is_spread : bool
        Whether parts of the sky take turns in giving their brightest, so that a cluster whose
        heart no catalogue resolves does not give all of them.
    """

    n_bright: int
    pair_depth: float
    most_in_pairs: int
    enough: float
    skip: int = 0
    is_spread: bool = False


QUICK: Final = Effort(n_bright=14, pair_depth=0.5, most_in_pairs=400, enough=0.5)
THOROUGH: Final = Effort(n_bright=30, pair_depth=1.0, most_in_pairs=1200, enough=2.0)
SPREAD: Final = replace(THOROUGH, is_spread=True)
Step = tuple[float, float, Effort]  # times the pointing's radius, error of the scale, effort
WIDENING: Final[Sequence[Step]] = (  # what is tried, in turn
    (1.0, 0.02, QUICK),
    (1.0, 0.02, SPREAD),
    (1.0, 0.02, THOROUGH),
    (1.0, 0.02, replace(SPREAD, skip=30)),
    (1.0, 0.02, replace(THOROUGH, skip=100)),
    (1.0, 0.10, SPREAD),
    (2.0, 0.02, SPREAD),
    (2.0, 0.35, SPREAD),
)


@dataclass(frozen=True, slots=True)
class Similarity:
    """A trial: plane offsets in pixels of `scale`, ``u = a x - b f y + dx; v = b x + a f y + dy``.

    Attributes
    ----------
    hits : float
        Stars that fell on or beside a star of the catalogue.
    a, b, dx, dy, flip : float
        The similarity, `flip` 1 or -1.
    """

    hits: float
    a: float
    b: float
    dx: float
    dy: float
    flip: float

    @property
    def matrix(self) -> Floats:
        """The 2 by 2 matrix of the similarity."""
        return np.array([[self.a, -self.b * self.flip], [self.b, self.a * self.flip]])


@dataclass(frozen=True, slots=True)
class Trials:
    """The best similarities of a search, and how many were tried to find them."""

    best: list[Similarity]
    n_tried: int


def trial_similarities(
    stars: tuple[Floats, Floats],
    plane: Floats,
    *,
    shape: tuple[int, int],
    scale_error: float,
    effort: Effort,
) -> Trials:
    """Try pairs of bright stars on pairs of catalogue stars of about the same length.

    Each trial is checked by looking up the brightest stars of the frame in a map of the plane
    that tells where catalogue stars are, and given up early where they find none.

    Parameters
    ----------
    stars : tuple of float arrays, ``(n,)``
        Offsets x and y from the middle of the frame, pixels, the brightest first.
    plane : float array, ``(m, 2)``
        Standard coordinates divided by the pixel scale believed in, the brightest first.
    shape : tuple of int
        Rows and columns of the frame.
    scale_error : float
        The scale may be wrong by this factor less one.
    effort : Effort
        How much is tried.

    Returns
    -------
    Trials
        At most ten that differ, the best first.
    """
    plane = plane[np.isfinite(plane).all(axis=1)]
    side = max(shape) / CELLS
    here = np.column_stack(stars)
    if effort.is_spread:
        here, plane = here[spread_out(here, side)], plane[spread_out(plane, side)]
    x, y = np.ascontiguousarray(here[effort.skip : effort.skip + N_LISTED].T, np.float64)
    extent = _extent(plane)
    # A round search is 0.785 of the square around it; the catalogue is as deep everywhere.
    fields = max(1.0, 0.785 * extent[2] * extent[3] / (shape[0] * shape[1]))
    u, v = np.ascontiguousarray(plane[: int(DEPTH * len(x) * fields)].T)
    in_pairs = min(len(u), effort.most_in_pairs, int(12 + effort.pair_depth * len(x) * fields))
    how = Search(
        scale_low=1 / (1 + scale_error),
        scale_high=1 + scale_error,
        n_bright=effort.n_bright,
        shortest=SHORTEST * max(shape),
        enough=max(5, int(np.ceil(effort.enough * len(x)))),
        most_trials=MOST_TRIALS,
    )
    longest = (1 + scale_error) * float(np.hypot(*shape))
    best = np.zeros((KEPT, 6))
    pairs = _pairs(u[:in_pairs], v[:in_pairs], longest)
    tried = search(x, y, pairs, _map(u, v, extent), how, best)
    rows = [row for row in best.tolist() if row[0] > 0]
    return Trials([Similarity(*row) for row in rows], tried)


def spread_out(places: Floats, side: float) -> npt.NDArray[np.int64]:
    """Return an order in which every cell gives its first star, then its second, and so on."""
    columns, rows = np.floor(places / side).astype(np.int64).T
    _, cell = np.unique(columns * 1_000_003 + rows, return_inverse=True)
    by_cell = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.diff(cell[by_cell], prepend=-1))
    turn = np.empty(len(cell), np.int64)
    sizes = np.diff(np.append(starts, len(cell)))
    turn[by_cell] = np.arange(len(cell)) - np.repeat(starts, sizes)
    return np.argsort(turn, kind="stable")


def _extent(plane: Floats) -> tuple[float, float, float, float]:
    """Return left and bottom edge, width and height of where the catalogue's stars are."""
    if not len(plane):
        return 0.0, 0.0, 1.0, 1.0
    (left, bottom), (width, height) = plane.min(axis=0), np.ptp(plane, axis=0) + 1
    return float(left), float(bottom), float(width), float(height)


def _map(u: Floats, v: Floats, extent: tuple[float, float, float, float]) -> Cells:
    x0, y0, width, height = extent
    rows, columns = int(height / CELL_PIX) + 3, int(width / CELL_PIX) + 3
    cells = Cells(np.zeros((rows, columns), np.uint8), x0 - CELL_PIX, y0 - CELL_PIX, CELL_PIX)
    fill_cells(u, v, cells)
    return cells


def _pairs(u: Floats, v: Floats, longest: float) -> Pairs:
    first, second = np.triu_indices(len(u), 1)
    length = np.hypot(u[first] - u[second], v[first] - v[second])
    kept = np.flatnonzero(length <= longest)
    order = kept[np.argsort(length[kept])]
    return Pairs(length[order], first[order].astype(np.int32), second[order].astype(np.int32), u, v)
