"""Magnitudes of the catalogue less those of the fit: by magnitude, by colour, over the frame."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.normal import MAD_TO_SIGMA
from reduction.plots import scales
from reduction.plots.cells import cut
from reduction.plots.drawing import (
    Panel,
    Span,
    boxes,
    dots,
    level,
    line,
    map_of,
    span_of,
)

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.integer]
MOST_DOTS: Final = 4000
REACH_SIGMA, LEAST_REACH_MAG, MOST_REACH_MAG = 5.0, 0.03, 1.5
IN_A_BIN, LEAST_BINS, MOST_BINS = 8, 3, 14  # stars that settle a running median
MANY_STARS: Final = 150  # of which cells over the frame tell more than dots
PER_CELL, MOST_CELLS = 10, 10
LEAST_TONE_MAG: Final = 0.01  # differences below are no colour
TONES: Final = 11
RESIDUAL: Final = "catalogue − fit, mag"


@dataclass(frozen=True, slots=True)
class ZeroStars:
    """Stars of known magnitude, ``(n,)`` each.

    Attributes
    ----------
    number : integer array
        Of the source.
    x, y : float arrays
        Where it is on the frame, pixels.
    mag, colour : float arrays
        Of the catalogue; a colour may be NaN.
    residual_mag : float array
        Catalogue less fit.
    is_used : bool array
        Whether the fit rests on it.
    """

    number: Numbers
    x: Floats
    y: Floats
    mag: Floats
    colour: Floats
    residual_mag: Floats
    is_used: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def scatter_mag(self) -> float:
        """Robust scatter of the stars the fit rests on, of all where it rests on none."""
        chosen = self.residual_mag[self.is_used] if self.is_used.any() else self.residual_mag
        known = chosen[np.isfinite(chosen)]
        return float(MAD_TO_SIGMA * np.median(np.abs(known))) if known.size else 0.0


def against_magnitude(stars: ZeroStars) -> str:
    """Draw residuals by magnitude, with their running median.

    A tilt tells of a detector that is not linear, a rise at the faint end of a sky that was not
    taken off well.

    Parameters
    ----------
    stars : ZeroStars
        Matched ones.

    Returns
    -------
    str
        SVG.
    """
    panel = Panel(span_of(stars.mag, "catalogue magnitude"), _reach(stars, stars.residual_mag))
    shown = [level(panel, 0, "axis"), *_stars(panel, stars, stars.mag, stars.residual_mag)]
    sigma = stars.scatter_mag
    shown += [level(panel, sigma, "band"), level(panel, -sigma, "band")]
    shown.append(_running(panel, stars, stars.mag, stars.residual_mag))
    return panel.drawn("Zero point residuals by magnitude", *shown)


def against_colour(stars: ZeroStars, name: str, term: float | None) -> str:
    """Draw residuals by colour, with the colour term as a line if one was fitted.

    Parameters
    ----------
    stars : ZeroStars
        Matched ones; those whose colour is not known are left out.
    name : str
        Of the colour, such as ``g-r``.
    term : float or None
        Magnitudes a magnitude of colour; what it takes off is added to the residuals again, so
        that the stars lie along it.

    Returns
    -------
    str
        SVG.
    """
    middle = float(np.nanmedian(stars.colour))
    slope = term or 0.0
    shown_y = stars.residual_mag + slope * (stars.colour - middle)
    label = "residual without colour, mag" if term is not None else RESIDUAL
    x = span_of(stars.colour, f"{name.replace('-', ' − ')}, mag")
    panel = Panel(x, Span(*_ends(_reach(stars, shown_y)), label))
    ends = np.array([x.low, x.high])
    fit = line(*panel.place(ends, slope * (ends - middle)), "fit") if term is not None else ""
    shown = [level(panel, 0, "axis"), *_stars(panel, stars, stars.colour, shown_y)]
    shown.append(fit or _running(panel, stars, stars.colour, shown_y))
    return panel.drawn("Zero point residuals by colour", *shown)


def over_frame(stars: ZeroStars, shape: tuple[int, int]) -> str:
    """Draw the residuals where the stars lie: of many, the medians of cells.

    Parameters
    ----------
    stars : ZeroStars
        Matched ones; outliers are left out.
    shape : tuple of int
        Rows and columns of the frame.

    Returns
    -------
    str
        SVG, coloured by residual.
    """
    panel = map_of(shape, right=scales.BAR_ROOM)
    used = np.flatnonzero(stars.is_used & np.isfinite(stars.residual_mag))
    x, y, residual = stars.x[used], stars.y[used], stars.residual_mag[used]
    if len(used) > MANY_STARS:
        shown, reach = _cells(panel, x, y, residual, shape)
    else:
        reach = _tone_reach(residual)
        shown = _toned(panel, x, y, residual / reach, stars.number[used])
    height = panel.box[3] - panel.box[1]
    shown += scales.bar(Span(-reach, reach, RESIDUAL), height, is_both_ways=True)
    return panel.drawn("Zero point residuals over the frame", shown)


def _cells(
    panel: Panel, x: Floats, y: Floats, residual: Floats, shape: tuple[int, int]
) -> tuple[str, float]:
    cells = cut(x, y, shape, per_cell=PER_CELL, most=MOST_CELLS)
    medians = {cell: float(np.median(residual[chosen])) for cell, chosen in cells.members()}
    values = np.array(list(medians.values()))
    reach = _tone_reach(values)
    places = [cells.place(cell, panel) for cell in medians]
    return boxes(places, scales.both_ways(values / reach)), reach


def _tone_reach(values: Floats) -> float:
    """Return the residual whose colour is the strongest."""
    known = np.abs(values[np.isfinite(values)])
    return max(LEAST_TONE_MAG, float(np.percentile(known, 95)) if known.size else 0.0)


def _toned(panel: Panel, x: Floats, y: Floats, share: Floats, numbers: Numbers) -> str:
    """Return dots in a few tones: one path each, instead of one a star."""
    tone = np.rint((np.clip(share, -1, 1) + 1) / 2 * (TONES - 1)).astype(int)
    px, py = panel.place(x, y)
    shown = ""
    for k, colour in enumerate(scales.both_ways(np.linspace(-1, 1, TONES))):
        drawn = dots(px[tone == k], py[tone == k], "toned", numbers[tone == k])
        shown += f'<g stroke="{colour}">{drawn}</g>' if drawn else ""
    return shown


def _ends(span: Span) -> tuple[float, float]:
    return span.low, span.high


def _reach(stars: ZeroStars, values: Floats) -> Span:
    """Return an axis that holds the stars of the fit; outliers may lie beyond."""
    chosen = values[stars.is_used & np.isfinite(values)]
    widest = float(np.abs(chosen).max()) * 1.1 if chosen.size else 0.0
    reach = max(widest, REACH_SIGMA * stars.scatter_mag, LEAST_REACH_MAG)
    reach = min(reach, MOST_REACH_MAG)
    return Span(-reach, reach, RESIDUAL)


def _stars(panel: Panel, stars: ZeroStars, x: Floats, y: Floats) -> list[str]:
    """Return the dots: outliers open, and at the edge those that lie beyond the axes."""
    edge = 0.985 * panel.y.high
    inside = np.where(np.isfinite(y), np.clip(y, -edge, edge), np.nan)
    px, py = panel.place(x, inside)
    shown = []
    for which, css in ((~stars.is_used, "out"), (stars.is_used, "small")):
        chosen = np.flatnonzero(which)[:MOST_DOTS]
        shown.append(dots(px[chosen], py[chosen], css, stars.number[chosen]))
        if css == "out":
            shown.append(dots(px[chosen], py[chosen], "hole"))
    return shown


def _running(panel: Panel, stars: ZeroStars, x: Floats, y: Floats) -> str:
    """Return the line of medians of equal numbers of stars."""
    used = np.flatnonzero(stars.is_used & np.isfinite(x) & np.isfinite(y))
    n_bins = min(MOST_BINS, len(used) // IN_A_BIN)
    if n_bins < LEAST_BINS:
        return ""
    bins = np.array_split(used[np.argsort(x[used])], n_bins)
    middles = np.array([np.median(x[chosen]) for chosen in bins])
    medians = np.array([np.median(y[chosen]) for chosen in bins])
    return line(*panel.place(middles, medians), "fit")
