"""Plots of what was found on one image: where, how wide, and which look odd."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reduction.plots.canvas import (
    BAD,
    GOOD,
    LINE,
    Bits,
    Floats,
    Ink,
    dots,
    figure,
    legend,
    limits,
    map_height,
    png,
    prepare_map,
    value_map,
)

LARGEST_SIDE: Final = 1000  # of the image below the marks
LEAST_SPREAD: Final = 1e-12
ON_SKY: Final = ("#5fd08c", "#ffab4a")  # rings on the black of a sky: clean, flagged


def objects_plot(plane: npt.NDArray[Any], places: tuple[Floats, Floats], is_flagged: Bits) -> bytes:
    """Return an image with rings around its objects, flagged ones in another colour.

    Parameters
    ----------
    plane : array, ``(ny, nx)``
        The image less its background.
    places : tuple of float arrays, ``(n,)``
        Columns and rows.
    is_flagged : bool array, ``(n,)``
        Which have any flag.
    """
    shape = plane.shape[0], plane.shape[1]
    made, axes = figure(height_in=map_height(shape))
    axes = axes[0, 0]
    prepare_map(axes, shape, f"{len(is_flagged)} objects, {np.count_nonzero(is_flagged)} flagged")
    step = max(1, -(-max(shape) // LARGEST_SIDE))
    small = np.arcsinh(_scaled(plane[::step, ::step]))
    low, high = np.percentile(small, (20, 99.7))
    extent = (-0.5, shape[1] - 0.5, -0.5, shape[0] - 0.5)
    axes.imshow(small, origin="lower", extent=extent, cmap="gray", vmin=low, vmax=high)
    axes.grid(visible=False)
    kinds = (~is_flagged, "clean"), (is_flagged, "flagged")
    for (chosen, label), colour in zip(kinds, ON_SKY, strict=True):
        axes.scatter(
            places[0][chosen], places[1][chosen], s=34, facecolors="none", edgecolors=colour,
            linewidths=0.8, label=f"{label}: {np.count_nonzero(chosen)}",
        )  # fmt: skip
    legend(axes, is_below=True)
    return png(made)


def _scaled(plane: npt.NDArray[Any]) -> Floats:
    middle = float(np.median(plane))
    spread = float(np.median(np.abs(plane - middle)))
    return np.asarray((plane - middle) / max(3 * spread, LEAST_SPREAD), np.float64)


def fwhm_map(
    places: tuple[Floats, Floats], fwhm_pix: Floats, shape: tuple[int, int], star_fwhm_pix: float
) -> bytes:
    """Return the widths of an image's clean objects over it."""
    title = f"Width of objects; of a star {star_fwhm_pix:.2f} pixels"
    return value_map(places, fwhm_pix, shape, words=(title, "FWHM, pixels"))


def fwhm_mag_plot(mag: Floats, fwhm_pix: Floats, is_flagged: Bits, star_fwhm_pix: float) -> bytes:
    """Return the widths of objects against their instrumental magnitudes."""
    made, axes = figure()
    axes = axes[0, 0]
    dots(axes, mag[is_flagged], fwhm_pix[is_flagged], Ink(BAD, 8, 0.5, "flagged"))
    dots(axes, mag[~is_flagged], fwhm_pix[~is_flagged], Ink(GOOD, 8, 0.6, "clean"))
    axes.axhline(star_fwhm_pix, color=LINE, linewidth=1.2, label=f"star: {star_fwhm_pix:.2f}")
    low, high = limits(fwhm_pix, most=98)
    axes.set(
        xlabel="instrumental magnitude", ylabel="FWHM, pixels", title="Width against brightness",
        ylim=(max(0.0, min(low, 0.5 * star_fwhm_pix)), max(high, 2 * star_fwhm_pix)),
    )  # fmt: skip
    legend(axes)
    return png(made)


def prefilter_plot(mag: Floats, features: Sequence[tuple[str, Floats]], is_odd: Bits) -> bytes:
    """Return the features by which objects were sorted out, against magnitude.

    Parameters
    ----------
    mag : float array, ``(n,)``
        Instrumental.
    features : sequence of (name, float array)
        One panel each.
    is_odd : bool array, ``(n,)``
        Which were sorted out.
    """
    made, axes = figure(len(features), 1, height_in=2.3 * len(features) + 0.6)
    for one, (name, values) in zip(axes.ravel(), features, strict=True):
        dots(one, mag[~is_odd], values[~is_odd], Ink(GOOD, 7, 0.6, "usual"))
        dots(one, mag[is_odd], values[is_odd], Ink(BAD, 9, 0.8, "odd"))
        one.set(ylabel=name, ylim=limits(values, most=98.5))
    axes[-1, 0].set_xlabel("instrumental magnitude")
    axes[0, 0].set_title(
        f"{np.count_nonzero(is_odd)} of {len(is_odd)} objects look unlike the others"
    )
    legend(axes[0, 0])
    return png(made)


def background_plot(background: npt.NDArray[Any], noise: npt.NDArray[Any]) -> bytes:
    """Return the background of an image and the noise of its pixels, side by side."""
    shape = background.shape[0], background.shape[1]
    step = max(1, -(-max(shape) // LARGEST_SIDE))
    made, axes = figure(1, 2, height_in=max(3.2, 0.55 * map_height(shape)))
    extent = (-0.5, shape[1] - 0.5, -0.5, shape[0] - 0.5)
    for one, plane, title in (
        (axes[0, 0], background, "Background"),
        (axes[0, 1], noise, "Noise of a pixel"),
    ):
        small = np.asarray(plane[::step, ::step], np.float64)
        prepare_map(one, shape, title)
        low, high = limits(small.ravel(), most=99)
        drawn = one.imshow(small, origin="lower", extent=extent, vmin=low, vmax=high)
        one.grid(visible=False)
        made.colorbar(drawn, ax=one, shrink=0.7)
    return png(made)
