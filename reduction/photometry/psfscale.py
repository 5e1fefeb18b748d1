"""How fluxes of fits are brought on the scale of apertures, over a frame."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.photometry.apertures import Apertures
from reduction.photometry.detection import Detected
from reduction.photometry.growth import BEST, SURE_STARS, usual
from reduction.photometry.varying import Told, varying_of

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
STAR_SIGNAL: Final = 40.0  # of stars that tell the profile, and its scale
LEAST_OWN: Final = 0.9  # of the light under the profile of stars that tie it to the apertures
MOST_GROWTH_DOUBT: Final = 0.005  # of the light in circles: crowds hide more, and the profile tells
LEAST_SCALE: Final = 0.3  # of what most stars have, that a place may
LEAST_NOISE: Final = 0.3  # of an aperture's, that its light may differ by from the profile's


@dataclass(frozen=True, slots=True)
class Scales:
    """What fitted fluxes are multiplied with, and how well it is known of each, ``(n,)``."""

    value: Floats
    error: Floats


def scales_of(light: Floats, detected: Detected, apertures: Apertures, scale: float) -> Scales:
    """Return what fitted fluxes are multiplied with to be on the scale of the apertures.

    By all bright clean stars that have their light for themselves, where they are enough: where
    most have neighbours, few tell how much is in the wings of the profile. Of a frame whose stars'
    widths vary as no polynomial of the profile does, by the stars around.

    Parameters
    ----------
    light : float array, ``(3, n)``
        Fluxes of fits, their errors and the share under the profile that is a star's own.
    detected, apertures : Detected, Apertures
        Sources and their fluxes.
    scale : float
        Where too few stars tell.

    Returns
    -------
    Scales

    References
    ----------
    Stetson (1990), PASP 102, 932, of tying fits to apertures.
    """
    n = light.shape[1]
    alike = Scales(np.full(n, scale), np.zeros(n))
    told = apertures.growth_error[BEST] / apertures.growth[BEST]
    if not 0 < told < MOST_GROWTH_DOUBT and apertures.near is None:
        return alike
    good, ratio, noise = _telling(light, detected, apertures)
    if np.count_nonzero(good) < SURE_STARS:
        return alike
    if apertures.near is not None and apertures.near_noise is not None:
        own = apertures.near, apertures.near_noise
        return _by_place(detected, own, (good, ratio, noise)) or alike
    found, _ = usual(np.ones((np.count_nonzero(good), 1)), ratio[good], noise[good])
    return Scales(np.full(n, float(found[0])), np.zeros(n))


def _telling(
    light: Floats, detected: Detected, apertures: Apertures
) -> tuple[Bits, Floats, Floats]:
    """Return which stars tell how apertures' light is to that of fits, what they tell, and noise.

    Stars that tell the scale of all: of a star in both, most of its noise is the same.
    """
    flux, error, own = light
    sources = detected.sources
    like = np.zeros(len(sources), np.bool_)
    like[sources.like_stars(detected.fwhm_pix)] = True
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, doubt = apertures.total / flux, apertures.total_error / flux
        noise = np.sqrt(np.maximum(doubt**2 - (error / flux) ** 2, (LEAST_NOISE * doubt) ** 2))
    good = like & sources.is_clean & (sources.snr > STAR_SIGNAL) & (own > LEAST_OWN)
    good &= (flux > 0) & np.isfinite(ratio) & (noise > 0)
    return np.asarray(good), ratio, noise


def _by_place(
    detected: Detected, own: tuple[Floats, Floats], told: tuple[Bits, Floats, Floats]
) -> Scales | None:
    """Return the scales of fits where stars' widths vary as no polynomial does; None if few tell.

    From the stars around, and each source's own ring.
    """
    (near, near_noise), (good, ratio, noise) = own, told
    places = np.column_stack([detected.sources.x, detected.sources.y])
    good = good & np.isfinite(near) & np.isfinite(near_noise)
    if not good.any():
        return None
    middle = float(np.median(ratio[good]))
    stars = Told(
        places[good], near[good], near_noise[good], ratio[good] / middle - 1, noise[good] / middle
    )
    vary = varying_of(stars, float(np.std(stars.near)))
    if vary is None:
        return None
    more, doubt = vary.beyond(places, near, near_noise)
    return Scales(middle * np.maximum(1 + more, LEAST_SCALE), middle * doubt)
