"""Inner loops of combining frames: sorting, clipping and averaging a pixel's values."""

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.sorting import CACHE_LINE, Pairs

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.uint16]

MEAN = 0  # average of every value
MEDIAN = 1
SAMPLE = 2  # average of what lies within the scatter of the values themselves, to convergence
PREDICTED = 3  # average of what lies within the noise expected of one value

# The values a lane of pixels holds must stay in the first cache of a core while they are sorted.
LANE_BYTES = 26 * 1024
# A pixel this close to its limit is decided in double precision.
NEARLY = np.float32(0.9999)
# Sums of squares that shrink to so little have lost their digits.
LOST = 1e-6


def aligned(*shape: int) -> Floats:
    """Return an uninitialised array that begins on a cache line.

    Sorting in one that does not takes half as long again: every vector straddles two lines.
    """
    size = int(np.prod(shape))
    store = np.empty(size + CACHE_LINE // 4, np.float32)
    skip = -store.ctypes.data % CACHE_LINE // 4
    return store[skip : skip + size].reshape(shape)


def lane_scratch(n: int) -> Floats:
    """Return the memory in which `combine_rows` sorts lanes of `n` values a pixel."""
    width = LANE_BYTES // (4 * n) // 16 * 16
    return aligned(n + 3, max(32, width))


@njit(nogil=True)
def sort_lane(lane: Floats, w: int, pairs: Pairs) -> None:
    """Sort the first `w` pixels of a lane, all at once: smaller values to lower rows."""
    for c in range(pairs.shape[0]):
        a, b = pairs[c, 0], pairs[c, 1]
        for k in range(w):
            x, y = lane[a, k], lane[b, k]
            lane[a, k] = x if x < y else y
            lane[b, k] = y if x < y else x


@njit(nogil=True, fastmath={"contract", "reassoc"})
def fill_lane(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    lane: Floats, stack: Floats, p: int, w: int, centre: Floats, s1: Floats, s2: Floats
) -> bool:
    """Copy a lane of pixels and sum their values and squares about those of the first frame.

    Returns whether every value is known; the sums mean nothing otherwise.
    """
    first = stack[0, p : p + w]
    lane[0, :w] = first
    centre[:w] = first
    s1[:w] = np.float32(0)
    s2[:w] = np.float32(0)
    for i in range(1, stack.shape[0]):
        add_row(lane[i, :w], stack[i, p : p + w], first, s1, s2)
    unknown = 0
    for k in range(w):
        unknown += not abs(s2[k]) + abs(first[k]) < np.float32(np.inf)
    return unknown == 0


@njit(nogil=True, fastmath={"contract"})
def add_row(dst: Floats, row: Floats, first: Floats, s1: Floats, s2: Floats) -> None:
    """Copy one frame's values into the lane and add them to the sums."""
    for k in range(dst.size):
        v = row[k]
        d = v - first[k]
        dst[k] = v
        s1[k] += d
        s2[k] += d * d


@njit(nogil=True)
def hide_unknown(lane: Floats, w: int, present: Counts) -> None:
    """Make unknown values of a lane infinite, so that they sort last, and count the others."""
    present[:w] = np.uint16(0)
    for i in range(lane.shape[0]):
        row = lane[i]
        for k in range(w):
            known = abs(row[k]) < np.float32(np.inf)
            row[k] = row[k] if known else np.float32(np.inf)
            present[k] += np.uint16(known)


@njit(nogil=True)
def sort_column(lane: Floats, k: int, m: int, column: npt.NDArray[np.float64]) -> None:
    """Copy a pixel's first `m` values, which the network left sorted."""
    for i in range(m):
        column[i] = lane[i, k]


@njit(nogil=True)
def middle(v: npt.NDArray[np.float64], lo: int, hi: int) -> float:
    """Return the median of sorted ``v[lo:hi]``."""
    m = hi - lo
    return 0.5 * float(v[lo + (m - 1) // 2] + v[lo + m // 2])


@njit(nogil=True, fastmath={"contract", "reassoc"})
def moments(v: npt.NDArray[np.float64], lo: int, hi: int, zero: float) -> tuple[float, float]:
    """Return the sums of ``v[lo:hi]`` and of their squares, both about `zero`."""
    s1 = 0.0
    s2 = 0.0
    for i in range(lo, hi):
        s1 += v[i] - zero
        s2 += (v[i] - zero) ** 2
    return s1, s2


@njit(nogil=True)
def clip_sample(
    v: npt.NDArray[np.float64], m: int, low: float, high: float, rounds: int
) -> tuple[int, int]:
    """Return the range of sorted ``v[:m]`` that survives clipping by its own scatter.

    The sums about the first median are taken once; what is rejected is taken off them. Where
    that leaves next to nothing of them, rounding is what is left, and they are taken anew.
    """
    lo, hi = 0, m
    zero = middle(v, 0, m)
    s1, s2 = moments(v, 0, m, zero)
    for _ in range(rounds):
        c = middle(v, lo, hi)
        mean = s1 / (hi - lo)
        sigma = np.sqrt(max(0.0, s2 / (hi - lo) - mean * mean))
        first, last, before = lo, hi, s2
        while lo < hi and v[lo] < c - low * sigma:
            s1 -= v[lo] - zero
            s2 -= (v[lo] - zero) ** 2
            lo += 1
        while hi > lo and v[hi - 1] > c + high * sigma:
            hi -= 1
            s1 -= v[hi] - zero
            s2 -= (v[hi] - zero) ** 2
        if lo == first and hi == last:
            break
        if s2 < LOST * before:
            s1, s2 = moments(v, lo, hi, zero)
    return lo, hi


@njit(nogil=True)
def clip_predicted(
    v: npt.NDArray[np.float64], m: int, low: float, high: float, floor: float, slope: float
) -> tuple[int, int]:
    """Return the range of sorted ``v[:m]`` that agrees with the noise expected of one value.

    The furthest value goes first and the median is taken anew, so that two hits in four frames
    do not take the good values with them. Of two that are equally far the higher one goes:
    particles only add.
    """
    lo, hi = 0, m
    while hi - lo > 1:
        c = middle(v, lo, hi)
        sigma = np.sqrt(floor + slope * max(c, 0.0))
        below, above = c - v[lo], v[hi - 1] - c
        if above > high * sigma and above >= below:
            hi -= 1
        elif below > low * sigma:
            lo += 1
        elif above > high * sigma:
            hi -= 1
        else:
            break
    return lo, hi


@njit(nogil=True)
def weighted_mean(
    stack: Floats, pixel: int, weights: Floats, lowest: float, highest: float
) -> float:
    """Return the weighted mean of a pixel's values between two of them, both included."""
    total = 0.0
    norm = 0.0
    for i in range(stack.shape[0]):
        x = float(stack[i, pixel])
        if lowest <= x <= highest:
            total += weights[i] * x
            norm += weights[i]
    return total / norm


@njit(nogil=True)
def survivors(
    v: npt.NDArray[np.float64], m: int, method: int, limits: npt.NDArray[np.float64]
) -> tuple[int, int]:
    """Return the range of a pixel's `m` sorted values that enter its result."""
    if method == SAMPLE:
        return clip_sample(v, m, limits[0], limits[1], int(limits[2]))
    if method == PREDICTED:
        return clip_predicted(v, m, limits[0], limits[1], limits[3], limits[4])
    return 0, m


@njit(nogil=True)
def average(
    v: npt.NDArray[np.float64], bounds: tuple[int, int], median: bool
) -> tuple[float, float]:
    """Return the mean or median of a range of sorted values and their unbiased variance."""
    lo, hi = bounds
    m = hi - lo
    s1, s2 = moments(v, lo, hi, v[lo])
    variance = max(0.0, s2 - s1 * s1 / m) / (m - 1) if m > 1 else 0.0
    return middle(v, lo, hi) if median else v[lo] + s1 / m, variance


@njit(cache=True, nogil=True)
def combine_rows(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    stack: Floats,
    scratch: Floats,
    pairs: Pairs,
    weights: Floats,
    method: int,
    limits: npt.NDArray[np.float64],
    data: Floats,
    variance: Floats,
    count: Counts,
) -> None:
    """Combine a stack ``(n, pixels)`` pixel by pixel, in the `lane_scratch` given.

    `limits` holds: low and high threshold in standard deviations, the most rounds, and the noise
    expected of one value, ``variance = floor + slope * centre``. `weights` is empty where all
    frames weigh the same. `variance` gets the unbiased variance of the values that entered a
    pixel (0 of one), `count` their number; a pixel without any gets 0, 0, 0.
    """
    n, pixels = stack.shape
    width = scratch.shape[1]
    lane, first, s1, s2 = scratch[:n], scratch[n], scratch[n + 1], scratch[n + 2]
    present = np.empty(width, np.uint16)
    accepted, places = np.empty(width, np.bool_), np.empty(width, np.int64)
    column = np.empty(n, np.float64)
    weighs = weights.size > 0 and method != MEDIAN
    for p in range(0, pixels, width):
        w = min(width, pixels - p)
        accepted[:w] = fill_lane(lane, stack, p, w, first, s1, s2) and not weighs
        if not accepted[0]:
            hide_unknown(lane, w, present)
        sort_lane(lane, w, pairs)
        if accepted[0]:
            present[:w] = np.uint16(n)
            e = p + w
            store_lane(lane, method == MEDIAN, first, s1, s2, data[p:e], variance[p:e], count[p:e])
            if method >= SAMPLE:
                accept_lane(lane, method, limits, s1, s2, accepted[:w])
        for j in range(doubtful(accepted, w, places)):
            k = places[j]
            m = int(present[k])
            data[p + k], variance[p + k], count[p + k] = 0, 0, 0
            if m == 0:
                continue
            sort_column(lane, k, m, column)
            lo, hi = survivors(column, m, method, limits)
            value, spread = average(column, (lo, hi), method == MEDIAN)
            if weighs:
                value = weighted_mean(stack, p + k, weights, column[lo], column[hi - 1])
            data[p + k], variance[p + k], count[p + k] = value, spread, hi - lo


@njit(nogil=True)
def doubtful(accepted: npt.NDArray[np.bool_], w: int, places: npt.NDArray[np.int64]) -> int:
    """Write the places of the first `w` pixels that were not accepted; return their number.

    Every place is written, and kept only if the next one does not take its room: a branch that
    is taken once in thirty pixels at random costs more than all the rest.
    """
    n = 0
    for k in range(w):
        places[n] = k
        n += int(not accepted[k])
    return n


@njit(nogil=True, fastmath={"contract"})
def accept_lane(
    lane: Floats,
    method: int,
    limits: npt.NDArray[np.float64],
    s1: Floats,
    s2: Floats,
    accepted: npt.NDArray[np.bool_],
) -> None:
    """Tell which pixels of a sorted lane certainly lose no value: their extremes are near."""
    n = lane.shape[0]
    lower, upper, least, most = lane[(n - 1) // 2], lane[n // 2], lane[0], lane[n - 1]
    low, high = np.float32(limits[0] ** 2 * NEARLY), np.float32(limits[1] ** 2 * NEARLY)
    floor, slope = np.float32(limits[3]), np.float32(limits[4])
    by_n = np.float32(1.0 / n)
    for k in range(accepted.size):
        centre = (lower[k] + upper[k]) * np.float32(0.5)
        mean = s1[k] * by_n
        scatter2 = s2[k] * by_n - mean * mean
        expected2 = floor + slope * max(centre, np.float32(0))
        sigma2 = scatter2 if method == SAMPLE else expected2
        below, above = centre - least[k], most[k] - centre
        accepted[k] = (below * below <= low * sigma2) & (above * above <= high * sigma2)


@njit(nogil=True, fastmath={"contract"})
def store_lane(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    lane: Floats,
    median: bool,
    first: Floats,
    s1: Floats,
    s2: Floats,
    data: Floats,
    variance: Floats,
    count: Counts,
) -> None:
    """Store the results of a sorted lane as if every value of every pixel counted."""
    n = lane.shape[0]
    lower, upper = lane[(n - 1) // 2], lane[n // 2]
    by_n = np.float32(1.0 / n)
    by_dof = np.float32(1.0 / (n - 1)) if n > 1 else np.float32(0)
    for k in range(data.size):
        mean = s1[k] * by_n
        data[k] = (lower[k] + upper[k]) * np.float32(0.5) if median else first[k] + mean
        variance[k] = max(np.float32(0), s2[k] - s1[k] * mean) * by_dof
        count[k] = np.uint16(n)
