"""Inner loops that decide the pixels of whole counts whose extremes are far from the rest.

They are gathered until they fill a lane. Doubled counts about the doubled median are whole
numbers: their sums and those of their squares are exact, in any order. They are taken of all
pixels at once, and what is clipped is taken off them without a loss.
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
Clipping = tuple[Column, Wholes, Column]  # one pixel; doubled medians and sums; squares

MEDIANS, TOTALS = range(2)


def clipping_of(n: int) -> Clipping:
    """Return the memory in which `settle` works on pixels of `n` frames."""
    return np.empty(n, np.float64), np.empty((2, WIDTH), np.int32), np.empty(WIDTH, np.float64)


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
def _sum_all(doubts: Counts, n: int, whole: Wholes, squares: Column) -> None:
    """Sum every pixel's doubled counts about the doubled median, and their squares."""
    row = np.uint64(WIDTH)
    median, total = whole[MEDIANS], whole[TOTALS]
    lower, upper = np.uint64(GUARD + (n - 1) // 2) * row, np.uint64(GUARD + n // 2) * row
    for k in range(row):
        median[k] = np.int32(doubts[lower + k]) + np.int32(doubts[upper + k])
        total[k], squares[k] = 0, 0.0
    for i in range(n):
        o = np.uint64(GUARD + i) * row
        for k in range(row):
            away = np.int32(np.int32(doubts[o + k]) * np.int32(2) - median[k])
            total[k] += away
            squares[k] += np.float64(away) * np.float64(away)


@njit(nogil=True, error_model="numpy")
def _clip_pixel(
    doubts: Counts, n: int, j: int, limits: Limits, sums: tuple[int, int, float]
) -> tuple[int, int, float, float]:
    """Clip one pixel's sorted counts by their own scatter, to convergence.

    Returns the survivors, first and behind the last, and their sums.
    """
    row, start = np.uint64(WIDTH), np.uint64(GUARD * WIDTH) + np.uint64(j)
    zero, total, squares = sums[0], float(sums[1]), sums[2]
    lo, hi = 0, n
    for _ in range(int(limits[2])):
        m = hi - lo
        mean = total / m
        sigma = np.sqrt(max(0.0, squares / m - mean * mean))
        below, above = (lo + hi - 1) // 2, (lo + hi) // 2
        middle = int(doubts[start + np.uint64(below) * row])
        middle += int(doubts[start + np.uint64(above) * row])
        away = float(2 * int(doubts[start + np.uint64(lo) * row]) - zero)
        while lo < below and away + zero < middle - limits[0] * sigma:
            total, squares, lo = total - away, squares - away * away, lo + 1
            away = float(2 * int(doubts[start + np.uint64(lo) * row]) - zero)
        away = float(2 * int(doubts[start + np.uint64(hi - 1) * row]) - zero)
        while hi > above + 1 and away + zero > middle + limits[1] * sigma:
            total, squares, hi = total - away, squares - away * away, hi - 1
            away = float(2 * int(doubts[start + np.uint64(hi - 1) * row]) - zero)
        if hi - lo == m:
            break
    return lo, hi, total, squares


@njit(nogil=True)
def _clip(
    doubts: Counts, pixels: Pixels, clipping: Clipping, limits: Limits, results: Results
) -> None:
    """Combine pixels by clipped means, whose counts stand a constant below their values."""
    column, whole, squares = clipping
    n = column.size
    _sum_all(doubts, n, whole, squares)
    for j in range(pixels.size):
        sums = int(whole[MEDIANS, j]), int(whole[TOTALS, j]), squares[j]
        lo, hi, total, s2 = _clip_pixel(doubts, n, j, limits, sums)
        m = hi - lo
        spread = max(0.0, s2 - total * total / m) / (m - 1) if m > 1 else 0.0
        results[0][pixels[j]] = np.float32(0.5 * (sums[0] + total / m) + limits[5])
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
    column = clipping[0]
    exchange(doubts, merging)
    if method == SAMPLE:
        _clip(doubts, pixels, clipping, limits, results)
        return
    for j in range(pixels.size):
        o = np.uint64(GUARD) * row + np.uint64(j)
        for i in range(column.size):
            column[i] = np.float64(doubts[o]) + limits[5]
            o += row
        store_pixel(column, method, limits, pixels[j], results)
