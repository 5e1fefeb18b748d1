"""Inner loops of light in circles and ellipses, with exact overlaps of circle and pixel."""

import math

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.stars import Light

Floats = npt.NDArray[np.float64]
HALF_DIAGONAL = 0.70710679
SMALL = 3.0  # radius below which the arc is integrated exactly, above to 1e-5 of a pixel
GAUSS_AT = 0.7745966692414834  # of half the interval: three points, Gauss and Legendre
PARTS = 5  # of a pixel's side, on the rim of an ellipse


@njit(cache=True, nogil=True)
def circle_sums(
    light: Light, places: tuple[Floats, Floats], radii: Floats, flux: Floats, error: Floats
) -> None:
    """Write light and noise within circles around each place, their radii rising, ``(n, k)``.

    Pixels that are not looked at are made up for by the mean of the others in the circle; what
    lies beyond the frame is not. NaN where a circle has no good pixel.
    """
    ring_sums(light, places, radii, flux, error, np.empty(flux.shape))


@njit(cache=True, nogil=True)
def ring_sums(
    light: Light,
    places: tuple[Floats, Floats],
    radii: Floats,
    flux: Floats,
    error: Floats,
    ring_error: Floats,
) -> None:
    """Write light and noise within circles, and the noise between each and the one before.

    A pixel on a rim counts by its share, and its noise by its share too: its variance by the square
    of it.
    """
    xs, ys = places
    sums, whole = np.empty((4, radii.size)), np.empty((4, radii.size + 1))
    rings = np.empty(radii.size + 1)
    for s in range(xs.size):
        sums[:], whole[:], rings[:] = 0, 0, 0
        if math.isfinite(xs[s]) and math.isfinite(ys[s]):
            add_circles(light, (xs[s], ys[s]), radii, (sums, whole, rings))
        inner = np.zeros(4)
        for k in range(radii.size):
            inner += whole[:, k]
            total, variance = inner[0] + sums[0, k], inner[1] + sums[1, k]
            area, lost = inner[2] + sums[2, k], inner[3] + sums[3, k]
            if area <= 0:
                flux[s, k], error[s, k], ring_error[s, k] = np.nan, np.nan, np.nan
                continue
            more = (area + lost) / area
            flux[s, k], error[s, k] = total * more, math.sqrt(variance) * more
            ring_error[s, k] = math.sqrt(rings[k]) * more


@njit(cache=True, nogil=True)
def own_circles(
    light: Light, places: tuple[Floats, Floats], radii: Floats, flux: Floats, error: Floats
) -> None:
    """Write light and noise within a circle of its own radius around each place, ``(n,)``."""
    xs, ys = places
    one_flux, one_error = np.empty((1, 1)), np.empty((1, 1))
    for s in range(xs.size):
        circle_sums(light, (xs[s : s + 1], ys[s : s + 1]), radii[s : s + 1], one_flux, one_error)
        flux[s], error[s] = one_flux[0, 0], one_error[0, 0]


@njit(cache=True, nogil=True)
def add_circles(
    light: Light,
    place: tuple[float, float],
    radii: Floats,
    out: tuple[Floats, Floats, Floats],
) -> None:
    """Add light, variance, good and bad area of the pixels in circles around a place.

    A pixel on the rim of a circle goes to that circle's sums by its share; one within goes whole
    to the smallest circle that holds all of it, and is in the larger ones too. The variance
    between each circle and the one before is added to the last of what is given.
    """
    sums, whole, rings = out
    ny, nx = light.data.shape
    x, y = place
    n = radii.size
    far = radii[n - 1] + HALF_DIAGONAL
    for j in range(max(0, int(y - far)), min(ny, int(y + far) + 2)):
        dy = abs(j - y)
        for i in range(max(0, int(x - far)), min(nx, int(x + far) + 2)):
            dx = abs(i - x)
            distance = math.sqrt(dx * dx + dy * dy)
            if distance >= far:
                continue
            v = float(light.data[j, i] - light.sky[j, i])
            good = (light.mask[j, i] & light.bits) == 0 and math.isfinite(v)
            noise = max(float(light.variance[j, i]), 0.0) if good else 0.0
            k, before = 0, 0.0
            while distance >= radii[k] + HALF_DIAGONAL:
                k += 1
            while k < n and distance > radii[k] - HALF_DIAGONAL:
                share = overlap(dx, dy, radii[k])
                add_pixel(sums, k, (share, v, noise), good)
                rings[k] += (share - before) ** 2 * noise
                before = share
                k += 1
            add_pixel(whole, k, (1.0, v, noise), good)
            rings[k] += (1.0 - before) ** 2 * noise


