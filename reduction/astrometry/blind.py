"""Finding where a frame points without being told: its quads looked up in an index."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry.matching import Similarity, spread_out
from reduction.astrometry.quads import QuadTables
from reduction.astrometry.solution import Pointing, StarList
from reduction.astrometry.solver import LEAST_STARS
from reduction.astrometry.tangent import to_plane
from reduction.kernels.pairs import Cells, fill_cells
from reduction.kernels.quadsearch import Frame, How, try_newest
from reduction.refcat.geometry import positions

Floats = npt.NDArray[np.float64]
# Of which stars of the frame quads are looked up, in turn: how many of the brightest, how many
# brighter ones are left out, where catalogues lack them, and into how many cells a side the frame
# is divided whose brightest take turns; 0 where the brightest of all are taken.
GOES: Final = ((60, 0, 6), (40, 0, 0), (60, 10, 5), (60, 30, 4), (60, 100, 5))
N_MAPPED: Final = 600  # brightest stars of the frame among which those of the catalogue must be
CELL_PIX: Final = 3.0  # of the map, where a star also fills the cells around its own
CELL_OF_WIDTH: Final = 0.0015  # at least, of a frame's longer side: what distortion may move
SHORTEST: Final = 0.08  # longest side of a quad, of the frame's longer side
TOLERANCE: Final = 0.004  # of a code, whatever the size: distortion
NOISE_PIX: Final = 1.5
FOUND: Final = 0.7  # share of the stars around a quad's that a frame has, where it is right
KEPT: Final = 24  # places a search ends with
ENOUGH: Final = 14.0  # score at which a place is worth a closer look at once
ENOUGH_HITS: Final = 3
WIDEST, NARROWEST = 400.0, 0.02  # arcseconds a pixel, where nothing is known of the scale


@dataclass(frozen=True, slots=True)
class Scales:
    """Arcseconds a pixel that a frame may have."""

    low: float = NARROWEST
    high: float = WIDEST


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame may point.

    Attributes
    ----------
    pointing : Pointing
        Its middle and scale; the radius is what both may be wrong by.
    trial : Similarity
        From the frame, about its middle, to the plane that touches the sky there, pixels.
    score : float
        Logarithm of how much likelier than chance the stars around its quad fall on the frame's.
    n_tried : int
        Places that were weighed to find it.
    """

    pointing: Pointing
    trial: Similarity
    score: float
    n_tried: int


def places(stars: StarList, index: QuadTables, scales: Scales = Scales()) -> Iterator[Place]:
    """Yield where a frame may point, what is sure as soon as it is found, then the likeliest.

    Quads of the frame's brightest stars are looked up in the index, those of the very brightest
    first. Each one like it says where the frame would be; what else the index knows around
    there must be on the frame, too.

    Parameters
    ----------
    stars : StarList
        What was detected.
    index : QuadTables
        Of a catalogue.
    scales : Scales
        Within which its scale is.

    References
    ----------
    Lang et al. (2010), AJ 139, 1782.
    """
    tried = 0
    for n_stars, skip, cells in GOES:
        if len(stars.x) < skip + LEAST_STARS:
            continue
        frame = _frame(stars, _chosen(stars, skip, cells)[:n_stars])
        last = 0
        for found in _places(frame, index, _how(stars, frame, scales)):
            last = found.n_tried
            yield replace(found, n_tried=tried + last)
        tried += last


def _places(frame: Frame, index: QuadTables, how: How) -> Iterator[Place]:
    """Yield the places of one list of stars; the last of them tells how many were tried."""
    best = np.zeros((KEPT, 10))
    tried, told = 0, list[list[float]]()
    for newest in range(3, len(frame.x)):
        tried += try_newest(frame, newest, (index.sky, index.quads), how, best)
        for row in best.tolist():
            if row[0] >= ENOUGH and row[1] >= ENOUGH_HITS and row not in told:
                told.append(row)
                yield _place(row, frame, tried)
    for row in best.tolist():
        if row[0] > 0 and row not in told:
            yield _place(row, frame, tried)


def _chosen(stars: StarList, skip: int, cells: int) -> npt.NDArray[np.int64]:
    """Return stars in the order in which their quads are looked up."""
    rest = np.arange(skip, len(stars.x))
    if not cells:
        return rest
    at = np.column_stack([stars.x[rest], stars.y[rest]])
    return rest[spread_out(at, max(stars.shape) / cells)]


def _frame(stars: StarList, chosen: npt.NDArray[np.int64]) -> Frame:
    ny, nx = stars.shape
    x, y = stars.x - (nx - 1) / 2, stars.y - (ny - 1) / 2
    side = max(CELL_PIX, CELL_OF_WIDTH * max(ny, nx))
    cells = Cells(
        np.zeros((int(ny / side) + 3, int(nx / side) + 3), np.uint8),
        -nx / 2 - side,
        -ny / 2 - side,
        side,
    )
    fill_cells(x[:N_MAPPED], y[:N_MAPPED], cells)
    return Frame(x[chosen], y[chosen], cells, nx / 2, ny / 2)


def _how(stars: StarList, frame: Frame, scales: Scales) -> How:
    filled = float(np.clip(frame.cells.filled.mean(), 1e-4, 0.5))
    return How(
        scale_low=math.radians(scales.low / 3600),
        scale_high=math.radians(scales.high / 3600),
        shortest=SHORTEST * max(stars.shape),
        tolerance=TOLERANCE,
        noise_pix=NOISE_PIX,
        hit=math.log(FOUND / filled),
        miss=math.log((1 - FOUND) / (1 - filled)),
    )


def _place(row: list[float], frame: Frame, n_tried: int) -> Place:
    ra, dec = positions(np.array([row[3:6], row[6:9]]).T)
    centre = float(ra[0]), float(dec[0])
    east, north = (float(v[0]) for v in to_plane(ra[1:], dec[1:], centre))
    reach_deg = math.hypot(east, north)
    scale_arcsec = 3600 * reach_deg / frame.half_x
    return Place(
        pointing=Pointing(*centre, scale_arcsec, 0.05 * reach_deg),
        trial=Similarity(row[1], east / reach_deg, north / reach_deg, 0.0, 0.0, row[9]),
        score=row[0],
        n_tried=max(1, n_tried),
    )
