"""Fluxes of sources in circles, and what share of a star's light a circle holds."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.image import Image
from reduction.kernels.circles import ring_sums
from reduction.photometry.detection import Detected, light_of
from reduction.photometry.emptysky import RING, SHED_DOUBT, Unevenness, unevenness
from reduction.photometry.growth import BEST, Growth, growth_of
from reduction.photometry.hidden import Rings, hidden_light
from reduction.photometry.spill import Curve, light_of_neighbours, shed_shares
from reduction.photometry.varying import Told, Varying, varying_of

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
        Above the sky, in the frame's unit, with the noise of pixels and source and what the sky is
        uneven by.
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
    uneven : float array, ``(k,)``
        By how much the sky in circles scatters beyond the noise of its pixels; it is in `error`.
    sky, sky_variance : float arrays, ``(n,)``
        Light of uneven sky in the best circle, as far as the sky around shows it, and by how much
        the variance of the light is less without it; 0 where the sky is even.
    varies : float array, ``(n,)``
        By how much the growth of a source's light may differ from what is taken for it, over the
        light in the best circle; 0 where stars of a frame are alike.
    near, near_noise : float arrays or None, ``(n,)``
        Light in the first ring around it beyond what is usual, over that in it, and its noise;
        None where stars of a frame are alike.
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
    uneven: Floats
    sky: Floats
    sky_variance: Floats
    varies: Floats
    near: Floats | None = None
    near_noise: Floats | None = None

    @property
    def total(self) -> Floats:
        """All the light of each source if it is a star, without neighbours' and sky, ``(n,)``."""
        return np.asarray((self.flux[:, BEST] - self.others - self.sky) / self.caught)

    @property
    def total_error(self) -> Floats:
        """Its noise, the growth curve's doubt left out: that is the same for all."""
        own = np.sqrt(np.maximum(self.error[:, BEST] ** 2 - self.sky_variance, 0.0))
        noise = np.hypot(np.hypot(own, self.others_error), self.hidden)
        own_light = self.total * self.caught
        return np.asarray(np.hypot(noise / self.caught, own_light * self.varies))


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
    rough, sky_noise = unevenness(light, places, radii), ring_error[:, RING]
    error, ring_error = np.hypot(error, rough.circles), np.hypot(ring_error, rough.rings)
    bright = _telling(flux, detected, places, float(radii[-1] + radii[BEST]))
    told, own, others = _growth((radii, flux, error, ring_error), places, bright)
    none = np.zeros(len(sources))
    found = Apertures(radii, flux, error, told.shares, told.errors, *others,
                      told.caught(places), none, rough.circles, none, none, none)  # fmt: skip
    if not told.errors.any():
        return found
    found = _on_its_sky(found, rough, sky_noise, places)
    vary = varying_of(_told_by(own, ring_error[bright], places[bright], told), told.scatter)
    if vary is not None:
        found = _as_it_grows(found, ring_error, places, (told, vary))
    return replace(found, hidden=_hidden(found, ring_error, places, (told, vary)))


def _growth(
    circles: tuple[Floats, Floats, Floats, Floats], places: Floats, bright: npt.NDArray[np.int64]
) -> tuple[Growth, Floats, tuple[Floats, Floats]]:
    """Return how the light of bright stars grows, their own light, and others' in all best circles.

    `circles` are radii, fluxes, errors, and noise of rings.
    """
    radii, flux, error, ring_error = circles
    fwhm = float(radii[0] / RADII_FWHM[0])
    own, every = flux[bright], np.arange(len(flux))
    told = growth_of(own, ring_error[bright], places[bright], fwhm)
    others = np.zeros(len(flux)), np.zeros(len(flux))
    for _ in range(GROWN if told.errors.any() else 0):  # without what lies around their stars
        curve = Curve(radii, told.shares)
        shed = shed_shares(places, every, curve, BEST)
        others = light_of_neighbours(shed, flux[:, BEST], error[:, BEST], told.shares[BEST])
        total = np.nan_to_num(flux[:, BEST] - others[0]) / told.shares[BEST]
        around = [shed_shares(places, bright, curve, k) @ total for k in range(len(radii))]
        own = flux[bright] - np.column_stack(around)
        told = growth_of(own, ring_error[bright], places[bright], fwhm)
    return told, own, others


