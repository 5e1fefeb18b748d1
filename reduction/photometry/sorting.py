"""What a source is by its shape: a star, something wider, a hit of single pixels, a trail."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.flags import PixelFlag
from reduction.photometry.apertures import Apertures
from reduction.photometry.detection import SIGMA_TO_FWHM, Detected
from reduction.photometry.kinds import SourceKind

Floats = npt.NDArray[np.float64]
INNER, OUTER = 0, 2  # of the apertures, whose ratio tells how concentrated the light is
SIGNIFICANCE: Final = 4.0  # standard deviations from what a star's ratio is
LOCUS_WIDTH: Final = 0.04  # of that ratio, that stars differ by over a frame
SHARP_RATIO: Final = 1.15  # times a star's: the light is in fewer pixels than the optics allow
TELLING_SIGNAL: Final = 15.0  # of fainter ones nothing is said
TRAIL_RATIO: Final = 0.35  # of the axes
TRAIL_LENGTH: Final = 3.0  # half axis over a star's, of a line across the frame
TRAIL_WIDTH: Final = 2.0  # the other half axis over a star's: a galaxy seen edge-on is wider
TRAIL_SURE_LENGTH: Final = 30.0  # so long a one may be wider: an aeroplane's is out of focus
NEAR_FWHM: Final = 1.0  # beyond the larger circle, whence a neighbour's light still comes in
NEIGHBOUR_SHARE: Final = 0.02  # of a source's light, that a neighbour must have to matter


def sort_sources(detected: Detected, apertures: Apertures) -> npt.NDArray[np.uint8]:
    """Return what each source of a frame is, by how its light compares with the stars' growth.

    The ratio of the light in a small and a larger circle is that of the growth curve for a star,
    lower for what is wider and higher for what is sharper; how far off it may be follows from its
    noise. A thin long ellipse is a trail whatever its light. Of what is saturated, beside bad
    pixels, cut by the edge or in the light of a neighbour the circles tell nothing.

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
    told &= (sources.flags == 0) & ~sources.is_truncated & ~_has_neighbour(detected, apertures)
    kinds[told] = SourceKind.STAR
    kinds[told & (off < -SIGNIFICANCE)] = SourceKind.WIDE
    kinds[told & (off > SIGNIFICANCE) & (ratio > SHARP_RATIO)] = SourceKind.SHARP
    kinds[_are_lines(detected, fwhm / SIGMA_TO_FWHM)] = SourceKind.TRAIL
    return kinds


def _are_lines(detected: Detected, star_pix: float) -> npt.NDArray[np.bool_]:
    """Tell which sources are thin and long, but for saturated stars that bleed along a column."""
    sources = detected.sources
    a, b = sources.a_pix, sources.b_pix
    is_long = (a > TRAIL_LENGTH * star_pix) & (b < TRAIL_RATIO * a)
    is_thin = (b < TRAIL_WIDTH * star_pix) | (a > TRAIL_SURE_LENGTH * star_pix)
    return np.asarray(is_long & is_thin & ((sources.flags & PixelFlag.SATURATED) == 0))


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


def _has_neighbour(detected: Detected, apertures: Apertures) -> npt.NDArray[np.bool_]:
    """Tell which sources have enough of another's light in their circles to look wide by it."""
    sources = detected.sources
    reach = float(apertures.radii_pix[OUTER]) + NEAR_FWHM * (detected.fwhm_pix or 1.0)
    pairs = cKDTree(np.column_stack([sources.x, sources.y])).query_pairs(
        reach, output_type="ndarray"
    )
    first, second = np.concatenate([pairs, pairs[:, ::-1]]).T
    found = np.zeros(len(sources), np.bool_)
    matters = sources.flux[second] > NEIGHBOUR_SHARE * sources.flux[first]
    found[first[matters]] = True
    return found
