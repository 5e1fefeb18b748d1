"""Which part of the sky a frame shows: cells it reaches into, and whether a place is on it."""

from typing import Final

import numpy as np

from reduction.astrometry.wcs import Floats, TanSip
from reduction.refcat.geometry import positions, separations_deg, vectors
from reduction.refcat.pixels import Pixels, centres_of, cover, order_for, pixel_size_deg
from reduction.refcat.regions import Cone

FINEST: Final = 8  # cells of 14 arcminutes; frames of many degrees are told in coarser ones
GRID: Final = 16  # points a side that stand for a frame
CELL_RADII: Final = 1.2  # of a cell's furthest corner, in roots of its area: 1.1 at most
STEPS: Final = 0.75  # of the grid, to the nearest of its points: 0.71 at most
PAD_DEG: Final = 1e-6


def cells_of(wcs: TanSip, shape: tuple[int, int]) -> Pixels:
    """Return all cells a frame reaches into, and few others.

    Parameters
    ----------
    wcs : TanSip
        Its place.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    integer array
        Numbers of cells of one order, the coarser the larger the frame: ``4^(order + 1) + nested``,
        sorted.

    References
    ----------
    Fernique et al. (2014), IVOA MOC 1.0, of the numbering (NUNIQ).
    """
    points = _grid(wcs, shape)
    flat = points.reshape(3, -1)
    ra, dec = positions(flat.mean(axis=1)[:, None])
    step_deg = _step_deg(points)
    radius_deg = float(separations_deg(*positions(flat), float(ra[0]), float(dec[0])).max())
    cone = Cone(float(ra[0]), float(dec[0]), min(180.0, radius_deg + step_deg + PAD_DEG))
    order = order_for(cone.radius_deg, FINEST)
    cells = cover(cone, order).pixels()
    reach_deg = CELL_RADII * pixel_size_deg(order) + STEPS * step_deg + PAD_DEG
    nearest = (vectors(*centres_of(cells, order)).T @ flat).max(axis=1)
    return np.asarray(_numbered(cells[nearest >= np.cos(np.radians(reach_deg))], order))


def cells_around(cone: Cone) -> Pixels:
    """Return every cell, of all orders there are, that a frame which meets a cone may be in."""
    every = [_numbered(cover(cone, order).pixels(), order) for order in range(FINEST + 1)]
    return np.concatenate(every)


def is_near(wcs: TanSip, shape: tuple[int, int], cone: Cone) -> bool:
    """Tell whether a frame shows the middle of a cone, or may show some of the rest of it."""
    x, y = wcs.pixel(np.array([cone.ra_deg]), np.array([cone.dec_deg]))
    if np.isfinite(x[0]) and np.isfinite(y[0]) and not _outside_pix(x[0], y[0], shape):
        return True
    if cone.radius_deg == 0:
        return False
    points = _grid(wcs, shape)
    away = separations_deg(*positions(points.reshape(3, -1)), cone.ra_deg, cone.dec_deg).min()
    return bool(away <= cone.radius_deg + STEPS * _step_deg(points) + PAD_DEG)


def _outside_pix(x: float, y: float, shape: tuple[int, int]) -> bool:
    """Tell whether a place is beyond the outer edges of the outermost pixels."""
    ny, nx = shape
    return not (-0.5 <= x <= nx - 0.5 and -0.5 <= y <= ny - 0.5)


def _grid(wcs: TanSip, shape: tuple[int, int]) -> Floats:
    """Return directions, ``(3, GRID, GRID)``, of places all over a frame, its corners included."""
    ny, nx = shape
    y, x = np.mgrid[-0.5 : ny - 0.5 : GRID * 1j, -0.5 : nx - 0.5 : GRID * 1j]
    ra, dec = wcs.sky(x.ravel(), y.ravel())
    return np.asarray(vectors(ra, dec).reshape(3, GRID, GRID))


def _step_deg(points: Floats) -> float:
    """Return the longest side between neighbours of a grid of directions."""
    along = np.diff(points, axis=1), np.diff(points, axis=2)
    longest = max(float(np.sqrt((side**2).sum(axis=0)).max()) for side in along)
    return float(np.degrees(2 * np.arcsin(min(1.0, longest / 2))))


def _numbered(cells: Pixels, order: int) -> Pixels:
    return cells + (4 << 2 * order)
