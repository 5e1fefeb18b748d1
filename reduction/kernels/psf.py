"""Inner loops of the point spread function: its table, its light, what stars tell of it."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.stars import Light

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
LEAST_VARIANCE = 1e-30
TRUST = 0.01  # of the light of a pixel: one very bright star does not make the profile
FAR = 3.0  # standard deviations, beyond which a pixel is another source's


class Shape(NamedTuple):
    """A point spread function as coefficients of cubic splines, per term of a polynomial.

    ``tables[k]`` is multiplied with the k-th of 1, u, v, u^2, u v, v^2 where u, v are a star's
    place less `middle` over `scale`; `step` pixels lie between its nodes, its middle is the
    star's, and it reaches as far as `radius`.
    """

    tables: Floats
    step: float
    radius: float
    middle: tuple[float, float]
    scale: float


class Stars(NamedTuple):
    """Places and fluxes of stars, changed as they are fitted, ``(n,)`` each."""

    x: Floats
    y: Floats
    flux: Floats


class Noise(NamedTuple):
    """Variance of a pixel: the sky's at each star, and so much more for each unit of light."""

    sky: Floats
    slope: float


@njit(cache=True, nogil=True)
def moffat(
    p: tuple[float, float, float, float], dx: Floats, dy: Floats, points: Floats, out: Floats
) -> None:
    """Write what a Moffat profile of peak 1 has in pixels at some offsets.

    `points` are where each pixel is looked at along an axis, and the weights.
    """
    xx, yy, xy, beta = p
    for k in range(dx.size):
        total = 0.0
        for b in range(points.shape[0]):
            v = dy[k] + points[b, 0]
            for a in range(points.shape[0]):
                u = dx[k] + points[a, 0]
                r2 = max(xx * u * u + yy * v * v + xy * u * v, 0.0)
                total += points[a, 1] * points[b, 1] * math.exp(-beta * math.log1p(r2))
        out[k] = total


@njit(cache=True, nogil=True)
def terms(shape: Shape, x: float, y: float, out: Floats) -> None:
    """Write the polynomial's terms at a place of the frame."""
    u, v = (x - shape.middle[0]) / shape.scale, (y - shape.middle[1]) / shape.scale
    out[0] = 1
    if out.size > 1:
        out[1], out[2] = u, v
    if out.size > 3:
        out[3], out[4], out[5] = u * u, u * v, v * v


@njit(cache=True, nogil=True)
def room_for_table(shape: Shape) -> Floats:
    """Return room for the table of one star."""
    return np.empty((shape.tables.shape[1], shape.tables.shape[2]))


@njit(cache=True, nogil=True)
def spline(t: float, weights: Floats, slopes: Floats) -> None:
    """Write the four weights of a cubic B-spline at t of an interval, and their derivatives."""
    s = 1 - t
    weights[0], weights[3] = s * s * s / 6, t * t * t / 6
    weights[1] = (4 - 6 * t * t + 3 * t * t * t) / 6
    weights[2] = (4 - 6 * s * s + 3 * s * s * s) / 6
    slopes[0], slopes[3] = -s * s / 2, t * t / 2
    slopes[1], slopes[2] = (3 * t * t - 4 * t) / 2, (4 * s - 3 * s * s) / 2


@njit(cache=True, nogil=True)
def local_table(shape: Shape, x: float, y: float, table: Floats) -> None:
    """Write the table of a star at a place of the frame."""
    part = np.empty(shape.tables.shape[0])
    terms(shape, x, y, part)
    table[:] = shape.tables[0]
    for k in range(1, part.size):
        factor = part[k]
        for a in range(table.shape[0]):
            for b in range(table.shape[1]):
                table[a, b] += factor * shape.tables[k, a, b]


@njit(cache=True, nogil=True)
def value(
    table: Floats, step: float, dx: float, dy: float, work: Floats
) -> tuple[float, float, float]:
    """Return the share of a star's light in a pixel dx, dy from it, and its derivatives by them."""
    half = table.shape[0] // 2
    px, py = dx / step + half, dy / step + half
    i, j = int(math.floor(px)), int(math.floor(py))
    if i < 1 or j < 1 or i + 2 >= table.shape[1] or j + 2 >= table.shape[0]:
        return 0.0, 0.0, 0.0
    wx, sx, wy, sy = work[0], work[1], work[2], work[3]
    spline(px - i, wx, sx)
    spline(py - j, wy, sy)
    total, by_x, by_y = 0.0, 0.0, 0.0
    for b in range(4):
        row, slope = 0.0, 0.0
        for a in range(4):
            c = table[j - 1 + b, i - 1 + a]
            row += wx[a] * c
            slope += sx[a] * c
        total += wy[b] * row
        by_x += wy[b] * slope
        by_y += sy[b] * row
    return total, by_x / step, by_y / step