@njit(cache=True, nogil=True)
def add_pixel(sums: Floats, k: int, pixel: tuple[float, float, float], good: bool) -> None:
    """Add the share of a pixel, its value and its variance to the sums of a circle."""
    share, v, noise = pixel
    if good:
        sums[0, k] += share * v
        sums[1, k] += share * share * noise
        sums[2, k] += share
    else:
        sums[3, k] += share


@njit(cache=True, nogil=True)
def overlap(dx: float, dy: float, radius: float) -> float:
    """Return the share of a pixel within a circle, its middle dx, dy >= 0 from the centre."""
    x0, x1, y0, y1 = dx - 0.5, dx + 0.5, dy - 0.5, dy + 0.5
    if x0 >= 0 and y0 >= 0:
        return corner_area(x0, x1, y0, y1, radius)
    # A pixel that lies on an axis is cut along it, and the parts are mirrored to one quadrant.
    area = corner_area(max(x0, 0.0), x1, max(y0, 0.0), y1, radius)
    if x0 < 0:
        area += corner_area(0.0, -x0, max(y0, 0.0), y1, radius)
    if y0 < 0:
        area += corner_area(max(x0, 0.0), x1, 0.0, -y0, radius)
    if x0 < 0 and y0 < 0:
        area += corner_area(0.0, -x0, 0.0, -y0, radius)
    return area


@njit(cache=True, nogil=True)
def corner_area(x0: float, x1: float, y0: float, y1: float, radius: float) -> float:
    """Return the area of a rectangle of the first quadrant within a circle about the origin."""
    r2 = radius * radius
    if x0 * x0 + y0 * y0 >= r2:
        return 0.0
    if x1 * x1 + y1 * y1 <= r2:
        return (x1 - x0) * (y1 - y0)
    if x0 + x1 > y0 + y1:  # along the axis that the arc is the less steep over
        x0, x1, y0, y1 = y0, y1, x0, x1
    # The arc is above the rectangle left of `full`, below it right of `none`.
    full = math.sqrt(r2 - y1 * y1) if y1 < radius else 0.0
    none = math.sqrt(r2 - y0 * y0)
    a, b = min(max(full, x0), x1), min(none, x1)
    area = (a - x0) * (y1 - y0)
    if b <= a:
        return area
    if radius < SMALL:
        return area + under_arc(b, radius) - under_arc(a, radius) - (b - a) * y0
    middle, half = 0.5 * (a + b), 0.5 * (b - a)
    left, right = middle - GAUSS_AT * half, middle + GAUSS_AT * half
    rim = 5 * (math.sqrt(r2 - left * left) + math.sqrt(r2 - right * right))
    return area + half * (rim + 8 * math.sqrt(r2 - middle * middle)) / 9 - (b - a) * y0


@njit(cache=True, nogil=True)
def under_arc(x: float, radius: float) -> float:
    """Return the area between a circle's upper half and the x axis, from 0 to x."""
    part = min(x / radius, 1.0)
    return 0.5 * radius * radius * (part * math.sqrt(1 - part * part) + math.asin(part))


