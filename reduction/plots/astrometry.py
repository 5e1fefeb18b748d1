"""Plots of how well the stars of one image lie where a catalogue has them."""

import numpy as np

from reduction.normal import MAD_TO_SIGMA
from reduction.plots.canvas import FAINT, GOOD, LINE, Floats, Ink, dots, figure, legend, png


def distance_plot(
    offsets_arcsec: tuple[Floats, Floats], radius_arcsec: float, n_chance: float
) -> bytes:
    """Return the offsets of matched stars: as they lie, and how many at which distance.

    Parameters
    ----------
    offsets_arcsec : tuple of float arrays, ``(n,)``
        Image less catalogue, towards east and north.
    radius_arcsec : float
        Within which they were looked for.
    n_chance : float
        How many matches chance gives within it.
    """
    east, north = offsets_arcsec
    distance = np.hypot(east, north)
    scatter = [_scatter(east), _scatter(north)]
    made, axes = figure(1, 2, height_in=4.2)
    left, right = axes[0]
    dots(left, east, north, Ink(GOOD, 9, 0.6))
    around = np.linspace(0, 2 * np.pi, 100)
    left.plot(radius_arcsec * np.cos(around), radius_arcsec * np.sin(around), color=FAINT)
    left.axhline(0, color=FAINT, linewidth=0.8)
    left.axvline(0, color=FAINT, linewidth=0.8)
    left.set(
        xlabel="to the east, arcsec", ylabel="to the north, arcsec", aspect="equal",
        title=f"scatter {scatter[0]:.3f} and {scatter[1]:.3f} arcsec",
    )  # fmt: skip
    edges = np.linspace(0, radius_arcsec, 31)
    right.hist(distance, edges, color=GOOD, alpha=0.8, label=f"{len(distance)} matches")
    expected = n_chance * (edges[1:] ** 2 - edges[:-1] ** 2) / radius_arcsec**2
    right.stairs(expected, edges, color=LINE, linewidth=1.3, label=f"by chance: {n_chance:.1f}")
    right.set(xlabel="distance, arcsec", ylabel="stars", title="Distance of the matched stars")
    legend(right)
    return png(made)


def _scatter(values: Floats) -> float:
    return (
        MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values)))) if len(values) else 0.0
    )
