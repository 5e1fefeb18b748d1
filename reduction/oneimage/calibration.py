"""The magnitudes of one image's objects: matched with a catalogue, fitted, and how deep it goes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.astrometry.wcs import TanSip
from reduction.errors import ReductionError
from reduction.oneimage.apertures import MASKED_RING
from reduction.oneimage.depth import limit_of
from reduction.oneimage.growth import growth_of_calibrators
from reduction.oneimage.objects import DEBLENDED, Extracted, Objects, regrown
from reduction.oneimage.options import LightOptions
from reduction.oneimage.starlist import StarList, column_of, without_blends
from reduction.photometry.zeromodel import MAG_OF_LN
from reduction.photometry.zeropoint import (
    CalibrationStars,
    NoZeroPointError,
    ZeroPoint,
    ZeroPointModel,
    fit_zero_point,
    has_colour_range,
    instrumental_mag,
)

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
MATCH_FWHM: Final = 0.5  # radius of a match where nobody gives one
BLEND_FWHM: Final = 2.0  # within which neighbours add their light
LEAST_MATCHES: Final = 5
ENOUGH_UNFLAGGED: Final = 15
BRIGHT_SIGNAL, ENOUGH_BRIGHT = 50.0, 15  # stars it is taken from where there are enough
CHANCE_SHARE: Final = 0.5  # of the matches, that may be chance
SHIFTS: Final = 8  # places beside the right one, at which chance matches are counted
SHIFT_RADII, SHIFT_SHARE = 12.0, 0.35  # times the radius, and of the image, that these are away


class NotCalibratedError(ReductionError):
    """An image has no zero point; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Objects and stars that are each other's nearest.

    Attributes
    ----------
    objects, stars : int64 arrays, ``(n,)``
        Their numbers in both lists.
    x, y : float arrays, ``(n,)``
        Where the catalogue puts the stars, pixels.
    radius_arcsec : float
        Within which they were looked for.
    n_chance : float
        Matches that other places of the sky would give.
    """

    objects: Indices
    stars: Indices
    x: Floats
    y: Floats
    radius_arcsec: float
    n_chance: float

    def __len__(self) -> int:
        return len(self.objects)


@dataclass(frozen=True, slots=True)
class Calibration:
    """An image's zero point and what came of it.

    Attributes
    ----------
    zero : ZeroPoint
        Of a flux of the image as it is, not of one a second; its stars are those of `tried`.
    tried : Matched
        Which stars it was tried with.
    matched : Matched
        All of the catalogue's stars that were found, flagged and faint ones too.
    stars : StarList
        The catalogue's stars.
    has_colour : bool
        Whether a colour term was fitted or given.
    limit_mag : float or None
        Of a star at the signal to noise asked for, over the image.
    extracted : Extracted
        The objects, their fluxes those of all of a star's light as these stars tell it.
    notes : sequence of str
        What an observer should know.
    """

    zero: ZeroPoint
    tried: Matched
    matched: Matched
    stars: StarList
    has_colour: bool
    limit_mag: float | None
    extracted: Extracted
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Magnitudes:
    """Magnitudes of places on an image, ``(n,)`` each; NaN where there is no light.

    Attributes
    ----------
    mag, error : float arrays
        Instrumental, ``-2.5 log10(flux)``.
    calibrated, calibrated_error : float arrays
        With the zero point of the place, for a star of colour 0.
    """

    mag: Floats
    error: Floats
    calibrated: Floats
    calibrated_error: Floats


def calibrate(
    extracted: Extracted,
    wcs: TanSip,
    stars: StarList,
    options: LightOptions,
    *,
    sn: tuple[float, float],
) -> Calibration:
    """Fit the zero point of an image.

    Parameters
    ----------
    extracted : Extracted
        Its objects.
    wcs : TanSip
        Its place.
    stars : StarList
        Of the catalogue, complete to its limit.
    options : LightOptions
        Terms and ranges.
    sn : tuple of float
        Signal to noise of the limit, and the least of objects it is taken from.

    Raises
    ------
    NotCalibratedError
        Where too few stars are found, or no more than chance would.
    """
    radius_pix = _radius_pix(extracted, wcs, options)
    matched = _matched(extracted.objects, wcs, stars, radius_pix, _shape(extracted))
    _check_matches(matched, stars)
    tried, notes = _tried(matched, extracted, wcs, stars, (options, sn[1]))
    colour = _colour(stars, tried.stars, options)
    notes += _said_of_colour(stars, colour, options)
    zero = _fitted(_stars_of(extracted, tried, stars, colour), options)
    sources = extracted.objects.sources
    used = tried.objects[zero.is_used]
    share = growth_of_calibrators(extracted.measurer, sources, used)
    if share is not None:
        extracted = regrown(extracted, share)
        zero = _fitted(_stars_of(extracted, tried, stars, colour), options)
    if extracted.growth_error:
        doubt = MAG_OF_LN * extracted.growth_error / extracted.growth
        zero = replace(zero, systematic_mag=doubt)
    return Calibration(
        zero=zero,
        tried=tried,
        matched=matched,
        stars=stars,
        has_colour=colour is not None,
        limit_mag=limit_of(zero, extracted, sn[0]),
        extracted=extracted,
        notes=notes,
    )


def _shape(extracted: Extracted) -> tuple[int, int]:
    ny, nx = extracted.measurer.above.shape
    return ny, nx


def scaled(x: Floats, y: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return places on an image from -1 to 1, as zero points take them."""
    ny, nx = shape
    return 2 * np.asarray(x) / max(1, nx - 1) - 1, 2 * np.asarray(y) / max(1, ny - 1) - 1


