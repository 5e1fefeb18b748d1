"""Plots of the zero point of one image: against magnitude and colour, and over the image."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reduction.plots.canvas import (
    BAD,
    FAINT,
    GOOD,
    LINE,
    MEDIAN,
    Axes,
    Bits,
    Floats,
    Ink,
    dots,
    figure,
    legend,
    limits,
    png,
    surface_map,
    value_map,
)

BIN_MAG = 0.5
LEAST_IN_BIN = 5


@dataclass(frozen=True, slots=True)
class ZeroPoints:
    """The zero points single stars give, ``(n,)`` each.

    Attributes
    ----------
    mag, error : float arrays
        Of the catalogue; and of the zero point.
    zero : float array
        Catalogue less instrumental, the colour term taken off.
    residual : float array
        Of the fit.
    is_used : bool array
        Which the fit rests on.
    colour : float array or None
        Of the catalogue.
    """

    mag: Floats
    error: Floats
    zero: Floats
    residual: Floats
    is_used: Bits
    colour: Floats | None = None


def zero_point_plot(stars: ZeroPoints, value: float, scatter_mag: float, title: str) -> bytes:
    """Return zero points of stars and their residuals against catalogue magnitude."""
    made, axes = figure(2, 1, height_in=6.4)
    _pair(axes[0, 0], stars.mag, stars.zero, stars)
    axes[0, 0].axhline(value, color=LINE, linewidth=1.2, label=f"zero point {value:.3f}")
    axes[0, 0].set(ylabel="zero point, mag", title=title, ylim=_around(stars.zero, stars.is_used))
    legend(axes[0, 0])
    _pair(axes[1, 0], stars.mag, stars.residual, stars)
    axes[1, 0].axhspan(-scatter_mag, scatter_mag, color=LINE, alpha=0.12, linewidth=0)
    axes[1, 0].axhline(0, color=LINE, linewidth=1.2)
    _running(axes[1, 0], stars)
    axes[1, 0].set(
        xlabel="catalogue magnitude", ylabel="star less fit, mag",
        ylim=_around(stars.residual, stars.is_used),
    )  # fmt: skip
    return png(made)


def _pair(axes: Axes, x: Floats, y: Floats, stars: ZeroPoints) -> None:
    used = stars.is_used
    if used.any() and np.isfinite(stars.error[used]).any():
        axes.errorbar(
            x[used], y[used], np.nan_to_num(stars.error[used]), fmt="none", ecolor=FAINT,
            elinewidth=0.6, alpha=0.6,
        )  # fmt: skip
    dots(axes, x[~used], y[~used], Ink(BAD, 12, 0.8, "left out"))
    dots(axes, x[used], y[used], Ink(GOOD, 11, 0.8, "used"))


def _around(values: Floats, is_used: Bits) -> tuple[float, float]:
    """Return limits that show the used stars well and the others nearby."""
    known = values[is_used & np.isfinite(values)]
    if len(known) < 2:
        return limits(values)
    low, high = limits(known, most=100)
    middle, half = (low + high) / 2, (high - low) / 2
    return middle - 1.6 * half, middle + 1.6 * half


def _running(axes: Axes, stars: ZeroPoints) -> None:
    """Draw the median residual of half-magnitude steps, where there are stars enough."""
    used = stars.is_used & np.isfinite(stars.residual)
    steps = np.floor(stars.mag / BIN_MAG)
    at, level = [], []
    for step in np.unique(steps[used]):
        inside = used & (steps == step)
        if np.count_nonzero(inside) >= LEAST_IN_BIN:
            at.append((step + 0.5) * BIN_MAG)
            level.append(float(np.median(stars.residual[inside])))
    if at:
        axes.plot(at, level, color=MEDIAN, linewidth=1, marker="s", markersize=4, label="median")
        legend(axes)


def colour_plot(stars: ZeroPoints, term: float | None, name: str) -> bytes:
    """Return zero points, the colour term left in, against colour, and the term that was fitted."""
    made, axes = figure()
    one = axes[0, 0]
    colour = stars.colour if stars.colour is not None else np.full(len(stars.mag), np.nan)
    finite = colour[np.isfinite(colour)]
    middle = float(np.median(finite)) if len(finite) else 0.0
    left_in = stars.residual + (term or 0.0) * (colour - middle)
    _pair(one, colour, left_in, stars)
    known = colour[stars.is_used & np.isfinite(colour)]
    if term is not None and len(known):
        ends = np.array([known.min(), known.max()])
        slope = term * (ends - middle)
        one.plot(ends, slope, color=LINE, linewidth=1.4, label=f"term {term:+.4f}")
    one.set(
        xlabel=f"{name}, mag", ylabel="zero point less its mean, mag",
        title="Zero point against colour", ylim=_around(left_in, stars.is_used),
    )  # fmt: skip
    legend(one)
    return png(made)


def zero_point_map(places: tuple[Floats, Floats], zero: Floats, shape: tuple[int, int]) -> bytes:
    """Return the zero points of single stars over an image."""
    return value_map(places, zero, shape, words=("Zero point of stars", "zero point, mag"))


def model_map(model: npt.NDArray[np.float64], shape: tuple[int, int]) -> bytes:
    """Return the fitted zero point over an image."""
    return surface_map(model, shape, words=("Zero point as fitted", "zero point, mag"))


def residual_map(places: tuple[Floats, Floats], residual: Floats, shape: tuple[int, int]) -> bytes:
    """Return what the fit leaves of single stars, over an image."""
    return value_map(
        places, residual, shape, words=("Stars less fit", "star less fit, mag"), is_signed=True
    )
