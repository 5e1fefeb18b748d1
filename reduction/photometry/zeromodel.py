"""What a zero point is: the stars it is from, its terms, how a flux becomes a magnitude."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry.wcs import terms

Floats = npt.NDArray[np.float64]
MAG_OF_LN: Final = float(2.5 / np.log(10))  # plain: what is made of it is kept as JSON


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
class ZeroPointModel:
    """Which terms a zero point has.

    Attributes
    ----------
    spatial_order : int
        Of the polynomial over the frame; 0 is one value for all of it.
    background_order : int or None
        Of a polynomial over the frame that is added to the fluxes, what the sky was misjudged by;
        None has none.
    has_nonlinearity : bool
        Whether the zero point may change with the instrumental magnitude.
    colour_term : float or None
        One that is known and held, instead of fitted.
    """

    spatial_order: int = 0
    background_order: int | None = None
    has_nonlinearity: bool = False
    colour_term: float | None = None


PLAIN: Final = ZeroPointModel()


@dataclass(frozen=True)
class ZeroPoint:
    """What turns a flux into a magnitude: ``mag = -2.5 log10(flux/s) + value + term * colour``.

    With a polynomial over the frame the zero point of a place is `at`; with the other terms
    `of_stars` is what is added to the instrumental magnitude of each star.

    Attributes
    ----------
    value, error : float
        Zero point in the mean over the frame, magnitudes, for a star of colour 0, of the mean
        colour where no colour term is fitted; and its standard error.
    colour_term, colour_term_error : float or None
        Magnitudes a magnitude of colour; the error is 0 of one that was given.
    spatial : tuple of float
        Coefficients of the products of Legendre polynomials in x and y from -1 to 1, of orders
        (1, 0), (0, 1), (2, 0), (1, 1), (0, 2) and so on; empty where none are fitted.
    scatter_mag : float
        Intrinsic: what the stars scatter by beyond their stated errors.
    is_used : bool array, ``(n,)``
        Which stars are no outliers.
    residual_mag : float array, ``(n,)``
        Catalogue less fit; NaN of stars without light.
    background : tuple of float
        Coefficients of the same, the constant first, of what is to be added to a flux, in
        counts a second.
    nonlinearity, pivot_mag : float
        Magnitudes a magnitude, and the instrumental magnitude at which it adds nothing.
    covariance : float array, ``(k, k)``
        Of the value and the coefficients of `spatial`.
    systematic_mag : float
        What all stars share and no scatter shows: the doubt of the growth curve.
    """

    value: float
    error: float
    colour_term: float | None
    colour_term_error: float | None
    spatial: tuple[float, ...]
    scatter_mag: float
    is_used: npt.NDArray[np.bool_]
    residual_mag: Floats
    background: tuple[float, ...] = ()
    nonlinearity: float = 0.0
    pivot_mag: float = 0.0
    covariance: Floats = field(default_factory=lambda: np.zeros((1, 1)))
    systematic_mag: float = 0.0

    @cached_property
    def n_used(self) -> int:
        """Stars the fit rests on."""
        return int(np.count_nonzero(self.is_used))

    @property
    def total_error(self) -> float:
        """Of the value, what all stars share included."""
        return float(np.hypot(self.error, self.systematic_mag))

    def at(self, x: Floats, y: Floats) -> Floats:
        """Return the zero points of places on the frame, from -1 to 1."""
        columns = polynomials(x, y, order_of(len(self.spatial) + 1))
        return np.asarray(columns @ np.array([self.value, *self.spatial]))

    def error_at(self, x: Floats, y: Floats) -> Floats:
        """Return the standard errors of these, what all stars share left out."""
        columns = polynomials(x, y, order_of(len(self.spatial) + 1))
        if self.covariance.shape != (columns.shape[1],) * 2:
            return np.full(len(columns), self.error)
        variance = np.einsum("ij,jk,ik->i", columns, self.covariance, columns)
        return np.asarray(np.sqrt(np.maximum(variance, 0)))

    def of_stars(self, flux_per_s: Floats, x: Floats, y: Floats) -> Floats:
        """Return what is added to ``-2.5 log10`` of fluxes at places; NaN where there is none."""
        zero = self.at(x, y)
        if self.background:
            more = polynomials(x, y, order_of(len(self.background))) @ np.array(self.background)
            with np.errstate(divide="ignore", invalid="ignore"):
                zero = zero - 2.5 * np.log10(1 + more / flux_per_s)
        if self.nonlinearity:
            mag, _ = instrumental_mag(flux_per_s, flux_per_s)
            zero = zero + self.nonlinearity * (mag - self.pivot_mag)
        return np.asarray(zero)


def instrumental_mag(flux_per_s: Floats, error_per_s: Floats) -> tuple[Floats, Floats]:
    """Return ``-2.5 log10`` of fluxes and its error; NaN where there is no light."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mag = np.where(flux_per_s > 0, -2.5 * np.log10(flux_per_s), np.nan)
        error = np.where(flux_per_s > 0, MAG_OF_LN * error_per_s / flux_per_s, np.nan)
    return mag, error


def polynomials(x: Floats, y: Floats, order: int) -> Floats:
    """Return the terms of a polynomial over the frame, the constant first, ``(n, k)``.

    Products of Legendre polynomials: all but the constant are zero in the mean over the frame,
    so that its coefficient is the mean, which the corners do not pull at.
    """
    at_x, at_y = (np.polynomial.legendre.legvander(np.asarray(v, float), order) for v in (x, y))
    return np.column_stack([at_x[:, p] * at_y[:, q] for p, q in terms(order)])


def order_of(n_terms: int) -> int:
    """Return the order of the polynomial that has so many terms, at most."""
    return next(order for order in range(16) if len(terms(order)) >= n_terms)
