"""Growth curves that vary over a frame: what stars around, and a star's own ring, tell of it.

A smooth polynomial does not follow the width of stars where a mosaic jumps from one exposure to
the next.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.normal import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
LEAST_SCATTER: Final = 0.02  # of what is in a ring, from star to star, beyond noise
LEAST_STARS: Final = 20
NEAREST: Final = (4, 8, 16)  # stars that a place is told by
GAIN: Final = 0.9  # of what stars left out are off by, that fewer neighbours are worth it
SURE_GAIN: Final = 0.75  # that proves alone that growth varies: unseen stars lie anywhere
OWN_DOUBT: Final = 0.01  # by which a star may differ from its neighbours
CLIP_SIGMA: Final = 4.0


@dataclass(frozen=True, slots=True)
class Told:
    """What stars tell of how light grows around them, ``(n,)`` each.

    Attributes
    ----------
    places : float array, ``(n, 2)``
        Pixels.
    near, near_noise : float arrays
        Light in the first ring around a circle beyond what is usual, over that in the circle.
    far, far_noise : float arrays
        The same of all rings of it.
    """

    places: Floats
    near: Floats
    near_noise: Floats
    far: Floats
    far_noise: Floats


@dataclass(frozen=True, slots=True)
class Varying:
    """How growth differs from what is usual in a frame, as stars tell.

    Attributes
    ----------
    told : Told
        By which stars.
    n_nearest : int
        How many of them tell of a place; 0 where those around tell no more than all.
    scatter : float
        By which the first ring differs from what stars around have.
    slope, rest : float
        By how much all rings grow with the first, and what they differ by beyond that.
    """

    told: Told
    n_nearest: int
    scatter: float
    slope: float
    rest: float

    def beyond(self, places: Floats, near: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Return by how much more light is in all rings of sources, and how well it is known.

        The best linear prediction, from the stars around and each source's own first ring: of a
        bright one that tells nearly all, of a faint one nothing. A ring far from what stars around
        have holds something else.

        Parameters
        ----------
        places : float array, ``(m, 2)``
            Of sources.
        near, noise : float arrays, ``(m,)``
            Of their own first rings, as `Told` has them.
        """
        around, far = (
            _around(self.told.places, values, errors, places, self.n_nearest)
            for values, errors in (
                (self.told.near, self.told.near_noise),
                (self.told.far, self.told.far_noise),
            )
        )
        variance = self.scatter**2 + noise**2
        off = near - around
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(off**2 < CLIP_SIGMA**2 * variance, self.scatter**2 / variance, 0.0)
        weight = np.where(np.isfinite(off) & np.isfinite(weight), weight, 0.0)
        more = far + self.slope * weight * np.where(weight > 0, off, 0.0)
        left = self.slope**2 * self.scatter**2 * (1 - weight) + self.rest**2
        return more, np.sqrt(left)

    def ring(self, places: Floats) -> Floats:
        """Return by how much more light stars of places have in the first ring, ``(m,)``."""
        told = self.told
        return _around(told.places, told.near, told.near_noise, places, self.n_nearest)


def varying_of(told: Told, scatter: float) -> Varying | None:
    """Return how growth varies over a frame, None where it does not.

    How many stars tell of a place is what predicts stars left out best.

    Parameters
    ----------
    told : Told
        Of bright stars that have their light for themselves.
    scatter : float
        By how much their first rings differ beyond noise, as those with least light in them tell.

    References
    ----------
    Howell (1989), PASP 101, 616, and Stetson (1990), PASP 102, 932, of corrections by growth.
    """
    spread = _beyond(told.near - np.median(told.near), told.near_noise) if len(told.near) else 0.0
    if max(scatter, spread) < LEAST_SCATTER or len(told.near) < LEAST_STARS:
        return None
    whole = _width(told.far - np.median(told.far))
    n_nearest, least = 0, whole
    for n in NEAREST:
        left = told.far - _left_out(told.places, told.far, told.far_noise, n)
        if _width(left) < GAIN * least:
            n_nearest, least = n, _width(left)
    if scatter < LEAST_SCATTER and least > SURE_GAIN * whole:
        return None
    near = told.near - _left_out(told.places, told.near, told.near_noise, n_nearest)
    far = told.far - _left_out(told.places, told.far, told.far_noise, n_nearest)
    usual = np.abs(near) <= CLIP_SIGMA * max(_width(near), 1e-9)
    slope = float(np.sum(near[usual] * far[usual]) / max(np.sum(near[usual] ** 2), 1e-30))
    own = _beyond(near, told.near_noise)
    # The noise of the first ring is in the others too, and has been taken off with it.
    noise = np.sqrt(np.maximum(told.far_noise**2 - told.near_noise**2, 0.0))
    return Varying(told, n_nearest, own, slope, _beyond(far - slope * near, noise))


def _left_out(at: Floats, values: Floats, noise: Floats, n: int) -> Floats:
    """Return what the nearest others tell of each star."""
    if not n:
        return np.full(len(values), np.median(values))
    _, nearest = cKDTree(at).query(at, k=min(n + 1, len(at)))
    return _mean(values[nearest[:, 1:]], noise[nearest[:, 1:]])


def _around(at: Floats, values: Floats, noise: Floats, places: Floats, n: int) -> Floats:
    """Return what the nearest stars tell of places."""
    if not n or not len(places):
        return np.full(len(places), np.median(values))
    _, nearest = cKDTree(at).query(places, k=min(n, len(at)))
    return _mean(values[nearest], noise[nearest])


def _mean(values: Floats, noise: Floats) -> Floats:
    """Return weighted means along rows, none of what is far from the median."""
    middle = np.median(values, axis=1, keepdims=True)
    off = np.abs(values - middle)
    spread = MAD_TO_SIGMA * np.median(off, axis=1, keepdims=True)
    weight = np.where(off <= 3 * np.hypot(noise, spread), 1 / (noise**2 + OWN_DOUBT**2), 0.0)
    return np.asarray(np.sum(weight * values, axis=1) / np.sum(weight, axis=1))


def _width(values: Floats) -> float:
    return MAD_TO_SIGMA * float(np.median(np.abs(values)))


def _beyond(values: Floats, noise: Floats) -> float:
    """Return what values scatter by beyond their noise."""
    return float(np.sqrt(max(_width(values) ** 2 - float(np.median(noise)) ** 2, 0.0)))
