"""Why a frame has no place: what its sources and pixels tell of it."""

from typing import Final

import numpy as np

from reduction.flags import PixelFlag
from reduction.image import Image
from reduction.photometry.deblend import HOT_WIDTH_PIX
from reduction.photometry.detection import (
    SIGMA_TO_FWHM,
    STAR_SIGNAL,
    Detected,
    Sources,
)
from reduction.trails import trail_of

TRAILED: Final = 2.0  # length of a trail in widths of a star
ALIGNED: Final = 0.8  # of its stars, that point along it
ENOUGH_STARS: Final = 5
BRIGHTEST: Final = 40  # sources, of which so many may not be saturated
MOST_SATURATED: Final = 0.6
MOST_PIXELS: Final = 0.2  # of a frame
SHARPEST_ARCSEC, BLURRED_ARCSEC, BLURRED_PIX = 0.25, 15.0, 4.0  # width of a star from the ground


def told_by_sources(
    detected: Detected, image: Image, scale_arcsec: float | None
) -> tuple[str, str] | None:
    """Return what hinders a match, as a name and a sentence; None where nothing is seen.

    Parameters
    ----------
    detected : Detected
        The sources.
    image : Image
        The frame they are from.
    scale_arcsec : float or None
        Arcseconds a pixel that is believed in.

    Returns
    -------
    tuple of str, or None
        ``saturated``, ``trailed`` or ``wrong_scale``.
    """
    if is_saturated(detected.sources, image):
        return "saturated", "most of its light is saturated: expose shorter, or check the level"
    if is_trailed(detected.sources):
        return "trailed", "its stars are trails: did the telescope track, or the dome shake it?"
    fwhm = detected.fwhm_pix
    if fwhm is None or scale_arcsec is None:
        return None
    width = fwhm * scale_arcsec
    if width < SHARPEST_ARCSEC or (width > BLURRED_ARCSEC and fwhm > BLURRED_PIX):
        return "wrong_scale", (
            f"its stars would be {width:.2g} arcsec wide at {scale_arcsec:.3g} arcsec a pixel, "
            "which no sky makes: is the pixel scale, or the binning, right?"
        )
    return None


def is_saturated(sources: Sources, image: Image) -> bool:
    """Tell whether most of the brightest sources, or much of the frame, are saturated."""
    flag = np.uint16(PixelFlag.SATURATED)
    if np.count_nonzero(image.mask & flag) > MOST_PIXELS * image.mask.size:
        return True
    bright = sources.flags[:BRIGHTEST]
    n_full = int(np.count_nonzero(bright & flag))
    return n_full >= ENOUGH_STARS and n_full > MOST_SATURATED * len(bright)


def is_trailed(sources: Sources) -> bool:
    """Tell whether the stars are drawn out together by more than twice their width."""
    trail = trail_of(sources)
    if trail is None or trail.alignment < ALIGNED:
        return False
    telling = (sources.snr > STAR_SIGNAL) & (sources.fwhm_pix > HOT_WIDTH_PIX)
    width_pix = SIGMA_TO_FWHM * float(np.median(sources.b_pix[telling]))
    return trail.length_pix > TRAILED * width_pix
