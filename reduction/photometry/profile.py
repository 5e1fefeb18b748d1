"""The table of a point spread function: an analytic profile, and what stars tell beyond it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates, spline_filter
from scipy.optimize import least_squares

from reduction.kernels import psf as kernel
from reduction.kernels.stars import Light
from reduction.photometry.widths import terms_of

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
STEP_PIX: Final = 0.25  # between the nodes of the table that is read
RADIUS_FWHM: Final = 4.0  # of the table: as the largest aperture
NODES_PER_FWHM: Final = 5.0  # of what is added to the analytic profile
LEAST_SPACING_PIX: Final = 0.5
LINEAR_STARS, SQUARE_STARS = 15, 60  # from which on the profile may vary over the frame
DOUBT, LEAST_DOUBT = 0.1, 2e-5  # of the analytic profile, and of its peak
MOST_BETA: Final = 300.0  # as good as a Gaussian
FIT_STARS: Final = 60
MOST_SAMPLES: Final = 8000  # pixels of all of them: of wide stars, some
ONE_PIXEL: Final = 0.01  # of the peak: the profile, not noise, limits the pixels of bright stars
SHAPE_FWHM: Final = 1.5  # of a star, that tells its own axes
A_CHANGE, A_MOVE_PIX = 0.02, 0.05  # steps of axes and of places, whose effect is told
MOST_CHANGE: Final = 0.6  # of an axis: what is beyond is no width of stars
GRID: Final = (-0.85, 0.0, 0.85)  # of the frame's half width, where a profile is drawn
# Three points across a pixel, and their weights (Gauss and Legendre).
POINTS: Final = np.array([[-0.3872983346207417, 5 / 18], [0, 8 / 18], [0.3872983346207417, 5 / 18]])


def terms_told(n_stars: int) -> int:
    """Return how many terms of a polynomial over the frame so many stars can tell."""
    if n_stars < LINEAR_STARS:
        return 1
    return 3 if n_stars < SQUARE_STARS else 6


@dataclass(frozen=True, slots=True)
class Seen:
    """Stars on a frame, for what their pixels tell.

    Attributes
    ----------
    light : Light
        The frame above its sky.
    stars : Stars
        Places and fluxes.
    fwhm_pix : float
        About their width.
    model : float32 array or None, ``(ny, nx)``
        Light of all stars, where it is known: then the neighbours of each are taken off.
    shape : Shape or None
        What it was drawn with.
    """

    light: Light
    stars: kernel.Stars
    fwhm_pix: float
    model: npt.NDArray[np.float32] | None = None
    shape: kernel.Shape | None = None

    def samples(self, chosen: Indices, reach: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Return offset, share of the light and weight of the pixels around stars."""
        parts = [self._around(k, reach) for k in chosen]
        dx, dy, share, weight = np.concatenate(parts, axis=1)
        return dx, dy, share, 1 / np.hypot(1 / weight, ONE_PIXEL * float(share.max(initial=0.0)))

    def _around(self, k: int, reach: int) -> Floats:
        light, (ny, nx) = self.light, self.light.data.shape
        x, y, flux = (float(column[k]) for column in self.stars)
        i = np.arange(max(0, round(x) - reach), min(nx, round(x) + reach + 1))
        j = np.arange(max(0, round(y) - reach), min(ny, round(y) + reach + 1))
        box = np.ix_(j, i)
        dx, dy = np.meshgrid(i - x, j - y)
        share = (light.data[box] - light.sky[box] - self._others(k, box, (dx, dy))) / flux
        noise = np.sqrt(np.maximum(light.variance[box], 1e-30)) / flux
        good = ((light.mask[box] & light.bits) == 0) & np.isfinite(share) & np.isfinite(noise)
        return np.stack([dx[good], dy[good], share[good], 1 / noise[good]])

    def _others(
        self, k: int, box: tuple[Indices, ...], offsets: tuple[Floats, Floats]
    ) -> Floats | float:
        """Return the light of other stars in pixels around one."""
        if self.model is None or self.shape is None:
            return 0.0
        x, y, flux = (float(column[k]) for column in self.stars)
        own = np.empty_like(offsets[0])
        kernel.shares_at(self.shape, x, y, offsets, own)
        return np.asarray(self.model[box] - flux * own)


