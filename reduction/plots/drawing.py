"""Drawings of numbers as SVG: axes, dots, lines and words, coloured by the page they stand in.

Sizes are in the drawing's own units, about a pixel of a page each. Shapes carry a class and no
colour where the page's theme has one for it; a drawing holds no style and no script.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
WIDTH: Final = 440.0
HEIGHT: Final = 280.0
TALLEST: Final = 470.0  # of a map of a frame
FLATTEST: Final = 170.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 12.0, 42.0  # margins around the axes
STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
TICKS: Final = 5
LETTER: Final = 6.2  # how wide one is, about
DIGIT: Final = 7.7  # of the numbers at ticks, in the widest of the usual fonts
LABEL_ROOM: Final = 20.0  # of what stands upright at the left edge
_BEFORE_AXES: Final = 6.0  # between the numbers at ticks and the axes


@dataclass(frozen=True, slots=True)
class Span:
    """What an axis shows.

    Attributes
    ----------
    low, high : float
        Values at its ends; a low one above the high one is an axis turned round.
    label : str
        What it is, with its unit.
    is_log : bool
        Whether the values are decimal logarithms of what it shows.
    """

    low: float
    high: float
    label: str = ""
    is_log: bool = False

    @property
    def length(self) -> float:
        """From end to end, with its sign."""
        return self.high - self.low


def span_of(values: Floats, label: str, *, share: float = 0.06, least: float = 0.0) -> Span:
    """Return an axis that holds all finite values, with some room at both ends.

    Parameters
    ----------
    values : float array
        Of any shape; what is not finite is left out.
    label : str
        What they are.
    share : float
        Of their range, that is added at each end.
    least : float
        How much the axis spans at least, around their middle.
    """
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    room = share * (high - low)
    low, high = low - room, high + room
    wanted = max(least, abs(low) * 1e-6, 1e-9)
    if high - low < wanted:
        middle = (low + high) / 2
        low, high = middle - wanted / 2, middle + wanted / 2
    return Span(low, high, label)


def ticks(span: Span, most: int = TICKS) -> Floats:
    """Return round values along an axis, as many as `most` and one."""
    low, high = min(span.low, span.high), max(span.low, span.high)
    if span.is_log:
        return np.arange(np.ceil(low), np.floor(high) + 1)
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(s for s in STEPS if s * power >= rough * (1 - 1e-9))
    first = np.ceil(low / step - 1e-9)
    count = int(np.floor(high / step + 1e-9) - first) + 1
    values: Floats = (first + np.arange(count)) * step
    return np.where(np.abs(values) < step * 1e-9, 0.0, values)


def told(value: float, step: float) -> str:
    """Return a value with the decimals that its step asks for, with a true minus sign."""
    decimals = max(0, int(np.ceil(-np.log10(step) - 1e-9)))
    if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6 * step:  # 2.5, 0.25
        decimals += 1
    return f"{value:.{decimals}f}".replace("-", "−")


def labels(span: Span, values: Floats) -> list[str]:
    """Return what stands at the ticks of an axis."""
    if span.is_log:
        return [f"{10.0**value:,g}" if value < 6 else f"1e{value:g}" for value in values]
    step = float(values[1] - values[0]) if len(values) > 1 else 1.0
    return [told(float(value), step) for value in values]


def left_of(y: Span) -> float:
    """Return the margin left of axes: room for the numbers of `y`, clear of its label."""
    longest = max((_width(text) for text in labels(y, ticks(y))), default=0.0)
    return max(LEFT, LABEL_ROOM + longest + _BEFORE_AXES)


def _width(number: str) -> float:
    return sum(DIGIT / 2 if letter in ".," else DIGIT for letter in number)


@dataclass(frozen=True, slots=True)
class Panel:
    """A drawing with axes.

    Attributes
    ----------
    x, y : Span
        What the axes show; y grows upwards.
    height : float
        Of the drawing; its width is that of all.
    """

    x: Span
    y: Span
    height: float = HEIGHT
    right: float = RIGHT

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the axes."""
        return left_of(self.y), TOP, WIDTH - self.right, self.height - BOTTOM

    def place(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return where values lie on the drawing."""
        left, top, right, bottom = self.box
        along = (np.asarray(x, np.float64) - self.x.low) / self.x.length
        up = (np.asarray(y, np.float64) - self.y.low) / self.y.length
        return left + along * (right - left), bottom - up * (bottom - top)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where one value lies."""
        px, py = self.place(np.array([x]), np.array([y]))
        return float(px[0]), float(py[0])

    def inside(self, x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
        """Tell which values lie within the axes."""
        left, top, right, bottom = self.box
        px, py = self.place(x, y)
        with np.errstate(invalid="ignore"):
            found = (px >= left) & (px <= right) & (py >= top) & (py <= bottom)
        return np.asarray(found, np.bool_)

    def drawn(self, title: str, *shapes: str) -> str:
        """Return the whole drawing: axes below, shapes above.

        Parameters
        ----------
        title : str
            For who cannot see it.
        *shapes : str
            SVG elements.
        """
        inner = "".join((self._frame(), self._ticks_x(), self._ticks_y(), *shapes))
        return (
            f'<svg class="drawing" viewBox="0 0 {WIDTH:g} {self.height:g}" role="img" '
            f"aria-label={quoteattr(title)}>{inner}</svg>"
        )

    def _frame(self) -> str:
        left, top, right, bottom = self.box
        middle = (left + right) / 2, (top + bottom) / 2
        upright = f'transform="rotate(-90 14 {middle[1]:.1f})"'
        return (
            f'<rect class="box" x="{left:g}" y="{top:g}" width="{right - left:g}" '
            f'height="{bottom - top:g}"/>'
            + words(middle[0], self.height - 8, self.x.label, "label middle")
            + words(14, middle[1], self.y.label, "label middle", upright)
        )

    def _ticks_x(self) -> str:
        _, top, _, bottom = self.box
        values = ticks(self.x)
        places, _ = self.place(values, np.full(len(values), self.y.low))
        grid = "".join(f"M{px:.1f} {top:g}V{bottom:g}" for px in places)
        said = (
            words(float(px), bottom + 15, text, "tick middle")
            for px, text in zip(places, labels(self.x, values), strict=True)
        )
        return f'<path class="grid" d="{grid}"/>' + "".join(said)

    def _ticks_y(self) -> str:
        left, _, right, _ = self.box
        values = ticks(self.y)
        _, places = self.place(np.full(len(values), self.x.low), values)
        grid = "".join(f"M{left:g} {py:.1f}H{right:g}" for py in places)
        said = (
            words(left - _BEFORE_AXES, float(py) + 4, text, "tick end")
            for py, text in zip(places, labels(self.y, values), strict=True)
        )
        return f'<path class="grid" d="{grid}"/>' + "".join(said)


def map_of(shape: tuple[int, int], *, right: float = RIGHT, room: float = 0.0) -> Panel:
    """Return the axes of a frame's pixels, both at the same scale where its shape allows it.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    right : float
        Margin at its right, where a scale of colours may stand.
    room : float
        Around the frame, a share of its longer side.
    """
    ny, nx = shape
    around = 0.5 + room * max(nx, ny)
    up = Span(-around, ny - 1 + around, "y, pixels")
    wide = WIDTH - left_of(up) - right
    tall = min(max(wide * ny / nx, FLATTEST), TALLEST - TOP - BOTTOM)
    if wide * ny / nx > tall:  # taller than there is room for: narrower then
        right += wide - tall * nx / ny if nx / ny > 0.4 else 0.0
    return Panel(
        Span(-around, nx - 1 + around, "x, pixels"),
        up,
        height=tall + TOP + BOTTOM,
        right=right,
    )


def words(x: float, y: float, text: str, css: str, more: str = "") -> str:
    """Return some words at a place of the drawing."""
    if not text:
        return ""
    start = f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" {more}'.rstrip()
    return f"{start}>{escape(text)}</text>"


def dots(
    x: Floats, y: Floats, css: str, numbers: Sequence[int] | npt.NDArray[np.integer] = ()
) -> str:
    """Return round dots at places of the drawing, whose size and colour the class gives.

    Parameters
    ----------
    x, y : float arrays, ``(n,)``
        Places; what is not finite is left out.
    css : str
        Class.
    numbers : sequence of int
        Which star each is, for scripts that look for the one under the pointer.
    """
    known = np.isfinite(x) & np.isfinite(y)
    places = zip(x[known], y[known], strict=True)
    path = "".join(f"M{px:.1f} {py:.1f}h0" for px, py in places)
    if not path:
        return ""
    named = ""
    if len(numbers):
        chosen = np.asarray(numbers)[known]
        named = f' data-stars="{" ".join(map(str, chosen.tolist()))}"'
    return f'<path class="dot {css}" d="{path}"{named}/>'


def strokes(x: Floats, y: Floats, dx: Floats, dy: Floats, css: str) -> str:
    """Return straight strokes from places by steps, all on the drawing."""
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(dx) & np.isfinite(dy)
    rows = np.column_stack([x, y, dx, dy])[known]
    path = "".join(f"M{a:.1f} {b:.1f}l{c:.1f} {d:.1f}" for a, b, c, d in rows)
    return f'<path class="{css}" d="{path}"/>' if path else ""


def arrows(x: Floats, y: Floats, dx: Floats, dy: Floats, css: str) -> str:
    """Return strokes with heads at their far ends."""
    length = np.hypot(dx, dy)
    head = np.minimum(5.0, 0.4 * length)
    with np.errstate(divide="ignore", invalid="ignore"):
        ux, uy = np.where(length > 0, dx / length, 0), np.where(length > 0, dy / length, 0)
    shapes = [strokes(x, y, dx, dy, css)]
    for side in (-1, 1):  # 30 degrees to either side, back from the tip
        back_x = -head * (0.866 * ux - side * 0.5 * uy)
        back_y = -head * (0.866 * uy + side * 0.5 * ux)
        shapes.append(strokes(x + dx, y + dy, back_x, back_y, css))
    return "".join(shapes)


def line(x: Floats, y: Floats, css: str) -> str:
    """Return a line through places of the drawing, broken where one is not finite."""
    parts, is_open = [], False
    for px, py in zip(x, y, strict=True):
        if not (np.isfinite(px) and np.isfinite(py)):
            is_open = False
            continue
        parts.append(f"{'L' if is_open else 'M'}{px:.1f} {py:.1f}")
        is_open = True
    return f'<path class="{css}" d="{"".join(parts)}"/>' if parts else ""


def level(panel: Panel, y: float, css: str) -> str:
    """Return a line across the axes at one value of y; nothing where that is outside."""
    left, top, right, bottom = panel.box
    py = panel.at(panel.x.low, y)[1]
    if not top <= py <= bottom:
        return ""
    return f'<path class="{css}" d="M{left:g} {py:.1f}H{right:g}"/>'


def boxes(places: Iterable[tuple[float, float, float, float]], fills: Iterable[str]) -> str:
    """Return filled rectangles: left, top, width, height of each, and its colour."""
    return "".join(
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{fill}"/>'
        for (x, y, w, h), fill in zip(places, fills, strict=True)
    )


def ring(x: float, y: float, radius: float, css: str) -> str:
    """Return a circle's outline."""
    return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
