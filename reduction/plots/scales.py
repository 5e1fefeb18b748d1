"""Scales of colour: which colour a value has, and the bar beside a drawing that says so."""

from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.plots.drawing import TOP, WIDTH, Span, boxes, labels, ticks, words

Floats = npt.NDArray[np.float64]
BAR_ROOM: Final = 92.0  # right of the axes, for bar, numbers and what they are
_BAR_WIDE, _BAR_AWAY, _BAR_STEPS = 12.0, 14.0, 48
# Control colours, evenly spaced: dark to bright; and blue to orange by way of a grey that shows
# on a dark page and on a bright one.
_RISING: Final = (0x2B2A5C, 0x31518F, 0x2E7B93, 0x3FA67F, 0x9DC45A, 0xF2D95C)
_BOTH_WAYS: Final = (0x2A6FDB, 0x6C97C9, 0x9A9A96, 0xCF9A5E, 0xE0702A)
_BRIGHT: Final = 0.55  # of the rising scale, above which words on it are dark


def rising(share: Floats) -> list[str]:
    """Return the colours of shares of a range, 0 the lowest and 1 the highest."""
    return _colours(_RISING, share)


def both_ways(share: Floats) -> list[str]:
    """Return the colours of shares from -1 to 1, 0 a grey."""
    return _colours(_BOTH_WAYS, (np.asarray(share) + 1) / 2)


def word_on(share: float) -> str:
    """Return the class of words that can be read on the rising scale's colour."""
    return "on-bright" if share > _BRIGHT else "on-dark"


def _colours(control: tuple[int, ...], share: Floats) -> list[str]:
    at = np.clip(np.nan_to_num(share, nan=0.5), 0, 1) * (len(control) - 1)
    channels = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in control], np.float64)
    known = np.arange(len(control))
    mixed = [np.rint(np.interp(at, known, channels[:, k])).astype(int) for k in range(3)]
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in zip(*mixed, strict=True)]


def bar(span: Span, height: float, *, is_both_ways: bool = False) -> str:
    """Return the bar of a scale at the right of a drawing.

    Parameters
    ----------
    span : Span
        Values at its lower and upper end, and what they are.
    height : float
        Of the axes beside it.
    is_both_ways : bool
        Which of the two scales it is.
    """
    left = WIDTH - BAR_ROOM + _BAR_AWAY
    each = height / _BAR_STEPS
    share = (np.arange(_BAR_STEPS) + 0.5) / _BAR_STEPS
    fills = both_ways(2 * share - 1) if is_both_ways else rising(share)
    places = [
        (left, TOP + height - (k + 1) * each, _BAR_WIDE, each + 0.4) for k in range(_BAR_STEPS)
    ]
    values = ticks(span, 4)
    said = (
        words(
            left + _BAR_WIDE + 4,
            TOP + height * (1 - (float(value) - span.low) / span.length) + 4,
            text,
            "tick",
        )
        for value, text in zip(values, labels(span, values), strict=True)
    )
    middle = TOP + height / 2
    title = words(
        WIDTH - 4,
        middle,
        span.label,
        "label middle",
        f'transform="rotate(-90 {WIDTH - 4:g} {middle:.1f})"',
    )
    return boxes(places, fills) + "".join(said) + title
