"""How wide and how round stars are over a frame."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.plots import scales
from reduction.plots.cells import Cells, cut
from reduction.plots.drawing import Panel, Span, boxes, map_of, strokes, words

Floats = npt.NDArray[np.float64]
PER_CELL, MOST_CELLS = 10, 8
LEAST_RANGE: Final = 0.1  # of the width, below which all of a frame looks alike
WHISKER: Final = 2.0  # of a cell's smaller side, at an ellipticity of one
LONGEST: Final = 0.8  # of it
ABOVE: Final = 5.0  # the middle of a cell, where the whisker is; its number stands below
LEAST_WHISKER: Final = 0.02  # ellipticity; rounder cells have none


@dataclass(frozen=True, slots=True)
class StarShapes:
    """Stars that tell how wide and round stars are, ``(n,)`` each.

    Attributes
    ----------
    x, y : float arrays
        Where they are, pixels.
    fwhm_pix : float array
        Full width at half maximum.
    ellipticity, theta_rad : float arrays or None
        One less the ratio of the axes, and the longer one's angle from the x axis.
    """

    x: Floats
    y: Floats
    fwhm_pix: Floats
    ellipticity: Floats | None = None
    theta_rad: Floats | None = None


def fwhm_map(stars: StarShapes, shape: tuple[int, int]) -> str:
    """Draw the median width of the stars in cells of a frame, and how they are drawn out.

    Tilt shows as a slope from side to side, curvature as a ring, bad tracking as whiskers that
    all point the same way.

    Parameters
    ----------
    stars : StarShapes
        Bright single ones.
    shape : tuple of int
        Rows and columns of the frame.

    Returns
    -------
    str
        SVG: colours and numbers are pixels; a whisker points along the stars' longer axis.
    """
    panel = map_of(shape, right=scales.BAR_ROOM)
    cells = cut(stars.x, stars.y, shape, per_cell=PER_CELL, most=MOST_CELLS)
    medians = {c: float(np.median(stars.fwhm_pix[chosen])) for c, chosen in cells.members()}
    span = _range(np.array(list(medians.values())))
    shares = {cell: (value - span.low) / span.length for cell, value in medians.items()}
    places = {cell: cells.place(cell, panel) for cell in medians}
    shown = [boxes(places.values(), scales.rising(np.array(list(shares.values()))))]
    for cell, (left, top, wide, tall) in places.items():
        css = f"cell middle {scales.word_on(shares[cell])}"
        below = top + tall / 2 + min(18.0, tall / 2 - 4)
        shown.append(words(left + wide / 2, below, f"{medians[cell]:.2f}", css))
    shown.append(_whiskers(stars, cells, panel, shares))
    height = panel.box[3] - panel.box[1]
    return panel.drawn("Width of stars over the frame", *shown, scales.bar(span, height))


def _range(values: Floats) -> Span:
    """Return the values at the ends of the scale: a flat frame shall look flat."""
    if not values.size:
        return Span(0, 1, "FWHM, pixels")
    low, high = float(values.min()), float(values.max())
    middle, half = (low + high) / 2, max((high - low) / 2, LEAST_RANGE / 2 * float(values.mean()))
    return Span(middle - half, middle + half, "FWHM, pixels")


def _whiskers(stars: StarShapes, cells: Cells, panel: Panel, shares: dict[int, float]) -> str:
    """Return a stroke a cell along the mean drawing out of its stars."""
    if stars.ellipticity is None or stars.theta_rad is None:
        return ""
    drawn = []
    for cell, chosen in cells.members():
        twice = 2 * stars.theta_rad[chosen]
        cos = float(np.median(stars.ellipticity[chosen] * np.cos(twice)))
        sin = float(np.median(stars.ellipticity[chosen] * np.sin(twice)))
        size, angle = np.hypot(cos, sin), np.arctan2(sin, cos) / 2
        if size < LEAST_WHISKER:
            continue
        left, top, wide, tall = cells.place(cell, panel)
        length = min(LONGEST, WHISKER * size) * min(wide, tall - 12)
        dx, dy = np.array([length * np.cos(angle)]), np.array([-length * np.sin(angle)])
        at = left + wide / 2 - dx / 2, top + tall / 2 - ABOVE - dy / 2
        drawn.append(strokes(*at, dx, dy, f"whisker {scales.word_on(shares[cell])}"))
    return "".join(drawn)
