"""Trails: what draws the stars of a frame out, all in one direction."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # the sources' module compiles kernels, and this asks them for columns only
    from reduction.photometry.detection import Sources

SURE_SIGNAL: Final = 20.0  # of a source whose shape tells
LEAST_STARS: Final = 5
NARROWEST_PIX: Final = 1.4  # a single bright pixel is narrower
LINE_VARIANCE: Final = 12.0  # a line's length squared over the variance of its light


@dataclass(frozen=True, slots=True)
class Trail:
    """What the stars of a frame are drawn out by, all in one direction.

    Attributes
    ----------
    length_pix : float
        Of a line that draws a round star out so, 0 where they are not.
    angle_deg : float
        Of it from the x axis towards the y axis, from 0 to 180.
    alignment : float
        How far the stars agree on it: 1 all, 0 each has a direction of its own.
    n : int
        Stars it rests on.
    """

    length_pix: float
    angle_deg: float
    alignment: float
    n: int


def trail_of(sources: "Sources") -> Trail | None:
    """Return how far and where to the stars of a frame are drawn out together.

    The second moments of a star that moved along a line during the exposure are those of a star
    at rest and, along the line, a twelfth of its length squared. The medians over bright clean
    sources of the two components of ``a^2 - b^2`` in twice the angle leave out galaxies, blends
    and whatever else points its own way.

    Parameters
    ----------
    sources : Sources
        Of one frame.

    Returns
    -------
    Trail or None
        None where fewer than `LEAST_STARS` sources tell.

    References
    ----------
    Stobie (1986), Pattern Recognition Letters 4, 317, of moments and the ellipse they make.
    """
    chosen = _telling(sources)
    if len(chosen) < LEAST_STARS:
        return None
    a, b, theta = (v[chosen] for v in (sources.a_pix, sources.b_pix, sources.theta_rad))
    drawn = np.maximum(a**2 - b**2, 0)
    along, across = (float(np.median(drawn * f(2 * theta))) for f in (np.cos, np.sin))
    angle_deg = float(np.degrees(np.arctan2(across, along)) / 2) % 180
    turned = np.exp(2j * (theta - np.radians(angle_deg)))
    return Trail(
        length_pix=float(np.sqrt(LINE_VARIANCE * np.hypot(along, across))),
        angle_deg=angle_deg,
        alignment=float(np.clip(np.median(turned.real), 0, 1)),
        n=len(chosen),
    )


def _telling(sources: "Sources") -> npt.NDArray[np.int64]:
    """Return the sources whose shape tells; trailed stars of a rich field overlap, so else all."""
    bright = (sources.snr > SURE_SIGNAL) & (sources.fwhm_pix > NARROWEST_PIX)
    clean = np.flatnonzero(bright & sources.is_clean)
    if len(clean) >= LEAST_STARS:
        return clean
    return np.flatnonzero(bright & ~sources.is_truncated)
