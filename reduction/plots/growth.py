"""What share of a star's light circles hold."""

from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.plots.drawing import Panel, Span, dots, level, line, words

Floats = npt.NDArray[np.float64]
MOST_STARS: Final = 60  # drawn one by one
HIGHEST: Final = 1.12


def growth_curve(
    radii_pix: Floats, shares: Floats, growth: Floats, *, used_pix: float | None = None
) -> str:
    """Draw the growth curve of a frame and those of the stars it is taken from.

    Parameters
    ----------
    radii_pix : float array, ``(k,)``
        Of the circles.
    shares : float array, ``(n, k)``
        Of the light of each star in each circle; NaN is left out.
    growth : float array, ``(k,)``
        Of the frame.
    used_pix : float or None
        Radius of the circle that magnitudes are taken from.

    Returns
    -------
    str
        SVG.
    """
    low = max(0.0, float(np.min(growth)) - 0.15)
    panel = Panel(
        Span(0, float(radii_pix[-1]) * 1.06, "radius of the circle, pixels"),
        Span(low, HIGHEST, "share of the light"),
    )
    shown = [level(panel, 1, "axis")]
    for star in shares[:MOST_STARS]:
        known = np.where((star > low) & (star < HIGHEST), star, np.nan)
        shown.append(line(*panel.place(radii_pix, known), "hair"))
    if used_pix is not None:
        shown.append(_used(panel, used_pix, float(np.interp(used_pix, radii_pix, growth))))
    places = panel.place(radii_pix, growth)
    shown += [line(*places, "fit"), dots(*places, "big")]
    return panel.drawn("Share of a star's light within circles", *shown)


def _used(panel: Panel, radius: float, share: float) -> str:
    """Return the line of the circle that is measured in, and what it holds."""
    px, py = panel.at(radius, share)
    bottom = panel.box[3]
    return f'<path class="band" d="M{px:.1f} {bottom:g}V{py:.1f}"/>' + words(
        px + 7, bottom - 8, f"measured in {radius:.1f} pixels: {100 * share:.1f} %", "key-text"
    )


def telling_stars(
    x: Floats, y: Floats, is_good: npt.NDArray[np.bool_], *, apart_pix: float
) -> npt.NDArray[np.int64]:
    """Return which good stars have no other source near, so that circles hold them alone.

    Parameters
    ----------
    x, y : float arrays, ``(n,)``
        Places of all sources, pixels.
    is_good : bool array, ``(n,)``
        Bright clean stars.
    apart_pix : float
        How far any other source must be.
    """
    if len(x) < 2:
        return np.flatnonzero(is_good)
    from scipy.spatial import cKDTree  # a slow import, and few processes need it

    places = np.column_stack([x, y])
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    return np.flatnonzero(is_good & (nearest > apart_pix))
