"""What a source is by its shape: a star, something wider, a hit of single pixels, a trail."""

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.photometry.apertures import Apertures
from reduction.photometry.detection import SIGMA_TO_FWHM, Detected

Floats = npt.NDArray[np.float64]
INNER, OUTER = 0, 2  # of the apertures, whose ratio tells how concentrated the light is
SIGNIFICANCE: Final = 4.0  # standard deviations from what a star's ratio is
LOCUS_WIDTH: Final = 0.04  # of that ratio, that stars differ by over a frame
SHARP_RATIO: Final = 1.15  # times a star's: the light is in fewer pixels than the optics allow
TELLING_SIGNAL: Final = 15.0  # of fainter ones nothing is said
TRAIL_RATIO: Final = 0.35  # of the axes
TRAIL_LENGTH: Final = 3.0  # half axis over a star's, of a line across the frame


class SourceKind(IntEnum):
    """What a source looks like."""

    UNSURE = 0  # too faint, or nothing is known of the stars
    STAR = 1
    WIDE = 2  # a galaxy, or stars that are not parted
    SHARP = 3  # a hit of a cosmic ray or a hot pixel
    TRAIL = 4  # of a satellite, an aeroplane, a meteor


def sort_sources(detected: Detected, apertures: Apertures) -> npt.NDArray[np.uint8]:
    """Return what each source of a frame is, by how its light compares with the stars' growth.

    The ratio of the light in a small and a larger circle is that of the growth curve for a star,
    lower for what is wider and higher for what is sharper; how far off it may be follows from its
    noise. A thin long ellipse is a trail whatever its light.

    Parameters
    ----------
    detected : Detected
        Sources and the width of a star.
    apertures : Apertures
        Their fluxes and the growth curve.

    Returns
    -------
    uint8 array, ``(n,)``
        Values of `SourceKind`.

    References
    ----------
    Desai et al. (2012), ApJ 757, 83, on telling stars by differences of magnitudes.
    """
    sources, fwhm = detected.sources, detected.fwhm_pix
    kinds = np.full(len(sources), SourceKind.UNSURE, np.uint8)
    if fwhm is None:
        return kinds
    ratio, error = _concentration(apertures)
    off = (ratio - 1) / np.hypot(error, LOCUS_WIDTH)
    told = np.isfinite(off) & (sources.snr > TELLING_SIGNAL) & bool(apertures.growth_error.any())
    kinds[told] = SourceKind.STAR
    kinds[told & (off < -SIGNIFICANCE)] = SourceKind.WIDE
    kinds[told & (off > SIGNIFICANCE) & (ratio > SHARP_RATIO)] = SourceKind.SHARP
    is_long = sources.a_pix > TRAIL_LENGTH * fwhm / SIGMA_TO_FWHM
    kinds[is_long & (sources.b_pix < TRAIL_RATIO * sources.a_pix)] = SourceKind.TRAIL
    return kinds


def _concentration(apertures: Apertures) -> tuple[Floats, Floats]:
    """Return how concentrated the light of each source is, a star's being 1, and its noise."""
    inner, outer = apertures.flux[:, INNER], apertures.flux[:, OUTER]
    star = apertures.growth[INNER] / apertures.growth[OUTER]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = inner / outer
        ring = np.sqrt(
            np.maximum(apertures.error[:, OUTER] ** 2 - apertures.error[:, INNER] ** 2, 0)
        )
        error = np.hypot((1 - ratio) * apertures.error[:, INNER], ratio * ring) / outer
    return np.where(outer > 0, ratio / star, np.nan), np.asarray(error / star)
