"""A tangential projection with SIP distortion: made by least squares, and applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from reduction.astrometry.tangent import to_plane, to_sky

Floats = npt.NDArray[np.float64]
INVERSIONS = 20  # of a distortion, each step far closer than the one before
SETTLED_PIX = 1e-3  # how near a position must be to where its inversion leads
INVERSE_GRID = 24  # on a side, of the points the inverse polynomials of the header are fitted to
STRETCHED = 2  # times the stretch of a frame is found, by the linear part found before
RECENTRED = 4  # times the point of contact is moved to the frame's reference pixel


def no_terms() -> Floats:
    """Return the coefficients of no distortion."""
    return np.zeros((1, 1))


@dataclass(frozen=True, slots=True)
class TanSip:
    """Where pixels lie on the sky.

    Attributes
    ----------
    crval : tuple of float
        Right ascension and declination of the reference pixel, degrees.
    crpix : tuple of float
        Reference pixel, x and y, counted from 0 at the centre of the first.
    cd : float array, ``(2, 2)``
        Degrees a pixel: standard coordinates from corrected offsets in x and y.
    a, b : float arrays, ``(order + 1, order + 1)``
        SIP coefficients: what is added to the offsets in x and y, ``sum(a[p, q] u^p v^q)``,
        pixels.

    References
    ----------
    Shupe et al. (2005), ADASS XIV, ASP Conf. 347, 491.
    """

    crval: tuple[float, float]
    crpix: tuple[float, float]
    cd: Floats
    a: Floats = field(default_factory=no_terms)
    b: Floats = field(default_factory=no_terms)

    @classmethod
    def of_lists(cls, kept: Mapping[str, Any]) -> Self:
        """Return what `as_lists` told."""
        (ra, dec), (x, y) = kept["crval"], kept["crpix"]
        cd, a, b = (np.array(kept[name], np.float64) for name in ("cd", "a", "b"))
        return cls((float(ra), float(dec)), (float(x), float(y)), cd, a, b)

    def as_lists(self) -> dict[str, Any]:
        """Return it as plain numbers in lists, such as JSON holds, without loss."""
        return {
            "crval": [float(value) for value in self.crval],
            "crpix": [float(value) for value in self.crpix],
            **{name: getattr(self, name).tolist() for name in ("cd", "a", "b")},
        }

    @property
    def order(self) -> int:
        """Of the distortion; 1 is none."""
        return max(1, len(self.a) - 1)

    @property
    def scale_arcsec(self) -> float:
        """Arcseconds a pixel at the reference pixel: the root of a pixel's area."""
        return 3600 * float(np.sqrt(abs(np.linalg.det(self.cd))))

    @property
    def rotation_deg(self) -> float:
        """Angle from the frame's y axis to north, degrees, counted towards east."""
        inverse = np.linalg.inv(self.cd)
        east, north = inverse @ (1.0, 0.0), inverse @ (0.0, 1.0)
        angle = float(np.degrees(np.arctan2(-north[0], north[1])))
        is_mirrored = east[0] * north[1] - east[1] * north[0] > 0
        return angle if not is_mirrored else -angle

    @property
    def is_flipped(self) -> bool:
        """Tell whether east is to the right of north, as on no drawing of the sky."""
        return bool(np.linalg.det(self.cd) > 0)

    def sky(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return right ascension and declination of pixel positions, degrees."""
        u, v = x - self.crpix[0], y - self.crpix[1]
        u, v = u + polynomial(self.a, u, v), v + polynomial(self.b, u, v)
        return to_sky(
            self.cd[0, 0] * u + self.cd[0, 1] * v, self.cd[1, 0] * u + self.cd[1, 1] * v, self.crval
        )

    def pixel(self, ra_deg: Floats, dec_deg: Floats) -> tuple[Floats, Floats]:
        """Return the pixel positions of places on the sky; NaN where there can be none."""
        east, north = to_plane(ra_deg, dec_deg, self.crval)
        inverse = np.linalg.inv(self.cd)
        far_u = inverse[0, 0] * east + inverse[0, 1] * north
        far_v = inverse[1, 0] * east + inverse[1, 1] * north
        if self.order > 1:
            far_u, far_v = self._undistorted(far_u, far_v)
        return far_u + self.crpix[0], far_v + self.crpix[1]

    def _undistorted(self, far_u: Floats, far_v: Floats) -> tuple[Floats, Floats]:
        """Return the offsets that distortion takes to these; NaN far off, where it folds over."""
        u, v = far_u, far_v
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(INVERSIONS):
                u, v = far_u - polynomial(self.a, u, v), far_v - polynomial(self.b, u, v)
            there = u + polynomial(self.a, u, v), v + polynomial(self.b, u, v)
            away = np.hypot(there[0] - far_u, there[1] - far_v)
            settled = away < SETTLED_PIX
        return np.where(settled, u, np.nan), np.where(settled, v, np.nan)

    def inverse(self, shape: tuple[int, int]) -> tuple[Floats, Floats]:
        """Fit the polynomials that lead back from corrected offsets over a frame of `shape`."""
        ny, nx = shape
        grid_y, grid_x = np.mgrid[0 : ny - 1 : INVERSE_GRID * 1j, 0 : nx - 1 : INVERSE_GRID * 1j]
        u, v = grid_x.ravel() - self.crpix[0], grid_y.ravel() - self.crpix[1]
        far_u, far_v = u + polynomial(self.a, u, v), v + polynomial(self.b, u, v)
        size = max(nx, ny) / 2
        powers = terms(self.order)
        matrix = _design(far_u / size, far_v / size, powers)
        found = np.linalg.lstsq(matrix, np.column_stack([u - far_u, v - far_v]), rcond=None)[0]
        return tuple(_square(found[:, k], powers, self.order, size) for k in (0, 1))  # type: ignore[return-value]


def terms(order: int) -> list[tuple[int, int]]:
    """Return the powers of x and y of a polynomial's terms, the constant first."""
    return [(n - q, q) for n in range(order + 1) for q in range(n + 1)]


def polynomial(coefficients: Floats, u: Floats, v: Floats) -> Floats:
    """Return ``sum(c[p, q] u^p v^q)``."""
    if len(coefficients) < 2:
        return np.zeros_like(u)
    return np.asarray(np.polynomial.polynomial.polyval2d(u, v, coefficients), np.float64)


def _design(u: Floats, v: Floats, powers: Sequence[tuple[int, int]]) -> Floats:
    order = max(p + q for p, q in powers)
    us = np.vander(u, order + 1, increasing=True)
    vs = np.vander(v, order + 1, increasing=True)
    return np.column_stack([us[:, p] * vs[:, q] for p, q in powers])


def _square(values: Floats, powers: Sequence[tuple[int, int]], order: int, size: float) -> Floats:
    """Return a polynomial's coefficients by power, of offsets that were divided by `size`."""
    square = np.zeros((order + 1, order + 1))
    for value, (p, q) in zip(values, powers, strict=True):
        square[p, q] = value / size ** (p + q)
    return square


def fit_tan_sip(
    pixels: tuple[Floats, Floats],
    sky: tuple[Floats, Floats],
    weights: Floats,
    *,
    start: TanSip,
    order: int,
    is_radial: bool = False,
) -> TanSip:
    """Fit a projection to stars by weighted least squares.

    The point of contact is moved until the reference pixel lies on it, so that the polynomial
    has no constant.

    Parameters
    ----------
    pixels : tuple of float arrays, ``(n,)``
        Positions x and y.
    sky : tuple of float arrays, ``(n,)``
        Right ascension and declination of the same stars, degrees.
    weights : float array, ``(n,)``
        One over the variance of the position on one axis.
    start : TanSip
        Gives the reference pixel and a first point of contact.
    order : int
        1 to 4; needs ``(order + 1)(order + 2) / 2`` stars.
    is_radial : bool
        Whether offsets are stretched by the square of their length besides, by one coefficient
        for both axes.

    Returns
    -------
    TanSip
        Of this order, of order 3 at least where it is stretched.
    """
    u, v = pixels[0] - start.crpix[0], pixels[1] - start.crpix[1]
    size = max(1.0, float(np.abs(u).max()), float(np.abs(v).max()))
    powers = terms(order)
    root = np.sqrt(weights)[:, None]
    matrix = _design(u / size, v / size, powers) * root
    crval = start.crval
    found, stretch = np.zeros((len(powers), 2)), 0.0
    for _ in range(RECENTRED):
        plane = np.column_stack(to_plane(*sky, crval))
        found, stretch = _fitted(matrix, root, plane, is_radial=is_radial)
        ra, dec = to_sky(found[0, :1], found[0, 1:], crval)
        crval = float(ra[0]), float(dec[0])
    plane = np.column_stack(to_plane(*sky, crval))
    found, stretch = _fitted(matrix, root, plane, is_radial=is_radial)
    cd = np.array([found[1], found[2]]).T / size
    bent = np.linalg.solve(cd, found.T)
    a, b = (_higher(_square(row, powers, order, size)) for row in bent)
    if is_radial:
        a, b = _stretched(a, b, stretch / size**2)
    return TanSip(crval, start.crpix, cd, a, b)


def _fitted(
    matrix: Floats, root: Floats, plane: Floats, *, is_radial: bool
) -> tuple[Floats, float]:
    """Return the coefficients of weighted rows, and by what share offsets of one are stretched."""
    found = np.asarray(np.linalg.lstsq(matrix, plane * root, rcond=None)[0], np.float64)
    stretch = 0.0
    for _ in range(STRETCHED if is_radial else 0):
        u, v = matrix[:, 1:2] / root, matrix[:, 2:3] / root
        bent = (u * u + v * v) * (matrix[:, 1:3] @ found[1:3])
        own = bent - matrix @ np.linalg.lstsq(matrix, bent, rcond=None)[0]
        stretch = float(np.sum(own * plane * root) / max(float(np.sum(own * own)), 1e-300))
        rest = plane * root - stretch * bent
        found = np.asarray(np.linalg.lstsq(matrix, rest, rcond=None)[0], np.float64)
    return found, stretch


def _stretched(a: Floats, b: Floats, stretch: float) -> tuple[Floats, Floats]:
    """Return SIP coefficients that stretch offsets by the square of their length besides."""
    made = []
    for kept, powers in ((a, ((3, 0), (1, 2))), (b, ((2, 1), (0, 3)))):
        whole = np.zeros((max(4, len(kept)),) * 2)
        whole[: len(kept), : len(kept)] = kept
        for power in powers:
            whole[power] += stretch
        made.append(whole)
    return made[0], made[1]


def _higher(square: Floats) -> Floats:
    """Return coefficients without the constant and the linear terms, which crval and cd hold."""
    if len(square) <= 2:
        return no_terms()
    kept = square.copy()
    kept[0, 0] = kept[1, 0] = kept[0, 1] = 0.0
    return kept
