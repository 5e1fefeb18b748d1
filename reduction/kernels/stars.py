"""Inner loops of measuring sources one by one: widths, centroids, isophotes, flags."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
DIRECTIONS = 8
STEPS = 20  # of a centroid towards the light
SETTLED_PIX = 1e-4
WINDOW_SIGMA = 4.0  # of its own sigma, that a window reaches
FARTHEST_SIGMA = 5.0  # from where it began, that a window is followed
FWHM_TO_SIGMA = 0.42466090


class Light(NamedTuple):
    """A frame above its sky, as data and what is to be taken off, with variance and flags."""

    data: Plane
    sky: Plane
    variance: Plane
    mask: Mask
    bits: np.uint16  # of pixels that are not looked at


class Isophotes(NamedTuple):
    """What the pixels of each source tell, ``(n,)`` each."""

    n_pixels: Ints
    flux: Floats
    x: Floats
    y: Floats
    x2: Floats
    y2: Floats
    xy: Floats
    peak: Floats  # of the signal to noise
    is_cut: npt.NDArray[np.bool_]


class Centroids(NamedTuple):
    """Windowed centroids and the standard deviations of both coordinates, ``(n,)`` each."""

    x: Floats
    y: Floats
    x_error: Floats
    y_error: Floats


@njit(cache=True, nogil=True)
def isophotes(light: Light, places: tuple[Ints, Ints, Plane], owner: Ints, out: Isophotes) -> None:
    """Add up the pixels of each source: their light, its centre and second moments.

    `places` are row, column and signal to noise of pixels, `owner` whose they are, below zero
    nobody's. Pixels below the sky add to the flux but have no place.
    """
    ys, xs, signal = places
    ny, nx = light.data.shape
    first_x, first_y = np.zeros(out.x.size), np.zeros(out.x.size)
    weight = np.zeros(out.x.size)
    for k in range(owner.size):
        s = owner[k]
        if s < 0:
            continue
        y, x = ys[k], xs[k]
        v = float(light.data[y, x] - light.sky[y, x])
        if out.n_pixels[s] == 0:
            first_x[s], first_y[s] = x, y
        out.n_pixels[s] += 1
        out.flux[s] += v
        out.peak[s] = max(out.peak[s], signal[k])
        out.is_cut[s] |= x == 0 or y == 0 or x == nx - 1 or y == ny - 1
        w = max(v, 0.0)
        dx, dy = x - first_x[s], y - first_y[s]
        weight[s] += w
        out.x[s] += w * dx
        out.y[s] += w * dy
        out.x2[s] += w * dx * dx
        out.y2[s] += w * dy * dy
        out.xy[s] += w * dx * dy
    for s in range(out.x.size):
        w = max(weight[s], 1e-30)
        mx, my = out.x[s] / w, out.y[s] / w
        out.x2[s] = out.x2[s] / w - mx * mx
        out.y2[s] = out.y2[s] / w - my * my
        out.xy[s] = out.xy[s] / w - mx * my
        out.x[s], out.y[s] = first_x[s] + mx, first_y[s] + my


@njit(cache=True, nogil=True)
def half_max_widths(
    data: Plane, sky: Floats, x: Floats, y: Floats, reach: int, widths: Floats
) -> None:
    """Write the full width at half maximum of each source, from its peak outwards.

    The mean over eight directions of where the light above the sky around it first falls below
    half of the peak. NaN where none does within `reach` pixels.
    """
    for s in range(x.size):
        py, px = peak_near(data, x[s], y[s])
        half = (data[py, px] - sky[s]) / 2
        if not half > 0:  # no peak: nothing falls from it
            widths[s] = np.nan
            continue
        total, n = 0.0, 0
        for k in range(DIRECTIONS):
            angle = 2 * math.pi * k / DIRECTIONS
            step = (math.cos(angle), math.sin(angle))
            radius = fall_below(data, (px, py), step, half + sky[s], reach)
            if radius > 0:
                total += radius
                n += 1
        widths[s] = 2 * total / n if n >= DIRECTIONS // 2 else np.nan


@njit(cache=True, nogil=True)
def peak_near(data: Plane, x: float, y: float) -> tuple[int, int]:
    """Return row and column of the brightest of the nine pixels around a place."""
    ny, nx = data.shape
    best_y, best_x = min(max(int(round(y)), 0), ny - 1), min(max(int(round(x)), 0), nx - 1)
    top = data[best_y, best_x]
    cy, cx = best_y, best_x
    for j in range(max(0, cy - 1), min(ny, cy + 2)):
        for i in range(max(0, cx - 1), min(nx, cx + 2)):
            if data[j, i] > top:
                top, best_y, best_x = data[j, i], j, i
    return best_y, best_x


@njit(cache=True, nogil=True)
def fall_below(
    data: Plane, peak: tuple[int, int], step: tuple[float, float], half: float, reach: int
) -> float:
    """Return how far from a peak the light falls below a value along a direction, 0 if nowhere."""
    ny, nx = data.shape
    before = data[peak[1], peak[0]]
    for r in range(1, reach + 1):
        x, y = peak[0] + r * step[0], peak[1] + r * step[1]
        i, j = int(math.floor(x)), int(math.floor(y))
        if i < 0 or j < 0 or i + 1 >= nx or j + 1 >= ny:
            return 0.0
        fx, fy = x - i, y - j
        low = data[j, i] * (1 - fx) + data[j, i + 1] * fx
        high = data[j + 1, i] * (1 - fx) + data[j + 1, i + 1] * fx
        value = low * (1 - fy) + high * fy
        if value < half:
            return float(r - 1 + (before - half) / (before - value))
        before = value
    return 0.0


@njit(cache=True, nogil=True)
def window(light: Light, x: Floats, y: Floats, fwhm: Floats, out: Centroids) -> None:
    """Move each place to the centre of the light under a Gaussian window, and tell its noise.

    Each step is twice the offset of the weighted light, as the product of two Gaussians is half as
    wide in squares (Bertin, SExtractor's XWIN). NaN where the light does not hold it.
    """
    most = 0.0
    for s in range(x.size):
        most = max(most, fwhm[s])
    weights = np.empty((2, 2 * int(WINDOW_SIGMA * FWHM_TO_SIGMA * most) + 4))
    for s in range(x.size):
        sigma = fwhm[s] * FWHM_TO_SIGMA
        cx, cy = settled(light, (x[s], y[s]), sigma, weights)
        out.x[s], out.y[s], out.x_error[s], out.y_error[s] = cx, cy, np.nan, np.nan
        if math.isfinite(cx):
            out.x_error[s], out.y_error[s] = moment_noise(light, (cx, cy), sigma, weights)


@njit(cache=True, nogil=True)
def settled(
    light: Light, start: tuple[float, float], sigma: float, weights: Floats
) -> tuple[float, float]:
    """Return where a window comes to rest, NaN where it has no light or runs away."""
    cx, cy = start
    for _ in range(STEPS):
        total, mx, my = first_moments(light, (cx, cy), sigma, weights)
        if total <= 0:
            return np.nan, np.nan
        dx, dy = 2 * mx / total, 2 * my / total
        cx, cy = cx + dx, cy + dy
        if abs(cx - start[0]) + abs(cy - start[1]) > FARTHEST_SIGMA * sigma:
            return np.nan, np.nan
        if dx * dx + dy * dy < SETTLED_PIX * SETTLED_PIX:
            break
    return cx, cy


@njit(cache=True, nogil=True)
def weigh(centre: float, n: int, sigma: float, weights: Floats) -> tuple[int, int]:
    """Write a Gaussian of the pixels around a centre along an axis, and return which they are."""
    reach = WINDOW_SIGMA * sigma
    begin, end = max(0, int(math.ceil(centre - reach))), min(n, int(math.floor(centre + reach)) + 1)
    for i in range(begin, end):
        weights[i - begin] = math.exp(-((i - centre) ** 2) / (2 * sigma * sigma))
    return begin, end


@njit(cache=True, nogil=True)
def first_moments(
    light: Light, centre: tuple[float, float], sigma: float, weights: Floats
) -> tuple[float, float, float]:
    """Return light and its first moments about a centre, under a Gaussian window.

    A pixel that is not looked at is made up for by the one across the centre.
    """
    ny, nx = light.data.shape
    x0, x1 = weigh(centre[0], nx, sigma, weights[0])
    y0, y1 = weigh(centre[1], ny, sigma, weights[1])
    total, mx, my = 0.0, 0.0, 0.0
    for j in range(y0, y1):
        row, row_x = 0.0, 0.0
        for i in range(x0, x1):
            w = weights[0, i - x0] * value_or_across(light, (i, j), centre)
            row += w
            row_x += w * (i - centre[0])
        total += weights[1, j - y0] * row
        mx += weights[1, j - y0] * row_x
        my += weights[1, j - y0] * row * (j - centre[1])
    return total, mx, my


@njit(cache=True, nogil=True)
def value_or_across(light: Light, at: tuple[int, int], centre: tuple[float, float]) -> float:
    """Return a pixel's light, of a bad one that of the pixel across a centre, else none."""
    ny, nx = light.data.shape
    i, j = at
    v = float(light.data[j, i] - light.sky[j, i])
    if (light.mask[j, i] & light.bits) == 0 and math.isfinite(v):
        return v
    i, j = int(round(2 * centre[0] - i)), int(round(2 * centre[1] - j))
    if i < 0 or j < 0 or i >= nx or j >= ny or (light.mask[j, i] & light.bits) != 0:
        return 0.0
    v = float(light.data[j, i] - light.sky[j, i])
    return v if math.isfinite(v) else 0.0


@njit(cache=True, nogil=True)
def moment_noise(
    light: Light, centre: tuple[float, float], sigma: float, weights: Floats
) -> tuple[float, float]:
    """Return the standard deviations of a windowed centroid from the noise of its pixels."""
    ny, nx = light.data.shape
    x0, x1 = weigh(centre[0], nx, sigma, weights[0])
    y0, y1 = weigh(centre[1], ny, sigma, weights[1])
    total, xx, yy = 0.0, 0.0, 0.0
    for j in range(y0, y1):
        for i in range(x0, x1):
            v = float(light.data[j, i] - light.sky[j, i])
            noise = float(light.variance[j, i])
            good = (light.mask[j, i] & light.bits) == 0
            if not (good and math.isfinite(v) and noise > 0):
                continue
            w = weights[0, i - x0] * weights[1, j - y0]
            total += w * v
            xx += (w * (i - centre[0])) ** 2 * noise
            yy += (w * (j - centre[1])) ** 2 * noise
    if total <= 0:
        return np.nan, np.nan
    return 2 * math.sqrt(xx) / total, 2 * math.sqrt(yy) / total


@njit(cache=True, nogil=True)
def flags_near(mask: Mask, x: Floats, y: Floats, radius: Floats, flags: Mask) -> None:
    """Write all flags that pixels of squares around some places carry."""
    ny, nx = mask.shape
    for s in range(x.size):
        reach = int(math.ceil(radius[s]))
        cx, cy = int(np.rint(x[s])), int(np.rint(y[s]))
        found = np.uint16(0)
        for j in range(max(0, cy - reach), min(ny, cy + reach + 1)):
            for i in range(max(0, cx - reach), min(nx, cx + reach + 1)):
                found |= mask[j, i]
        flags[s] = found


@njit(cache=True, nogil=True)
def cover(
    covered: npt.NDArray[np.bool_], places: tuple[Floats, Floats], inverse: Floats, reach: Floats
) -> None:
    """Mark the pixels of ellipses around places.

    `inverse` holds the coefficients of x^2, y^2 and xy of each, 1 on the ellipse, and `reach` its
    largest half axis.
    """
    xs, ys = places
    ny, nx = covered.shape
    for s in range(xs.size):
        cx, cy, r = xs[s], ys[s], reach[s]
        xx, yy, xy = inverse[s, 0], inverse[s, 1], inverse[s, 2]
        for j in range(max(0, int(cy - r)), min(ny, int(cy + r) + 2)):
            for i in range(max(0, int(cx - r)), min(nx, int(cx + r) + 2)):
                dx, dy = i - cx, j - cy
                if xx * dx * dx + yy * dy * dy + xy * dx * dy <= 1:
                    covered[j, i] = True


@njit(cache=True, nogil=True)
def bright_peaks(
    data: Plane, mask: Mask, cells: tuple[Plane, Plane], side: int, most: int
) -> tuple[Ints, Ints]:
    """Return rows and columns of pixels without flags higher than all around and than a limit.

    `cells` are the sky and the limit of each cell of a mesh; of the peaks, the first so many.
    """
    ny, nx = data.shape
    sky, limit = cells
    ys, xs = np.empty(most, np.int32), np.empty(most, np.int32)
    n = 0
    for j in range(1, ny - 1):
        for a in range(sky.shape[1]):
            begin, end = max(1, a * side), min(nx - 1, (a + 1) * side)
            least = sky[j // side, a] + limit[j // side, a]
            if not any_higher(data[j, begin:end], least):
                continue
            for i in range(begin, end):
                if data[j, i] > least and is_peak(data, mask, j, i):
                    if n == most:
                        return ys, xs
                    ys[n], xs[n] = j, i
                    n += 1
    return ys[:n], xs[:n]


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def any_higher(values: Plane, least: np.float32) -> bool:
    """Return whether any value is higher than another."""
    n = np.int32(0)
    for i in range(values.size):
        n += np.int32(values[i] > least)
    return bool(n > 0)


@njit(cache=True, nogil=True)
def is_peak(data: Plane, mask: Mask, j: int, i: int) -> bool:
    """Return whether no pixel around one is higher, and none of them has a flag."""
    for b in range(j - 1, j + 2):
        for a in range(i - 1, i + 2):
            if data[b, a] > data[j, i] or mask[b, a] != 0:
                return False
    return True
