"""Inner loops of the background: the clipped mean and scatter of the cells of a mesh."""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Plane = npt.NDArray[np.float32]
Covered = npt.NDArray[np.bool_]
Mesh = npt.NDArray[np.float64]
ROUNDS = 10
CLIP_SIGMA = 3.0


@njit(cache=True, nogil=True)
def cell_levels(
    data: Plane, covered: Covered, side: int, levels: Mesh, noises: Mesh, counts: Mesh
) -> None:
    """Write mean, standard deviation and number of the pixels of each cell no source covers.

    Values beyond three sigma of the mean are clipped until none is: a mean, for of photons that
    come one by one the most frequent number is lower. NaN where a cell is covered.
    """
    ny, nx = data.shape
    for b in range(levels.shape[0]):
        for a in range(levels.shape[1]):
            rows = (b * side, min(ny, (b + 1) * side))
            columns = (a * side, min(nx, (a + 1) * side))
            mean, scatter, n = clipped(data, covered, rows, columns)
            levels[b, a], noises[b, a], counts[b, a] = mean, scatter, n


@njit(cache=True, nogil=True)
def clipped(
    data: Plane, covered: Covered, rows: tuple[int, int], columns: tuple[int, int]
) -> tuple[float, float, int]:
    """Return clipped mean, standard deviation and number of the uncovered pixels of a cell."""
    low, high = -np.inf, np.inf
    mean, scatter, n = np.nan, np.nan, 0
    for _ in range(ROUNDS):
        total, squares, count = 0.0, 0.0, 0
        reference = data[rows[0], columns[0]]
        if not math.isfinite(reference):
            reference = np.float32(0)
        for j in range(rows[0], rows[1]):
            for i in range(columns[0], columns[1]):
                v = data[j, i]
                if not covered[j, i] and low <= v <= high:
                    d = float(v - reference)
                    total += d
                    squares += d * d
                    count += 1
        if count == 0:
            return mean, scatter, n
        mean = reference + total / count
        scatter = math.sqrt(max(0.0, squares / count - (total / count) ** 2))
        if count == n:
            break
        n = count
        low, high = mean - CLIP_SIGMA * scatter, mean + CLIP_SIGMA * scatter
    return mean, scatter, n
