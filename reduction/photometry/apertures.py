"""Fluxes of sources in circles, and what share of a star's light a circle holds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.image import Image
from reduction.kernels.circles import circle_sums
from reduction.photometry.detection import Detected, light_of
from reduction.stats import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
RADII_FWHM: Final = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0)  # of a star
BEST: Final = 1  # of the radii: about the largest signal to noise there is for faint stars
BRIGHT: Final = 50.0  # signal to noise of stars that the growth curve is taken from
LEAST_STARS: Final = 3
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
    """

    radii_pix: Floats
    flux: Floats
    error: Floats
    growth: Floats
    growth_error: Floats

    @property
    def total(self) -> Floats:
        """All the light of each source if it is a star, ``(n,)``."""
        return np.asarray(self.flux[:, BEST] / self.growth[BEST])

    @property
    def total_error(self) -> Floats:
        """Its noise, the growth curve's doubt left out: that is the same for all."""
        return np.asarray(self.error[:, BEST] / self.growth[BEST])


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
    flux, error = np.empty((len(sources), len(radii))), np.empty((len(sources), len(radii)))
    circle_sums(light, (sources.x, sources.y), radii, flux, error)
    growth, growth_error = _growth(flux, detected, float(radii[-1] + radii[BEST]))
    return Apertures(radii, flux, error, growth, growth_error)


def _growth(flux: Floats, detected: Detected, apart_pix: float) -> tuple[Floats, Floats]:
    """Return the growth curve of bright clean stars that no other source lies near."""
    sources = detected.sources
    n_radii = flux.shape[1]
    is_star = np.zeros(len(sources), bool)
    is_star[sources.like_stars(detected.fwhm_pix)] = True
    bright = is_star & sources.is_clean & (sources.snr > BRIGHT) & (flux > 0).all(axis=1)
    bright &= _nearest_pix(sources.x, sources.y) > apart_pix
    if np.count_nonzero(bright) < LEAST_STARS:
        return np.ones(n_radii), np.zeros(n_radii)
    shares = flux[bright] / flux[bright][:, -1:]
    growth = np.median(shares, axis=0)
    scatter = MAD_TO_SIGMA * np.median(np.abs(shares - growth), axis=0)
    return growth, 1.2533 * scatter / np.sqrt(np.count_nonzero(bright))


def _nearest_pix(x: Floats, y: Floats) -> Floats:
    """Return how far each source's nearest neighbour is."""
    if len(x) < 2:
        return np.full(len(x), np.inf)
    places = np.column_stack([x, y])
    return np.asarray(cKDTree(places).query(places, k=2)[0][:, 1])