@njit(cache=True, nogil=True)
def phase(shape: Shape, x: float, y: float, weights: Floats) -> tuple[int, int]:
    """Write a star's spline weights and slopes, rows x, x, y, y; return its table's first nodes.

    Nodes are a whole part of a pixel apart, so the weights are the same for all pixels of a star:
    that of column i begins at the node the first number says plus i times the nodes in a pixel.
    """
    qx = shape.tables.shape[2] // 2 - x / shape.step
    qy = shape.tables.shape[1] // 2 - y / shape.step
    ox, oy = int(math.floor(qx)), int(math.floor(qy))
    spline(qx - ox, weights[0], weights[1])
    spline(qy - oy, weights[2], weights[3])
    return ox - 1, oy - 1


@njit(cache=True, nogil=True)
def share_at(table: Floats, node: tuple[int, int], weights: Floats) -> float:
    """Return the share of a star's light in the pixel whose first node is given."""
    a0, b0 = node
    if a0 < 0 or b0 < 0 or a0 + 4 > table.shape[1] or b0 + 4 > table.shape[0]:
        return 0.0
    total = 0.0
    for b in range(4):
        row = 0.0
        for a in range(4):
            row += weights[0, a] * table[b0 + b, a0 + a]
        total += weights[2, b] * row
    return total


@njit(cache=True, nogil=True)
def slopes_at(
    table: Floats, node: tuple[int, int], weights: Floats, step: float
) -> tuple[float, float, float]:
    """Return the share of a star's light in a pixel, and its derivatives by the pixel's place."""
    a0, b0 = node
    if a0 < 0 or b0 < 0 or a0 + 4 > table.shape[1] or b0 + 4 > table.shape[0]:
        return 0.0, 0.0, 0.0
    total, by_x, by_y = 0.0, 0.0, 0.0
    for b in range(4):
        row, slope = 0.0, 0.0
        for a in range(4):
            c = table[b0 + b, a0 + a]
            row += weights[0, a] * c
            slope += weights[1, a] * c
        total += weights[2, b] * row
        by_x += weights[2, b] * slope
        by_y += weights[3, b] * row
    return total, by_x / step, by_y / step


@njit(cache=True, nogil=True)
def shares_at(
    shape: Shape, x: float, y: float, offsets: tuple[Floats, Floats], out: Floats
) -> None:
    """Write the share of the light of a star at x, y in pixels of a box at some offsets."""
    table, work = room_for_table(shape), np.empty((4, 4))
    local_table(shape, x, y, table)
    dx, dy = offsets
    for b in range(out.shape[0]):
        for a in range(out.shape[1]):
            out[b, a], _, _ = value(table, shape.step, dx[b, a], dy[b, a], work)


@njit(cache=True, nogil=True)
def window_of(centre: float, radius: float, n: int) -> tuple[int, int]:
    """Return first pixel of an axis within a radius of a centre, and the one after the last."""
    return max(0, int(math.ceil(centre - radius))), min(n, int(math.floor(centre + radius)) + 1)


@njit(cache=True, nogil=True)
def add_star(
    model: Plane, shape: Shape, star: tuple[float, float, float], table: Floats, work: Floats
) -> None:
    """Add a star's light to a model of the frame; a negative flux takes it off."""
    x, y, flux = star
    ny, nx = model.shape
    x0, x1 = window_of(x, shape.radius, nx)
    y0, y1 = window_of(y, shape.radius, ny)
    ox, oy = phase(shape, x, y, work)
    stride = int(round(1 / shape.step))
    for j in range(y0, y1):
        for i in range(x0, x1):
            if (i - x) ** 2 + (j - y) ** 2 <= shape.radius**2:
                share = share_at(table, (ox + stride * i, oy + stride * j), work)
                model[j, i] += np.float32(flux * share)


@njit(cache=True, nogil=True)
def add_all(model: Plane, shape: Shape, stars: Stars) -> None:
    """Add the light of all stars to a model of the frame."""
    table, work = room_for_table(shape), np.empty((4, 4))
    for s in range(stars.x.size):
        local_table(shape, stars.x[s], stars.y[s], table)
        add_star(model, shape, (stars.x[s], stars.y[s], stars.flux[s]), table, work)


