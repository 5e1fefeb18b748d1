"""How often chance alone would match stars of a frame with stars of a catalogue."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

Indices = npt.NDArray[np.int64]
LARGEST: Final = 1e-9  # a solution that chance gives more often is none
LEAST_LOG10: Final = -300.0  # of a probability that a number can still hold
PREFIXES: Final = (40, 120, 400)  # brightest stars that are weighed alone
N_FIT: Final = 4000  # stars that are matched at the end
SPENT_BY_PAIR, SPENT_BY_QUAD = 3, 4  # stars that a trial could have been made to fit


def log10_chance(found: Indices, of: tuple[int, int], filled: float, n_tried: int) -> float:
    """Return how likely so many stars lie so near catalogue stars anywhere in the sky.

    The brightest are weighed alone too: of a thousand faint detections, hot pixels some of them,
    a bright catalogue knows none.

    Parameters
    ----------
    found : integer array, ``(n,)``
        Ranks in brightness of the stars that do.
    of : tuple of int
        How many stars there are, and how many of them a trial could have been made to fit.
    filled : float
        The density of the catalogue times the square of the radius, without pi.
    n_tried : int
        Trials among which this is the best.

    Returns
    -------
    float
        The logarithm to the base of ten.
    """
    share = float(1 - np.exp(-np.pi * filled))
    n_stars, spent = of
    looks = [n for n in PREFIXES if n < n_stars] + [min(n_stars, N_FIT)]
    tails = [
        binom.logsf(np.count_nonzero(found < n) - spent - 1, max(1, n - spent), share)
        for n in looks
    ]
    least = max(float(min(tails)) / np.log(10), LEAST_LOG10)
    return float(least + np.log10(len(looks) * max(1, n_tried)))
