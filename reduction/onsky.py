"""One calibrated frame put on the sky: sources, astrometry, zero point, and how good it is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry.solver import (
    Pointing,
    SkyList,
    Solution,
    StarList,
    UnsolvedError,
    solve,
)
from reduction.cards import ProductCard
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
CHAIN_VERSION: Final = 1  # raised whenever the same frame and catalogue would give other results
LEAST_ERROR_PIX: Final = 0.02
POINTING_DEG: Final = 0.3  # a header may be off by, at least
POINTING_FIELDS: Final = 1.0  # and by so many widths of the frame
REACH: Final = 2.0  # times the radius that is asked of a catalogue: the solver widens its search
LEAST_MAG_ERROR: Final = 0.003


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


# Stars of a catalogue around a place: right ascension, declination, radius, all in degrees. None
# where no catalogue covers it.
AskCatalogue = Callable[[float, float, float], Reference | None]


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
        The catalogue used.
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
    limit_mag: float | None

    @property
    def rms_arcsec(self) -> float | None:
        """Scatter of stars left out of the astrometric fit, on one axis."""
        if self.solution is None:
            return None
        return self.solution.held_out_rms_pix * self.solution.wcs.scale_arcsec

    def cards(self, shape: tuple[int, int]) -> list[ProductCard]:
        """Return what belongs into the header of the frame's pixels."""
        found = self.detected
        cards: list[ProductCard] = [
            ("NSOURCES", len(found.sources), "sources detected"),
            ("SKYLEVEL", found.sky, "level of the sky"),
            ("SKYNOISE", found.sky_noise, "noise of a pixel of the sky"),
        ]
        if found.fwhm_pix is not None:
            cards.append(("FWHM", found.fwhm_pix, "[pix] full width at half maximum of a star"))
        if found.ellipticity is not None:
            cards.append(("ELLIPTIC", found.ellipticity, "ellipticity of a star"))
        if self.solution is None:
            return [*cards, ("WCSSOLVE", False, self.cause)]
        return [*cards, *self._astrometry(shape), *self._photometry()]

    def _astrometry(self, shape: tuple[int, int]) -> list[ProductCard]:
        solution, reference = self.solution, self.reference
        if solution is None or reference is None:
            return []
        return [
            *solution.wcs.cards(shape),
            ("WCSSOLVE", True, "proved by stars left out of the fit"),
            ("WCSRMS", self.rms_arcsec, "[arcsec] of stars left out, on one axis"),
            ("WCSNREF", len(solution.stars), "stars matched"),
            ("WCSCAT", reference.name, "reference catalogue"),
        ]

    def _photometry(self) -> list[ProductCard]:
        zero, reference = self.zero_point, self.reference
        if zero is None or reference is None:
            return []
        cards: list[ProductCard] = [
            ("ZP", zero.value, "[mag] of one count a second"),
            ("ZPERR", zero.error, "[mag] its standard error"),
            ("ZPSCAT", zero.scatter_mag, "[mag] intrinsic scatter of the stars"),
            ("ZPN", zero.n_used, "stars it rests on"),
            ("ZPBAND", reference.band, "band of the catalogue"),
        ]
        if zero.colour_term is not None:
            cards += [
                ("ZPCOLOUR", reference.colour_name, "colour of the term"),
                ("ZPCTERM", zero.colour_term, "[mag/mag] colour term"),
                ("ZPCTERR", zero.colour_term_error, "its standard error"),
            ]
        if self.limit_mag is not None:
            cards.append(("LIMITMAG", self.limit_mag, "[mag] five sigma, of a star"))
        return cards


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
    apertures = measure(image, detected)
    ny, nx = image.data.shape
    shape = ny, nx
    try:
        pointing = _pointing(info, shape)
        reference = _around(pointing, shape, ask)
        solution, cause, message = _solved(detected, image, reference, pointing), "", ""
    except UnsolvedError as error:
        solution, reference = None, None
        cause, message = error.cause, str(error)
    zero, why = _zero_point(solution, reference, (detected, apertures), info)
    return OnSky(
        detected=detected,
        apertures=apertures,
        solution=solution,
        cause=cause,
        message=message,
        zero_point=zero,
        no_zero_point=why,
        reference=reference,
        limit_mag=_limit(zero, detected, apertures, info),
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


def _around(pointing: Pointing, shape: tuple[int, int], ask: AskCatalogue) -> Reference:
    """Return the catalogue's stars of all the sky that is searched."""
    half_deg = float(np.hypot(*shape)) / 2 * pointing.scale_arcsec / 3600
    reach_deg = REACH * pointing.radius_deg + half_deg
    found = ask(pointing.ra_deg, pointing.dec_deg, reach_deg)
    if found is None:
        raise UnsolvedError(
            "not_covered",
            "no catalogue of this site covers where the frame points: load one that does",
        )
    return found


def _solved(detected: Detected, image: Image, reference: Reference, pointing: Pointing) -> Solution:
    sources = detected.sources
    chosen = sources.like_stars(detected.fwhm_pix)
    ny, nx = image.data.shape
    stars = StarList(
        sources.x[chosen],
        sources.y[chosen],
        np.maximum(sources.error_pix[chosen], LEAST_ERROR_PIX),
        (ny, nx),
    )
    found = solve(stars, SkyList(reference.ra_deg, reference.dec_deg), pointing)
    return _of_sources(found, chosen)


def _of_sources(solution: Solution, chosen: npt.NDArray[np.int64]) -> Solution:
    """Return a solution whose stars are numbered as the frame's sources are."""
    return replace(solution, stars=chosen[solution.stars])


def _zero_point(
    solution: Solution | None,
    reference: Reference | None,
    measured: tuple[Detected, Apertures],
    info: FrameInfo,
) -> tuple[ZeroPoint | None, str]:
    if solution is None or reference is None:
        return None, "the frame is not solved"
    if reference.band is None:
        return None, f"the catalogue {reference.name} has no band for {info.band or 'this frame'}"
    if not info.exptime_s:
        return None, "the exposure time is not known"
    detected, apertures = measured
    is_good = detected.sources.is_clean[solution.stars]
    stars, known = solution.stars[is_good], solution.catalogue[is_good]
    colour = reference.colour[known] if reference.colour is not None else None
    if colour is not None and not has_colour_range(colour):
        colour = None
    try:
        zero = fit_zero_point(
            CalibrationStars(
                flux_per_s=apertures.total[stars] / info.exptime_s,
                flux_error_per_s=apertures.total_error[stars] / info.exptime_s,
                mag=reference.mag[known],
                mag_error=np.maximum(reference.mag_error[known], LEAST_MAG_ERROR),
                colour=colour,
            )
        )
    except NoZeroPointError as error:
        return None, str(error)
    return zero, ""


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
