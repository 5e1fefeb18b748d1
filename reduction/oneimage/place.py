"""Where one image lies on the sky: as its header says, refined, or found without it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry import placing
from reduction.astrometry.matching import WIDENING
from reduction.astrometry.placing import HINTS_ALONE, Elsewhere, Hints
from reduction.astrometry.solution import Pointing, SkyList, Solution, UnsolvedError
from reduction.astrometry.solution import StarList as FrameStars
from reduction.astrometry.solver import solve
from reduction.astrometry.wcs import TanSip, fit_tan_sip
from reduction.errors import ReductionError
from reduction.frameinfo import FrameInfo
from reduction.oneimage.options import PlaceOptions
from reduction.photometry.detection import Detected
from reduction.refcat.geometry import separations_deg
from reduction.reference import AskCatalogue, Reference

Floats = npt.NDArray[np.float64]
SCALE_STEP: Final = 1.7  # a scale is found within 35 % either way
LEAST_ERROR_PIX: Final = 0.02
LENIENT: Final = 1.02  # a scale that is given is a round one
# Causes that a search as its user asked for ends with; the hints of a header took no part in it.
_OF_SEARCH: Final = frozenset({"no_pointing", "no_scale", "no_match", "not_covered"})
Shape = tuple[int, int]


class NoPlaceError(ReductionError):
    """An image could not be placed on the sky; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An image's place on the sky.

    Attributes
    ----------
    wcs : TanSip
        Where its pixels lie.
    how : str
        A sentence: by its header, refined, found.
    solution : Solution or None
        The match with a catalogue it rests on; its stars are numbered as the image's sources.
    reference : Reference or None
        That catalogue.
    doubt : str
        Why it was not refined although that was asked for; empty otherwise.
    """

    wcs: TanSip
    how: str
    solution: Solution | None = None
    reference: Reference | None = None
    doubt: str = ""

    @property
    def rms_arcsec(self) -> float | None:
        """Scatter of stars left out of the fit, on one axis."""
        if self.solution is None:
            return None
        return self.solution.held_out_rms_pix * self.wcs.scale_arcsec


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an image before it is placed.

    Attributes
    ----------
    detected : Detected
        Its sources.
    shape : tuple of int
        Rows and columns.
    info : FrameInfo
        Its header.
    wcs : TanSip or None
        Where its header says it lies.
    centre : tuple of float or None
        Where its user says it lies, degrees.
    """

    detected: Detected
    shape: Shape
    info: FrameInfo
    wcs: TanSip | None
    centre: tuple[float, float] | None = None

    @property
    def stars(self) -> tuple[FrameStars, npt.NDArray[np.int64]]:
        """Its sources that may be stars, and their numbers."""
        sources = self.detected.sources
        chosen = sources.like_stars(self.detected.fwhm_pix)
        return (
            FrameStars(sources.x[chosen], sources.y[chosen], sources.error_pix[chosen], self.shape),
            chosen,
        )

    @property
    def hints(self) -> Hints:
        """Where its header says it points, at which scale."""
        if self.wcs is None:
            return Hints(self.info.ra_deg, self.info.dec_deg, self.info.pixel_scale_arcsec)
        ny, nx = self.shape
        ra, dec = self.wcs.sky(np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2]))
        return Hints(float(ra[0]), float(dec[0]), self.wcs.scale_arcsec)


def place(
    seen: Seen, ask: AskCatalogue, options: PlaceOptions, elsewhere: Elsewhere = HINTS_ALONE
) -> Placed:
    """Place an image on the sky as its options ask for.

    Parameters
    ----------
    seen : Seen
        The image.
    ask : callable
        Gives the stars catalogues hold around a place.
    options : PlaceOptions
        Whether the header is believed, refined or left out.
    elsewhere : Elsewhere
        What is turned to where hints do not lead to a place.

    Returns
    -------
    Placed
        Where the header's place cannot be refined it is kept, with a doubt.

    Raises
    ------
    NoPlaceError
        Where there is no place to be had.
    """
    if not options.is_blind and seen.wcs is not None and not options.refine:
        return Placed(seen.wcs, "as its header says, not refined")
    try:
        solution, reference = _solved(seen, ask, options, elsewhere)
    except UnsolvedError as error:
        if seen.wcs is None or options.is_blind:
            raise NoPlaceError(_why(error, seen, ask, options)) from error
        how = "as its header says: no catalogue bears it out or refines it"
        return Placed(seen.wcs, how, doubt=str(error))
    solution = _of_order(seen, solution, reference, options.order)
    how = "found without its header" if options.is_blind else "refined"
    beyond = _beyond(solution.wcs, seen, options) if options.is_blind else ""
    said = f"{how} with {len(solution.stars)} stars of {reference.name}{beyond}"
    return Placed(solution.wcs, said, solution, reference)


def _beyond(wcs: TanSip, seen: Seen, options: PlaceOptions) -> str:
    """Return that a place which is proved lies elsewhere than it was looked for; else nothing."""
    ny, nx = seen.shape
    said = []
    if not options.scale_low / LENIENT <= wcs.scale_arcsec <= options.scale_high * LENIENT:
        said.append("its pixel scale is outside of blind_match_ps_lo and blind_match_ps_up")
    if seen.centre is not None:
        at = wcs.sky(np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2]))
        half_deg = float(np.hypot(nx, ny)) / 2 * wcs.scale_arcsec / 3600
        if separations_deg(*at, *seen.centre)[0] > options.radius_deg + half_deg:
            said.append("its place is outside of blind_match_sr0 around blind_match_center")
    return f"; {', and '.join(said)}" if said else ""


