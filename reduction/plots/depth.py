"""How well magnitudes are known, and how faint a star a frame still shows."""

from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.plots.drawing import Panel, Span, dots, span_of, words

Floats = npt.NDArray[np.float64]
MOST_DOTS: Final = 4000
LIMIT_SNR: Final = 5.0


def signal_by_magnitude(
    mag: Floats, snr: Floats, number: npt.NDArray[np.integer], limit_mag: float | None
) -> str:
    """Draw the signal to noise of sources by magnitude, and where it falls to five.

    Parameters
    ----------
    mag, snr : float arrays, ``(n,)``
        Of the sources; what is not finite or has no signal is left out.
    number : integer array, ``(n,)``
        Of the sources.
    limit_mag : float or None
        The frame's depth.

    Returns
    -------
    str
        SVG.
    """
    known = np.flatnonzero(np.isfinite(mag) & (snr > 0))
    known = known[np.linspace(0, len(known) - 1, min(len(known), MOST_DOTS)).astype(int)]
    x, y = mag[known], np.log10(snr[known])
    ends = np.append(x, limit_mag if limit_mag is not None else np.nan)
    rows = span_of(np.append(y, np.log10(LIMIT_SNR)), "")
    panel = Panel(
        span_of(ends, "magnitude"), Span(rows.low, rows.high, "signal to noise", is_log=True)
    )
    shown = dots(*panel.place(x, y), "small", number[known])
    return panel.drawn("Signal to noise by magnitude", shown, _limit(panel, limit_mag))


def _limit(panel: Panel, limit_mag: float | None) -> str:
    """Return the corner in which a star is lost."""
    left, _, right, bottom = panel.box
    x = limit_mag if limit_mag is not None else panel.x.high
    px, py = panel.at(x, float(np.log10(LIMIT_SNR)))
    down = f"V{bottom:g}" if limit_mag is not None else ""
    said = words(left + 6, py - 6, f"{LIMIT_SNR:g} σ", "key-text")
    return f'<path class="band" d="M{left:g} {py:.1f}H{px if down else right:.1f}{down}"/>' + said
