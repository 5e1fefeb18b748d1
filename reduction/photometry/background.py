"""The sky of a frame: a mesh of clipped means of what no source covers, and a smooth surface."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.ndimage import distance_transform_edt, median_filter

from reduction.image import FloatPlane
from reduction.kernels import mesh as kernel

LEAST_SHARE: Final = 0.2  # of a cell's pixels, that must be sky
LEAST_NOISE, NOISE_OF_LEVEL = 1e-6, 1e-5  # where a frame has none: of the digits it is kept in
Mesh = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Surface:
    """A smooth surface through the middles of cells, row by row.

    Attributes
    ----------
    pieces : float32 array, ``(ny, k, 4)``
        Coefficients of each row's cubics, the constant first.
    starts : int64 array, ``(k + 1,)``
        Column each of them begins at, and where the last one ends.
    middles : float64 array, ``(k + 1,)``
        Column each counts from.
    """

    pieces: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    middles: Mesh

    def plane(self, columns: int, out: FloatPlane | None = None) -> FloatPlane:
        """Return all pixels of it, ``(ny, columns)``, in an array that may be given."""
        drawn = np.empty((self.pieces.shape[0], columns), np.float32) if out is None else out
        kernel.surface(self.pieces, self.starts, self.middles, drawn)
        return drawn

    def at(self, rows: Indices, columns: Indices) -> FloatPlane:
        """Return its values where some rows and columns cross, ``(rows, columns)``."""
        return self.along(rows[:, None], columns[None, :])

    def along(self, rows: Indices, columns: Indices) -> FloatPlane:
        """Return its values at some places, ``(n,)``."""
        places = np.clip(columns, self.middles[0], self.middles[-1])
        k = np.searchsorted(self.middles, places, side="right") - 1
        k = np.clip(k, 0, self.pieces.shape[1] - 1)
        t = places - self.middles[k]
        c = self.pieces[rows, k]
        values = c[..., 0] + t * (c[..., 1] + t * (c[..., 2] + t * c[..., 3]))
        return np.asarray(values, np.float32)


@dataclass(frozen=True, slots=True)
class Background:
    """The sky of one frame.

    Attributes
    ----------
    plane : float32 array, ``(ny, nx)``
        Its level.
    level, noise : float
        Medians over the cells, of their means and of the standard deviations of their pixels.
    noise_surface : Surface
        Standard deviation of a pixel of sky, over the frame.
    """

    plane: FloatPlane
    level: float
    noise: float
    noise_surface: Surface


@dataclass(frozen=True, slots=True)
class Levels:
    """What the cells of a mesh tell, holes filled and smoothed: the sky and its noise."""

    sky: Surface
    noise: Surface
    level: float
    typical_noise: float


def background_of(levels: Levels, columns: int) -> Background:
    """Return the sky some levels describe, every pixel of it."""
    return Background(levels.sky.plane(columns), levels.level, levels.typical_noise, levels.noise)


def rough_levels(pixels: kernel.Pixels, mesh_pix: int, threads: int = 1) -> Levels | None:
    """Return the sky of a frame whose sources are not known yet, by the modes of cells.

    Parameters
    ----------
    pixels : Pixels
        Frame and flags.
    mesh_pix : int
        Side of a cell.
    threads : int
        To work with.

    Returns
    -------
    Levels or None
        None where no cell has pixels enough.

    References
    ----------
    Bertin & Arnouts (1996), A&AS 117, 393.
    """
    cells = _cells(pixels.data.shape, mesh_pix)
    _in_bands(lambda rows: kernel.cell_modes(pixels, rows, mesh_pix, cells), len(cells[0]), threads)
    return _levels(cells, pixels.data.shape, mesh_pix)


def clean_levels(
    pixels: kernel.Pixels, covered: Bools, mesh_pix: int, threads: int = 1
) -> Levels | None:
    """Return the sky of a frame by the clipped means of what no source covers.

    Parameters
    ----------
    pixels : Pixels
        Frame and flags.
    covered : bool array, ``(ny, nx)``
        Pixels that sources shine on.
    mesh_pix : int
        Side of a cell.
    threads : int
        To work with.

    Returns
    -------
    Levels or None
        None where no cell has sky enough.
    """
    cells = _cells(pixels.data.shape, mesh_pix)
    _in_bands(
        lambda rows: kernel.cell_levels(pixels, covered, rows, mesh_pix, cells),
        len(cells[0]),
        threads,
    )
    return _levels(cells, pixels.data.shape, mesh_pix)


def _cells(shape: tuple[int, ...], side: int) -> tuple[Mesh, Mesh, Mesh]:
    """Return room for level, noise and number of the pixels of every cell."""
    mesh = -(-shape[0] // side), -(-shape[1] // side)
    return np.empty(mesh), np.empty(mesh), np.empty(mesh)


def _in_bands(work: Callable[[tuple[int, int]], None], n_rows: int, threads: int) -> None:
    """Have bands of rows worked on, by threads of our own where there are several."""
    if threads == 1:
        work((0, n_rows))
        return
    edges = [n_rows * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        list(pool.map(work, zip(edges[:-1], edges[1:], strict=True)))


def _levels(cells: tuple[Mesh, Mesh, Mesh], shape: tuple[int, ...], side: int) -> Levels | None:
    """Return smooth surfaces through the cells that tell something."""
    levels, noises, counts = cells
    known = np.isfinite(levels) & (counts >= LEAST_SHARE * _cell_sizes(shape, side))
    if not known.any():
        return None
    _, nearest = distance_transform_edt(~known, return_indices=True)
    sky, noise = (
        median_filter(mesh[tuple(nearest)], size=3, mode="nearest") for mesh in (levels, noises)
    )
    return Levels(
        sky=smooth_surface(sky, shape, side),
        noise=smooth_surface(
            np.maximum(noise, LEAST_NOISE + NOISE_OF_LEVEL * np.abs(sky)), shape, side, degree=1
        ),
        level=float(np.median(levels[known])),
        typical_noise=float(np.median(noises[known])),
    )


def _cell_sizes(shape: tuple[int, ...], side: int) -> Mesh:
    ny, nx = shape
    rows = np.minimum(np.arange(side, ny + side, side), ny) - np.arange(0, ny, side)
    columns = np.minimum(np.arange(side, nx + side, side), nx) - np.arange(0, nx, side)
    return np.asarray(np.outer(rows, columns), np.float64)


def smooth_surface(mesh: Mesh, shape: tuple[int, ...], side: int, *, degree: int = 3) -> Surface:
    """Return the bicubic surface through the middles of a mesh's cells.

    Beyond the middles of the outermost cells it is level: a cubic would run away.

    Parameters
    ----------
    mesh : float64 array, ``(my, mx)``
        Value of each cell.
    shape : tuple of int
        Of the frame, rows and columns.
    side : int
        Of a cell, in pixels.
    degree : {3, 1}
        Cubic, or straight lines, which stay between the values.

    Returns
    -------
    Surface
        Its pieces of every row.
    """
    if 1 in mesh.shape:
        mesh = np.repeat(np.repeat(mesh, 1 + (mesh.shape[0] == 1), 0), 1 + (mesh.shape[1] == 1), 1)
    at_x = _middles(mesh.shape[1], side)
    weights, steps = (
        _weights(mesh.shape[0], side, degree, shape[0]),
        _steps(len(at_x), side, degree),
    )
    along_y = _product(weights, mesh.astype(np.float32))
    pieces = _product(along_y, steps)
    starts = np.clip(np.ceil(at_x), 0, shape[1]).astype(np.int64)
    return Surface(pieces.reshape(shape[0], -1, 4), starts, at_x)


def _product(a: FloatPlane, b: FloatPlane) -> FloatPlane:
    out = np.empty((a.shape[0], b.shape[1]), np.float32)
    kernel.product(a, b, out)
    return out


def _middles(n: int, side: int) -> Mesh:
    return np.asarray((np.arange(n) + 0.5) * side - 0.5)


def _pieces(n: int, side: int, degree: int) -> npt.NDArray[np.float64]:
    """Return the coefficients of each piece for each value alone, ``(4, k, m)``."""
    at, one_by_one = _middles(n, side), np.eye(n)
    if degree == 3:
        return np.asarray(CubicSpline(at, one_by_one).c[::-1])
    slopes = np.diff(one_by_one, axis=0) / side
    return np.stack([one_by_one[:-1], slopes, np.zeros_like(slopes), np.zeros_like(slopes)])


@lru_cache(maxsize=8)  # a camera's frames are all of one shape
def _steps(n: int, side: int, degree: int) -> npt.NDArray[np.float32]:
    """Return the same as a matrix from values to coefficients, ``(m, 4 k)``."""
    steps = _pieces(n, side, degree).transpose(2, 1, 0).reshape(n, -1)
    return np.ascontiguousarray(steps, np.float32)


@lru_cache(maxsize=8)
def _weights(n: int, side: int, degree: int, length: int) -> npt.NDArray[np.float32]:
    """Return what each value weighs at every whole number below a length, ``(length, m)``."""
    at = _middles(n, side)
    places = np.clip(np.arange(length), at[0], at[-1])
    k = np.clip(np.searchsorted(at, places, side="right") - 1, 0, n - 2)
    t = (places - at[k])[:, None]
    c = _pieces(n, side, degree)[:, k]
    return np.asarray(c[0] + t * (c[1] + t * (c[2] + t * c[3])), np.float32)
