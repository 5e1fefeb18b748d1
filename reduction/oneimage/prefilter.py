"""Objects whose shape is not that of the others of their brightness: hits, trails, galaxies."""

from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.stats import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
SHAPE_OUTLIER: Final = 0x800
LEAST_OBJECTS: Final = 15  # below which nothing is said of shapes
NEIGHBOURS: Final = 50  # in brightness, that tell what is usual
MOST_SIGMA: Final = 6.0
LEAST_SCATTER: Final = 0.03  # of a feature's median: pixels alone make stars differ by so much


def shape_outliers(mag: Floats, features: Floats, *, is_clean: Bits) -> Bits:
    """Tell which objects look unlike the others of about their brightness.

    Each feature is compared with the median of the fifty clean objects nearest in magnitude; an
    object stands out where the squares of its distances, in units of their robust scatter, add up
    to more than 36. A plain statement of what an isolation forest finds in such lists: one lonely
    in any direction, however bright.

    Parameters
    ----------
    mag : float array, ``(n,)``
        Instrumental magnitudes; NaN stands out.
    features : float array, ``(n, k)``
        Half-light radius, width, sharpness, say.
    is_clean : bool array, ``(n,)``
        Which objects tell what is usual.

    Returns
    -------
    bool array, ``(n,)``
        All false where fewer than 15 are clean.

    References
    ----------
    Rousseeuw & van Zomeren (1990), JASA 85, 633, of robust distances.
    """
    known = np.isfinite(mag) & np.isfinite(features).all(axis=1)
    telling = np.flatnonzero(known & is_clean)
    if len(telling) < LEAST_OBJECTS:
        return np.zeros(len(mag), bool)
    ordered = telling[np.argsort(mag[telling])]
    n = min(NEIGHBOURS, len(ordered))
    first = np.searchsorted(mag[ordered], np.nan_to_num(mag)) - n // 2
    first = np.clip(first, 0, len(ordered) - n)
    usual = features[ordered[first[:, None] + np.arange(n)]]  # (n, neighbours, k)
    middle = np.median(usual, axis=1)
    scatter = MAD_TO_SIGMA * np.median(np.abs(usual - middle[:, None, :]), axis=1)
    scatter = np.maximum(scatter, LEAST_SCATTER * np.abs(middle))
    with np.errstate(invalid="ignore", divide="ignore"):
        away = ((features - middle) / np.maximum(scatter, 1e-12)) ** 2
    return np.asarray(~known | (away.sum(axis=1) > MOST_SIGMA**2))
