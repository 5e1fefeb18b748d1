"""Inner loops of the background: levels and scatter of the cells of a mesh, and the surface."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint16]
Covered = npt.NDArray[np.bool_]
Mesh = npt.NDArray[np.float64]
ROUNDS = 10
CLIP_SIGMA = np.float32(3.0)
BINS = 512  # of the histogram a median is read from
EVERY = 2  # of a cell's values, one goes into the histogram
MODE_RULE = 0.3  # of a standard deviation, mean and median may differ by for the mode to be told
SETTLED = 0.02  # of a standard deviation, by which limits still move when they are left
NOWHERE = np.float32(3e38)  # stands for a pixel that is not looked at
NO_CLIP = np.float32(2e38)


class Pixels(NamedTuple):
    """A frame, its flags, and which of them keep a pixel from being looked at."""

    data: Plane
    mask: Mask
    bits: np.uint16


@njit(cache=True, nogil=True)
def cell_levels(
    pixels: Pixels, covered: Covered, rows: tuple[int, int], side: int, cells: tuple[Mesh, ...]
) -> None:
    """Write mean, standard deviation and number of the pixels of each cell no source covers.

    Values beyond three sigma of the mean are clipped until none is: a mean, for of photons that
    come one by one the most frequent number is lower. NaN where a cell is covered. Of the rows
    of cells between two.
    """
    values = np.empty(side * side, np.float32)
    levels, noises, counts = cells
    for b in range(rows[0], rows[1]):
        for a in range(levels.shape[1]):
            n, reference = gather(pixels, (b * side, a * side), side, values)
            drop_covered(covered, (b * side, a * side), side, values)
            mean, scatter, count, _, _ = clipped(values[:n], -NO_CLIP, NO_CLIP)
            levels[b, a], noises[b, a], counts[b, a] = reference + mean, scatter, count


@njit(cache=True, nogil=True)
def cell_modes(pixels: Pixels, rows: tuple[int, int], side: int, cells: tuple[Mesh, ...]) -> None:
    """Write level, standard deviation and number of the pixels of each cell, sources and all.

    The level is Pearson's mode of what is within three sigma of the median, the median itself
    where the cell is too full (Bertin & Arnouts 1996).
    """
    values = np.empty(side * side, np.float32)
    histogram = np.empty(BINS, np.int32)
    levels, noises, counts = cells
    for b in range(rows[0], rows[1]):
        for a in range(levels.shape[1]):
            n, reference = gather(pixels, (b * side, a * side), side, values)
            mode, scatter, count = mode_of(values[:n], histogram)
            levels[b, a], noises[b, a], counts[b, a] = reference + mode, scatter, count


@njit(cache=True, nogil=True, fastmath={"contract"})
def gather(
    pixels: Pixels, corner: tuple[int, int], side: int, values: Plane
) -> tuple[int, np.float32]:
    """Copy a cell's values less a reference, and return how many there are and the reference."""
    ny, nx = pixels.data.shape
    y0, x0 = corner
    y1, x1 = min(ny, y0 + side), min(nx, x0 + side)
    width = x1 - x0
    reference = first_good(pixels, (y0, y1), (x0, x1))
    for j in range(y0, y1):
        row, flags = pixels.data[j, x0:x1], pixels.mask[j, x0:x1]
        to = values[(j - y0) * width : (j - y0 + 1) * width]
        for i in range(width):
            v = row[i] - reference
            good = (abs(v) < NO_CLIP) & ((flags[i] & pixels.bits) == 0)
            to[i] = v if good else NOWHERE
    return (y1 - y0) * width, reference


@njit(cache=True, nogil=True)
def first_good(pixels: Pixels, rows: tuple[int, int], columns: tuple[int, int]) -> np.float32:
    """Return the first value of a cell that is looked at: sums of differences lose no digits."""
    for j in range(rows[0], rows[1]):
        for i in range(columns[0], columns[1]):
            v = pixels.data[j, i]
            if math.isfinite(v) and (pixels.mask[j, i] & pixels.bits) == 0:
                return np.float32(v)
    return np.float32(0)


@njit(cache=True, nogil=True)
def drop_covered(covered: Covered, corner: tuple[int, int], side: int, values: Plane) -> None:
    """Take the covered pixels of a cell out of its values."""
    ny, nx = covered.shape
    y0, x0 = corner
    x1 = min(nx, x0 + side)
    width = x1 - x0
    for j in range(y0, min(ny, y0 + side)):
        row = covered[j, x0:x1]
        to = values[(j - y0) * width : (j - y0 + 1) * width]
        for i in range(width):
            to[i] = NOWHERE if row[i] else to[i]


