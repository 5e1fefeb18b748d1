"""Robust numbers of planes and stacks: levels, modes, scatters, pooled variances."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from reduction.errors import ShapeMismatchError
from reduction.exposure import PlaneStats
from reduction.image import FloatPlane, Image, native_rows
from reduction.kernels.samples import (
    SORTED_AT_MOST,
    around_rank,
    core_rms,
    count_bins,
    steps_along_rows,
)
from reduction.normal import MAD_TO_SIGMA

Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]

CLIP_SIGMA = 4.0  # cuts 6e-5 of a normal sample: the scatter it leaves is true to 0.1 %
SAMPLE_PIXELS = 120_000  # of a normal sample this many give the median to 0.4 % of its scatter
FEW = 16_384  # values that tell the scatter to 1 % and the centre to 1 % of it: a start
TRUNCATION = 0.99  # quantile of the variances' distribution above which a pixel is not believed


def robust_sigma(values: Values) -> float:
    """Return the standard deviation of a sample's normal core.

    The median absolute deviation starts it, that of evenly spaced values of a large sample; the
    rms of all within 4 of those follows, twice, because the median absolute deviation of whole
    numbers is itself a whole number.

    Parameters
    ----------
    values : float array, any shape
        NaN-free.

    Returns
    -------
    float
        In the unit of `values`; NaN of an empty sample.
    """
    if values.size == 0:
        return float("nan")
    flat = _sample(values)
    few = flat[:: max(1, flat.size // FEW)].astype(np.float64)
    centre = median_of(few)
    sigma = median_of(np.abs(few - centre)) * MAD_TO_SIGMA or core_rms(flat, centre, np.inf)
    for _ in range(2):
        sigma = core_rms(flat, centre, CLIP_SIGMA * sigma) or sigma
    return float(sigma)


def median_of(values: Values) -> float:
    """Return numpy's median of values of any shape, of most samples in a third of the time.

    NaN of none, and where one is NaN.
    """
    flat = _sample(values)
    if flat.size == 0:
        return float("nan")
    rank, left = around_rank(flat, (flat.size - 1) // 2)
    if left.size > SORTED_AT_MOST:
        return float(np.median(flat))
    ordered = np.sort(left)
    lower = ordered[rank]
    if np.isnan(ordered[-1]):
        return float("nan")
    if flat.size % 2:
        return float(lower)
    upper = ordered[rank + 1] if rank + 1 < left.size else flat[flat > lower].min()
    return float(np.mean([lower, upper]))


def _sample(values: Values) -> Values:
    """Return values in a row as the kernels take them: contiguous, native, read-only."""
    flat: npt.NDArray[Any] = values.reshape(-1)
    return native_rows(flat, 0, flat.size)


def difference_noise(plane: FloatPlane, good: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the noise of single pixels from the differences of neighbours along the rows.

    Gradients and large structure cancel; what is fixed from pixel to pixel does not.

    Parameters
    ----------
    plane : float array, ``(ny, nx)``
        NaN marks unknown pixels.
    good : bool array, ``(ny, nx)``, optional
        Pixels to believe; all where None.

    Returns
    -------
    float
        Standard deviation of one pixel, in the unit of `plane`; NaN where there are no two good
        neighbours.

    Raises
    ------
    ShapeMismatchError
        If `good` has another shape.
    """
    if good is None:
        good = np.empty((0, 0), np.bool_)
    elif good.shape != plane.shape:
        raise ShapeMismatchError(
            f"which pixels are good is told of {good.shape}, the plane has {plane.shape}"
        )
    steps = np.empty(plane.size)
    rows, believed = native_rows(plane, 0, len(plane)), good.astype(np.bool_, copy=False)
    n = steps_along_rows(rows, native_rows(believed, 0, len(good)), steps)
    return robust_sigma(steps[:n]) / float(np.sqrt(2.0))


def mode_of(values: Values) -> float:
    """Return the most frequent value: the peak of a smoothed histogram.

    Bins are a fifth of the scatter of the sample's core, never so fine that they hold fewer than
    some 50 values at the peak; a parabola through the peak gives the place within it.

    Parameters
    ----------
    values : float array, any shape
        NaN-free.

    Returns
    -------
    float
        In the unit of `values`; NaN of an empty sample.
    """
    if values.size == 0:
        return float("nan")
    return _mode_about(median_of(values), values)


def _mode_about(centre: float, values: Values) -> float:
    """Return the mode of a sample whose median is known."""
    sigma = robust_sigma(values)
    if sigma == 0 or values.size < 50:
        return centre
    width = sigma * max(0.2, 4.0 * values.size ** (-1.0 / 3.0))
    half = int(np.ceil(5.0 * sigma / width))
    start = centre - width * (half + 0.5)
    counts = np.zeros(2 * half + 1)
    count_bins(_sample(values), start, width, counts)
    smooth = np.convolve(counts, np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0, mode="same")
    peak = int(np.argmax(smooth))
    return float(start + width * (peak + 0.5 + _vertex(smooth, peak)))


