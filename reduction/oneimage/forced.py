"""Light at given places of one image, whether or not something was found there."""

import numpy as np
import numpy.typing as npt
import sep

from reduction.flags import PixelFlag
from reduction.image import MaskPlane
from reduction.oneimage.apertures import MASKED_FOOTPRINT, Light
from reduction.oneimage.depth import flux_at, photon_share
from reduction.oneimage.objects import SATURATED, Extracted
from reduction.photometry.detection import SIGMA_TO_FWHM
from reduction.photometry.zeromodel import ZeroPoint

Floats = npt.NDArray[np.float64]


def light_at(extracted: Extracted, mask: MaskPlane, x: Floats, y: Floats) -> Light:
    """Return the light at places, measured as the objects' was.

    Parameters
    ----------
    extracted : Extracted
        The image's objects, and how they were measured.
    mask : uint16 array, ``(ny, nx)``
        Bits of `PixelFlag`.
    x, y : float arrays, ``(n,)``
        Places, pixels counted from 0.

    Returns
    -------
    Light
        Brought to all of a star's light; flags tell of saturated and masked pixels within a FWHM.
    """
    light = extracted.measurer.light(x, y).scaled(1 / extracted.growth)
    reach = extracted.fwhm_pix
    saturated = _touched(mask, PixelFlag.SATURATED, x, y, reach)
    masked = np.zeros(len(x), bool)
    for flag in (PixelFlag.BAD, PixelFlag.NO_DATA, PixelFlag.COSMIC_RAY):
        masked |= _touched(mask, flag, x, y, reach)
    flags = light.flags | np.where(saturated, SATURATED, 0) | np.where(masked, MASKED_FOOTPRINT, 0)
    return Light(
        light.flux, light.error, light.sky, light.sky_error, light.n_pixels, np.asarray(flags)
    )


def _touched(
    mask: MaskPlane, flag: PixelFlag, x: Floats, y: Floats, radius: float
) -> npt.NDArray[np.bool_]:
    """Tell at which places a flagged pixel lies within a radius."""
    flagged = ((mask & np.uint16(flag)) != 0).astype(np.float32)
    total, _, _ = sep.sum_circle(flagged, x, y, radius, subpix=0)
    return np.asarray(total > 0)


def recentred(extracted: Extracted, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return windowed centroids near places; the places where none is within a FWHM.

    References
    ----------
    Bertin & Arnouts (1996), A&AS 117, 393; SExtractor's XWIN and YWIN.
    """
    measurer, fwhm = extracted.measurer, extracted.fwhm_pix
    sigma = np.full(len(x), fwhm / SIGMA_TO_FWHM)
    new_x, new_y, failed = sep.winpos(measurer.above, x, y, sigma, mask=measurer.masked)
    with np.errstate(invalid="ignore"):
        is_near = (failed == 0) & (np.hypot(new_x - x, new_y - y) < fwhm)
    return np.where(is_near, new_x, x), np.where(is_near, new_y, y)


def forced_limits(
    extracted: Extracted,
    zero: ZeroPoint,
    light: Light,
    at: tuple[Floats, Floats],
    sn: float,
) -> Floats:
    """Return the faintest magnitudes that would reach a signal to noise at places.

    Parameters
    ----------
    extracted : Extracted
        The image's objects, which tell how noise grows with light.
    zero : ZeroPoint
        Of the image.
    light : Light
        Measured at the places: the sky's noise there counts, whatever shines.
    at : tuple of float arrays
        The places from -1 to 1.
    sn : float
        Signal to noise.
    """
    per_flux = photon_share(extracted)
    fluxes = np.array([flux_at(sn, float(error), per_flux) for error in light.sky_error])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(zero.at(*at) - 2.5 * np.log10(fluxes))
