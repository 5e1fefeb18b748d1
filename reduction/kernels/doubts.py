"""Inner loops that decide the pixels of whole counts whose extremes are far from the rest.

They are gathered until they fill a lane. Doubled counts about the doubled median are whole
numbers, so that their sums and those of their squares are exact in any order: a round of clipping
takes all of them anew, for all pixels at once.
"""

import numpy as np
import numpy.typing as npt

from reduction.kernels.combine import MEDIAN, SAMPLE, Counts, Floats, average, survivors
from reduction.kernels.compiled import njit
from reduction.kernels.sorting import GUARD, WIDTH, Pairs, exchange

Column = npt.NDArray[np.float64]
Limits = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.int64]
Wholes = npt.NDArray[np.int32]
Results = tuple[Floats, Floats, Counts]
# One pixel; squares; and whole numbers: bounds, medians, sums, survivors, how many lie below them.
Clipping = tuple[Column, Column, Wholes]

LOWER, UPPER, FIRST, MIDDLE, SUM, KEPT, BELOW = range(7)
ONE = np.int32(1)
BEYOND = 2 * 65535 + 1  # any doubled count


def clipping_of(n: int) -> Clipping:
    """Return the memory in which `settle` works on pixels of `n` frames."""
    return np.empty(n, np.float64), np.empty(WIDTH, np.float64), np.empty((7, WIDTH), np.int32)


@njit(nogil=True)
def gather(lane: Counts, n: int, k: int, doubts: Counts, j: int) -> None:
    """Copy one pixel's counts from a lane to a place in another."""
    row = np.uint64(WIDTH)
    o = np.uint64(GUARD) * row
    a, b = o + np.uint64(k), o + np.uint64(j)
    for _ in range(n):
        doubts[b] = lane[a]
        a += row
        b += row


@njit(nogil=True)
def store_pixel(column: Column, method: int, limits: Limits, pixel: int, results: Results) -> None:
    """Combine one pixel's sorted values."""
    bounds = survivors(column, column.size, method, limits)
    value, spread = average(column, bounds, method == MEDIAN)
    results[0][pixel] = np.float32(value)
    results[1][pixel] = np.float32(spread)
    results[2][pixel] = np.uint16(bounds[1] - bounds[0])


@njit(nogil=True)
def _medians(doubts: Counts, n: int, whole: Wholes) -> None:
    """Write twice the median of every pixel's surviving counts."""
    row = np.uint64(WIDTH)
    below, kept, middle = whole[BELOW], whole[KEPT], whole[MIDDLE]
    for k in range(row):
        middle[k] = 0
    for i in range(n):
        o, place = np.uint64(GUARD + i) * row, np.int32(i)
        for k in range(row):
            places = np.int32(below[k] + below[k] + kept[k] - ONE)  # of both middle values
            times = np.int32((places >> ONE) == place) + np.int32((places + ONE) >> ONE == place)
            middle[k] += np.int32(doubts[o + k]) * times


@njit(nogil=True)
def _sums(doubts: Counts, n: int, whole: Wholes, squares: Column) -> None:
    """Sum every pixel's doubled counts within its bounds, and their squares, about the first."""
    row = np.uint64(WIDTH)
    lower, upper, first = whole[LOWER], whole[UPPER], whole[FIRST]
    total, kept, below = whole[SUM], whole[KEPT], whole[BELOW]
    for k in range(row):
        total[k], kept[k], below[k], squares[k] = 0, 0, 0, 0.0
    for i in range(n):
        o = np.uint64(GUARD + i) * row
        for k in range(row):
            value = np.int32(doubts[o + k]) * np.int32(2)
            is_low, is_high = value < lower[k], value > upper[k]
            away = np.int32(0) if is_low | is_high else np.int32(value - first[k])
            total[k] += away
            squares[k] += np.float64(away) * np.float64(away)
            kept[k] += np.int32(not (is_low | is_high))
            below[k] += np.int32(is_low)


@njit(nogil=True, error_model="numpy")
def _narrow(limits: Limits, whole: Wholes, squares: Column) -> None:
    """Move every pixel's bounds to the thresholds about its median; none ever opens again."""
    lower, upper, middle = whole[LOWER], whole[UPPER], whole[MIDDLE]
    total, kept = whole[SUM], whole[KEPT]
    low, high, beyond = limits[0], limits[1], np.float64(BEYOND)
    for k in range(WIDTH):
        mean = total[k] / kept[k]
        sigma = np.sqrt(max(0.0, squares[k] / kept[k] - mean * mean))
        lower[k] = max(lower[k], np.int32(np.ceil(max(middle[k] - low * sigma, -beyond))))
        upper[k] = min(upper[k], np.int32(np.floor(min(middle[k] + high * sigma, beyond))))


@njit(nogil=True)
def clip_doubts(doubts: Counts, n: int, limits: Limits, whole: Wholes, squares: Column) -> None:
    """Clip every pixel's sorted counts by their own scatter, to convergence."""
    lower, upper, kept, below = whole[LOWER], whole[UPPER], whole[KEPT], whole[BELOW]
    for k in range(WIDTH):
        lower[k], upper[k], kept[k], below[k] = -BEYOND, BEYOND, n, 0
    _medians(doubts, n, whole)
    for k in range(WIDTH):
        whole[FIRST, k] = whole[MIDDLE, k]
    _sums(doubts, n, whole, squares)
    left = n * WIDTH
    for _ in range(int(limits[2])):
        _narrow(limits, whole, squares)
        _sums(doubts, n, whole, squares)
        before, left = left, 0
        for k in range(WIDTH):
            left += kept[k]
        if left == before:
            break
        _medians(doubts, n, whole)


@njit(nogil=True)
def _store_clipped(
    pixels: Pixels, common: float, whole: Wholes, squares: Column, results: Results
) -> None:
    """Store the means of clipped pixels, whose counts stand a constant below their values."""
    for j in range(pixels.size):
        m, total = int(whole[KEPT, j]), float(whole[SUM, j])
        spread = max(0.0, squares[j] - total * total / m) / (m - 1) if m > 1 else 0.0
        results[0][pixels[j]] = np.float32(0.5 * (whole[FIRST, j] + total / m) + common)
        results[1][pixels[j]] = np.float32(0.25 * spread)
        results[2][pixels[j]] = np.uint16(m)


@njit(nogil=True)
def settle(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    doubts: Counts,
    pixels: Pixels,
    merging: Pairs,
    clipping: Clipping,
    method: int,
    limits: Limits,
    results: Results,
) -> None:
    """Combine the pixels that a lane has gathered; its places beyond them hold any counts."""
    row = np.uint64(WIDTH)
    column, squares, whole = clipping
    exchange(doubts, merging)
    if method == SAMPLE:
        clip_doubts(doubts, column.size, limits, whole, squares)
        _store_clipped(pixels, limits[5], whole, squares, results)
        return
    for j in range(pixels.size):
        o = np.uint64(GUARD) * row + np.uint64(j)
        for i in range(column.size):
            column[i] = np.float64(doubts[o]) + limits[5]
            o += row
        store_pixel(column, method, limits, pixels[j], results)
