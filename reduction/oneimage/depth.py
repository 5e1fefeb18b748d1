"""How faint one image goes."""

from typing import Final

import numpy as np

from reduction.oneimage.objects import Extracted
from reduction.photometry.zeromodel import ZeroPoint

LEAST_OBJECTS: Final = 10  # that tell the noise of an aperture


def limit_of(zero: ZeroPoint, extracted: Extracted, sn: float) -> float | None:
    """Return the magnitude at which a star reaches a signal to noise, over the image.

    From the noise the sky leaves in an aperture and the photons of the star itself, ``F = sn
    sqrt(sky^2 + F / g)``, with `g` as the objects' own errors tell it.
    """
    light = extracted.objects.light
    good = np.isfinite(light.sky_error) & (light.sky_error > 0)
    if np.count_nonzero(good) < LEAST_OBJECTS or sn <= 0:
        return None
    sky = float(np.median(light.sky_error[good]))
    flux = flux_at(sn, sky, photon_share(extracted))
    return float(zero.value - 2.5 * np.log10(flux))


def photon_share(extracted: Extracted) -> float:
    """Return by how much the variance of an object grows with its flux."""
    light = extracted.objects.light
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (light.error**2 - light.sky_error**2) / light.flux
    known = share[np.isfinite(share) & (light.flux > 0)]
    return max(0.0, float(np.median(known))) if len(known) else 0.0


def flux_at(sn: float, sky_error: float, per_flux: float) -> float:
    """Return the flux whose signal to noise is `sn`."""
    b = sn**2 * per_flux
    return float((b + np.sqrt(b**2 + 4 * sn**2 * sky_error**2)) / 2)
