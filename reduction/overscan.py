"""The zero level of an amplifier along its rows, and its read noise, from the overscan."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Chebyshev

from reduction.camera import Amplifier
from reduction.combine import CombineParams, Noise, combine
from reduction.errors import BadFrameError
from reduction.exposure import Exposure
from reduction.image import FloatPlane
from reduction.readout import overscan_rows
from reduction.sources import ArrayRows
from reduction.stats import difference_noise, robust_sigma

MOST_COLUMNS = 512  # of an overscan that are averaged: they tell a level to 0.05 of the read noise
NOISE_STEP = 4  # every so many rows are enough to tell the noise by
MEDIAN_NOISE = float(np.sqrt(np.pi / 2))  # of the median of many values, that of their mean being 1


@dataclass(frozen=True, slots=True)
class OverscanParams:
    """How the overscan is fitted.

    Attributes
    ----------
    order : int
        Degree of the polynomial along the columns.
    clip_sigma : float
        Rows this far from the fit do not count (a bright star's charge that trails into them).
    skip_columns : int
        Columns left out at either edge of the overscan, where charge of the last pixel trails.
    """

    order: int = 3
    clip_sigma: float = 4.0
    skip_columns: int = 1


@dataclass(frozen=True, slots=True)
class Overscan:
    """An amplifier's zero level.

    Attributes
    ----------
    levels : float32 array, ``(ny,)``
        In ADU, one for each row of the amplifier's place in the frame.
    noise_adu : float or None
        Read noise of one pixel; None where there is no overscan.
    variance : float
        Of the fitted levels, in ADU squared: the same error for a whole row.
    """

    levels: FloatPlane
    noise_adu: float | None
    variance: float


def fit_overscan(
    exposure: Exposure, amp: Amplifier, *, params: OverscanParams = OverscanParams()
) -> Overscan:
    """Fit an amplifier's overscan as a polynomial of the row.

    Each row's level is the clipped mean of its overscan pixels; the polynomial through them is
    fitted again without the rows that lie far off, until none does. An overscan that does not
    lie beside the data (rows above them, say) gives one level for all rows.

    Parameters
    ----------
    exposure : Exposure
        Raw frame.
    amp : Amplifier
        One of its amplifiers; without overscan the levels are zero.
    params : OverscanParams
        Degree and clipping.

    Returns
    -------
    Overscan
        Levels in the order of the frame's rows, ADU.

    Raises
    ------
    BadFrameError
        If no pixel of the overscan is a number.
    """
    rows = overscan_rows(exposure, amp)
    ny = amp.data.shape[0]
    if rows is None:
        return Overscan(np.zeros(ny, np.float32), None, 0.0)
    pixels = np.empty(rows.shape, np.float32)
    rows.read(0, rows.shape[0], pixels)
    edge = params.skip_columns if pixels.shape[1] > 4 * params.skip_columns + 4 else 0
    pixels = pixels[:, edge : pixels.shape[1] - edge]
    if not np.isfinite(pixels).any():
        raise BadFrameError(f"{exposure.name}: the overscan holds no number")
    levels, variance = _levels(pixels, rows.section.y0, amp, params)
    noise = difference_noise(pixels[:: NOISE_STEP if len(pixels) > 100 * NOISE_STEP else 1])
    oriented = levels[::-1] if amp.flip_y else levels
    return Overscan(
        levels=np.ascontiguousarray(oriented, dtype=np.float32),
        noise_adu=noise if np.isfinite(noise) and noise > 0 else None,
        variance=variance,
    )


def _levels(
    pixels: FloatPlane, first_row: int, amp: Amplifier, params: OverscanParams
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the level of each stored data row, and the variance of the fit."""
    known = np.isfinite(pixels).any(axis=1)
    y = first_row + np.flatnonzero(known)
    level = _row_means(pixels[known], params.clip_sigma)
    wanted = np.arange(amp.data.y0, amp.data.y1)
    beside = (y >= amp.data.y0) & (y < amp.data.y1)
    if np.count_nonzero(beside) < max(8, 2 * (params.order + 1)):
        spread = robust_sigma(level) ** 2 / level.size
        return np.full(wanted.size, float(np.median(level))), MEDIAN_NOISE**2 * spread
    curve, scatter, used = _fit_clipped(y, level, params)
    inside = np.clip(wanted, y.min(), y.max())  # a polynomial knows nothing beyond its points
    return curve(inside), scatter**2 * (params.order + 1) / used


def _row_means(pixels: FloatPlane, clip_sigma: float) -> npt.NDArray[np.float64]:
    """Return each row's mean without its outliers.

    Not its median, which of whole numbers comes in steps of a half.
    """
    few = np.ascontiguousarray(pixels[:, :: -(-pixels.shape[1] // MOST_COLUMNS)].T)
    some = few[:, ::NOISE_STEP]
    centre = combine(_columns(some), params=CombineParams("median")).data[0]
    sigma = max(robust_sigma((some - centre).T[np.isfinite(some).T]), 1e-6)
    params = CombineParams("average_sigma", clip_sigma, clip_sigma)
    means = combine(_columns(few), params=params, noise=Noise(sigma**2)).data[0]
    return np.asarray(means, dtype=np.float64)


def _columns(turned: FloatPlane) -> list[ArrayRows]:
    """Return every column of an overscan, a row of `turned`, as a frame of its own."""
    return [ArrayRows(column[None, :]) for column in turned]


def _fit_clipped(
    y: npt.NDArray[np.int64], level: npt.NDArray[np.float64], params: OverscanParams
) -> tuple[Chebyshev, float, int]:
    """Fit a polynomial, leaving out far points until none is left to leave out."""
    keep = np.ones(y.size, dtype=bool)
    while True:
        curve = Chebyshev.fit(y[keep], level[keep], params.order, domain=[y.min(), y.max()])
        residual = level - curve(y)
        scatter = robust_sigma(residual[keep])
        far = np.abs(residual) > params.clip_sigma * max(scatter, 1e-6)
        if not (far & keep).any() or np.count_nonzero(keep & ~far) < 2 * (params.order + 1):
            return curve, scatter, int(np.count_nonzero(keep))
        keep &= ~far
