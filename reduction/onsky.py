"""One calibrated frame put on the sky: sources, astrometry, zero point, and how good it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.astrometry.solver import (
    Pointing,
    SkyList,
    Solution,
    StarList,
    UnsolvedError,
    solve,
)
from reduction.frameinfo import FrameInfo
from reduction.image import Image
from reduction.photometry.apertures import BEST, Apertures, measure
from reduction.photometry.detection import Detected, detect
from reduction.photometry.zeropoint import (
    CalibrationStars,
    NoZeroPointError,
    ZeroPoint,
    fit_zero_point,
    has_colour_range,
    limiting_mag,
)

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
CHAIN_VERSION: Final = 1  # raised whenever the same frame and catalogue would give other results
POINTING_DEG: Final = 0.3  # a header may be off by, at least
POINTING_FIELDS: Final = 1.0  # and by so many widths of the frame
REACH: Final = 2.0  # times the radius that is asked of a catalogue: the solver widens its search
LEAST_MAG_ERROR: Final = 0.003
LEAST_STARS: Final = 5  # that tell the width of a star
BRIGHT_SIGNAL, ENOUGH_BRIGHT = 50.0, 15  # stars a zero point is taken from where there are enough
MATCH_PIX, MATCH_SIGMA = 1.0, 4.0  # of a source with a star of known magnitude


@dataclass(frozen=True, slots=True)
class Reference:
    """Stars of a catalogue at the frame's epoch, the brightest first, ``(n,)`` each.

    Attributes
    ----------
    name : str
        Of the catalogue.
    band : str or None
        In which `mag` is, None where the catalogue has none for the frame's.
    ra_deg, dec_deg : float arrays
        Positions.
    mag, mag_error : float arrays
        In the frame's band, NaN where not known.
    colour : float array or None
        Of two of its bands, None where it has one.
    colour_name : str
        Such as ``g-r``.
    """

    name: str
    band: str | None
    ra_deg: Floats
    dec_deg: Floats
    mag: Floats
    mag_error: Floats
    colour: Floats | None = None
    colour_name: str = ""


# What catalogues hold around a place: right ascension, declination, radius, all in degrees. Those
# to be tried first come first; none where no catalogue covers it.
AskCatalogue = Callable[[float, float, float], Sequence[Reference]]


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

    @property
    def rms_arcsec(self) -> float | None:
        """Scatter of stars left out of the astrometric fit, on one axis."""
        if self.solution is None:
            return None
        return self.solution.held_out_rms_pix * self.solution.wcs.scale_arcsec


def put_on_sky(image: Image, info: FrameInfo, ask: AskCatalogue) -> OnSky:
    """Find the sources of a frame, its place on the sky and its zero point.

    Parameters
    ----------
    image : Image
        Calibrated frame.
    info : FrameInfo
        Where it is believed to point, at which scale, for how long.
    ask : callable
        Gives the stars of the local catalogue around a place.

    Returns
    -------
    OnSky
        Whatever could be found; what could not is said with its cause.
    """
    detected = detect(image)
    ny, nx = image.data.shape
    shape = ny, nx
    references: Sequence[Reference] = ()
    solution, reference, cause, message = None, None, "", ""
    try:
        pointing = _pointing(info, shape)
        references = _around(pointing, shape, ask)
        solution, reference = _solved(detected, shape, references, pointing)
    except UnsolvedError as error:
        cause, message = error.cause, str(error)
    detected = _as_its_stars_are(detected, solution)
    apertures = measure(image, detected)
    light = next((one for one in references if one.band is not None), None)
    zero, why = _zero_point(solution, light, (detected, apertures), info)
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
    )


def _as_its_stars_are(detected: Detected, solution: Solution | None) -> Detected:
    """Return what was found with the width of what the catalogue says are stars.

    Where no dark was taken off, hot pixels may outnumber them.
    """
    if solution is None:
        return detected
    sources = detected.sources
    stars = solution.stars[sources.is_clean[solution.stars]]
    if len(stars) < LEAST_STARS:
        return detected
    return replace(
        detected,
        fwhm_pix=float(np.median(sources.fwhm_pix[stars])),
        ellipticity=float(np.median(sources.ellipticity[stars])),
    )


def _pointing(info: FrameInfo, shape: tuple[int, int]) -> Pointing:
    if info.ra_deg is None or info.dec_deg is None:
        raise UnsolvedError(
            "no_pointing", "its header does not say where it points: give it RA and DEC"
        )
    if info.pixel_scale_arcsec is None:
        raise UnsolvedError(
            "no_scale",
            "neither its header nor its camera's profile says how large a pixel is on the sky: "
            "give the profile pixel_scale_arcsec",
        )
    width_deg = max(shape) * info.pixel_scale_arcsec / 3600
    radius_deg = max(POINTING_DEG, POINTING_FIELDS * width_deg)
    return Pointing(info.ra_deg, info.dec_deg, info.pixel_scale_arcsec, radius_deg)


def _around(pointing: Pointing, shape: tuple[int, int], ask: AskCatalogue) -> Sequence[Reference]:
    """Return what catalogues hold of all the sky that is searched."""
    half_deg = float(np.hypot(*shape)) / 2 * pointing.scale_arcsec / 3600
    reach_deg = REACH * pointing.radius_deg + half_deg
    found = ask(pointing.ra_deg, pointing.dec_deg, reach_deg)
    if not found:
        raise UnsolvedError(
            "not_covered",
            "no catalogue of this site covers where the frame points: load one that does",
        )
    return found


def _solved(
    detected: Detected,
    shape: tuple[int, int],
    references: Sequence[Reference],
    pointing: Pointing,
) -> tuple[Solution, Reference]:
    """Return the place the first catalogue proves, its stars numbered as the frame's sources."""
    sources = detected.sources
    chosen = sources.like_stars(detected.fwhm_pix)
    stars = StarList(sources.x[chosen], sources.y[chosen], sources.error_pix[chosen], shape)
    failures: list[UnsolvedError] = []
    for reference in references:
        try:
            found = solve(stars, SkyList(reference.ra_deg, reference.dec_deg), pointing)
        except UnsolvedError as error:
            failures.append(error)
            continue
        return replace(found, stars=chosen[found.stars]), reference
    raise failures[0]


