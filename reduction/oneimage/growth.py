"""What share of a star's light an aperture holds."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.normal import MAD_TO_SIGMA
from reduction.oneimage.apertures import WHOLE_FWHM, Measurer
from reduction.photometry.detection import Sources
from reduction.photometry.zeromodel import MAG_OF_LN

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
BRIGHT_SIGNAL: Final = 30.0  # of stars that tell
SAME_WIDTH: Final = 0.25  # by which a star's width may differ from the others': no galaxies
LEAST_STARS: Final = 3
ENOUGH_STARS: Final = 8  # of a catalogue, for it to be asked instead
MOST_ERROR: Final = 0.1
CLIP_SIGMA: Final = 3.0
APART: Final = 1.25  # times the radius of the whole light, from the nearest neighbour

Share = tuple[float, float]  # and its standard error


def growth_of_stars(measurer: Measurer, sources: Sources, fwhm_pix: float | None) -> Share:
    """Return the share as bright clean sources of a star's width tell it; 1 and 0 where none do.

    Parameters
    ----------
    measurer : Measurer
        Of the image.
    sources : Sources
        All there are.
    fwhm_pix : float or None
        Of a star; None where no source tells, and the measurer's is taken.

    References
    ----------
    Stetson (1990), PASP 102, 932, of growth curves.
    """
    usual = fwhm_pix or measurer.fwhm_pix
    is_star = np.abs(sources.fwhm_pix / usual - 1) < SAME_WIDTH
    is_star &= sources.is_clean & (sources.snr > BRIGHT_SIGNAL) & _alone(measurer, sources)
    return _share(measurer, sources, np.flatnonzero(is_star), LEAST_STARS) or (1.0, 0.0)


def growth_of_calibrators(measurer: Measurer, sources: Sources, which: Indices) -> Share | None:
    """Return the share as the stars of a zero point tell it; None where they are too few.

    Where the width of stars varies over an image, the zero point of their apertures and the
    share of light in these belong to the same stars, and what varies cancels.
    """
    alone = _alone(measurer, sources)[which]
    return _share(measurer, sources, which[alone], ENOUGH_STARS)


def _alone(measurer: Measurer, sources: Sources) -> npt.NDArray[np.bool_]:
    apart = APART * WHOLE_FWHM * measurer.fwhm_pix
    return np.asarray(nearest_pix(sources.x, sources.y) > apart)


def _share(measurer: Measurer, sources: Sources, which: Indices, least: int) -> Share | None:
    """Return the mean share of some stars in magnitudes, outliers clipped."""
    if len(which) < least:
        return None
    x, y = sources.x[which], sources.y[which]
    inner, outer = measurer.light(x, y), measurer.within(x, y, WHOLE_FWHM * measurer.fwhm_pix)
    good = (inner.flux > 0) & (outer.flux > BRIGHT_SIGNAL * outer.error)
    if np.count_nonzero(good) < least:
        return None
    steps = MAG_OF_LN * np.log(inner.flux[good] / outer.flux[good])
    middle = np.median(steps)
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(steps - middle)))
    kept = steps[np.abs(steps - middle) <= max(CLIP_SIGMA * scatter, 1e-6)]
    share = float(np.exp(np.mean(kept) / MAG_OF_LN))
    error = share * float(np.std(kept)) / MAG_OF_LN / float(np.sqrt(len(kept)))
    return (share, error) if error < MOST_ERROR * share else None


def nearest_pix(x: Floats, y: Floats) -> Floats:
    """Return how far each place's nearest neighbour is."""
    if len(x) < 2:
        return np.full(len(x), np.inf)
    places = np.column_stack([x, y])
    return np.asarray(cKDTree(places).query(places, k=2)[0][:, 1])
