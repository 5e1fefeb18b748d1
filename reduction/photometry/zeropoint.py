"""The magnitude of one count a second: a robust fit of instrumental to catalogue magnitudes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.stats import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
MAG_OF_LN: Final = 2.5 / np.log(10)
CLIP_SIGMA: Final = 3.5
ROUNDS: Final = 30
SPARE_STARS: Final = 3  # more than there are unknowns
LEAST_COLOUR_RANGE_MAG: Final = 0.3  # of the stars, below which no colour term can be told
MOST_SCATTER_MAG: Final = 5.0


@dataclass(frozen=True, slots=True)
class CalibrationStars:
    """Stars whose magnitudes are known, ``(n,)`` each.

    Attributes
    ----------
    flux_per_s, flux_error_per_s : float arrays
        All of their light in a second.
    mag, mag_error : float arrays
        Of the catalogue.
    colour : float array or None
        Of the catalogue, magnitudes; None fits no colour term.
    x, y : float arrays or None
        Places on the frame from -1 to 1; None fits no variation over the frame.
    """

    flux_per_s: Floats
    flux_error_per_s: Floats
    mag: Floats
    mag_error: Floats
    colour: Floats | None = None
    x: Floats | None = None
    y: Floats | None = None


@dataclass(frozen=True, slots=True)
class ZeroPoint:
    """What turns a flux into a magnitude: ``mag = -2.5 log10(flux/s) + value + term * colour``.

    Attributes
    ----------
    value, error : float
        Zero point at the middle of the frame, magnitudes, for a star of the mean colour where no
        colour term is fitted.
    colour_term, colour_term_error : float or None
        Magnitudes a magnitude of colour.
    spatial : tuple of float
        Coefficients of x, y, x^2, xy, y^2 from -1 to 1; empty where none are fitted.
    scatter_mag : float
        Intrinsic: what the stars scatter by beyond their stated errors.
    is_used : bool array, ``(n,)``
        Which stars are no outliers.
    residual_mag : float array, ``(n,)``
        Catalogue less fit; NaN of stars without light.
    """

    value: float
    error: float
    colour_term: float | None
    colour_term_error: float | None
    spatial: tuple[float, ...]
    scatter_mag: float
    is_used: npt.NDArray[np.bool_]
    residual_mag: Floats

    @property
    def n_used(self) -> int:
        """Stars the fit rests on."""
        return int(np.count_nonzero(self.is_used))


class NoZeroPointError(Exception):
    """There are too few stars of known magnitude; the message says how many there are."""


def instrumental_mag(flux_per_s: Floats, error_per_s: Floats) -> tuple[Floats, Floats]:
    """Return ``-2.5 log10`` of fluxes and its error; NaN where there is no light."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mag = np.where(flux_per_s > 0, -2.5 * np.log10(flux_per_s), np.nan)
        error = np.where(flux_per_s > 0, MAG_OF_LN * error_per_s / flux_per_s, np.nan)
    return mag, error


def fit_zero_point(stars: CalibrationStars, *, spatial_order: int = 0) -> ZeroPoint:
    """Fit a zero point, with a colour term and variation over the frame where asked for.

    Weighted least squares; the weights hold the stars' own errors and an intrinsic scatter that
    makes the reduced chi-squared one; outliers are clipped until none is left.

    Parameters
    ----------
    stars : CalibrationStars
        Matched with the catalogue.
    spatial_order : int
        0 to 2, of the polynomial over the frame.

    Returns
    -------
    ZeroPoint
        With residuals and who was used.

    Raises
    ------
    NoZeroPointError
        Where fewer stars are left than the fit needs.

    References
    ----------
    Karpov (2024), arXiv:2411.16470, of the model; Hogg, Bovy & Lang (2010), arXiv:1008.4686.
    """
    mag, error = instrumental_mag(stars.flux_per_s, stars.flux_error_per_s)
    difference = stars.mag - mag
    variance = error**2 + stars.mag_error**2
    columns = _columns(stars, spatial_order)
    known = np.isfinite(difference) & np.isfinite(variance) & np.isfinite(columns).all(axis=1)
    used = known & _near_median(difference, known)
    needed = columns.shape[1] + SPARE_STARS
    for _ in range(ROUNDS):
        _check_enough(used, needed)
        values, _, scatter = _weighted(columns[used], difference[used], variance[used])
        residual = difference - columns @ values
        still = known & (np.abs(residual) <= CLIP_SIGMA * np.sqrt(variance + scatter**2))
        if np.array_equal(still, used):
            break
        used = still
    _check_enough(used, needed)
    found = _weighted(columns[used], difference[used], variance[used])
    return _told(stars, found, used, difference - columns @ found[0])