def fit_moffat(seen: Seen, chosen: Indices) -> Floats:
    """Return the elliptical Moffat profile of the brightest stars.

    Coefficients of x^2, y^2 and xy, and the exponent.
    """
    fwhm = seen.fwhm_pix
    reach = int(np.ceil(2 * fwhm))
    samples = seen.samples(chosen[:FIT_STARS], reach)
    every = -(-len(samples[0]) // MOST_SAMPLES)
    dx, dy, share, weight = (np.ascontiguousarray(one[::every]) for one in samples)

    def off(p: Floats) -> Floats:
        return np.asarray((p[4] * _moffat(p[:4], dx, dy) - share) * weight)

    width = 4 * (2 ** (1 / 4.0) - 1) / fwhm**2
    begin = np.array([width, width, 0.0, 4.0, 1.0])
    bounds = ([width / 9, width / 9, -width, 1.3, 0.5], [width * 9, width * 9, width, MOST_BETA, 2])
    found = least_squares(off, begin, bounds=bounds, loss="soft_l1", x_scale=np.abs(begin) + width)
    return np.asarray(found.x[:4])


def _moffat(p: Floats, dx: Floats, dy: Floats) -> Floats:
    """Return the share of a Moffat profile's light in pixels at some offsets."""
    xx, yy, xy, beta = p
    norm = (beta - 1) / np.pi * np.sqrt(max(xx * yy - xy * xy / 4, 1e-12))
    total = np.empty(dx.shape)
    kernel.moffat((xx, yy, xy, beta), dx.ravel(), dy.ravel(), POINTS, total.ravel())
    return np.asarray(norm * total)


def star_shapes(seen: Seen, chosen: Indices, p: Floats) -> tuple[Floats, Floats]:
    """Return by how much the Moffat profile of each star differs from one of all, and the errors.

    Changes of x^2 and y^2 over themselves, and of xy over the root of both, ``(n, 3)`` each: by
    linear steps, with light and place of the star let free.
    """
    reach = int(np.ceil(SHAPE_FWHM * seen.fwhm_pix))
    found, errors = np.zeros((len(chosen), 3)), np.full((len(chosen), 3), np.inf)
    for k in range(len(chosen)):
        dx, dy, share, weight = seen.samples(chosen[k : k + 1], reach)
        columns = np.stack([*_changes(p, dx, dy), *_moves(p, dx, dy)], axis=1)
        if len(dx) < 2 * columns.shape[1]:
            continue
        known = np.linalg.pinv((columns * weight[:, None] ** 2).T @ columns)
        off = share - _moffat(p, dx, dy)
        found[k] = (known @ (columns.T @ (weight**2 * off)))[:3]
        errors[k] = np.sqrt(np.maximum(np.diag(known)[:3], 0))
    return found, errors


def _changed(p: Floats, by: Floats) -> Floats:
    """Return a profile whose axes are changed, as far as it stays one."""
    xx, yy, xy, beta = p
    a, b, c = np.clip(by, -MOST_CHANGE, MOST_CHANGE)
    return np.array([xx * (1 + a), yy * (1 + b), xy + c * np.sqrt(xx * yy), beta])


def _changes(p: Floats, dx: Floats, dy: Floats) -> list[Floats]:
    """Return how the light in pixels grows with each change of the axes."""
    return [
        (_moffat(_changed(p, one), dx, dy) - _moffat(_changed(p, -one), dx, dy)) / (2 * A_CHANGE)
        for one in A_CHANGE * np.eye(3)
    ]


def _moves(p: Floats, dx: Floats, dy: Floats) -> list[Floats]:
    """Return how the light in pixels grows with all light, and with the place."""
    by_x = _moffat(p, dx + A_MOVE_PIX, dy) - _moffat(p, dx - A_MOVE_PIX, dy)
    by_y = _moffat(p, dx, dy + A_MOVE_PIX) - _moffat(p, dx, dy - A_MOVE_PIX)
    return [_moffat(p, dx, dy), by_x, by_y]


def base_tables(p: Floats, change: Floats, corner: tuple[float, float], fwhm: float) -> Floats:
    """Return a Moffat profile that varies over the frame as tables of a polynomial's terms.

    `change` are the coefficients of `widths.vary`, ``(3, t)``, and `corner` how far u and v reach
    to either side. All of a star's light is within the radius, wherever it stands.
    """
    half, n_terms = _half(RADIUS_FWHM * fwhm), change.shape[1]
    offsets = np.arange(-half, half + 1) * STEP_PIX
    dx, dy = np.meshgrid(offsets, offsets)
    sides = GRID if n_terms > 1 else (0.0,)
    u, v = (np.ravel(one) for one in np.meshgrid(np.array(sides), np.array(sides)))
    terms = terms_of(u * corner[0], v * corner[1], n_terms)
    tables = np.stack([_moffat(_changed(p, by), dx, dy) for by in terms @ change.T])
    tables /= np.array([_light_in(table, fwhm) for table in tables])[:, None, None]
    return np.asarray(np.tensordot(np.linalg.pinv(terms), tables, axes=1))


def _half(radius: float) -> int:
    """Return how many nodes of a table lie on either side of its middle: a few beyond its rim."""
    return int(np.ceil(radius / STEP_PIX)) + 3


def _light_in(table: Floats, fwhm: float) -> float:
    """Return the sum of a table's pixels within its radius."""
    half = table.shape[0] // 2
    offsets = np.arange(-half, half + 1) * STEP_PIX
    inside = np.hypot(*np.meshgrid(offsets, offsets)) <= RADIUS_FWHM * fwhm
    return float(table[inside].sum() * STEP_PIX**2)


def _spacing(fwhm: float) -> float:
    """Return how far the nodes of what is added to the analytic profile are apart."""
    return max(LEAST_SPACING_PIX, fwhm / NODES_PER_FWHM)


def node_shape(fwhm: float) -> tuple[int, int]:
    """Return rows and columns of the nodes of what is added, a few beyond the rim."""
    n = 2 * int(np.ceil(RADIUS_FWHM * fwhm / _spacing(fwhm))) + 3
    return n, n


def correction(
    light: Light,
    model: npt.NDArray[np.float32],
    shape: kernel.Shape,
    told: tuple[kernel.Stars, kernel.Noise, Indices],
    base: Floats,
    fwhm: float,
) -> Floats:
    """Return by how much each node is off, for each term, ``(t, m, m)``.

    Nodes that few pixels tell of stay near the analytic profile.
    """
    n, n_terms = node_shape(fwhm)[0], shape.tables.shape[0]
    normal, right = np.zeros((n, n, n_terms, n_terms)), np.zeros((n, n, n_terms))
    spacing = _spacing(fwhm)
    kernel.gather_residuals(light, model, shape, told, (normal, right), spacing)
    offsets = (np.arange(n) - n // 2) * spacing / STEP_PIX + base.shape[1] // 2
    there = np.meshgrid(offsets, offsets, indexing="ij")
    profile = map_coordinates(base[0], there, order=1, mode="nearest")
    doubt = DOUBT * profile + LEAST_DOUBT * profile.max()
    normal += np.eye(n_terms) / doubt[..., None, None] ** 2
    off = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.asarray(np.moveaxis(off, -1, 0))


def full_tables(base: Floats, nodes: Floats, fwhm: float) -> Floats:
    """Return the tables of all terms: the light of a star is one wherever it stands."""
    half, n = base.shape[1] // 2, nodes.shape[1]
    places = (np.arange(base.shape[1]) - half) * STEP_PIX / _spacing(fwhm) + n // 2
    there = np.meshgrid(places, places, indexing="ij")
    tables = np.stack([map_coordinates(one, there, order=3, mode="constant") for one in nodes])
    tables[: len(base)] += base
    tables[0] /= _light_in(tables[0], fwhm)
    for k in range(1, len(tables)):
        tables[k] -= tables[0] * _light_in(tables[k], fwhm)
    return tables


def splines(tables: Floats) -> Floats:
    """Return the coefficients of cubic splines through the nodes of tables."""
    return np.stack([spline_filter(one, order=3, mode="mirror") for one in tables])
