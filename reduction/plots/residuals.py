"""Where stars were found against where the catalogue has them: over the frame, and all together."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry.tangent import to_plane
from reduction.normal import MAD_TO_SIGMA
from reduction.plots.cells import cut
from reduction.plots.drawing import (
    BOTTOM,
    LETTER,
    RIGHT,
    TOP,
    WIDTH,
    Panel,
    Span,
    arrows,
    dots,
    left_of,
    map_of,
    ring,
    words,
)

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.integer]
MOST_ARROWS: Final = 250  # one by one; of more stars, the means of cells tell more
PER_CELL, MOST_CELLS = 12, 12
TYPICAL, LONG = 90, 26.0  # the percentile of arrows that is drawn so long
KEY_LONGEST: Final = 60.0  # of the arrow that says how long is how much
ERROR_OF_MEDIAN: Final = 1.2533  # times that of a mean
SURE: Final = 3.5  # times its error, a mean that is no chance
ROUND: Final = (1.0, 2.0, 5.0)
MOST_DOTS: Final = 4000
ROOM: Final = 0.05  # around the frame, for arrows that start near its edge
LEAST_FITTED: Final = 3


@dataclass(frozen=True, slots=True)
class Offsets:
    """How far stars were found from where the catalogue has them, ``(n,)`` each.

    Attributes
    ----------
    number : integer array
        Of the source.
    x, y : float arrays
        Where it was found, pixels.
    dx, dy : float arrays
        Found less catalogue, pixels.
    east, north : float arrays
        The same on the sky, arcseconds.
    """

    number: Numbers
    x: Floats
    y: Floats
    dx: Floats
    dy: Floats
    east: Floats
    north: Floats

    def __len__(self) -> int:
        return len(self.x)

    @property
    def rms_arcsec(self) -> float:
        """Robust scatter on one axis: of most, not of a few wrong matches."""
        both = np.concatenate([self.east, self.north])
        return float(MAD_TO_SIGMA * np.median(np.abs(both - np.median(both))))


def offsets(
    pixels: tuple[Floats, Floats],
    found: tuple[Floats, Floats],
    known: tuple[Floats, Floats],
    number: Numbers,
) -> Offsets:
    """Return the offsets of the sources that were matched with a catalogue.

    Parameters
    ----------
    pixels : tuple of float arrays, ``(n,)``
        Places of all sources, x and y.
    found : tuple of float arrays, ``(n,)``
        The same on the sky by the frame's solution: right ascension and declination, degrees.
    known : tuple of float arrays, ``(n,)``
        Of the catalogue; NaN where a source is none of its stars.
    number : integer array, ``(n,)``
        Of each source.

    Returns
    -------
    Offsets
        Of the matched ones; in pixels by the linear part of the solution, which is all that
        differences so small need. Nothing where there are too few sources to tell it.
    """
    chosen = np.flatnonzero(np.isfinite(known[0]) & np.isfinite(known[1]) & np.isfinite(found[0]))
    if len(chosen) < LEAST_FITTED:
        none = np.empty(0)
        return Offsets(number[:0], none, none, none, none, none, none)
    x, y = pixels[0][chosen], pixels[1][chosen]
    middle = float(found[0][chosen[0]]), float(found[1][chosen[0]])
    there = np.column_stack(to_plane(found[0][chosen], found[1][chosen], middle))
    away = there - np.column_stack(to_plane(known[0][chosen], known[1][chosen], middle))
    design = np.column_stack([x - x.mean(), y - y.mean(), np.ones(len(x))])
    linear = np.linalg.lstsq(design, there, rcond=None)[0][:2].T
    steps = away @ np.linalg.pinv(linear).T
    east, north = 3600 * away.T
    return Offsets(number[chosen], x, y, steps[:, 0], steps[:, 1], east, north)


def quiver(stars: Offsets, shape: tuple[int, int], scale_arcsec: float) -> str:
    """Draw arrows from where the catalogue has stars to where they were found.

    Of many stars, the means of cells are drawn, which show what the fit left over; those that
    are more than chance stand out.

    Parameters
    ----------
    stars : Offsets
        Matched ones.
    shape : tuple of int
        Rows and columns of the frame.
    scale_arcsec : float
        A pixel.

    Returns
    -------
    str
        SVG.
    """
    panel = map_of(shape, room=ROOM)
    px, py = panel.place(stars.x, stars.y)
    if len(stars) <= MOST_ARROWS:
        shown = [dots(px, py, "small", stars.number)]
        steps = stars.dx, stars.dy
        longer = _magnified(*steps)
        shown.append(arrows(px, py, steps[0] * longer, -steps[1] * longer, "arrow"))
    else:
        shown, longer = _means(stars, panel, shape)
        some = _some(len(stars))
        shown.insert(0, dots(px[some], py[some], "faint", stars.number[some]))
    key = _key(panel, longer, scale_arcsec)
    edge = _edge(panel, shape)
    return panel.drawn("Arrows from catalogue places to those found", edge, *shown, key)


def _means(stars: Offsets, panel: Panel, shape: tuple[int, int]) -> tuple[list[str], float]:
    """Return the arrows of cells' means, sure and doubtful ones, and how much longer they are."""
    cells = cut(stars.x, stars.y, shape, per_cell=PER_CELL, most=MOST_CELLS)
    members = list(cells.members())
    x, y = np.array([panel.at(*cells.middle(cell)) for cell, _ in members]).reshape(-1, 2).T
    medians = [(np.median(stars.dx[one]), np.median(stars.dy[one])) for _, one in members]
    dx, dy = np.array(medians, np.float64).reshape(-1, 2).T
    counts = np.array([len(one) for _, one in members], np.float64)
    error = ERROR_OF_MEDIAN * _scatter(stars, [one for _, one in members]) / np.sqrt(counts)
    longer = _magnified(dx, dy)
    is_sure = np.hypot(dx, dy) > SURE * error
    shown = []
    for which, css in ((~is_sure, "arrow soft"), (is_sure, "arrow strong")):
        steps = dx[which] * longer, -dy[which] * longer
        shown.append(arrows(x[which], y[which], *steps, css))
    return shown, longer


