"""Light of stars that nobody sees beside others, as far as the rings around these show it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import diags_array

from reduction.photometry.growth import BEST, FULL_SIGMA
from reduction.photometry.spill import Curve, shed_shares

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
STEPS: Final = 90  # of the distance between two stars that are seen as one
LEAST_TOLD: Final = 1e-4  # of a star's light: a ring that holds less of it does not show it

# By this power of their light stars are the rarer, for each factor of it: of counts that rise by
# 0.3 in the logarithm for each magnitude (Bahcall & Soneira 1980, ApJS 44, 73).
FAINTER: Final = 0.75


@dataclass(frozen=True, slots=True)
class Rings:
    """What the best circles around sources and the rings up to the next ones hold, ``(n,)`` each.

    Attributes
    ----------
    circle, circle_error : float arrays
        Light in the circle and its noise.
    ring, ring_error : float arrays
        Light in the ring and its noise.
    usual : float array
        Light in the ring over that in the circle, of a star.
    scatter : float
        By which that differs from star to star.
    """

    circle: Floats
    circle_error: Floats
    ring: Floats
    ring_error: Floats
    usual: Floats
    scatter: float

    @property
    def excess(self) -> Floats:
        """Light that is in the ring beyond what a star has there."""
        return np.asarray(self.ring - self.usual * self.circle)

    @property
    def excess_error(self) -> Floats:
        """Its noise, and by how much it differs from star to star."""
        noise = np.hypot(self.ring_error, self.usual * self.circle_error)
        return np.asarray(np.hypot(noise, self.scatter * self.circle))


def hidden_light(
    rings: Rings, places: Floats, curve: Curve, known: tuple[Floats, Floats]
) -> Floats:
    """Return how much light of stars that nobody sees is in the best circles around others.

    Two stars within some 1.5 FWHM of each other are often found as one, whose flux is that of both.
    The ring beyond the circle then holds more than a star has there. Where that is more than noise
    and known neighbours explain, what is in the circle is told by the growth curve, if the other
    star may be anywhere within the ring, as likely in one place as in the next, and of any flux up
    to that of both, each factor in it as likely as the next. Of what is wider than a star it tells
    in the same way how far its light may be from that of a star.

    Parameters
    ----------
    rings : Rings
        Light around the sources.
    places : float array, ``(n, 2)``
        Of these, pixels.
    curve : Curve
        Of a star.
    known : tuple of float arrays, ``(n,)``
        Light of each source without its neighbours', and its noise.

    Returns
    -------
    float array, ``(n,)``
        Its root mean square; 0 where nothing shows.

    References
    ----------
    Condon (1974), ApJ 188, 279, of how the light of sources too near to be parted is distributed.
    """
    hidden = np.zeros(len(places))
    with np.errstate(invalid="ignore"):
        at = np.flatnonzero(rings.excess > FULL_SIGMA * rings.excess_error)
    if not len(at):
        return hidden
    # What neighbours shed into rings is only looked at where there is something to explain.
    shed = shed_shares(places, at, curve, BEST + 1)
    shed = shed - diags_array(1 + rings.usual[at]) @ shed_shares(places, at, curve, BEST)
    total, noise = (np.nan_to_num(one) for one in known)
    excess = rings.excess[at] - shed @ total
    error = np.hypot(rings.excess_error[at], np.sqrt((shed * shed) @ noise**2))
    shows = excess > FULL_SIGMA * error
    at, excess = at[shows], excess[shows]
    hidden[at] = excess * _times(curve, excess / np.maximum(total[at], 1e-30))
    return hidden


def _times(curve: Curve, excess: Floats) -> Floats:
    """Return how many times what a ring holds too much of is in the circle, root mean square.

    `excess` is a share of the light of both stars, ``(n,)``: the nearer the other is, the brighter
    it must be, and it is no brighter than both.
    """
    distances = np.linspace(0, curve.radii_pix[BEST + 1], STEPS + 1)[1:]
    inner, outer = (np.interp(distances, *curve.shares(k)) for k in (BEST, BEST + 1))
    told = np.maximum(outer - inner * curve.growth[BEST + 1] / curve.growth[BEST], LEAST_TOLD)
    weight = distances * told**FAINTER  # of a fainter star, that lies where more of it is told
    squares = weight * (inner / told) ** 2
    beyond = np.cumsum(squares[::-1])[::-1] / np.cumsum(weight[::-1])[::-1]
    rising = told[: int(np.argmax(told)) + 1]
    nearest = np.minimum(np.searchsorted(rising, excess), len(rising) - 1)
    return np.asarray(np.sqrt(beyond[nearest]))
