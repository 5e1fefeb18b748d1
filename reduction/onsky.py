"""One calibrated frame put on the sky: sources, astrometry, zero point, and how good it is."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.astrometry.causes import told_by_sources
from reduction.astrometry.fainter import place_by_fainter
from reduction.astrometry.placing import HINTS_ALONE, Elsewhere, Hints, Placed, place
from reduction.astrometry.solution import Solution, StarList, UnsolvedError
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo
from reduction.image import Image
from reduction.photometry.apertures import BEST, Apertures, measure
from reduction.photometry.detection import CrowdedError, Detected, detect
from reduction.photometry.psf import PsfFluxes, fit_psf, psf_fluxes
from reduction.photometry.zeromodel import MAG_OF_LN
from reduction.photometry.zeropoint import (
    CalibrationStars,
    NoZeroPointError,
    ZeroPoint,
    choose_zero_point,
    has_colour_range,
    limiting_mag,
)
from reduction.reference import AskCatalogue, Reference

Indices = npt.NDArray[np.int64]
NOT_COVERED: Final = "not_covered"  # a cause whatever the sources are like
CHAIN_VERSION: Final = 5  # raised whenever the same frame and catalogue would give other results
LEAST_MAG_ERROR: Final = 0.003
LEAST_STARS: Final = 5  # that tell the width of a star
TELLING_SIGNALS: Final = (50.0, 20.0)  # over noise, that they should have, at best
BRIGHT_SIGNAL, ENOUGH_BRIGHT = 50.0, 15  # stars a zero point is taken from where there are enough
MATCH_PIX, MATCH_SIGMA = 1.0, 4.0  # of a source with a star of known magnitude


@dataclass(frozen=True, slots=True)
class OnSky:
    """What became of a frame.

    Attributes
    ----------
    detected, apertures : Detected, Apertures
        Its sources and their fluxes.
    solution : Solution or None
        Its place, None where it could not be proved.
    cause, message : str
        Why not, as a name and a sentence; empty where it was.
    zero_point : ZeroPoint or None
        Of one count a second.
    no_zero_point : str
        Why there is none.
    reference : Reference or None
        The catalogue its place is from.
    light : Reference or None
        The catalogue its zero point is from.
    limit_mag : float or None
        Of a star at five times the noise of its aperture.
    calibrators : integer array or None
        Which sources the zero point was tried with, in the order of its residuals.
    found_by : str
        What led to its place: ``pointing``, ``quads``, ``opinion``; empty where nothing did.
    psf : PsfFluxes or None
        Light by the point spread function, None where it was not asked for or nothing tells it.
    """

    detected: Detected
    apertures: Apertures
    solution: Solution | None
    cause: str
    message: str
    zero_point: ZeroPoint | None
    no_zero_point: str
    reference: Reference | None
    light: Reference | None
    limit_mag: float | None
    calibrators: Indices | None = None
    found_by: str = ""
    psf: PsfFluxes | None = None

    @property
    def rms_arcsec(self) -> float | None:
        """Scatter of stars left out of the astrometric fit, on one axis."""
        if self.solution is None:
            return None
        return self.solution.held_out_rms_pix * self.solution.wcs.scale_arcsec


def put_on_sky(
    image: Image, info: FrameInfo, ask: AskCatalogue, elsewhere: Elsewhere = HINTS_ALONE
) -> OnSky:
    """Find the sources of a frame, its place on the sky and its zero point.

    Parameters
    ----------
    image : Image
        Calibrated frame.
    info : FrameInfo
        Where it is believed to point, at which scale, for how long.
    ask : callable
        Gives the stars of the local catalogue around a place.
    elsewhere : Elsewhere
        What is turned to where that does not lead to a place.

    Returns
    -------
    OnSky
        Whatever could be found; what could not is said with its cause.
    """
    detected, placed, cause, message = _placed(image, info, ask, elsewhere)
    solution, reference = (placed.solution, placed.reference) if placed else (None, None)
    references = placed.around if placed else ()
    detected = _as_its_stars_are(detected, solution)
    apertures = measure(image, detected)
    light = next((one for one in references if one.band is not None), None)
    zero, why, calibrators = _zero_point(solution, light, (detected, apertures), info)
    return OnSky(
        detected=detected,
        apertures=apertures,
        solution=solution,
        cause=cause,
        message=message,
        zero_point=zero,
        no_zero_point=why,
        reference=reference,
        light=light,
        limit_mag=_limit(zero, detected, apertures, info),
        calibrators=calibrators,
        found_by=placed.found_by if placed else "",
    )


def with_psf(found: OnSky, image: Image) -> OnSky:
    """Measure the sources of a frame by its point spread function too.

    Parameters
    ----------
    found : OnSky
        What became of the frame.
    image : Image
        Its pixels.

    Returns
    -------
    OnSky
        The same where too few stars tell the function.
    """
    model = fit_psf(image, found.detected, found.apertures)
    if model is None:
        return found
    return replace(found, psf=psf_fluxes(image, found.detected, found.apertures, model))


def _placed(
    image: Image, info: FrameInfo, ask: AskCatalogue, elsewhere: Elsewhere
) -> tuple[Detected, Placed[Reference] | None, str, str]:
    """Return the sources and their place, or the name of what hinders and a sentence."""
    try:
        detected = detect(image)
    except CrowdedError as error:
        unseen = np.full_like(image.mask, PixelFlag.NO_DATA)
        return detect(replace(image, mask=unseen)), None, "saturated", str(error)
    sources = detected.sources
    chosen = sources.like_stars(detected.fwhm_pix)
    ny, nx = image.data.shape
    stars = StarList(sources.x[chosen], sources.y[chosen], sources.error_pix[chosen], (ny, nx))
    hints = Hints(info.ra_deg, info.dec_deg, info.pixel_scale_arcsec)
    try:
        found = place(stars, hints, ask, elsewhere)
    except UnsolvedError as error:
        cause = None
        is_covered = error.cause != NOT_COVERED
        if is_covered:
            cause = told_by_sources(detected, image, info.pixel_scale_arcsec)
        faint = None
        if is_covered and cause is None:
            faint = place_by_fainter(image, stars, hints, ask, elsewhere)
        if faint is None:
            return detected, None, *(cause or (error.cause, str(error)))
        found = faint
    solution = replace(found.solution, stars=chosen[found.solution.stars])
    return detected, replace(found, solution=solution), "", ""


def _as_its_stars_are(detected: Detected, solution: Solution | None) -> Detected:
    """Return what was found with the width of what the catalogue says are stars.

    Where no dark was taken off, hot pixels may outnumber them. Of faint stars the noise lifts the
    peak, so that they look narrow: bright ones tell, where there are a few.
    """
    if solution is None:
        return detected
    sources = detected.sources
    clean = solution.stars[sources.is_clean[solution.stars]]
    kinds = (clean[sources.snr[clean] > signal] for signal in TELLING_SIGNALS)
    stars = next((stars for stars in kinds if len(stars) >= LEAST_STARS), None)
    if stars is None:
        return detected
    return replace(
        detected,
        fwhm_pix=float(np.median(sources.fwhm_pix[stars])),
        ellipticity=float(np.median(sources.ellipticity[stars])),
    )


def _zero_point(
    solution: Solution | None,
    light: Reference | None,
    measured: tuple[Detected, Apertures],
    info: FrameInfo,
) -> tuple[ZeroPoint | None, str, Indices | None]:
    """Return the zero point or why there is none, and the sources it was tried with."""
    if solution is None:
        return None, "the frame is not solved", None
    if light is None:
        return None, f"no catalogue of its sky has a band for {info.band or 'this frame'}", None
    if not info.exptime_s:
        return None, "the exposure time is not known", None
    detected, apertures = measured
    stars, known = _matched(solution, light, detected)
    # Faint stars sit on whatever unevenness is left of the sky: the bright ones tell better.
    bright = apertures.total[stars] > BRIGHT_SIGNAL * apertures.total_error[stars]
    if np.count_nonzero(bright) >= ENOUGH_BRIGHT:
        stars, known = stars[bright], known[bright]
    colour = light.colour[known] if light.colour is not None else None
    if colour is not None and not has_colour_range(colour):
        colour = None
    ny, nx = detected.background.shape
    try:
        zero = choose_zero_point(
            CalibrationStars(
                flux_per_s=apertures.total[stars] / info.exptime_s,
                flux_error_per_s=apertures.total_error[stars] / info.exptime_s,
                mag=light.mag[known],
                mag_error=np.maximum(light.mag_error[known], LEAST_MAG_ERROR),
                colour=colour,
                x=2 * detected.sources.x[stars] / max(1, nx - 1) - 1,
                y=2 * detected.sources.y[stars] / max(1, ny - 1) - 1,
            )
        )
    except NoZeroPointError as error:
        return None, str(error), None
    doubt = float(MAG_OF_LN * apertures.growth_error[BEST] / apertures.growth[BEST])
    return replace(zero, systematic_mag=doubt), "", stars


def _matched(solution: Solution, light: Reference, detected: Detected) -> tuple[Indices, Indices]:
    """Return which clean sources of the frame are which stars of a catalogue."""
    sources = detected.sources
    clean = np.flatnonzero(sources.is_clean)
    x, y = solution.wcs.pixel(light.ra_deg, light.dec_deg)
    there = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(clean) or not len(there):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    radius_pix = max(MATCH_PIX, MATCH_SIGMA * solution.held_out_rms_pix)
    distance, nearest = cKDTree(np.column_stack([x[there], y[there]])).query(
        np.column_stack([sources.x[clean], sources.y[clean]]), distance_upper_bound=radius_pix
    )
    found = np.flatnonzero(np.isfinite(distance))
    order = found[np.argsort(distance[found], kind="stable")]
    _, first = np.unique(nearest[order], return_index=True)  # the nearest has it, no second one
    kept = np.sort(order[first])
    return clean[kept], there[nearest[kept]]


def _limit(
    zero: ZeroPoint | None, detected: Detected, apertures: Apertures, info: FrameInfo
) -> float | None:
    if zero is None or not info.exptime_s or detected.sky_noise <= 0:
        return None
    radius = float(apertures.radii_pix[BEST])
    uneven = apertures.uneven[BEST] ** 2 - float(np.median(apertures.sky_variance))
    # What the sky is uneven by counts as so much more noise of the circle's pixels.
    noise = np.hypot(detected.sky_noise, np.sqrt(max(uneven, 0.0) / np.pi) / radius)
    return limiting_mag(
        zero.value,
        float(noise),
        radius,
        float(apertures.growth[BEST]),
        info.exptime_s,
    )
