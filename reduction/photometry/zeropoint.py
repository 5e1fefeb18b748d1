"""The magnitude of one count a second: a robust fit of instrumental to catalogue magnitudes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry.wcs import terms
from reduction.normal import MAD_TO_SIGMA
from reduction.photometry.zeromodel import (
    MAG_OF_LN,
    PLAIN,
    CalibrationStars,
    Floats,
    ZeroPoint,
    ZeroPointModel,
    instrumental_mag,
    polynomials,
)

__all__ = [
    "CalibrationStars",
    "NoZeroPointError",
    "ZeroPoint",
    "ZeroPointModel",
    "choose_zero_point",
    "fit_zero_point",
    "has_colour_range",
    "instrumental_mag",
    "limiting_mag",
]

CLIP_SIGMA: Final = 3.5
ROUNDS: Final = 30
SPARE_STARS: Final = 3  # more than there are unknowns
LEAST_COLOUR_RANGE_MAG: Final = 0.3  # of the stars, below which no colour term can be told
MOST_SCATTER_MAG: Final = 5.0
STARS_A_TERM: Final = 12  # that a polynomial over the frame may be chosen with
BETTER_BIC: Final = 10.0  # by which a term must improve the fit: very strong evidence


class NoZeroPointError(Exception):
    """There are too few stars of known magnitude; the message says how many there are."""


def fit_zero_point(
    stars: CalibrationStars, *, spatial_order: int = 0, model: ZeroPointModel = PLAIN
) -> ZeroPoint:
    """Fit a zero point, with a colour term and variation over the frame where asked for.

    Weighted least squares; the weights hold the stars' own errors and an intrinsic scatter that
    makes the reduced chi-squared one; outliers are clipped until none is left. What is to be added
    to fluxes enters to first order, ``-2.5 log10(F + b) = -2.5 log10(F) - 1.0857 b / F``.

    Parameters
    ----------
    stars : CalibrationStars
        Matched with the catalogue.
    spatial_order : int
        Of the polynomial over the frame, where `model` does not say.
    model : ZeroPointModel
        Further terms.

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
    if model.colour_term is not None and stars.colour is not None:
        difference = difference - model.colour_term * stars.colour
    variance = error**2 + stars.mag_error**2
    design = _design_of(stars, mag, model, spatial_order)
    columns = design.columns
    known = np.isfinite(difference) & np.isfinite(variance) & np.isfinite(columns).all(axis=1)
    columns = np.where(known[:, None], columns, 0.0)
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
    return _told(design, found, used, difference - columns @ found[0])


def choose_zero_point(stars: CalibrationStars, *, most: int = 2) -> ZeroPoint:
    """Fit a zero point with the lowest order over the frame that the stars do not speak against.

    A higher order is taken only where there are 12 stars for each of its terms and it lowers the
    Bayesian information criterion by 10.

    Parameters
    ----------
    stars : CalibrationStars
        With places.
    most : int
        The highest order that is tried.

    Returns
    -------
    ZeroPoint

    Raises
    ------
    NoZeroPointError
        Where they are too few for one value.

    References
    ----------
    Kass & Raftery (1995), JASA 90, 773, of what counts as very strong evidence.
    """
    best = fit_zero_point(stars)
    if stars.x is None or stars.y is None:
        return best
    for order in range(1, most + 1):
        if best.n_used < STARS_A_TERM * len(terms(order)):
            break
        trial = fit_zero_point(stars, spatial_order=order)
        if _bic(trial, stars, best) < _bic(best, stars, best) - BETTER_BIC:
            best = trial
    return best


def _bic(zero: ZeroPoint, stars: CalibrationStars, common: ZeroPoint) -> float:
    """Return the criterion over the stars `common` used.

    Each fit has the scatter it needs: one that takes a slope for scatter explains all as well, and
    only its wider spread tells against it.
    """
    used = common.is_used
    error = instrumental_mag(stars.flux_per_s[used], stars.flux_error_per_s[used])[1]
    variance = error**2 + stars.mag_error[used] ** 2 + zero.scatter_mag**2
    # A star that only the richer model explains must not count against the poorer without end.
    pulls = np.minimum(zero.residual_mag[used] ** 2 / variance, CLIP_SIGMA**2)
    return float(np.sum(pulls + np.log(variance)) + len(zero.spatial) * np.log(len(pulls)))


def _check_enough(used: npt.NDArray[np.bool_], needed: int) -> None:
    if np.count_nonzero(used) < needed:
        raise NoZeroPointError(
            f"{np.count_nonzero(used)} stars of known magnitude are left of "
            f"{len(used)} matched, and {needed} are needed"
        )


@dataclass(frozen=True, slots=True)
class _Design:
    """The columns of a fit, and how many belong to which term."""

    columns: Floats
    n_spatial: int
    n_background: int
    has_colour: bool
    held_colour: float | None
    pivot_mag: float | None


def _design_of(
    stars: CalibrationStars, mag: Floats, model: ZeroPointModel, spatial_order: int
) -> _Design:
    nowhere = np.zeros(len(stars.mag))
    has_places = stars.x is not None and stars.y is not None
    x = stars.x if has_places and stars.x is not None else nowhere
    y = stars.y if has_places and stars.y is not None else nowhere
    order = max(spatial_order, model.spatial_order) if has_places else 0
    parts = [polynomials(x, y, order)]
    n_background = 0
    if model.background_order is not None:
        shape = polynomials(x, y, model.background_order if has_places else 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(-MAG_OF_LN * shape / stars.flux_per_s[:, None])
        n_background = shape.shape[1]
    is_fitted = stars.colour is not None and model.colour_term is None
    if is_fitted and stars.colour is not None:
        parts.append(stars.colour[:, None])
    pivot = float(np.nanmedian(mag)) if model.has_nonlinearity and len(mag) else None
    if pivot is not None:
        parts.append((mag - pivot)[:, None])
    held = model.colour_term if stars.colour is not None else None
    return _Design(np.hstack(parts), parts[0].shape[1], n_background, is_fitted, held, pivot)


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
    design: _Design,
    found: tuple[Floats, Floats, float],
    used: npt.NDArray[np.bool_],
    residual: Floats,
) -> ZeroPoint:
    values, covariance, scatter = found
    errors = np.sqrt(np.diag(covariance))
    n, last = design.n_spatial, design.n_spatial + design.n_background
    held = design.held_colour
    return ZeroPoint(
        value=float(values[0]),
        error=float(errors[0]),
        colour_term=float(values[last]) if design.has_colour else held,
        colour_term_error=float(errors[last])
        if design.has_colour
        else None
        if held is None
        else 0.0,
        spatial=tuple(float(v) for v in values[1:n]),
        scatter_mag=float(scatter),
        is_used=used,
        residual_mag=residual,
        background=tuple(float(v) for v in values[n:last]),
        nonlinearity=float(values[-1]) if design.pivot_mag is not None else 0.0,
        pivot_mag=design.pivot_mag or 0.0,
        covariance=covariance[:n, :n],
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
