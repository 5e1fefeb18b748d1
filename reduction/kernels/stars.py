"""Inner loops of measuring stars one by one."""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Plane = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
DIRECTIONS = 8


@njit(cache=True, nogil=True)
def half_max_widths(above: Plane, x: Floats, y: Floats, reach: int, widths: Floats) -> None:
    """Write the full width at half maximum of each source, from its peak outwards.

    The mean over eight directions of where the light first falls below half of the peak, a
    pixel's width taken off in squares. NaN where none does within `reach` pixels.
    """
    for s in range(x.size):
        py, px = peak_near(above, x[s], y[s])
        half = above[py, px] / 2
        total, n = 0.0, 0
        for k in range(DIRECTIONS):
            angle = 2 * math.pi * k / DIRECTIONS
            radius = fall_below(above, (px, py), (math.cos(angle), math.sin(angle)), half, reach)
            if radius > 0:
                total += radius
                n += 1
        widths[s] = 2 * total / n if n >= DIRECTIONS // 2 and half > 0 else np.nan


@njit(cache=True, nogil=True)
def peak_near(above: Plane, x: float, y: float) -> tuple[int, int]:
    """Return row and column of the brightest of the nine pixels around a place."""
    ny, nx = above.shape
    best_y, best_x = min(max(int(round(y)), 0), ny - 1), min(max(int(round(x)), 0), nx - 1)
    top = above[best_y, best_x]
    cy, cx = best_y, best_x
    for j in range(max(0, cy - 1), min(ny, cy + 2)):
        for i in range(max(0, cx - 1), min(nx, cx + 2)):
            if above[j, i] > top:
                top, best_y, best_x = above[j, i], j, i
    return best_y, best_x


@njit(cache=True, nogil=True)
def fall_below(
    above: Plane, peak: tuple[int, int], step: tuple[float, float], half: float, reach: int
) -> float:
    """Return how far from a peak the light falls below a value along a direction, 0 if nowhere."""
    ny, nx = above.shape
    before = above[peak[1], peak[0]]
    for r in range(1, reach + 1):
        x, y = peak[0] + r * step[0], peak[1] + r * step[1]
        i, j = int(math.floor(x)), int(math.floor(y))
        if i < 0 or j < 0 or i + 1 >= nx or j + 1 >= ny:
            return 0.0
        fx, fy = x - i, y - j
        low = above[j, i] * (1 - fx) + above[j, i + 1] * fx
        high = above[j + 1, i] * (1 - fx) + above[j + 1, i + 1] * fx
        value = low * (1 - fy) + high * fy
        if value < half:
            return float(r - 1 + (before - half) / (before - value))
        before = value
    return 0.0
