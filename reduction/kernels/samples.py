"""Inner loops over samples of values: their middle, scatter of the core, steps, histogram."""

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Doubles = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32] | Doubles
Good = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

BINS = 2048  # among which values are dealt out to find the one in the middle
SORTED_AT_MOST = 1024  # values: as few are sorted, more dealt out to bins
ROUNDS = 4  # after which values of every size are left to others


@njit(cache=True, nogil=True)
def core_rms(values: Values, centre: float, limit: float) -> float:
    """Return the rms distance from a centre of those values that are within a limit; 0 of none."""
    total, n = 0.0, 0
    for k in range(values.size):
        d = abs(values[k] - centre)
        near = d <= limit
        total += d * d if near else 0.0
        n += 1 if near else 0
    return np.sqrt(total / n) if n else 0.0


@njit(cache=True, nogil=True)
def count_bins(values: Values, start: float, width: float, counts: Doubles) -> None:
    """Add values to the bins of a histogram; those outside all bins are left out."""
    per_width = 1.0 / width
    for k in range(values.size):
        place = (values[k] - start) * per_width
        if 0.0 <= place < counts.size:
            counts[int(place)] += 1.0


@njit(cache=True, nogil=True)
def steps_along_rows(plane: Values, good: Good, steps: Doubles) -> int:
    """Write the differences of neighbours that are both good numbers, and return how many.

    `good` is of the plane's shape, or holds nothing where every pixel is.
    """
    n = 0
    for y in range(plane.shape[0]):
        row = plane[y]
        for x in range(row.size - 1):
            step = np.float64(row[x + 1]) - np.float64(row[x])
            usable = abs(step) < np.inf
            if good.size:
                usable &= good[y, x] & good[y, x + 1]
            if usable:
                steps[n] = step
                n += 1
    return n


@njit(nogil=True)
def extremes(values: Values) -> tuple[float, float, int]:
    """Return the least and the greatest of some values, and how many are no numbers."""
    least, most, missing = values[0], values[0], 0
    for k in range(values.size):
        v = values[k]
        least = v if v < least else least
        most = v if v > most else most
        missing += 1 if np.isnan(v) else 0
    return np.float64(least), np.float64(most), missing


@njit(nogil=True)
def bin_of_rank(
    values: Values, rank: int, least: float, per_width: float, counts: Counts
) -> tuple[int, Values]:
    """Deal values out to bins; return those of the bin that holds a rank, and the rank there."""
    counts[:] = 0
    for k in range(values.size):
        counts[int((values[k] - least) * per_width)] += 1
    chosen = 0
    while rank >= counts[chosen]:
        rank -= counts[chosen]
        chosen += 1
    kept = np.empty(counts[chosen] + 1, values.dtype)  # its last is written to and not kept
    n = 0
    for k in range(values.size):
        kept[n] = values[k]
        n += int((values[k] - least) * per_width) == chosen
    return rank, kept[:n]


@njit(cache=True, nogil=True)
def around_rank(values: Values, rank: int) -> tuple[int, Values]:
    """Return few of some values, among them that of a rank, and its rank among those.

    The values are dealt out to equal bins between the least and the greatest, then those of the
    bin that holds the rank alone, and so on: a branch that is guessed wrong, which is what
    selecting by comparing costs, is spared nearly every value. What is returned are all of the
    values between two, or the one and its equal behind it. They are more than a few where bins
    do not tell them apart soon, or one is no number.
    """
    left, counts = values, np.empty(BINS, np.int64)
    for _ in range(ROUNDS):
        if left.size <= SORTED_AT_MOST:
            break
        least, most, missing = extremes(left)
        if least == most and not missing:
            return 0, left[: min(2, left.size - rank)]
        per_width = (BINS - 1) / (most - least) if most > least else 0.0
        if missing or not 0.0 < per_width < np.inf:
            break
        rank, left = bin_of_rank(left, rank, least, per_width, counts)
    return rank, left
