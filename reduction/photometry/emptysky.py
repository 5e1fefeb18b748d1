"""Uneven sky: what empty circles scatter by beyond their noise, and what rings tell of it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.kernels.circles import ring_sums
from reduction.kernels.stars import Light
from reduction.normal import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
MOST_PLACES: Final = 1000  # some more tell little more, and each costs as much as a star
CLEAR: Final = 3.0  # times the least radius but one, from the rim of a circle to any source
RING: Final = 4  # of the radii: the sky between it and the one before tells of that in a circle
SHED_DOUBT: Final = 0.1  # of light that neighbours shed into a ring
LEAST_EMPTY: Final = 0.2  # of the frame: in a crowd nobody knows uneven sky from unseen stars
LEAST_LOW: Final = 40  # circles below the sky, that tell
MOST_SIGMA: Final = 4.0  # that uneven sky in a ring may be off by
SURE_SIGMA: Final = 3.0  # more than chance makes of even sky
MEDIAN_ERROR: Final = 1.167  # of a width told by a median, times the root of how many


@dataclass(frozen=True, slots=True)
class Unevenness:
    """How uneven the sky is, in the frame's unit, ``(k,)`` each.

    Attributes
    ----------
    circles, rings : float arrays
        Standard deviation of the light in each circle, and between each and the one before, beyond
        the noise of the pixels; 0 where that explains it, or too little sky is empty.
    shared : float array, ``(k,)``
        Covariance of the light in each circle and in the ring of sky around, `RING`; 0 where the
        ring tells nothing, and of circles that reach into it.
    """

    circles: Floats
    rings: Floats
    shared: Floats

    def under(self, which: int, ring: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Return the light of uneven sky in circles, and how much less of its variance is left.

        The best linear prediction from the ring. A ring that holds far more or less than uneven sky
        explains holds something else, and is not followed.

        Parameters
        ----------
        which : int
            Of the radii.
        ring, noise : float arrays, ``(n,)``
            Light in the ring of sky beyond that of stars, and its noise.
        """
        variance = self.rings[RING] ** 2 + noise**2
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(ring**2 < MOST_SIGMA**2 * variance, self.shared[which] / variance, 0)
        known = np.isfinite(ring) & np.isfinite(weight)
        weight = np.where(known, weight, 0.0)
        return weight * np.where(known, ring, 0.0), weight * self.shared[which]


def unevenness(light: Light, sources: Floats, radii: Floats) -> Unevenness:
    """Return how uneven the sky is in circles of some radii.

    What flats, moved dust, fringes and a mesh leave of the sky is alike over several pixels, and
    adds up faster in a circle than their noise. Circles on empty sky tell, by those that are below
    it: nothing takes light away but noise, while stars too faint to be found add to the others.

    Parameters
    ----------
    light : Light
        The frame above its sky.
    sources : float array, ``(n, 2)``
        Places of sources, pixels.
    radii : float array, ``(k,)``
        Of the circles, rising.

    Returns
    -------
    Unevenness

    References
    ----------
    Labbe et al. (2003), AJ 125, 1107, of the noise of empty apertures.
    """
    step, places = _grid(light.data.shape, sources, radii)
    flux, error, ring_error = np.empty((3, len(places), len(radii)))
    x, y = np.ascontiguousarray(places.T)
    ring_sums(light, (x, y), radii, flux, error, ring_error)
    clear = _distance(places, sources) - CLEAR * radii[1]
    circles, rings, shared = np.zeros((3, len(radii)))
    inner = np.column_stack([np.zeros(len(places)), flux[:, :-1]])
    for k, radius in enumerate(radii):
        # Circles that overlap tell of the same sky.
        share = min(1.0, step**2 / (np.pi * radius**2))
        empty = clear > radius
        circles[k] = _beyond(flux[empty, k], error[empty, k], share)
        rings[k] = _beyond((flux - inner)[empty, k], ring_error[empty, k], share)
    if rings[RING] > 0:
        empty = clear > radii[RING]
        share = min(1.0, step**2 / (np.pi * radii[RING] ** 2))
        sky = (flux - inner)[empty, RING]
        for inside in np.flatnonzero(circles[: RING - 1] > 0):
            shared[inside] = _covariance(flux[empty, inside], sky, share)
    return Unevenness(circles, rings, shared)


def _grid(shape: tuple[int, ...], sources: Floats, radii: Floats) -> tuple[float, Floats]:
    """Return how far apart places are that circles of some radius are empty at, and the places."""
    ny, nx = shape
    rim = float(radii[-1])
    width, height = max(0.0, nx - 1 - 2 * rim), max(0.0, ny - 1 - 2 * rim)
    step = max(2 * float(radii[1]), float(np.sqrt(width * height / MOST_PLACES)), 1.0)
    x, y = (np.arange(rim, rim + length + 0.5, step) for length in (width, height))
    places = np.column_stack([one.ravel() for one in np.meshgrid(x, y)])
    away = _distance(places, sources) - CLEAR * radii[1]
    if not len(away) or np.mean(away > radii[1]) < LEAST_EMPTY:
        return step, np.empty((0, 2))
    return step, places[away > radii[0]]


def _distance(places: Floats, sources: Floats) -> Floats:
    """Return how far each place is from the nearest source."""
    if not len(sources) or not len(places):
        return np.full(len(places), np.inf)
    return np.asarray(cKDTree(sources).query(places)[0])


def _beyond(values: Floats, noise: Floats, share: float) -> float:
    """Return what values scatter by beyond their noise, 0 where chance explains it.

    `share` is how many of them count as independent.
    """
    known = np.isfinite(values) & (noise > 0)
    low = known & (values < 0)
    n = share * np.count_nonzero(low)
    if n < LEAST_LOW:
        return 0.0
    width = MAD_TO_SIGMA * float(np.median(-values[low] / noise[low]))
    if width < 1 + SURE_SIGMA * MEDIAN_ERROR / np.sqrt(n):
        return 0.0
    return float(np.sqrt(width**2 - 1) * np.median(noise[known]))


def _covariance(a: Floats, b: Floats, share: float) -> float:
    """Return the covariance of values, outliers not counted; 0 where chance explains it.

    Of two numbers scaled to scatter alike, by what their sum and their difference scatter by.

    References
    ----------
    Gnanadesikan & Kettenring (1972), Biometrics 28, 81.
    """
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if not len(a):
        return 0.0
    wide, broad = _width(a), _width(b)
    if not min(wide, broad) > 0:
        return 0.0
    total, rest = _width(a / wide + b / broad) ** 2, _width(a / wide - b / broad) ** 2
    ratio = (total - rest) / (total + rest)
    if ratio < SURE_SIGMA * MEDIAN_ERROR / np.sqrt(max(1.0, share * len(a))):
        return 0.0
    return float(ratio * wide * broad)


def _width(values: Floats) -> float:
    return MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values))))
