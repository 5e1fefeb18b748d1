"""Plots of how faint one image goes."""

import numpy as np

from reduction.plots.canvas import (
    BAD,
    FAINT,
    GOOD,
    LINE,
    MEDIAN,
    Bits,
    Floats,
    Ink,
    dots,
    figure,
    legend,
    png,
)

STEP_MAG = 0.25
MARGIN_MAG = 0.5


def limit_hist(mag: Floats, catalogue_mag: Floats, limit_mag: float | None) -> bytes:
    """Return how many objects there are of which magnitude, beside the catalogue's stars."""
    made, axes = figure()
    one = axes[0, 0]
    both = np.concatenate([mag[np.isfinite(mag)], catalogue_mag[np.isfinite(catalogue_mag)]])
    low, high = (both.min(), both.max()) if len(both) else (0.0, 1.0)
    edges = np.arange(np.floor(low / STEP_MAG), np.ceil(high / STEP_MAG) + 2) * STEP_MAG
    for values, colour, label in ((catalogue_mag, FAINT, "catalogue"), (mag, GOOD, "image")):
        known = values[np.isfinite(values)]
        one.hist(known, edges, histtype="stepfilled", alpha=0.55, color=colour,
                 label=f"{label}: {len(known)}")  # fmt: skip
    if limit_mag is not None:
        one.axvline(limit_mag, color=LINE, linewidth=1.4, label=f"limit {limit_mag:.2f}")
    one.set(xlabel="magnitude", ylabel=f"objects in {STEP_MAG:g} mag", title="Magnitudes")
    legend(one)
    return png(made)


def limit_sn(
    mag: Floats,
    signal: Floats,
    is_flagged: Bits,
    model: tuple[Floats, Floats],
    limit: tuple[float, float | None],
) -> bytes:
    """Return signal to noise against magnitude, its model, and where it falls to the limit's.

    Parameters
    ----------
    mag, signal : float arrays, ``(n,)``
        Of the objects.
    is_flagged : bool array, ``(n,)``
        Which have any flag.
    model : tuple of float arrays
        Magnitudes, and the signal to noise a star of them has.
    limit : tuple
        Signal to noise asked for, and the magnitude that reaches it.
    """
    made, axes = figure()
    one = axes[0, 0]
    lit = signal > 0
    dots(one, mag[lit & is_flagged], signal[lit & is_flagged], Ink(BAD, 8, 0.5, "flagged"))
    dots(one, mag[lit & ~is_flagged], signal[lit & ~is_flagged], Ink(GOOD, 8, 0.6, "clean"))
    one.plot(*model, color=MEDIAN, linewidth=1.2, label="expected of a star")
    one.axhline(limit[0], color=FAINT, linewidth=1)
    if limit[1] is not None:
        one.axvline(limit[1], color=LINE, linewidth=1.4, label=f"limit {limit[1]:.2f}")
    one.set(
        xlabel="magnitude", ylabel="signal to noise", yscale="log",
        title=f"Signal to noise, the limit at {limit[0]:g}",
    )  # fmt: skip
    legend(one)
    return png(made)