def _radius_pix(extracted: Extracted, wcs: TanSip, options: LightOptions) -> float:
    if options.match_arcsec is not None:
        return options.match_arcsec / wcs.scale_arcsec
    return MATCH_FWHM * extracted.fwhm_pix


def _matched(
    objects: Objects, wcs: TanSip, stars: StarList, radius_pix: float, shape: tuple[int, int]
) -> Matched:
    """Return mutual nearest, and how many there would be a little beside the right place."""
    sources = objects.sources
    x, y = wcs.pixel(stars.ra_deg, stars.dec_deg)
    ny, nx = shape
    with np.errstate(invalid="ignore"):
        there = np.flatnonzero((x > -radius_pix) & (x < nx) & (y > -radius_pix) & (y < ny))
    if not len(there):
        raise NotCalibratedError(
            f"none of the {len(stars)} stars of {stars.name} around lies on the image: is its "
            "place on the sky right? Set refine_wcs or blind_match_wcs"
        )
    here = np.column_stack([sources.x, sources.y])
    found, star = _mutual(here, np.column_stack([x[there], y[there]]), radius_pix)
    chance = _by_chance(here, np.column_stack([x[there], y[there]]), radius_pix, shape)
    chosen = there[star]
    arcsec = radius_pix * wcs.scale_arcsec
    return Matched(found, chosen, x[chosen], y[chosen], arcsec, chance)


def _by_chance(here: Floats, there: Floats, radius: float, shape: tuple[int, int]) -> float:
    """Return how many matches there are when the stars are shifted, round the image's edges."""
    size = np.array([shape[1], shape[0]], np.float64)
    step = min(SHIFT_RADII * radius, SHIFT_SHARE * float(size.min()))
    angles = 2 * np.pi * (np.arange(SHIFTS) + 0.5) / SHIFTS
    shifts = step * np.column_stack([np.cos(angles), np.sin(angles)])
    return float(np.mean([len(_mutual(here, (there + one) % size, radius)[0]) for one in shifts]))


def _mutual(here: Floats, there: Floats, radius: float) -> tuple[Indices, Indices]:
    distance, nearest = cKDTree(there).query(here, distance_upper_bound=radius)
    found = np.flatnonzero(np.isfinite(distance))
    order = found[np.argsort(distance[found], kind="stable")]
    _, first = np.unique(nearest[order], return_index=True)
    kept = np.sort(order[first])
    return kept, np.asarray(nearest[kept], np.int64)


def _check_matches(matched: Matched, stars: StarList) -> None:
    if len(matched) < LEAST_MATCHES:
        raise NotCalibratedError(
            f"{len(matched)} objects lie within {matched.radius_arcsec:.2f} arcsec of one of the "
            f"{len(stars)} stars of {stars.name}, and {LEAST_MATCHES} are needed: is the image's "
            "place right (refine_wcs), or its filter another?"
        )
    if matched.n_chance > CHANCE_SHARE * len(matched):
        raise NotCalibratedError(
            f"{len(matched)} objects match {stars.name}, but {matched.n_chance:.0f} would by "
            "chance: the image's place is wrong, or sr_override too large"
        )


