"""Pixels not to be trusted: hot ones in a bias or dark, dead and odd ones in a flat."""

import numpy as np
import numpy.typing as npt

from reduction.flags import PixelFlag
from reduction.image import Image, MaskPlane
from reduction.stats import robust_sigma, sampled_rows

BAD = np.uint16(PixelFlag.BAD)
SMOOTHING_PIX = 25  # side of the box a flat is compared with: wider than a defect, narrower than
# the shadow of a mote of dust
NEAR_PIX = 7  # side of the box whose median tells a defect from the edge of a shadow
AT_ONCE = 1 << 16  # pixels looked at with what is near them


def hot_pixels(image: Image, *, noise: float, sigma: float) -> MaskPlane:
    """Return an image's mask with ``BAD`` on pixels far from all the others.

    Far from the plane's median by `sigma` times the noise of a single frame and by as many times
    the scatter of the plane itself: what a subtraction leaves of such a pixel is noisier than its
    neighbours.

    Parameters
    ----------
    image : Image
        Master bias or dark, ``(ny, nx)``.
    noise : float
        Of one pixel in one frame, in the image's unit.
    sigma : float
        Threshold.

    Returns
    -------
    uint16 array, ``(ny, nx)``
        The image's flags and ``BAD``.
    """
    mask = image.mask.copy()
    good = image.mask == 0
    rows = sampled_rows(*image.shape)
    values = image.data[rows][good[rows]]
    if values.size == 0:
        return mask
    limit = sigma * max(noise, robust_sigma(values))
    mask[good & (np.abs(image.data - np.float32(np.median(values))) > limit)] |= BAD
    return mask


def cold_pixels(
    flat: Image, *, low: float, high: float, dead: float, sigma: float = 5.0
) -> MaskPlane:
    """Return a flat's mask with ``BAD`` on pixels that answer unlike those around them.

    The flat over a smooth version of itself, and over the median of what is near, must lie between
    `low` and `high`, or within `sigma` times the flat's own noise where that is more; and the flat
    itself above `dead`. The edge of a dust mote's shadow is unlike its wider surroundings, but
    like what is near. So is what is wider than three columns, or four pixels each way: a flat
    divides it out, as it does a shadow.

    Parameters
    ----------
    flat : Image
        Normalised, ``(ny, nx)``.
    low, high : float
        Fractions of the smoothed flat, and of the median near by.
    dead : float
        Fraction of the whole flat's level.
    sigma : float
        Least significance of a deviation.

    Returns
    -------
    uint16 array, ``(ny, nx)``
        The flat's flags and ``BAD``.
    """
    lit = (flat.mask == 0) & (flat.data > dead)
    ratio = np.ones_like(flat.data)
    odd = np.zeros(flat.shape, dtype=bool)
    noise = np.float32(sigma) * np.sqrt(flat.variance)
    # A bad column pulls the smooth version with it: look again without what was found.
    for _ in range(2):
        level = _smooth(flat.data, lit & ~odd)
        np.divide(flat.data, level, out=ratio, where=level > 0)
        margin = noise / np.maximum(level, np.float32(dead))
        lowest, highest = np.minimum(low, 1 - margin), np.maximum(high, 1 + margin)
        odd = (ratio < lowest) | (ratio > highest)
    odd &= lit
    places = np.nonzero(odd)
    beside = flat.data[places] / _near(flat.data, places)
    odd[places] = (beside < lowest[places]) | (beside > highest[places])
    mask = flat.mask.copy()
    mask[odd | ((flat.mask == 0) & ~lit)] |= BAD
    return mask


def _near(
    plane: npt.NDArray[np.float32], places: tuple[npt.NDArray[np.intp], ...]
) -> npt.NDArray[np.float32]:
    """Return the median of a small box around some pixels, never below a thousandth."""
    ny, nx = plane.shape
    steps = np.arange(NEAR_PIX) - NEAR_PIX // 2
    found = np.empty(len(places[0]), np.float32)
    for start in range(0, len(found), AT_ONCE):
        y, x = (np.abs(place[start : start + AT_ONCE, None] + steps) for place in places)
        # Beyond an edge the plane is mirrored at its last row: a bad one is not its own neighbour.
        y, x = np.minimum(y, 2 * (ny - 1) - y), np.minimum(x, 2 * (nx - 1) - x)
        box = plane[np.maximum(y, 0)[:, :, None], np.maximum(x, 0)[:, None, :]]
        found[start : start + AT_ONCE] = np.median(box.reshape(len(box), -1), axis=1)
    return np.maximum(found, np.float32(1e-3))


def _smooth(plane: npt.NDArray[np.float32], good: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return the mean of the good pixels in a box around every pixel; 0 where there is none."""
    weight = _box_sum(good.astype(np.float64))
    total = _box_sum(np.where(good, plane, np.float32(0)).astype(np.float64))
    out = np.zeros_like(plane)
    np.divide(total, weight, out=out, where=weight > 0.5, casting="same_kind")
    return out


def _box_sum(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sum over a box around every pixel, cut off at the edges of the frame.

    By differences of running sums: exact enough in double precision, and no slower for a wide
    box than for a narrow one.
    """
    half = SMOOTHING_PIX // 2
    for axis in (0, 1):
        n = plane.shape[axis]
        running = np.concatenate(
            (np.zeros_like(plane.take([0], axis)), np.cumsum(plane, axis=axis)), axis=axis
        )
        above = np.minimum(np.arange(n) + half + 1, n)
        below = np.maximum(np.arange(n) - half, 0)
        plane = running.take(above, axis) - running.take(below, axis)
    return plane