@njit(cache=True, nogil=True, fastmath=True)
def sums(values: Plane, low: np.float32, high: np.float32) -> tuple[np.float32, np.float32, int]:
    """Return sum, sum of squares and number of the values between two, ends included."""
    total, squares, n = np.float32(0), np.float32(0), np.int32(0)
    for k in range(values.size):
        v = values[k]
        kept = (v >= low) & (v <= high)
        w = v if kept else np.float32(0)
        total += w
        squares += w * w
        n += np.int32(1) if kept else np.int32(0)
    return total, squares, int(n)


@njit(cache=True, nogil=True)
def clipped(
    values: Plane, low: np.float32, high: np.float32
) -> tuple[float, float, int, np.float32, np.float32]:
    """Return clipped mean, standard deviation and number of values, and the limits they are in."""
    mean, scatter, n = np.nan, np.nan, 0
    for _ in range(ROUNDS):
        total, squares, count = sums(values, low, high)
        if count == 0:
            break
        mean = float(total) / count
        scatter = math.sqrt(max(0.0, float(squares) / count - mean * mean))
        if count == n:
            break
        n = count
        reach = CLIP_SIGMA * np.float32(scatter)
        low, high = np.float32(mean) - reach, np.float32(mean) + reach
    return mean, scatter, n, low, high


@njit(cache=True, nogil=True)
def mode_of(values: Plane, histogram: npt.NDArray[np.int32]) -> tuple[float, float, int]:
    """Return mode, standard deviation and number of values, clipped about their median."""
    mean, scatter, n, low, high = clipped(values, -NO_CLIP, NO_CLIP)
    if n == 0 or scatter == 0:
        return mean, scatter, n
    middle = mean
    for _ in range(ROUNDS):
        middle = median_between(values, histogram, low, high)
        reach = CLIP_SIGMA * np.float32(scatter)
        new_low, new_high = np.float32(middle) - reach, np.float32(middle) + reach
        moved = max(abs(new_low - low), abs(new_high - high))
        if moved < SETTLED * scatter:
            break
        low, high = new_low, new_high
        total, squares, count = sums(values, low, high)
        if count == 0:
            break
        n, mean = count, float(total) / count
        scatter = math.sqrt(max(0.0, float(squares) / count - mean * mean))
    told = abs(mean - middle) < MODE_RULE * scatter
    return (2.5 * middle - 1.5 * mean if told else middle), scatter, n


@njit(cache=True, nogil=True)
def median_between(
    values: Plane, histogram: npt.NDArray[np.int32], low: np.float32, high: np.float32
) -> float:
    """Return the median of the values between two from the histogram of some of them."""
    histogram[:] = 0
    per_bin = max(high - low, np.float32(1e-30)) / np.float32(BINS)
    bins = np.float32(1) / per_bin
    n = 0
    for k in range(0, values.size, EVERY):
        v = values[k]
        if low <= v <= high:
            histogram[min(int((v - low) * bins), BINS - 1)] += 1
            n += 1
    below, b = 0, 0
    while b < BINS - 1 and 2 * (below + histogram[b]) < n:
        below += histogram[b]
        b += 1
    inside = (0.5 * n - below) / max(1, histogram[b])
    return float(low + (b + inside) * per_bin)


@njit(cache=True, nogil=True, fastmath={"contract"})
def surface_row(pieces: Plane, starts: npt.NDArray[np.int64], middles: Mesh, row: Plane) -> None:
    """Write one row of a piecewise cubic: level beyond the first and the last of the middles.

    `pieces` holds four coefficients of each piece, the constant first; piece k begins at column
    ``starts[k]`` and counts from ``middles[k]``.
    """
    last = pieces.shape[0] - 1
    row[: starts[0]] = pieces[0, 0]
    for k in range(last + 1):
        c0, c1, c2, c3 = pieces[k, 0], pieces[k, 1], pieces[k, 2], pieces[k, 3]
        part = row[starts[k] : starts[k + 1]]
        offset = np.float32(starts[k] - middles[k])
        for i in range(part.size):
            t = np.float32(np.int32(i)) + offset
            part[i] = c0 + t * (c1 + t * (c2 + t * c3))
    t = np.float32(middles[last + 1] - middles[last])
    c0, c1, c2, c3 = pieces[last, 0], pieces[last, 1], pieces[last, 2], pieces[last, 3]
    row[starts[last + 1] :] = c0 + t * (c1 + t * (c2 + t * c3))


@njit(cache=True, nogil=True)
def surface(
    pieces: npt.NDArray[np.float32], starts: npt.NDArray[np.int64], middles: Mesh, plane: Plane
) -> None:
    """Write all rows of a surface."""
    for j in range(plane.shape[0]):
        surface_row(pieces[j], starts, middles, plane[j])


@njit(cache=True, nogil=True, fastmath={"contract"})
def product(a: Plane, b: Plane, out: Plane) -> None:
    """Write the product of two matrices: small ones, for which a library's threads cost more."""
    for j in range(a.shape[0]):
        row = out[j]
        row[:] = 0
        for m in range(b.shape[0]):
            factor, other = a[j, m], b[m]
            for i in range(row.size):
                row[i] += factor * other[i]
