"""Inner loops of measuring single stars: the sky in a ring around each, light weighted by shape."""

import math

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
ROUNDS = 8
CLIP_SIGMA = 3.0
LEAST_PIXELS = 10
LOST_TO_CLIP = 1.0 / 0.9866  # a Gaussian's scatter, of what lies within three sigma


@njit(cache=True, nogil=True)
def ring_levels(
    above: Plane, masked: Bits, places: tuple[Floats, Floats], radii: tuple[float, float],
    out: tuple[Floats, Floats, Floats],
) -> None:  # fmt: skip
    """Write clipped mean, scatter and good share of the pixels in a ring around each place.

    NaN where fewer than ten pixels are good.
    """
    x, y = places
    level, noise, share = out
    for s in range(x.size):
        values, n_all = _ring(above, masked, (x[s], y[s]), radii)
        share[s] = values.size / max(1, n_all)
        level[s], noise[s] = _clipped(values)


@njit(cache=True, nogil=True)
def _ring(
    above: Plane, masked: Bits, place: tuple[float, float], radii: tuple[float, float]
) -> tuple[Plane, int]:
    """Return the good pixels whose centres lie in a ring, and how many lie there in all."""
    ny, nx = above.shape
    inner2, outer2 = radii[0] ** 2, radii[1] ** 2
    reach = int(math.ceil(radii[1]))
    x0, y0 = place
    kept = np.empty((2 * reach + 3) ** 2, np.float32)
    n, n_all = 0, 0
    for j in range(int(math.floor(y0)) - reach, int(math.floor(y0)) + reach + 2):
        for i in range(int(math.floor(x0)) - reach, int(math.floor(x0)) + reach + 2):
            r2 = (i - x0) ** 2 + (j - y0) ** 2
            if r2 < inner2 or r2 > outer2:
                continue
            n_all += 1
            if 0 <= i < nx and 0 <= j < ny and not masked[j, i]:
                kept[n] = above[j, i]
                n += 1
    return kept[:n], n_all


@njit(cache=True, nogil=True)
def _clipped(values: Plane) -> tuple[float, float]:
    """Return mean and scatter of what is left when outliers from the median are taken out."""
    if values.size < LEAST_PIXELS:
        return math.nan, math.nan
    ordered = np.sort(values)
    low, high = 0, ordered.size
    for _ in range(ROUNDS):
        part = ordered[low:high]
        middle, scatter = float(part[part.size // 2]), float(np.std(part)) * LOST_TO_CLIP
        new_low = low + int(np.searchsorted(part, np.float32(middle - CLIP_SIGMA * scatter)))
        new_high = low + int(
            np.searchsorted(part, np.float32(middle + CLIP_SIGMA * scatter), side="right")
        )
        if (new_low == low and new_high == high) or new_high - new_low < LEAST_PIXELS:
            break
        low, high = new_low, new_high
    part = ordered[low:high].astype(np.float64)
    return float(np.mean(part)), float(np.std(part)) * LOST_TO_CLIP


@njit(cache=True, nogil=True)
def weighted_sums(
    pixels: tuple[Plane, Plane, Bits], places: tuple[Floats, Floats], sky: tuple[Floats, Floats],
    shape: tuple[float, float], out: tuple[Floats, Floats],
) -> None:  # fmt: skip
    """Write the light of stars of one Gaussian shape, and its error.

    The least-squares amplitude with every pixel's weight as in the sky alone: weights that hold
    the star's own noise would make bright stars' light depend on the shape assumed. `sky` holds
    each star's level and scatter, `shape` the sigma and the radius taken, all pixels.
    """
    data, variance, masked = pixels
    x, y = places
    level, noise = sky
    flux, error = out
    ny, nx = data.shape
    sigma, radius = shape
    reach = int(math.ceil(radius))
    for s in range(x.size):
        top, below, spread = 0.0, 0.0, 0.0
        for j in range(int(math.floor(y[s])) - reach, int(math.floor(y[s])) + reach + 2):
            for i in range(int(math.floor(x[s])) - reach, int(math.floor(x[s])) + reach + 2):
                dx, dy = i - x[s], j - y[s]
                if dx * dx + dy * dy > radius * radius:
                    continue
                if i < 0 or j < 0 or i >= nx or j >= ny or masked[j, i]:
                    continue
                p = _share(dx, sigma) * _share(dy, sigma)
                top += p * (data[j, i] - level[s])
                below += p * p
                spread += p * p * max(float(variance[j, i]), noise[s] ** 2)
        flux[s] = top / below if below > 0 else math.nan
        error[s] = math.sqrt(spread) / below if below > 0 else math.nan


@njit(cache=True, nogil=True)
def _share(d: float, sigma: float) -> float:
    """Return how much of a Gaussian falls on a pixel along one axis."""
    scale = 1.0 / (sigma * math.sqrt(2.0))
    return 0.5 * (math.erf((d + 0.5) * scale) - math.erf((d - 0.5) * scale))
