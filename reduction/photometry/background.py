"""The sky of a frame: a mesh of clipped means of what no source covers, and a smooth surface."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import distance_transform_edt, median_filter

from reduction.image import FloatPlane
from reduction.kernels.mesh import cell_levels

LEAST_SHARE: Final = 0.2  # of a cell's pixels, that must be sky
BAND_ROWS: Final = 256  # of the surface made at a time
Mesh = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Background:
    """The sky of one frame.

    Attributes
    ----------
    plane : float32 array, ``(ny, nx)``
        Its level.
    level, noise : float
        Medians over the cells, of their means and of the standard deviations of their pixels.
    """

    plane: FloatPlane
    level: float
    noise: float


def fit_background(
    data: FloatPlane, covered: npt.NDArray[np.bool_], *, mesh_pix: int = 64
) -> Background | None:
    """Return the sky below the sources of a frame.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        Frame.
    covered : bool array, ``(ny, nx)``
        Pixels of sources, and those that are no good.
    mesh_pix : int
        Side of a cell. One that is mostly covered takes the level of the nearest that is not.

    Returns
    -------
    Background or None
        None where no cell has sky enough.
    """
    ny, nx = data.shape
    shape = -(-ny // mesh_pix), -(-nx // mesh_pix)
    levels, noises, counts = np.empty(shape), np.empty(shape), np.empty(shape)
    cell_levels(data, covered, mesh_pix, levels, noises, counts)
    known = np.isfinite(levels) & (counts >= LEAST_SHARE * _cell_sizes(ny, nx, mesh_pix))
    if not known.any():
        return None
    _, nearest = distance_transform_edt(~known, return_indices=True)
    filled = levels[tuple(nearest)]
    smooth = median_filter(filled, size=3, mode="nearest")
    plane = _surface(smooth, (ny, nx), mesh_pix)
    return Background(plane, float(np.median(levels[known])), float(np.median(noises[known])))


def _cell_sizes(ny: int, nx: int, side: int) -> Mesh:
    rows = np.minimum(np.arange(side, ny + side, side), ny) - np.arange(0, ny, side)
    columns = np.minimum(np.arange(side, nx + side, side), nx) - np.arange(0, nx, side)
    return np.asarray(np.outer(rows, columns), np.float64)


def _surface(mesh: Mesh, shape: tuple[int, int], side: int) -> FloatPlane:
    """Return the bicubic surface through the cells' middles."""
    plane = np.empty(shape, np.float32)
    if 1 in mesh.shape:
        plane[...] = np.float32(np.median(mesh))
        return plane
    at_y, at_x = ((np.arange(n) + 0.5) * side - 0.5 for n in mesh.shape)
    degrees = (min(3, n - 1) for n in mesh.shape)
    spline = RectBivariateSpline(at_y, at_x, mesh, kx=next(degrees), ky=next(degrees))
    # Beyond the middles of the outermost cells the surface is level: a cubic would run away.
    columns = np.clip(np.arange(shape[1]), at_x[0], at_x[-1])
    for y0 in range(0, shape[0], BAND_ROWS):
        rows = np.clip(np.arange(y0, min(shape[0], y0 + BAND_ROWS)), at_y[0], at_y[-1])
        plane[y0 : y0 + BAND_ROWS] = spline(rows, columns)
    return plane
