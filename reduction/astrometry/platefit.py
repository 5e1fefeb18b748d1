"""Matching a frame's stars with a catalogue around a guess, and fitting a polynomial to them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.astrometry.wcs import terms
from reduction.stats import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
HIGHEST_ORDER: Final = 4
BETTER: Final = 0.98  # held-out scatter of a higher order over that of a lower, to be taken
SPARE_STARS: Final = 5  # more than a polynomial has terms
LEAST_ERROR_PIX: Final = 0.02  # nobody's centroids are better in the frame's own coordinates


@dataclass(frozen=True, slots=True)
class Matches:
    """Stars of the frame and of the catalogue that are each other's nearest.

    Attributes
    ----------
    here, there : integer arrays, ``(n,)``
        Their places in the lists of a `Plate`.
    """

    here: Indices
    there: Indices

    @classmethod
    def none(cls) -> "Matches":
        """Return no matches."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.here)


@dataclass(frozen=True, slots=True)
class Fit:
    """A polynomial from the frame to the plane.

    Attributes
    ----------
    coefficients : float array, ``(n_terms, 2)``
        Of the scaled offsets, for both standard coordinates, pixels.
    residuals : float array, ``(n, 2)``
        Of the stars it was fitted to, pixels: catalogue less frame.
    held_out : float array, ``(n, 2)``
        The same of each star, from the fit to all but that one.
    """

    coefficients: Floats
    residuals: Floats
    held_out: Floats

    @property
    def order(self) -> int:
        """Of the polynomial."""
        return next(k for k in range(1, 9) if len(terms(k)) == len(self.coefficients))


@dataclass(frozen=True)
class Plate:
    """One frame beside the catalogue around it.

    Attributes
    ----------
    x, y : float arrays, ``(n,)``
        Offsets of the frame's stars from its middle, pixels, the brightest first.
    error_pix : float array, ``(n,)``
        Standard deviation of a position on one axis.
    plane : float array, ``(m, 2)``
        Standard coordinates of the catalogue's stars about the middle believed in, pixels.
    """

    x: Floats
    y: Floats
    error_pix: Floats
    plane: Floats

    @cached_property
    def size(self) -> float:
        """What offsets are divided by, so that powers of them stay near one."""
        return max(1.0, float(np.abs(self.x).max()), float(np.abs(self.y).max()))

    @cached_property
    def _matrix(self) -> Floats:
        powers = terms(HIGHEST_ORDER)
        us, vs = (
            np.vander(values / self.size, HIGHEST_ORDER + 1, increasing=True)
            for values in (self.x, self.y)
        )
        return np.column_stack([us[:, p] * vs[:, q] for p, q in powers])

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.plane)

    def brightest(self, n: int) -> "Plate":
        """Return the same beside the brightest stars of the catalogue alone."""
        return Plate(self.x, self.y, self.error_pix, self.plane[:n])

    def guess(self, matrix: Floats, shift: Floats) -> Floats:
        """Return the coefficients of an affine map of offsets in pixels."""
        return np.vstack([shift, matrix.T * self.size])

    def on_frame(self, coefficients: Floats) -> Indices:
        """Return which of the catalogue's stars lie within the frame's own, the brightest first."""
        back = np.linalg.solve(coefficients[1:3].T, (self.plane - coefficients[0]).T) * self.size
        x, y = back
        inside = (x > self.x.min()) & (x < self.x.max()) & (y > self.y.min()) & (y < self.y.max())
        return np.flatnonzero(inside)

    def match(self, coefficients: Floats, radius_pix: float, limit: int) -> Matches:
        """Return the mutual nearest within a radius, of the brightest `limit` stars."""
        mapped = self._matrix[:limit, : len(coefficients)] @ coefficients
        distance, nearest = self._tree.query(mapped, distance_upper_bound=radius_pix)
        found = np.flatnonzero(np.isfinite(distance))
        # Of several stars at one of the catalogue, the nearest has it.
        order = found[np.argsort(distance[found], kind="stable")]
        _, first = np.unique(nearest[order], return_index=True)
        kept = np.sort(order[first])
        return Matches(kept, nearest[kept])

    def fit(self, matches: Matches, order: int) -> Fit:
        """Fit a polynomial by weighted least squares, lower where the stars are too few for it."""
        while order > 1 and len(matches) < len(terms(order)) + SPARE_STARS:
            order -= 1
        design = self._matrix[matches.here, : len(terms(order))]
        plane = self.plane[matches.there]
        root = 1 / np.maximum(self.error_pix[matches.here], LEAST_ERROR_PIX)[:, None]
        q, r = np.linalg.qr(design * root)
        coefficients = np.linalg.solve(r, q.T @ (plane * root))
        residuals = plane - design @ coefficients
        # Of a linear fit the residual of a star left out follows from its leverage.
        leverage = np.minimum((q * q).sum(axis=1), 1 - 1e-9)[:, None]
        return Fit(coefficients, residuals, residuals / (1 - leverage))

    def best_fit(self, matches: Matches) -> Fit:
        """Return the fit of the lowest order that predicts stars left out nearly best."""
        best = self.fit(matches, 1)
        least = scatter(best.held_out)
        for order in range(2, HIGHEST_ORDER + 1):
            if len(matches) < len(terms(order)) + SPARE_STARS:
                break
            fit = self.fit(matches, order)
            if scatter(fit.held_out) < BETTER * least:
                best, least = fit, scatter(fit.held_out)
        return best


def scatter(offsets: Floats) -> float:
    """Return the standard deviation on one axis, a few outliers not counted."""
    return float(MAD_TO_SIGMA * np.median(np.abs(offsets))) if offsets.size else float("inf")
