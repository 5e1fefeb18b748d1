"""Frames with few stars, placed by those that show when they are looked for less strictly."""

from typing import Final

import numpy as np

from reduction.astrometry.matching import Similarity
from reduction.astrometry.placing import Ask, Elsewhere, Hints, Known, Placed, place
from reduction.astrometry.solution import Pointing, SkyList, Solution, StarList, UnsolvedError
from reduction.astrometry.solver import prove
from reduction.astrometry.wcs import TanSip
from reduction.image import Image
from reduction.photometry.detection import DetectionParams, detect

FEW: Final = 200  # stars; of more the faintest add nothing but false ones
FAINT_SIGMA: Final = 3.0  # where the usual threshold is 4


def place_by_fainter(
    image: Image, stars: StarList, hints: Hints, ask: Ask[Known], elsewhere: Elsewhere
) -> Placed[Known] | None:
    """Return where a frame points whose stars were too few to be matched.

    A short exposure may show the catalogue's stars near the threshold alone, beside brighter ones
    the catalogue does not have. A place that fainter sources prove, all trials counted, must be
    borne out by the frame's own stars besides.

    Parameters
    ----------
    image : Image
        Calibrated frame.
    stars : StarList
        What was detected at the usual threshold.
    hints : Hints
        Where it is believed to point.
    ask, elsewhere
        As `place` takes them.

    Returns
    -------
    Placed or None
        None where there are many stars, or nothing is proved.
    """
    if len(stars.x) > FEW:
        return None
    detected = detect(image, DetectionParams(threshold_sigma=FAINT_SIGMA))
    found, chosen = detected.sources, detected.sources.like_stars(detected.fwhm_pix)
    more = StarList(found.x[chosen], found.y[chosen], found.error_pix[chosen], stars.shape)
    try:
        placed = place(more, hints, ask, elsewhere)
    except UnsolvedError:
        return None
    solution = _proved_at(placed.solution.wcs, stars, placed.reference)
    if solution is None:
        return None
    return Placed(solution, placed.reference, placed.around, placed.found_by)


def _proved_at(wcs: TanSip, stars: StarList, reference: Known) -> Solution | None:
    """Return the solution at a place, None where the stars do not prove it."""
    ny, nx = stars.shape
    ra, dec = wcs.sky(np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2]))
    scale = wcs.scale_arcsec
    a, b = wcs.cd[:, 0] * 3600 / scale
    trial = Similarity(0.0, float(a), float(b), 0.0, 0.0, 1.0 if wcs.is_flipped else -1.0)
    at = Pointing(float(ra[0]), float(dec[0]), scale, 0.0)
    sky = SkyList(reference.ra_deg, reference.dec_deg)
    # One trial: the fainter ones have proved the place, all of theirs counted.
    return prove(stars, sky, at, trial, n_tried=1)
