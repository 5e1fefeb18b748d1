"""Light that stars shed into the circles of their neighbours, by the growth curve."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
BEYOND: Final = 1e-4  # of a star's light, that may lie outside the largest circle
RINGS: Final = 200  # that a star's light is cut into
DISTANCES: Final = 120  # between stars, that the share is told at
ROUNDS: Final = 8  # of taking off what the others shed, as it was known the round before


@dataclass(frozen=True, slots=True)
class Curve:
    """A growth curve: radii of circles in pixels, and a star's share of light within, ``(k,)``."""

    radii_pix: Floats
    growth: Floats

    def within(self, radius_pix: Floats) -> Floats:
        """Return the share of a star's light within radii up to the largest.

        Of a Gaussian the logarithm of what lies beyond falls with the square of the radius, and
        of other profiles it is smoother than the curve itself.
        """
        told = np.minimum(np.maximum.accumulate(self.growth), 1 - BEYOND)
        depth = -np.log(1 - np.concatenate([[0.0], told]))
        curve = PchipInterpolator(np.concatenate([[0.0], self.radii_pix]) ** 2, depth)
        return np.asarray((1 - np.exp(-curve(radius_pix**2))) / (1 - BEYOND))

    def shares(self, which: int) -> tuple[Floats, Floats]:
        """Return distances, and the share of a star's light in a circle that far from it."""
        radii = self.radii_pix
        edges = np.linspace(0, radii[-1], RINGS + 1)
        light = np.diff(self.within(edges))
        ring = (edges[1:] + edges[:-1]) / 2
        apart = np.linspace(0, radii[-1] + radii[which], DISTANCES)
        above = ring**2 + apart[:, None] ** 2 - radii[which] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine = above / (2 * ring * apart[:, None])
        return apart, np.asarray(np.arccos(np.clip(cosine, -1, 1)) / np.pi @ light)


def shed_shares(places: Floats, at: Indices, curve: Curve, which: int) -> csr_array:
    """Return the shares of all stars' light in the circles around some of them, ``(m, n)``.

    Parameters
    ----------
    places : float array, ``(n, 2)``
        Of the stars, pixels.
    at : integer array, ``(m,)``
        Around which of them; what they hold of their own light is left out.
    curve : Curve
        Of a star.
    which : int
        Of its radii, that of the circles.
    """
    reach = float(curve.radii_pix[-1] + curve.radii_pix[which])
    pairs = cKDTree(places[at]).sparse_distance_matrix(
        cKDTree(places), reach, output_type="ndarray"
    )
    pairs = pairs[pairs["j"] != at[pairs["i"]]]
    rows, columns, apart = pairs["i"], pairs["j"], pairs["v"]
    distances, shares = curve.shares(which)
    # In a circle lies no more of another star than of its own.
    share = np.minimum(np.interp(apart, distances, shares), curve.growth[which])
    return csr_array((share, (rows, columns)), shape=(len(at), len(places)))


def light_of_neighbours(
    shed: csr_array, flux: Floats, error: Floats, own_share: float
) -> tuple[Floats, Floats]:
    """Return how much of the light in the circles of stars is that of other stars.

    What a circle holds is a share of its own star's light and the shares of all others that reach
    it; the system is solved by turns.

    Parameters
    ----------
    shed : sparse array, ``(n, n)``
        Shares of all stars' light in the circles around each.
    flux, error : float arrays, ``(n,)``
        Of all the light in the circles, and its noise; NaN where there is none.
    own_share : float
        Of a star's light, that its own circle holds.

    Returns
    -------
    tuple of float arrays, ``(n,)``
        Light of others in each circle and its standard deviation.
    """
    most = np.where(np.isfinite(flux), np.maximum(flux, 0), 0.0) / own_share
    own = last = most
    for _ in range(ROUNDS):
        last, own = own, np.clip(most - shed @ own / own_share, 0.0, most)
    noise = np.where(np.isfinite(error), error, 0.0) / own_share
    # Turn by turn too much and too little is taken off: the truth lies between.
    return shed @ ((own + last) / 2), np.sqrt((shed * shed) @ noise**2)