def _zero_point(
    solution: Solution | None,
    light: Reference | None,
    measured: tuple[Detected, Apertures],
    info: FrameInfo,
) -> tuple[ZeroPoint | None, str]:
    if solution is None:
        return None, "the frame is not solved"
    if light is None:
        return None, f"no catalogue of its sky has a band for {info.band or 'this frame'}"
    if not info.exptime_s:
        return None, "the exposure time is not known"
    detected, apertures = measured
    stars, known = _matched(solution, light, detected)
    # Faint stars sit on whatever unevenness is left of the sky: the bright ones tell better.
    bright = apertures.total[stars] > BRIGHT_SIGNAL * apertures.total_error[stars]
    if np.count_nonzero(bright) >= ENOUGH_BRIGHT:
        stars, known = stars[bright], known[bright]
    colour = light.colour[known] if light.colour is not None else None
    if colour is not None and not has_colour_range(colour):
        colour = None
    try:
        zero = fit_zero_point(
            CalibrationStars(
                flux_per_s=apertures.total[stars] / info.exptime_s,
                flux_error_per_s=apertures.total_error[stars] / info.exptime_s,
                mag=light.mag[known],
                mag_error=np.maximum(light.mag_error[known], LEAST_MAG_ERROR),
                colour=colour,
            )
        )
    except NoZeroPointError as error:
        return None, str(error)
    return zero, ""


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
    return limiting_mag(
        zero.value,
        detected.sky_noise,
        float(apertures.radii_pix[BEST]),
        float(apertures.growth[BEST]),
        info.exptime_s,
    )
