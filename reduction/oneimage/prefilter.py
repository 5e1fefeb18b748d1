"""Objects whose shape is not that of the others of their brightness: hits, trails, galaxies."""

from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.normal import MAD_TO_SIGMA
from reduction.oneimage.forest import grow_forest

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
SHAPE_OUTLIER: Final = 0x800
LEAST_OBJECTS: Final = 15  # below which nothing is said of shapes
NEIGHBOURS: Final = 50  # in brightness, that tell what is usual
MOST_SIGMA: Final = 6.0
LEAST_SIGMA, LONELY = 4.0, 0.6  # an object nearer than that is usual, however the trees fall
FARTHEST_SIGMA: Final = 50.0  # as far as distances are told apart by trees
_SEED: Final = 2008  # the same image has the same outliers again
LEAST_SCATTER: Final = 0.03  # of a feature's median: pixels alone make stars differ by so much


def shape_outliers(mag: Floats, features: Floats, *, is_clean: Bits) -> Bits:
    """Tell which objects look unlike the others of about their brightness.

    Each feature is compared with the median of the fifty clean objects nearest in magnitude, in
    units of their robust scatter. An object stands out where an isolation forest over these
    distances finds it lonely and they add up to more than 4 in squares; and, however many are
    alike, where they add up to more than 6: forests do not tell a crowd of hits from one of stars.

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
    Rousseeuw & van Zomeren (1990), JASA 85, 633, of robust distances; Liu, Ting & Zhou (2008),
    IEEE ICDM, 413, of isolation forests.
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
        away = (features - middle) / np.maximum(scatter, 1e-12)
    distance = np.sqrt(np.sum(away**2, axis=1))
    lonely = np.zeros(len(mag), bool)
    lonely[known] = _are_lonely(away[known]) & (distance[known] > LEAST_SIGMA)
    return np.asarray(~known | lonely | (distance > MOST_SIGMA))


def _are_lonely(away: Floats) -> Bits:
    """Tell which of all objects' distances, ``(n, k)``, random cuts part quickly from the rest."""
    near = np.clip(away, -FARTHEST_SIGMA, FARTHEST_SIGMA)
    forest = grow_forest(near, np.random.default_rng(_SEED))
    return np.asarray(forest.loneliness(near) > LONELY)