@njit(cache=True, nogil=True)
def kron(
    light: Light,
    places: tuple[Floats, Floats],
    ellipses: tuple[Floats, Floats],
    rules: tuple[float, float, float],
    out: tuple[Floats, Floats, Floats],
) -> None:
    """Write Kron radii, in units of the ellipses, and light and noise within.

    `ellipses` are coefficients of x^2, y^2, xy, ``(n, 3)``, 1 on the ellipse of the standard
    deviations, and their largest half axes; `rules` how far out the first moment is taken, what it
    is multiplied with and the least radius.
    """
    xs, ys = places
    inverse, axis = ellipses
    radius, flux, error = out
    reach, factor, least = rules
    for s in range(xs.size):
        place, shape = (xs[s], ys[s]), (inverse[s, 0], inverse[s, 1], inverse[s, 2])
        moment = first_radius(light, place, shape, (axis[s], reach))
        radius[s] = max(factor * moment, least)
        flux[s], error[s] = ellipse_sum(light, place, shape, (axis[s], radius[s]))


@njit(cache=True, nogil=True)
def first_radius(
    light: Light,
    place: tuple[float, float],
    shape: tuple[float, float, float],
    size: tuple[float, float],
) -> float:
    """Return the mean elliptical radius of the light, 0 where there is none (Kron 1980)."""
    ny, nx = light.data.shape
    x, y = place
    axis, reach = size
    far = axis * reach
    total, moment = 0.0, 0.0
    for j in range(max(0, int(y - far)), min(ny, int(y + far) + 2)):
        for i in range(max(0, int(x - far)), min(nx, int(x + far) + 2)):
            dx, dy = i - x, j - y
            r2 = shape[0] * dx * dx + shape[1] * dy * dy + shape[2] * dx * dy
            v = float(light.data[j, i] - light.sky[j, i])
            good = (light.mask[j, i] & light.bits) == 0 and math.isfinite(v)
            if r2 <= reach * reach and good:
                total += v
                moment += math.sqrt(max(r2, 0.0)) * v
    if total <= 0 or moment <= 0:
        return 0.0
    return min(moment / total, reach)


@njit(cache=True, nogil=True)
def ellipse_sum(
    light: Light,
    place: tuple[float, float],
    shape: tuple[float, float, float],
    size: tuple[float, float],
) -> tuple[float, float]:
    """Return light and noise within an ellipse so many times as large as its unit."""
    ny, nx = light.data.shape
    x, y = place
    axis, times = size
    far = axis * times + 1
    total, variance, area, lost = 0.0, 0.0, 0.0, 0.0
    for j in range(max(0, int(y - far)), min(ny, int(y + far) + 2)):
        for i in range(max(0, int(x - far)), min(nx, int(x + far) + 2)):
            share = ellipse_share(i - x, j - y, shape, times)
            if share == 0:
                continue
            v = float(light.data[j, i] - light.sky[j, i])
            if (light.mask[j, i] & light.bits) == 0 and math.isfinite(v):
                total += share * v
                variance += share * share * max(float(light.variance[j, i]), 0.0)
                area += share
            else:
                lost += share
    if area <= 0:
        return np.nan, np.nan
    return total * (area + lost) / area, math.sqrt(variance) * (area + lost) / area


@njit(cache=True, nogil=True)
def ellipse_share(dx: float, dy: float, shape: tuple[float, float, float], times: float) -> float:
    """Return the share of a pixel within an ellipse, of some parts of it on the rim."""
    limit = times * times
    far, near = 0.0, np.inf
    for b in (-0.5, 0.5):
        for a in (-0.5, 0.5):
            px, py = dx + a, dy + b
            r2 = shape[0] * px * px + shape[1] * py * py + shape[2] * px * py
            far, near = max(far, r2), min(near, r2)
    if far <= limit:
        return 1.0
    if near > limit and dx * dx + dy * dy > 1:
        return 0.0
    n = 0
    for b in range(PARTS):
        for a in range(PARTS):
            px, py = dx + (a + 0.5) / PARTS - 0.5, dy + (b + 0.5) / PARTS - 0.5
            n += shape[0] * px * px + shape[1] * py * py + shape[2] * px * py <= limit
    return n / (PARTS * PARTS)
