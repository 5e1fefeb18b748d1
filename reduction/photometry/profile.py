"""The table of a point spread function: an analytic profile, and what stars tell beyond it."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates, spline_filter
from scipy.optimize import least_squares

from reduction.kernels import psf as kernel
from reduction.kernels.stars import Light
from reduction.photometry.detection import Detected

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
STEP_PIX: Final = 0.25  # between the nodes of the table that is read
RADIUS_FWHM: Final = 4.0  # of the table: as the largest aperture
NODES_PER_FWHM: Final = 5.0  # of what is added to the analytic profile
LEAST_SPACING_PIX: Final = 0.5
LINEAR_STARS, SQUARE_STARS = 15, 60  # from which on the profile may vary over the frame
DOUBT, LEAST_DOUBT = 0.15, 2e-4  # of the analytic profile, and of its peak
MOST_BETA: Final = 30.0
FIT_STARS: Final = 12
ONE_PIXEL: Final = 0.01  # of the peak: the profile, not noise, limits the pixels of bright stars
GAUSS_AT: Final = 0.3872983346207417  # three points across a pixel (Gauss and Legendre)
GAUSS_POINTS: Final = ((-GAUSS_AT, 5 / 18), (0.0, 8 / 18), (GAUSS_AT, 5 / 18))


def terms_told(n_stars: int) -> int:
    """Return how many terms of a polynomial over the frame so many stars can tell."""
    if n_stars < LINEAR_STARS:
        return 1
    return 3 if n_stars < SQUARE_STARS else 6


def fit_moffat(light: Light, detected: Detected, flux: Floats, chosen: Indices) -> Floats:
    """Return the elliptical Moffat profile of the brightest stars.

    Coefficients of x^2, y^2 and xy, and the exponent.
    """
    fwhm = detected.fwhm_pix or 1.0
    reach = int(np.ceil(2 * fwhm))
    dx, dy, share, weight = _samples(light, detected, flux, chosen[:FIT_STARS], reach)

    def off(p: Floats) -> Floats:
        return np.asarray((p[4] * _moffat(p[:4], dx, dy) - share) * weight)

    width = 4 * (2 ** (1 / 4.0) - 1) / fwhm**2
    begin = np.array([width, width, 0.0, 4.0, 1.0])
    bounds = ([width / 9, width / 9, -width, 1.3, 0.5], [width * 9, width * 9, width, MOST_BETA, 2])
    found = least_squares(off, begin, bounds=bounds, loss="soft_l1", x_scale=np.abs(begin) + width)
    return np.asarray(found.x[:4])


def _samples(
    light: Light, detected: Detected, flux: Floats, chosen: Indices, reach: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return offset, share of the light and weight of the pixels around stars."""
    ny, nx = light.data.shape
    parts = []
    for k in chosen:
        x, y = detected.sources.x[k], detected.sources.y[k]
        i = np.arange(max(0, round(x) - reach), min(nx, round(x) + reach + 1))
        j = np.arange(max(0, round(y) - reach), min(ny, round(y) + reach + 1))
        box = np.ix_(j, i)
        dx, dy = np.meshgrid(i - x, j - y)
        share = (light.data[box] - light.sky[box]) / flux[k]
        noise = np.sqrt(np.maximum(light.variance[box], 1e-30)) / flux[k]
        good = ((light.mask[box] & light.bits) == 0) & np.isfinite(share)
        parts.append(np.stack([dx[good], dy[good], share[good], 1 / noise[good]]))
    dx, dy, share, weight = np.concatenate(parts, axis=1)
    return dx, dy, share, 1 / np.hypot(1 / weight, ONE_PIXEL * float(share.max()))


def _moffat(p: Floats, dx: Floats, dy: Floats) -> Floats:
    """Return the share of a Moffat profile's light in pixels at some offsets."""
    xx, yy, xy, beta = p
    norm = (beta - 1) / np.pi * np.sqrt(max(xx * yy - xy * xy / 4, 1e-12))
    total = np.zeros_like(dx)
    for a, wa in GAUSS_POINTS:
        for b, wb in GAUSS_POINTS:
            u, v = dx + a, dy + b
            total += wa * wb * (1 + np.maximum(xx * u * u + yy * v * v + xy * u * v, 0)) ** -beta
    return np.asarray(norm * total)


def base_table(p: Floats, fwhm: float) -> Floats:
    """Return a Moffat profile at the nodes of a table, all of its light within the radius."""
    half = _half(RADIUS_FWHM * fwhm)
    offsets = np.arange(-half, half + 1) * STEP_PIX
    dx, dy = np.meshgrid(offsets, offsets)
    table = _moffat(p, dx, dy)
    return np.asarray(table / _light_in(table, fwhm))


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
    offsets = (np.arange(n) - n // 2) * spacing / STEP_PIX + base.shape[0] // 2
    there = np.meshgrid(offsets, offsets, indexing="ij")
    profile = map_coordinates(base, there, order=1, mode="nearest")
    doubt = DOUBT * profile + LEAST_DOUBT * profile.max()
    normal += np.eye(n_terms) / doubt[..., None, None] ** 2
    off = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.asarray(np.moveaxis(off, -1, 0))


def full_tables(base: Floats, nodes: Floats, fwhm: float) -> Floats:
    """Return the tables of all terms: the light of a star is one wherever it stands."""
    half, n = base.shape[0] // 2, nodes.shape[1]
    places = (np.arange(base.shape[0]) - half) * STEP_PIX / _spacing(fwhm) + n // 2
    there = np.meshgrid(places, places, indexing="ij")
    tables = np.stack([map_coordinates(one, there, order=3, mode="constant") for one in nodes])
    tables[0] += base
    tables[0] /= _light_in(tables[0], fwhm)
    for k in range(1, len(tables)):
        tables[k] -= tables[0] * _light_in(tables[k], fwhm)
    return tables


def splines(tables: Floats) -> Floats:
    """Return the coefficients of cubic splines through the nodes of tables."""
    return np.stack([spline_filter(one, order=3, mode="mirror") for one in tables])
