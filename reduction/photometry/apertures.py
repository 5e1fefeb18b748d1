"""Fluxes of sources in circles, and what share of a star's light a circle holds."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.image import Image
from reduction.kernels.circles import ring_sums
from reduction.photometry.detection import Detected, light_of
from reduction.photometry.growth import BEST, Growth, growth_of
from reduction.photometry.hidden import Rings, hidden_light
from reduction.photometry.spill import Curve, light_of_neighbours, shed_shares

__all__ = ["BEST", "RADII_FWHM", "Apertures", "measure"]

Floats = npt.NDArray[np.float64]
RADII_FWHM: Final = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0)  # of a star
BRIGHT: Final = 50.0  # signal to noise of stars that the growth curve is taken from
GROWN: Final = 2  # times the growth curve is taken again
DEFAULT_FWHM_PIX: Final = 4.0  # where no star tells


@dataclass(frozen=True, slots=True)
class Apertures:
    """Fluxes of the sources of a frame.

    Attributes
    ----------
    radii_pix : float array, ``(k,)``
        Of the circles.
    flux, error : float arrays, ``(n, k)``
        Above the sky, in the frame's unit, with the noise of pixels and source.
    growth : float array, ``(k,)``
        Share of a star's light within each circle; the largest holds 1 by definition.
    growth_error : float array, ``(k,)``
        How well it is known; 0 where no star told and 1 is assumed.
    others, others_error : float arrays, ``(n,)``
        Light of other sources in the circle of the best radius, and its noise; 0 where no star
        told the growth curve.
    caught : float array, ``(n,)``
        Share of each source's light in that circle, if it is a star: `growth`, and of narrow stars
        by their place within a pixel.
    hidden : float array, ``(n,)``
        Light in that circle of stars that nobody sees, or by which a source is no star, as far as
        the ring around shows it; 0 where it shows none.
    """

    radii_pix: Floats
    flux: Floats
    error: Floats
    growth: Floats
    growth_error: Floats
    others: Floats
    others_error: Floats
    caught: Floats
    hidden: Floats

    @property
    def total(self) -> Floats:
        """All the light of each source if it is a star, that of its neighbours off, ``(n,)``."""
        return np.asarray((self.flux[:, BEST] - self.others) / self.caught)

    @property
    def total_error(self) -> Floats:
        """Its noise, the growth curve's doubt left out: that is the same for all."""
        noise = np.hypot(self.error[:, BEST], self.others_error)
        return np.asarray(np.hypot(noise, self.hidden) / self.caught)


def measure(image: Image, detected: Detected) -> Apertures:
    """Measure every source of a frame in circles of some multiples of a star's width.

    Parameters
    ----------
    image : Image
        Calibrated frame.
    detected : Detected
        Its sources and background.

    Returns
    -------
    Apertures
        Fluxes of pixels that are masked are made up for by the mean of the others' in the circle.

    References
    ----------
    Stetson (1990), PASP 102, 932, of growth curves.
    """
    radii = np.array(RADII_FWHM) * (detected.fwhm_pix or DEFAULT_FWHM_PIX)
    sources = detected.sources
    light = light_of(image, detected.background)
    flux, error, ring_error = np.empty((3, len(sources), len(radii)))
    ring_sums(light, (sources.x, sources.y), radii, flux, error, ring_error)
    places = np.column_stack([sources.x, sources.y])
    bright = _telling(flux, detected, places, float(radii[-1] + radii[BEST]))
    fwhm = float(radii[0] / RADII_FWHM[0])
    told = growth_of(flux[bright], ring_error[bright], places[bright], fwhm)
    others = np.zeros(len(sources)), np.zeros(len(sources))
    every = np.arange(len(sources))
    for _ in range(GROWN if told.errors.any() else 0):  # without what lies around their stars
        curve = Curve(radii, told.shares)
        shed = shed_shares(places, every, curve, BEST)
        others = light_of_neighbours(shed, flux[:, BEST], error[:, BEST], told.shares[BEST])
        total = np.nan_to_num(flux[:, BEST] - others[0]) / told.shares[BEST]
        around = [shed_shares(places, bright, curve, k) @ total for k in range(len(radii))]
        own = flux[bright] - np.column_stack(around)
        told = growth_of(own, ring_error[bright], places[bright], fwhm)
    found = Apertures(radii, flux, error, told.shares, told.errors, *others,
                      told.caught(places), np.zeros(len(sources)))  # fmt: skip
    if not told.errors.any():
        return found
    return replace(found, hidden=_hidden(found, ring_error, places, told))


def _hidden(found: Apertures, ring_error: Floats, places: Floats, told: Growth) -> Floats:
    """Return the light of unseen stars in the best circles."""
    inner, outer = found.flux[:, BEST], found.flux[:, BEST + 1]
    errors = found.error[:, BEST], ring_error[:, BEST + 1]
    rings = Rings(inner, errors[0], outer - inner, errors[1], told.beyond(places), told.scatter)
    curve = Curve(found.radii_pix, told.shares)
    return hidden_light(rings, places, curve, (found.total, found.total_error))


def _telling(
    flux: Floats, detected: Detected, places: Floats, apart_pix: float
) -> npt.NDArray[np.int64]:
    """Return the bright clean stars that no other source lies near."""
    sources = detected.sources
    is_star = np.zeros(len(sources), bool)
    is_star[sources.like_stars(detected.fwhm_pix)] = True
    bright = is_star & sources.is_clean & (sources.snr > BRIGHT) & (flux > 0).all(axis=1)
    return np.flatnonzero(bright & (_nearest_pix(places) > apart_pix))


def _nearest_pix(places: Floats) -> Floats:
    """Return how far each source's nearest neighbour is."""
    if len(places) < 2:
        return np.full(len(places), np.inf)
    return np.asarray(cKDTree(places).query(places, k=2)[0][:, 1])
