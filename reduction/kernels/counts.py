"""Inner loops of combining whole numbers of sixteen bits, twice as many at a time as floats.

Frames of raw counts differ from the values to combine by a zero level for each frame and row.
Its whole part moves the counts, so that they can be sorted as they are; its fraction enters the
sums. Where rounding, an outlier or the edge of the range leaves a doubt, the pixel is combined
from its exact values.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from reduction.kernels.combine import (
    MEDIAN,
    NEARLY,
    SAMPLE,
    Counts,
    Floats,
    Pairs,
    combine_pixel,
    doubtful,
)

Shifts = npt.NDArray[np.float64]

LANE_BYTES = 20 * 1024  # of sorted counts; their moments need as much again of the first cache
NO_WEIGHTS = np.empty(0, np.float32)
NO_STACK = np.empty((0, 0), np.float32)


def counts_scratch(n: int) -> Counts:
    """Return the memory in which `combine_counts` sorts lanes of `n` counts, on a cache line."""
    width = max(64, LANE_BYTES // (2 * n) // 32 * 32)
    store = np.empty(n * width + 32, np.uint16)
    skip = -store.ctypes.data % 64 // 2
    return store[skip : skip + n * width].reshape(n, width)


@njit(cache=True, nogil=True)
def sort_counts(lane: Counts, w: int, pairs: Pairs) -> None:
    """Sort the first `w` pixels of a lane, all at once: smaller counts to lower rows."""
    for c in range(pairs.shape[0]):
        a, b = pairs[c, 0], pairs[c, 1]
        for k in range(w):
            x, y = lane[a, k], lane[b, k]
            lane[a, k] = min(x, y)
            lane[b, k] = max(x, y)


@njit(cache=True, nogil=True)
def first_counts(
    raw: Counts, decoding: tuple[bool, int], whole: int, first: npt.NDArray[np.int32], key: Counts
) -> None:
    """Decode a lane of the first frame to counts above its level, kept within sixteen bits.

    `first` gets the counts as they are, before they are kept within.
    """
    flip, step = np.uint16(decoding[1]), np.int32(whole)
    low, high = np.int32(0), np.int32(65535)
    for k in range(key.size):
        v = raw[k]
        if decoding[0]:
            v = np.uint16((v << np.uint16(8)) | (v >> np.uint16(8)))
        x = np.int32(v ^ flip) + step
        first[k] = x
        key[k] = np.uint16(min(max(x, low), high))


@njit(cache=True, nogil=True, fastmath={"contract"})
def next_counts(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    raw: Counts,
    decoding: tuple[bool, int],
    shift: tuple[int, float],
    first: npt.NDArray[np.int32],
    key: Counts,
    s1: Floats,
    s2: Floats,
) -> None:
    """Decode a lane of another frame and add it to the sums about the first frame's counts."""
    flip, step, part = np.uint16(decoding[1]), np.int32(shift[0]), np.float32(shift[1])
    low, high = np.int32(0), np.int32(65535)
    if decoding[0]:
        for k in range(key.size):
            v = raw[k]
            x = np.int32(np.uint16((v << np.uint16(8)) | (v >> np.uint16(8))) ^ flip) + step
            key[k] = np.uint16(min(max(x, low), high))
            d = np.float32(x - first[k]) + part
            s1[k] += d
            s2[k] += d * d
    else:
        for k in range(key.size):
            x = np.int32(raw[k] ^ flip) + step
            key[k] = np.uint16(min(max(x, low), high))
            d = np.float32(x - first[k]) + part
            s1[k] += d
            s2[k] += d * d


@njit(cache=True, nogil=True)
def load_lane(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    raw: Counts,
    span: tuple[int, int, int],
    decoding: tuple[bool, int],
    shifts: Shifts,
    lane: Counts,
    first: npt.NDArray[np.int32],
    s1: Floats,
    s2: Floats,
) -> None:
    """Decode a lane of all frames, from one column to another of a row, with its sums."""
    r, p, e = span
    w = e - p
    for i in range(raw.shape[0]):
        whole = int(np.rint(shifts[i, r]))
        part = shifts[i, r] - whole
        key = lane[i, :w]
        if i == 0:
            first_counts(raw[0, r, p:e], decoding, whole, first, key)
            s1[:w] = np.float32(part)
            s2[:w] = np.float32(part) * np.float32(part)
        else:
            next_counts(raw[i, r, p:e], decoding, (whole, part), first, key, s1[:w], s2[:w])