def _tried(
    matched: Matched,
    extracted: Extracted,
    wcs: TanSip,
    stars: StarList,
    how: tuple[LightOptions, float],
) -> tuple[Matched, list[str]]:
    """Return the matches a zero point may be taken from, and what was left out."""
    options, least_signal = how
    notes: list[str] = []
    kept = extracted.objects.signal[matched.objects] >= least_signal
    mag = stars.mag[matched.stars]
    if options.mag_lower is not None:
        kept &= mag >= options.mag_lower
    if options.mag_upper is not None:
        kept &= mag <= options.mag_upper
    if options.filter_blends:
        radius_deg = BLEND_FWHM * extracted.fwhm_pix * wcs.scale_arcsec / 3600
        alone = without_blends(stars, radius_deg)[matched.stars]
        notes.append(f"{np.count_nonzero(kept & ~alone)} stars with neighbours left out")
        kept &= alone
    flags = extracted.objects.flags[matched.objects] & ~MASKED_RING
    unflagged = kept & (flags == 0)
    if np.count_nonzero(unflagged) < ENOUGH_UNFLAGGED:
        unflagged = kept & ((flags & ~DEBLENDED) == 0)
        notes.append("deblended objects are used too, as few others match")
    # Faint stars sit on whatever unevenness is left of the sky: the bright ones tell better.
    bright = unflagged & (extracted.objects.signal[matched.objects] > BRIGHT_SIGNAL)
    if np.count_nonzero(bright) >= ENOUGH_BRIGHT + 3 * options.spatial_order**2:
        unflagged = bright
    return _part(matched, np.flatnonzero(unflagged)), notes


def _part(matched: Matched, kept: Indices) -> Matched:
    return Matched(
        matched.objects[kept],
        matched.stars[kept],
        matched.x[kept],
        matched.y[kept],
        matched.radius_arcsec,
        matched.n_chance,
    )


def _colour(stars: StarList, which: Indices, options: LightOptions) -> Floats | None:
    if stars.colour is None or not (options.use_colour or options.colour_term is not None):
        return None
    colour = stars.colour[which]
    is_given = options.colour_term is not None
    return colour if is_given or has_colour_range(colour) else None


def _said_of_colour(stars: StarList, colour: Floats | None, options: LightOptions) -> list[str]:
    if colour is not None or not (options.use_colour or options.colour_term is not None):
        return []
    if stars.colour is None:
        if options.colour_term is not None:
            raise NotCalibratedError(
                f"force_color_term is given, but {stars.name} has no two bands for a colour"
            )
        return [f"no colour term: {stars.name} has one band alone"]
    return ["no colour term: the stars are too alike in colour"]


def _stars_of(
    extracted: Extracted, tried: Matched, stars: StarList, colour: Floats | None
) -> CalibrationStars:
    light, sources = extracted.objects.light, extracted.objects.sources
    x, y = scaled(sources.x[tried.objects], sources.y[tried.objects], _shape(extracted))
    return CalibrationStars(
        flux_per_s=light.flux[tried.objects],
        flux_error_per_s=light.error[tried.objects],
        mag=stars.mag[tried.stars],
        mag_error=stars.error[tried.stars],
        colour=colour,
        x=x,
        y=y,
    )


def _fitted(stars: CalibrationStars, options: LightOptions) -> ZeroPoint:
    model = ZeroPointModel(
        spatial_order=options.spatial_order,
        background_order=options.background_order,
        has_nonlinearity=options.has_nonlinearity,
        colour_term=options.colour_term,
    )
    try:
        return fit_zero_point(stars, model=model)
    except NoZeroPointError as error:
        raise NotCalibratedError(
            f"no zero point: {error}. Fewer are needed with a lower spatial_order, without "
            "bg_order, nonlin or use_color"
        ) from error


def magnitudes(
    zero: ZeroPoint | None, flux: Floats, error: Floats, at: tuple[Floats, Floats]
) -> Magnitudes:
    """Return the magnitudes of fluxes at places from -1 to 1, NaN throughout without a zero point.

    The calibrated error holds the flux's, the fit's at that place, and no intrinsic scatter.
    """
    mag, mag_error = instrumental_mag(flux, error)
    if zero is None:
        nothing = np.full(len(mag), np.nan)
        return Magnitudes(mag, mag_error, nothing, nothing.copy())
    calibrated = mag + zero.of_stars(flux, *at)
    whole = np.hypot(np.hypot(mag_error, zero.error_at(*at)), zero.systematic_mag)
    return Magnitudes(mag, mag_error, calibrated, whole)


def columns_told(stars: StarList) -> dict[str, str | None]:
    """Return the names of the catalogue's columns an image was calibrated with."""
    first, second = stars.colour_bands or (None, None)
    return {
        "cat_col_mag": stars.column,
        "cat_col_mag_err": f"e_{stars.column}",
        "cat_col_color_mag1": first and column_of(first),
        "cat_col_color_mag2": second and column_of(second),
    }