@njit(cache=True, nogil=True)
def seen_shares(light: Light, shape: Shape, places: Stars, radius: float, out: Floats) -> None:
    """Write how much of each star's light within a radius is on good pixels of the frame."""
    table, work = room_for_table(shape), np.empty((4, 4))
    ny, nx = light.data.shape
    for s in range(out.size):
        x, y = places.x[s], places.y[s]
        local_table(shape, x, y, table)
        good, total = 0.0, 0.0
        for j in range(int(math.ceil(y - radius)), int(math.floor(y + radius)) + 1):
            for i in range(int(math.ceil(x - radius)), int(math.floor(x + radius)) + 1):
                if (i - x) ** 2 + (j - y) ** 2 > radius**2:
                    continue
                share, _, _ = value(table, shape.step, i - x, j - y, work)
                total += max(share, 0.0)
                if 0 <= i < nx and 0 <= j < ny and is_good(light, i, j):
                    good += max(share, 0.0)
        out[s] = good / total if total > 0 else 0.0


@njit(cache=True, nogil=True)
def is_good(light: Light, i: int, j: int) -> bool:
    """Tell whether a pixel is looked at."""
    return (light.mask[j, i] & light.bits) == 0 and math.isfinite(light.data[j, i])


@njit(cache=True, nogil=True)
def gather_residuals(
    light: Light,
    model: Plane,
    shape: Shape,
    chosen: tuple[Stars, Noise, Indices],
    nodes: tuple[Floats, Floats],
    spacing: float,
) -> None:
    """Add what stars tell of a table's error to the normal equations of each of its nodes.

    Each pixel's residual over the star's flux goes to the four nodes around it by its distance,
    weighted by its noise; `nodes` are matrices ``(m, m, t, t)`` and right hand sides
    ``(m, m, t)`` for the t terms of the polynomial.
    """
    stars, noise, which = chosen
    normal, right = nodes
    ny, nx = model.shape
    half = normal.shape[0] // 2
    n_terms = right.shape[2]
    part = np.empty(n_terms)
    for s in which:
        x, y = stars.x[s], stars.y[s]
        terms(shape, x, y, part)
        x0, x1 = window_of(x, shape.radius, nx)
        y0, y1 = window_of(y, shape.radius, ny)
        for j in range(y0, y1):
            for i in range(x0, x1):
                off, weight = told_by(light, model, (stars.flux[s], noise, s), (i, j))
                place = ((i - x) / spacing + half, (j - y) / spacing + half)
                if weight > 0:
                    to_nodes(place, part, (off, weight), normal, right)


@njit(cache=True, nogil=True)
def told_by(
    light: Light, model: Plane, star: tuple[float, Noise, int], at: tuple[int, int]
) -> tuple[float, float]:
    """Return what a pixel is off by, over a star's flux, and what that weighs, 0 for a bad one."""
    i, j = at
    flux, noise, s = star
    seen = float(light.data[j, i] - light.sky[j, i])
    if (light.mask[j, i] & light.bits) != 0 or not math.isfinite(seen) or flux <= 0:
        return 0.0, 0.0
    expected = max(float(model[j, i]), 0.0)
    left = seen - float(model[j, i])
    variance = noise.sky[s] + noise.slope * expected + (TRUST * expected) ** 2
    variance = max(variance, LEAST_VARIANCE)
    weight = flux * flux / variance / (1 + left * left / variance / FAR**2) ** 2
    return left / flux, weight


@njit(cache=True, nogil=True)
def to_nodes(
    place: tuple[float, float],
    part: Floats,
    told: tuple[float, float],
    normal: Floats,
    right: Floats,
) -> None:
    """Add what a pixel tells to the four nodes around it, by its distance."""
    px, py = place
    off, weight = told
    a, b = int(math.floor(px)), int(math.floor(py))
    if a < 0 or b < 0 or a + 1 >= normal.shape[1] or b + 1 >= normal.shape[0]:
        return
    for q in range(2):
        for p in range(2):
            hat = weight * (px - a if p else 1 - px + a) * (py - b if q else 1 - py + b)
            for k in range(part.size):
                right[b + q, a + p, k] += hat * part[k] * off
                for m in range(part.size):
                    normal[b + q, a + p, k, m] += hat * part[k] * part[m]