def _vertex(heights: npt.NDArray[np.float64], peak: int) -> float:
    """Return where, from `peak` and in bins, the parabola through it and its neighbours tops."""
    if not 0 < peak < heights.size - 1:
        return 0.0
    left, top, right = heights[peak - 1], heights[peak], heights[peak + 1]
    bend = left - 2.0 * top + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0


def sampled_rows(ny: int, nx: int, pixels: int = SAMPLE_PIXELS) -> slice:
    """Return evenly spaced rows that hold about `pixels` pixels of an ``(ny, nx)`` plane."""
    step = max(1, int(np.ceil(ny * nx / max(1, pixels))))
    return slice(step // 2 if step < 2 * ny else 0, ny, step)


def plane_stats(image: Image, *, n_flagged: int | None = None) -> PlaneStats:
    """Return the numbers of an image's unflagged pixels, from evenly spaced rows of a large one.

    Parameters
    ----------
    image : Image
        ``(ny, nx)``; pixels with any flag are left out.
    n_flagged : int, optional
        How many pixels carry a flag, where that is known: it spares counting them.

    Returns
    -------
    PlaneStats
        In the image's unit; `n_good` counts every unflagged pixel of the image, not of the rows.
        All zero where no pixel is good.
    """
    n_good = image.mask.size - int(np.count_nonzero(image.mask) if n_flagged is None else n_flagged)
    rows = sampled_rows(*image.shape)
    good = image.mask[rows] == 0
    values = image.data[rows][good]
    if values.size == 0:
        return PlaneStats(mode=0.0, median=0.0, noise=0.0, n_good=n_good)
    noise = difference_noise(image.data[rows], good)
    middle = median_of(values)
    return PlaneStats(
        mode=_mode_about(middle, values),
        median=middle,
        noise=noise if np.isfinite(noise) else 0.0,
        n_good=n_good,
    )


def pooled_variance(variances: Values, dof: int) -> float:
    """Return the one variance behind many sample variances, most of them of plain noise.

    Each is drawn from ``sigma^2 chi2(dof) / dof``, but for the pixels that particles hit or that
    are noisy themselves. Variances above a quantile of that distribution are left out and the
    mean of the others is divided by what such a cut leaves of it:
    ``E[X | X < t] = dof F(t; dof + 2) / F(t; dof)`` for X of ``chi2(dof)``.

    Parameters
    ----------
    variances : float array, any shape
        Unbiased sample variances.
    dof : int
        Degrees of freedom of each, at least 1.

    Returns
    -------
    float
        The variance of one value; NaN of an empty sample.
    """
    values = variances.astype(np.float64).ravel()
    if values.size == 0:
        return float("nan")
    from scipy import special  # a slow import, and few processes need it

    cut = 2.0 * float(special.gammaincinv(dof / 2, TRUNCATION))  # of chi2: its quantile
    kept = float(special.gammainc(dof / 2 + 1, cut / 2)) / TRUNCATION
    pooled = float(np.median(values)) * dof / (2.0 * float(special.gammaincinv(dof / 2, 0.5)))
    if pooled == 0:
        pooled = float(values.mean())
    for _ in range(4):
        core = values[values <= pooled * cut / dof]
        if core.size == 0:
            break
        pooled = float(core.mean()) / kept
    return pooled


@lru_cache(maxsize=512)
def median_variance(n: int) -> float:
    """Return the variance of the median of `n` values of unit normal noise.

    From the density of the middle order statistic, or of the mean of the two in the middle.

    Parameters
    ----------
    n : int
        Number of values, at least 1.

    Returns
    -------
    float
        1 for one value, towards ``pi / (2 n)`` for many.

    References
    ----------
    David H. A., Nagaraja H. N., 2003, Order Statistics, 3rd ed., Wiley, ch. 2.
    """
    from scipy import special

    x = np.linspace(-8.0, 8.0, 1601) / np.sqrt(max(1.0, n / 8.0))
    log_below, log_above = special.log_ndtr(x), special.log_ndtr(-x)
    log_density = -0.5 * x**2  # but for a constant, which the norm takes out
    below = (n - 1) // 2
    if n % 2:
        log_weight = below * (log_below + log_above) + log_density
        weight = np.exp(log_weight - log_weight.max())
        return float(np.sum(weight * x**2) / np.sum(weight))
    pair = (below * log_below + log_density)[:, None] + (below * log_above + log_density)[None, :]
    density = np.exp(pair - pair.max())
    density[x[:, None] > x[None, :]] = 0.0
    np.fill_diagonal(density, 0.5 * np.diag(density))  # the trapezoidal rule at the edge x = y
    centre = 0.5 * (x[:, None] + x[None, :])
    return float(np.sum(density * centre**2) / np.sum(density))