def _check_enough(used: npt.NDArray[np.bool_], needed: int) -> None:
    if np.count_nonzero(used) < needed:
        raise NoZeroPointError(
            f"{np.count_nonzero(used)} stars of known magnitude are left of "
            f"{len(used)} matched, and {needed} are needed"
        )


def _columns(stars: CalibrationStars, spatial_order: int) -> Floats:
    columns = [np.ones(len(stars.mag))]
    if stars.colour is not None:
        columns.append(stars.colour)
    if spatial_order and stars.x is not None and stars.y is not None:
        columns += [stars.x, stars.y]
        if spatial_order > 1:
            columns += [stars.x**2, stars.x * stars.y, stars.y**2]
    return np.column_stack(columns)


def _near_median(difference: Floats, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Leave out what no fit should begin with: wrong matches, variables, saturated stars."""
    if not known.any():
        return known
    centre = np.median(difference[known])
    away = np.abs(difference - centre)
    scatter = MAD_TO_SIGMA * float(np.median(away[known]))
    with np.errstate(invalid="ignore"):
        return np.asarray(away <= max(5 * scatter, 0.05))


def _weighted(
    columns: Floats, difference: Floats, variance: Floats
) -> tuple[Floats, Floats, float]:
    """Return the solution, its covariance and the intrinsic scatter that explains its residuals."""
    low, high = 0.0, MOST_SCATTER_MAG
    degrees = len(difference) - columns.shape[1]
    values, covariance = _solved(columns, difference, variance)
    if _chi2(columns, difference, variance, values) <= degrees:
        return values, covariance, 0.0
    for _ in range(50):
        scatter = (low + high) / 2
        total = variance + scatter**2
        values, covariance = _solved(columns, difference, total)
        if _chi2(columns, difference, total, values) > degrees:
            low = scatter
        else:
            high = scatter
    return values, covariance, scatter


def _solved(columns: Floats, difference: Floats, variance: Floats) -> tuple[Floats, Floats]:
    weighted = columns / variance[:, None]
    covariance = np.asarray(np.linalg.pinv(columns.T @ weighted), np.float64)
    return covariance @ (weighted.T @ difference), covariance


def _chi2(columns: Floats, difference: Floats, variance: Floats, values: Floats) -> float:
    return float(np.sum((difference - columns @ values) ** 2 / variance))


def _told(
    stars: CalibrationStars,
    found: tuple[Floats, Floats, float],
    used: npt.NDArray[np.bool_],
    residual: Floats,
) -> ZeroPoint:
    values, covariance, scatter = found
    errors = np.sqrt(np.diag(covariance))
    has_colour = stars.colour is not None
    return ZeroPoint(
        value=float(values[0]),
        error=float(errors[0]),
        colour_term=float(values[1]) if has_colour else None,
        colour_term_error=float(errors[1]) if has_colour else None,
        spatial=tuple(float(v) for v in values[1 + has_colour :]),
        scatter_mag=float(scatter),
        is_used=used,
        residual_mag=residual,
    )


def has_colour_range(colour: Floats) -> bool:
    """Tell whether stars differ enough in colour for a term to be fitted."""
    known = colour[np.isfinite(colour)]
    if len(known) < 2 * SPARE_STARS:
        return False
    low, high = np.percentile(known, (10, 90))
    return bool(high - low >= LEAST_COLOUR_RANGE_MAG)


def limiting_mag(
    zero_point: float, sky_noise: float, radius_pix: float, growth: float, exptime_s: float
) -> float:
    """Return the magnitude of a star whose flux is five times its aperture's sky noise.

    Parameters
    ----------
    zero_point : float
        Of one count a second.
    sky_noise : float
        Of a pixel.
    radius_pix : float
        Of the aperture.
    growth : float
        Share of a star's light in it.
    exptime_s : float
        Of the frame.
    """
    noise = sky_noise * np.sqrt(np.pi) * radius_pix / growth
    return float(zero_point - 2.5 * np.log10(5 * noise / exptime_s))
