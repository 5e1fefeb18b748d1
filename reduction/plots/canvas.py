"""Figures of matplotlib as PNG, one look for all; no window, no state shared between threads.

They have no ground of their own, and colours of middling lightness: they stand on dark pages as
well as on bright ones.
"""

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
Axes = Any  # matplotlib's own, which has no types here

DPI: Final = 110
WIDTH_IN, HEIGHT_IN = 8.0, 5.0
TALLEST: Final = 1.4  # of a map, against its width
GOOD, BAD, LINE, FAINT = "#3f86cf", "#d9622b", "#2e9a57", "#8f98a3"
INK, MEDIAN = "#85878b", "#a566c9"  # of words and frames; of a line that is to stand out from dots
CLEAR: Final = "none"
WASH: Final = "#85878b26"  # behind a legend that lies over dots
MAP: Final = "viridis"
DIVERGING: Final = "coolwarm"  # its middle is no white
MOST_DOTS: Final = 20_000  # of one kind that a plot shows: more cannot be told apart


@dataclass(frozen=True, slots=True)
class Ink:
    """How marks are drawn: colour, size in points squared, opacity, and the legend's word."""

    colour: str
    size: float = 10.0
    alpha: float = 0.7
    label: str = ""
    marker: str = "o"


def figure(rows: int = 1, columns: int = 1, *, height_in: float = HEIGHT_IN) -> tuple[Figure, Axes]:
    """Return a figure and its axes, ``(rows, columns)``."""
    made = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, layout="constrained", facecolor=CLEAR)
    FigureCanvasAgg(made)
    axes = made.subplots(rows, columns, squeeze=False)
    for one in axes.ravel():
        one.grid(visible=True, color=INK, alpha=0.25, linewidth=0.6)
        one.set_axisbelow(True)
    return made, axes


def png(made: Figure) -> bytes:
    """Return a figure as PNG, whose ground is transparent."""
    for axes in made.axes:
        _ink(axes)
    out = io.BytesIO()
    made.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _ink(axes: Axes) -> None:
    """Give what stands around axes, or along a scale of colours, the colour of words."""
    axes.patch.set_facecolor(CLEAR)
    axes.tick_params(which="both", colors=INK)
    for spine in axes.spines.values():
        spine.set_edgecolor(INK)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(INK)
    if (box := axes.get_legend()) is not None:
        box.get_frame().set(alpha=None, facecolor=WASH, edgecolor=CLEAR)
        for text in box.get_texts():
            text.set_color(INK)


def dots(axes: Axes, x: Floats, y: Floats, ink: Ink) -> None:
    """Draw marks where both values are known, an even part of them where they are many."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(known):
        return
    known = known[:: -(-len(known) // MOST_DOTS)]
    axes.scatter(
        x[known], y[known], s=ink.size, c=ink.colour, alpha=ink.alpha, marker=ink.marker,
        linewidths=0, label=f"{ink.label}: {len(known)}" if ink.label else None,
    )  # fmt: skip


def limits(values: Floats, *, share: float = 0.05, most: float = 99.5) -> tuple[float, float]:
    """Return the ends of an axis that holds nearly all of some values, with a little room."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(known, (100 - most, most)))
    room = max(share * (high - low), 1e-3 * max(1.0, abs(low)))
    return low - room, high + room


def map_height(shape: tuple[int, int]) -> float:
    """Return how tall the figure of an image's map is, inches."""
    return float(np.clip(WIDTH_IN * 0.85 * shape[0] / shape[1], 3.0, WIDTH_IN * TALLEST))


def prepare_map(axes: Axes, shape: tuple[int, int], title: str) -> None:
    """Give axes the pixels of an image."""
    axes.set(
        xlim=(-0.5, shape[1] - 0.5), ylim=(-0.5, shape[0] - 0.5), aspect="equal", title=title,
        xlabel="x, pixels", ylabel="y, pixels",
    )  # fmt: skip


def value_map(
    places: tuple[Floats, Floats],
    values: Floats,
    shape: tuple[int, int],
    *,
    words: tuple[str, str],
    is_signed: bool = False,
) -> bytes:
    """Return marks over an image, coloured by a value.

    Parameters
    ----------
    places : tuple of float arrays, ``(n,)``
        Columns and rows.
    values : float array, ``(n,)``
        What is not finite is left out.
    shape : tuple of int
        Rows and columns.
    words : tuple of str
        The title, and what the colours mean.
    is_signed : bool
        Whether zero is the middle of the colours.
    """
    made, axes = figure(height_in=map_height(shape))
    axes = axes[0, 0]
    prepare_map(axes, shape, words[0])
    known = np.flatnonzero(np.isfinite(values))
    if len(known):
        low, high = limits(values[known], most=97.5)
        if is_signed:
            low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
        drawn = axes.scatter(
            places[0][known], places[1][known], c=values[known], s=18, vmin=low, vmax=high,
            cmap=DIVERGING if is_signed else MAP, edgecolors=INK, linewidths=0.6,
        )  # fmt: skip
        made.colorbar(drawn, ax=axes, label=words[1], shrink=0.85)
    else:
        nothing(axes)
    return png(made)


def surface_map(
    plane: npt.NDArray[Any], shape: tuple[int, int], *, words: tuple[str, str]
) -> bytes:
    """Return a plane over an image, of whatever resolution."""
    made, axes = figure(height_in=map_height(shape))
    axes = axes[0, 0]
    prepare_map(axes, shape, words[0])
    low, high = limits(np.asarray(plane, float).ravel())
    extent = (-0.5, shape[1] - 0.5, -0.5, shape[0] - 0.5)
    drawn = axes.imshow(plane, origin="lower", extent=extent, vmin=low, vmax=high, cmap=MAP)
    axes.grid(visible=False)
    made.colorbar(drawn, ax=axes, label=words[1], shrink=0.85)
    return png(made)


def nothing(axes: Axes, why: str = "nothing to show") -> None:
    """Say that there is nothing to show."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=FAINT)


def legend(axes: Axes, *, is_below: bool = False) -> None:
    """Say what the marks are, where any has a name; below the axes where a picture fills them."""
    named = len(axes.get_legend_handles_labels()[0])
    if named and is_below:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=named, fontsize=8)
    elif named:
        axes.legend(loc="best", fontsize=8)