def _told_by(own: Floats, ring_error: Floats, places: Floats, told: Growth) -> Told:
    """Return by how much more light than usual bright stars have around their best circles."""
    good = (own > 0).all(axis=1)
    own, ring_error, places = own[good], ring_error[good], places[good]
    near, far = told.beyond(places), _usual_far(told, places)
    inner = own[:, BEST]
    return Told(
        places,
        (own[:, BEST + 1] - inner) / inner - near,
        ring_error[:, BEST + 1] / inner,
        (own[:, RING] - inner) / inner - far,
        np.sqrt(np.sum(ring_error[:, BEST + 1 : RING + 1] ** 2, axis=1)) / inner,
    )


def _usual_far(told: Growth, places: Floats) -> Floats:
    """Return the light between the best circle and `RING` over that in it, of usual stars."""
    beyond = (told.shares[RING] - told.shares[BEST + 1]) / told.shares[BEST]
    return np.asarray(told.beyond(places) + beyond)


def _as_it_grows(
    found: Apertures, ring_error: Floats, places: Floats, by: tuple[Growth, Varying]
) -> Apertures:
    """Return fluxes whose light grows as that of the stars around, and as their own rings say."""
    told, vary = by
    curve, every = Curve(found.radii_pix, found.growth), np.arange(len(places))
    total = np.maximum(np.nan_to_num(found.total), 0.0)
    shed = (
        shed_shares(places, every, curve, BEST + 1) - shed_shares(places, every, curve, BEST)
    ) @ total
    inner = found.flux[:, BEST] - found.others - found.sky
    ring = found.flux[:, BEST + 1] - found.flux[:, BEST] - shed
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.where(inner > 0, ring / inner - told.beyond(places), np.nan)
        noise = np.where(inner > 0, ring_error[:, BEST + 1] / inner, np.inf)
    more, doubt = vary.beyond(places, near, noise)
    caught = 1 / np.maximum(1 / found.caught + more, 1.0)
    return replace(found, caught=caught, varies=doubt, near=near, near_noise=noise)


def _on_its_sky(
    found: Apertures, rough: Unevenness, sky_noise: Floats, places: Floats
) -> Apertures:
    """Return fluxes without the light of uneven sky, as far as the rings around stars tell it."""
    if not rough.shared[BEST] > 0:
        return found
    curve, every = Curve(found.radii_pix, found.growth), np.arange(len(places))
    total = np.nan_to_num(found.total)
    shed = np.maximum(
        (shed_shares(places, every, curve, RING) - shed_shares(places, every, curve, RING - 1))
        @ np.maximum(total, 0.0),
        0.0,
    )
    own = found.growth[RING] - found.growth[RING - 1]
    ring = found.flux[:, RING] - found.flux[:, RING - 1] - shed - own * total
    sky, less = rough.under(BEST, ring, np.hypot(sky_noise, SHED_DOUBT * shed))
    return replace(found, sky=sky, sky_variance=less)


def _hidden(
    found: Apertures, ring_error: Floats, places: Floats, by: tuple[Growth, Varying | None]
) -> Floats:
    """Return the light of unseen stars in the best circles."""
    told, vary = by
    usual, scatter = told.beyond(places), told.scatter
    if vary is not None:
        usual, scatter = usual + vary.ring(places), vary.scatter
    inner, outer = found.flux[:, BEST], found.flux[:, BEST + 1]
    errors = found.error[:, BEST], ring_error[:, BEST + 1]
    rings = Rings(inner, errors[0], outer - inner, errors[1], usual, scatter)
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