def _scatter(stars: Offsets, members: list[Indices]) -> float:
    """Return how stars scatter within their cells on one axis; of few each, all cells together."""
    away = [np.empty(0)]
    for one in members:
        few = np.sqrt(len(one) / (len(one) - 1))  # the median follows the stars it is made of
        away += [few * (steps[one] - np.median(steps[one])) for steps in (stars.dx, stars.dy)]
    every = np.concatenate(away)
    return float(MAD_TO_SIGMA * np.median(np.abs(every))) if every.size else 0.0


def _magnified(dx: Floats, dy: Floats) -> float:
    """Return how many units of the drawing a pixel of an arrow is."""
    length = float(np.percentile(np.hypot(dx, dy), TYPICAL)) if len(dx) else 0.0
    return LONG / length if length > 0 else 1.0


def _key(panel: Panel, longer: float, scale_arcsec: float) -> str:
    """Return an arrow of a round length, and how many arcseconds it is."""
    longest = KEY_LONGEST / longer * scale_arcsec
    power = 10.0 ** np.floor(np.log10(longest))
    value = max(r * power for r in ROUND if r * power <= longest * (1 + 1e-9))
    length = value / scale_arcsec * longer
    text, y = f"{value:g}″", panel.height - 8
    start = panel.box[2] - len(text) * LETTER - length - 6
    arrow = arrows(
        np.array([start]), np.array([y - 4]), np.array([length]), np.zeros(1), "arrow key"
    )
    return arrow + words(panel.box[2], y, text, "key-text end")


def _edge(panel: Panel, shape: tuple[int, int]) -> str:
    """Return the outline of the frame itself."""
    ny, nx = shape
    (left, bottom), (right, top) = panel.at(-0.5, -0.5), panel.at(nx - 0.5, ny - 0.5)
    return (
        f'<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{bottom - top:.1f}"/>'
    )


def target(stars: Offsets) -> str:
    """Draw how far all stars were found from where the catalogue has them, east to the left.

    Parameters
    ----------
    stars : Offsets
        Matched ones.

    Returns
    -------
    str
        SVG; the rings are one and three times the scatter on one axis.
    """
    rms = stars.rms_arcsec
    far = np.percentile(np.hypot(stars.east, stars.north), 99) if len(stars) else 1.0
    reach = max(3.5 * rms, min(float(far), 8 * rms)) * 1.05 or 1.0
    north_up = Span(-reach, reach, "north, arcsec")
    side = WIDTH - left_of(north_up) - RIGHT
    panel = Panel(Span(reach, -reach, "east, arcsec"), north_up, height=side + TOP + BOTTOM)
    some = _some(len(stars))
    east, north, number = stars.east[some], stars.north[some], stars.number[some]
    inside = panel.inside(east, north)
    px, py = panel.place(east[inside], north[inside])
    middle = panel.at(0, 0)
    a_sigma = panel.at(-rms, 0)[0] - middle[0]
    return panel.drawn(
        "How far stars were found from the catalogue's places",
        f'<path class="axis" d="M{middle[0]:.1f} {TOP:g}V{panel.height - BOTTOM:g}'
        f'M{panel.box[0]:g} {middle[1]:.1f}H{WIDTH - RIGHT:g}"/>',
        dots(px, py, "small", number[inside]),
        ring(*middle, a_sigma, "ring"),
        ring(*middle, 3 * a_sigma, "ring far"),
    )


def _some(n: int) -> Indices:
    """Return which of many are drawn: the brightest come first."""
    return np.arange(min(n, MOST_DOTS))
