"""Pieces of sky one can ask a catalogue for: cones, and footprints of frames."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from reduction.refcat.errors import BadRegionError
from reduction.refcat.geometry import Floats, half_chord2, positions, separations_deg, vectors


class Region(Protocol):
    """A piece of sky inside a cone."""

    @property
    def cone(self) -> "Cone":
        """A cone that holds all of it."""

    def contains(self, ra_deg: Floats, dec_deg: Floats) -> npt.NDArray[np.bool_]:
        """Tell of each position, degrees, whether it is inside or on the edge."""


@dataclass(frozen=True, slots=True)
class Cone:
    """All within `radius_deg` of a point, in degrees; the RA may be any number."""

    ra_deg: float
    dec_deg: float
    radius_deg: float

    def __post_init__(self) -> None:
        if not np.isfinite([self.ra_deg, self.dec_deg, self.radius_deg]).all():
            raise BadRegionError("a cone needs a finite RA, Dec and radius")
        if not -90.0 <= self.dec_deg <= 90.0:
            raise BadRegionError(f"a declination of {self.dec_deg} degrees is beyond a pole")
        if self.radius_deg < 0:
            raise BadRegionError(f"a radius of {self.radius_deg} degrees is less than nothing")

    @property
    def cone(self) -> Self:
        """Itself."""
        return self

    def contains(self, ra_deg: Floats, dec_deg: Floats) -> npt.NDArray[np.bool_]:
        """Tell of each position, degrees, whether it is inside or on the edge."""
        if self.radius_deg >= 180.0:
            return np.ones(ra_deg.shape, dtype=np.bool_)
        limit = float(np.sin(np.radians(self.radius_deg) / 2.0)) ** 2
        return np.asarray(half_chord2(ra_deg, dec_deg, self.ra_deg, self.dec_deg) <= limit)

    def grown(self, by_deg: float) -> "Cone":
        """Return the cone around the same point with a larger radius."""
        return Cone(self.ra_deg, self.dec_deg, self.radius_deg + by_deg)


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """The convex figure of great circles between corners, such as a frame's.

    Attributes
    ----------
    cone : Cone
        That holds all of it.
    sides : float array, ``(3, n)``
        Unit normals of its sides, pointing inwards.
    margin_deg : float
        By which each side is moved outwards.
    """

    cone: Cone
    sides: Floats
    margin_deg: float

    @classmethod
    def of(cls, ra_deg: Floats, dec_deg: Floats, *, margin_deg: float = 0.0) -> Self:
        """Return the footprint of corners in their order, either way round.

        Parameters
        ----------
        ra_deg, dec_deg : float array, ``(n,)``
            At least three corners, degrees.
        margin_deg : float
            How far beyond its sides is still inside.

        Raises
        ------
        BadRegionError
            If the corners do not make a convex figure smaller than a hemisphere.
        """
        corners = vectors(np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64))
        if corners.shape[1] < 3 or not np.isfinite(corners).all():
            raise BadRegionError("a footprint needs three finite corners or more")
        middle = corners.mean(axis=1)
        sides = np.cross(corners, np.roll(corners, -1, axis=1), axis=0)
        sides = sides * np.sign(middle @ sides)
        length = np.sqrt((sides**2).sum(axis=0))
        if (length == 0).any() or (sides.T @ corners < -1e-9 * length[:, None]).any():
            raise BadRegionError("the corners of a footprint must make a convex figure, in order")
        return cls(_cone_around(middle, corners, margin_deg), sides / length, margin_deg)

    def contains(self, ra_deg: Floats, dec_deg: Floats) -> npt.NDArray[np.bool_]:
        """Tell of each position, degrees, whether it is inside or on the edge."""
        least = -np.sin(np.radians(self.margin_deg)) - 1e-15  # a corner is inside
        return np.asarray((self.sides.T @ vectors(ra_deg, dec_deg) >= least).all(axis=0))


def _cone_around(middle: Floats, corners: Floats, margin_deg: float) -> Cone:
    ra, dec = positions(middle[:, None])
    ra0, dec0 = float(ra[0]), float(dec[0])
    radius = float(separations_deg(*positions(corners), ra0, dec0).max())
    if radius >= 89.0:
        raise BadRegionError("a footprint must be smaller than a hemisphere")
    # A side moved outwards moves its corners by more than the margin; twice is enough down to 60
    # degrees between sides, and the side test decides.
    return Cone(ra0, dec0, radius + 2.0 * margin_deg)
