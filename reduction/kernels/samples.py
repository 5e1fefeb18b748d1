"""Inner loops over samples of values: the scatter of their core, their histogram."""

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Doubles = npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def core_rms(deviations: Doubles, limit: float) -> float:
    """Return the rms of those deviations, all positive, that are within a limit; 0 of none."""
    total, n = 0.0, 0
    for k in range(deviations.size):
        d = deviations[k]
        near = d <= limit
        total += d * d if near else 0.0
        n += 1 if near else 0
    return np.sqrt(total / n) if n else 0.0


@njit(cache=True, nogil=True)
def count_bins(values: Doubles, start: float, width: float, counts: Doubles) -> None:
    """Add values to the bins of a histogram; those outside all bins are left out."""
    per_width = 1.0 / width
    for k in range(values.size):
        place = (values[k] - start) * per_width
        if 0.0 <= place < counts.size:
            counts[int(place)] += 1.0
