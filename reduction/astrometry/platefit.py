"""Matching a frame's stars with a catalogue around a guess, and fitting a polynomial to them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.astrometry.wcs import terms
from reduction.normal import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
HIGHEST_ORDER: Final = 4
# By how much likelier a freer fit must make the stars left out, twice the logarithm, to be taken.
EVIDENCE: Final = 4.0
CLIP_SIGMA: Final = 3.0  # of a star left out, beyond which it counts no more
SPARE_STARS: Final = 5  # more than a polynomial has terms
RADIAL_ORDER: Final = 3  # of the polynomial that holds a stretch by the square of the radius
LEAST_KEPT: Final = 1e-9  # of a star's residual, that a fit through it leaves
LEAST_ERROR_PIX: Final = 0.02  # nobody's centroids are better in the frame's own coordinates


class Bend(NamedTuple):
    """How free a fit is.

    Attributes
    ----------
    order : int
        Of the polynomial in each axis.
    is_radial : bool
        Whether one more coefficient stretches offsets by the square of their length, as the
        optics of a telescope do before anything else; few stars can tell it.
    """

    order: int
    is_radial: bool = False

    @property
    def n_unknowns(self) -> int:
        """Of both axes."""
        return 2 * len(terms(self.order)) + self.is_radial


LADDER: Final = (Bend(1), Bend(1, True), Bend(2), Bend(2, True), Bend(3), Bend(HIGHEST_ORDER))


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
    bend : Bend
        How free it was.
    """

    coefficients: Floats
    residuals: Floats
    held_out: Floats
    bend: Bend


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

    def density(self, coefficients: Floats) -> float:
        """Return how many of the catalogue's stars there are a pixel of the frame."""
        area = float(np.ptp(self.x) * np.ptp(self.y))
        return len(self.on_frame(coefficients)) / max(area, 1.0)

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

    def fit(self, matches: Matches, order: int, *, may_stretch: bool = False) -> Fit:
        """Fit as freely as stars and order allow."""
        steps = [
            bend for bend in LADDER if bend.order <= order and (may_stretch or not bend.is_radial)
        ]
        enough = [bend for bend in steps if _are_enough(matches, bend)]
        return self.fitted(matches, enough[-1] if enough else LADDER[0])

    def fitted(self, matches: Matches, bend: Bend) -> Fit:
        """Fit a polynomial by weighted least squares."""
        design = self._matrix[matches.here, : len(terms(bend.order))]
        root = 1 / np.maximum(self.error_pix[matches.here], LEAST_ERROR_PIX)[:, None]
        q, r = np.linalg.qr(design * root)
        plane = self.plane[matches.there] * root
        coefficients = np.linalg.solve(r, q.T @ plane)
        left = plane - q @ (q.T @ plane)
        # Of a linear fit the residual of a star left out follows from its leverage.
        kept = np.maximum(1 - (q * q).sum(axis=1), LEAST_KEPT)[:, None]
        if not bend.is_radial:
            return Fit(coefficients, left / root, left / kept / root, bend)
        bent = radial(design[:, 1:3], coefficients[1:3]) * root
        own = bent - q @ (q.T @ bent)
        total = max(float(np.sum(own * own)), 1e-30)
        stretch = float(np.sum(own * left)) / total
        left = left - stretch * own
        # The stretch is of both axes: what a star tells of it is a part of its leverage too.
        told = np.sum(own * own, axis=1, keepdims=True)
        room = np.maximum(total * kept - told, LEAST_KEPT * total)
        more = np.sum(own * left, axis=1, keepdims=True) / room
        straight = np.linalg.solve(r, q.T @ (plane - stretch * bent))
        return Fit(
            with_stretch(straight, coefficients[1:3], stretch),
            left / root,
            (left + own * more) / kept / root,
            bend,
        )

    def best_fit(self, matches: Matches) -> Fit:
        """Return the least free fit that predicts stars left out about best.

        They count by their errors, as in the fit: the noise of faint stars tells nothing of how a
        frame is bent. A median would tell as little of two dozen stars; that the residuals are the
        prediction of what is left out is of Allen (1974), Technometrics 16, 125.
        """
        error = np.maximum(self.error_pix[matches.here], LEAST_ERROR_PIX)[:, None]
        enough = np.exp(-EVIDENCE / (4 * max(1, len(matches))))  # for two values of each star
        best = self.fitted(matches, LADDER[0])
        least = _typical(best.held_out / error)
        for bend in LADDER[1:]:
            if not _are_enough(matches, bend):
                break
            fit = self.fitted(matches, bend)
            off = _typical(fit.held_out / error)
            if off < enough * least:
                best, least = fit, off
        return best


def _are_enough(matches: Matches, bend: Bend) -> bool:
    return 2 * len(matches) >= bend.n_unknowns + 2 * SPARE_STARS


def radial(offsets: Floats, linear: Floats) -> Floats:
    """Return how offsets, ``(n, 2)``, move when they are stretched by the square of their length.

    `linear` maps them to the plane, ``(2, 2)``.
    """
    return np.asarray((offsets * offsets).sum(axis=1)[:, None] * (offsets @ linear))


def with_stretch(coefficients: Floats, linear: Floats, stretch: float) -> Floats:
    """Return the coefficients of a polynomial of order 3 that stretches so besides."""
    powers = terms(RADIAL_ORDER)
    whole = np.zeros((len(powers), 2))
    whole[: len(coefficients)] = coefficients
    for power, axis in (((3, 0), 0), ((1, 2), 0), ((2, 1), 1), ((0, 3), 1)):
        whole[powers.index(power)] += stretch * linear[axis]
    return whole


def _typical(pulls: Floats) -> float:
    """Return the root mean square of some values, none counted beyond a few times the usual."""
    off = np.abs(pulls)
    return float(np.sqrt(np.mean(np.minimum(off, CLIP_SIGMA * scatter(off)) ** 2)))


def scatter(offsets: Floats) -> float:
    """Return the standard deviation on one axis, a few outliers not counted."""
    return float(MAD_TO_SIGMA * np.median(np.abs(offsets))) if offsets.size else float("inf")