def _solved(
    seen: Seen, ask: AskCatalogue, options: PlaceOptions, elsewhere: Elsewhere
) -> tuple[Solution, Reference]:
    """Return the first place that is proved, its stars numbered as the image's sources."""
    stars, chosen = seen.stars
    near = _near_centre(stars, seen, ask, options) if options.is_blind else None
    if near is None:
        hints = Hints(None, None, None) if options.is_blind else seen.hints
        found = placing.place(stars, hints, ask, elsewhere)
        near = found.solution, found.reference
    solution, reference = near
    return replace(solution, stars=chosen[solution.stars]), reference


def _near_centre(
    stars: FrameStars, seen: Seen, ask: AskCatalogue, options: PlaceOptions
) -> tuple[Solution, Reference] | None:
    """Return the place around a centre that was given, at any of the scales asked for."""
    for pointing in _pointings(seen, options):
        half_deg = float(np.hypot(*seen.shape)) / 2 * pointing.scale_arcsec / 3600
        reach_deg = 2 * pointing.radius_deg + half_deg
        for reference in ask(pointing.ra_deg, pointing.dec_deg, reach_deg):
            sky = SkyList(reference.ra_deg, reference.dec_deg)
            try:
                return solve(stars, sky, pointing, WIDENING), reference
            except UnsolvedError:
                continue
    return None


def _pointings(seen: Seen, options: PlaceOptions) -> Iterator[Pointing]:
    """Yield the centre that was given, else the header's, at the header's scale and all others."""
    hints = seen.hints
    centre = seen.centre
    if centre is None and hints.ra_deg is not None and hints.dec_deg is not None:
        centre = hints.ra_deg, hints.dec_deg
    if centre is None:
        return
    low, high = options.scale_low, options.scale_high
    n = int(np.log(high / low) / np.log(SCALE_STEP)) + 2
    scales = [min(low * SCALE_STEP**k, high) for k in range(n)]
    if hints.scale_arcsec is not None:  # within what was given or not: who is right will show
        scales.insert(0, hints.scale_arcsec)
    for scale in scales:
        yield Pointing(*centre, scale, options.radius_deg / 2)


def _why(error: UnsolvedError, seen: Seen, ask: AskCatalogue, options: PlaceOptions) -> str:
    said = "the image could not be placed on the sky"
    if options.is_blind and error.cause in _OF_SEARCH:
        return f"{said}: {_of_search(seen, ask, options)}"
    if not options.is_blind and error.cause in ("no_pointing", "no_scale"):
        return (
            f"{said}: {error}. Or set blind_match_wcs, blind_match_center, 'RA Dec', and "
            "blind_match_ps_lo and blind_match_ps_up around its pixel scale"
        )
    return f"{said}: {error}"


def _of_search(seen: Seen, ask: AskCatalogue, options: PlaceOptions) -> str:
    """Return why a search as its user asked for found nothing, and what to ask for next."""
    n, low, high = len(seen.stars[0].x), options.scale_low, options.scale_high
    ra, dec = seen.centre or (seen.hints.ra_deg, seen.hints.dec_deg)
    if ra is None or dec is None:
        return (
            f"its {n} stars match no catalogue of this site. Give blind_match_center, 'RA Dec' in "
            "degrees or sexagesimal"
        )
    if not ask(ra, dec, options.radius_deg):
        return (
            f"no catalogue of this site covers {ra:.4f} {dec:+.4f}, where it was looked for: load "
            "one that does, or correct the place (blind_match_center)"
        )
    known = seen.hints.scale_arcsec
    header = "" if known is None or low <= known <= high else f" and the header's {known:.3g}"
    return (
        f"its {n} stars match no catalogue within {options.radius_deg:g} degrees of {ra:.4f} "
        f"{dec:+.4f} at {low:g} to {high:g}{header} arcsec a pixel, nor elsewhere. Is its scale "
        "among these (blind_match_ps_lo, blind_match_ps_up)? It is 206.265 times a pixel's "
        "micrometres, binning counted, divided by the focal length in millimetres. Else try "
        "another place or a wider search (blind_match_center, blind_match_sr0)"
    )


def _of_order(seen: Seen, solution: Solution, reference: Reference, most: int) -> Solution:
    """Return a solution whose distortion is of no higher order than is wanted."""
    if solution.wcs.order <= most:
        return solution
    sources = seen.detected.sources
    x, y = sources.x[solution.stars], sources.y[solution.stars]
    sky = reference.ra_deg[solution.catalogue], reference.dec_deg[solution.catalogue]
    weights = 1 / np.maximum(sources.error_pix[solution.stars], LEAST_ERROR_PIX) ** 2
    wcs = fit_tan_sip((x, y), sky, weights, start=solution.wcs, order=most)
    fx, fy = wcs.pixel(*sky)
    return replace(solution, wcs=wcs, residual_x_pix=x - fx, residual_y_pix=y - fy)