@njit(cache=True, nogil=True, fastmath={"contract"})
def accept_counts(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    lane: Counts,
    method: int,
    limits: npt.NDArray[np.float64],
    margin: float,
    s1: Floats,
    s2: Floats,
    inside: npt.NDArray[np.bool_],
    accepted: npt.NDArray[np.bool_],
) -> None:
    """Tell which pixels of a sorted lane met no end of the range, and certainly lose no value."""
    n = lane.shape[0]
    lower, upper, least, most = lane[(n - 1) // 2], lane[n // 2], lane[0], lane[n - 1]
    clips = method >= SAMPLE
    low, high = np.float32(limits[0] ** 2 * NEARLY), np.float32(limits[1] ** 2 * NEARLY)
    floor, slope = np.float32(limits[3]), np.float32(limits[4])
    by_n, slack, common = np.float32(1.0 / n), np.float32(margin), np.float32(limits[5])
    for k in range(accepted.size):
        centre = np.float32(np.int32(lower[k]) + np.int32(upper[k])) * np.float32(0.5)
        mean = s1[k] * by_n
        scatter2 = s2[k] * by_n - mean * mean
        expected2 = floor + slope * max(centre + common, np.float32(0))
        sigma2 = scatter2 if method == SAMPLE else expected2
        below = centre - np.float32(least[k]) + slack
        above = np.float32(most[k]) - centre + slack
        near = (below * below <= low * sigma2) & (above * above <= high * sigma2)
        inside[k] = (least[k] > np.uint16(0)) & (most[k] < np.uint16(65535))
        accepted[k] = inside[k] & (near | (not clips))


@njit(cache=True, nogil=True, fastmath={"contract"})
def store_counts(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    lane: Counts,
    median: bool,
    common: float,
    first: npt.NDArray[np.int32],
    s1: Floats,
    s2: Floats,
    results: tuple[Floats, Floats, Counts],
) -> None:
    """Store the results of a sorted lane as if every value of every pixel counted."""
    data, variance, count = results
    n = lane.shape[0]
    lower, upper = lane[(n - 1) // 2], lane[n // 2]
    by_n, plus = np.float32(1.0 / n), np.int32(common)
    by_dof = np.float32(1.0 / (n - 1)) if n > 1 else np.float32(0)
    for k in range(data.size):
        mean = s1[k] * by_n
        # Whole numbers first: far from zero a float has no room for the fraction.
        twice = np.int32(lower[k]) + np.int32(upper[k]) + plus + plus
        middle = np.float32(twice) * np.float32(0.5)
        data[k] = middle if median else np.float32(first[k] + plus) + mean
        variance[k] = max(np.float32(0), s2[k] - s1[k] * mean) * by_dof
        count[k] = np.uint16(n)


@njit(cache=True, nogil=True)
def exact_column(
    raw: Counts,
    decoding: tuple[bool, int],
    shifts: Shifts,
    common: float,
    place: tuple[int, int],
    column: npt.NDArray[np.float64],
) -> None:
    """Write one pixel's exact values, sorted."""
    row, x = place
    flip = np.uint16(decoding[1])
    for i in range(raw.shape[0]):
        v = raw[i, row, x]
        if decoding[0]:
            v = np.uint16((v << np.uint16(8)) | (v >> np.uint16(8)))
        value = float(v ^ flip) + shifts[i, row] + common
        b = i
        while b > 0 and column[b - 1] > value:
            column[b] = column[b - 1]
            b -= 1
        column[b] = value


@njit(cache=True, nogil=True)
def combine_counts(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    raw: Counts,
    scratch: Counts,
    pairs: Pairs,
    decoding: tuple[bool, int],
    shifts: Shifts,
    method: int,
    limits: npt.NDArray[np.float64],
    data: Floats,
    variance: Floats,
    count: Counts,
) -> None:
    """Combine a stack of raw counts ``(n, rows, nx)``.

    The value of frame i in row r is its count plus ``shifts[i, r]`` and a constant that is the
    last of `limits`, whose others are as of `reduction.kernels.combine.combine_rows`, like all
    else. `decoding` tells whether the bytes are swapped, and the sign bit. A median takes whole
    shifts only.
    """
    n, rows, nx = raw.shape
    width = scratch.shape[1]
    first = np.empty(width, np.int32)
    s1, s2 = np.empty(width, np.float32), np.empty(width, np.float32)
    accepted, inside = np.empty(width, np.bool_), np.empty(width, np.bool_)
    column, places = np.empty(n, np.float64), np.empty(width, np.int64)
    common = limits[5]
    margin = 0.0 if np.all(shifts == np.rint(shifts)) else 1.0
    for r in range(rows):
        for p in range(0, nx, width):
            e = min(nx, p + width)
            w, o = e - p, r * nx
            load_lane(raw, (r, p, e), decoding, shifts, scratch, first, s1, s2)
            sort_counts(scratch, w, pairs)
            store = data[o + p : o + e], variance[o + p : o + e], count[o + p : o + e]
            store_counts(scratch, method == MEDIAN, common, first, s1, s2, store)
            accept_counts(scratch, method, limits, margin, s1, s2, inside, accepted[:w])
            for j in range(doubtful(accepted, w, places)):
                k = places[j]
                if margin == 0 and inside[k]:
                    for i in range(n):
                        column[i] = scratch[i, k] + common
                else:
                    exact_column(raw, decoding, shifts, common, (r, p + k), column)
                pixel = o + p + k
                combine_pixel(
                    NO_STACK, pixel, column, n, NO_WEIGHTS, method, limits, data, variance, count
                )
