"""The tangential projection between the sphere and the plane that touches it at one place."""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def to_plane(ra_deg: Floats, dec_deg: Floats, centre: tuple[float, float]) -> tuple[Floats, Floats]:
    """Project positions onto the plane that touches the sky at `centre`.

    Parameters
    ----------
    ra_deg, dec_deg : float arrays
        Positions, degrees.
    centre : tuple of float
        Right ascension and declination of the point of contact, degrees.

    Returns
    -------
    tuple of float arrays
        Standard coordinates towards east and north, degrees; NaN on the other half of the sphere.

    References
    ----------
    Calabretta & Greisen (2002), A&A 395, 1077, section 5.1.3.
    """
    ra, dec = np.radians(ra_deg - centre[0]), np.radians(dec_deg)
    sin0, cos0 = math.sin(math.radians(centre[1])), math.cos(math.radians(centre[1]))
    sin, cos, cos_ra = np.sin(dec), np.cos(dec), np.cos(ra)
    depth = sin0 * sin + cos0 * cos * cos_ra
    depth = np.where(depth > 0, depth, np.nan)
    east = np.degrees(cos * np.sin(ra) / depth)
    north = np.degrees((cos0 * sin - sin0 * cos * cos_ra) / depth)
    return east, north


def to_sky(
    east_deg: Floats, north_deg: Floats, centre: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return the positions whose standard coordinates these are; `to_plane` undone.

    Returns
    -------
    tuple of float arrays
        Right ascension in ``[0, 360)`` and declination, degrees.
    """
    east, north = np.radians(east_deg), np.radians(north_deg)
    sin0, cos0 = math.sin(math.radians(centre[1])), math.cos(math.radians(centre[1]))
    depth = cos0 - north * sin0
    ra = centre[0] + np.degrees(np.arctan2(east, depth))
    dec = np.degrees(np.arctan2(sin0 + north * cos0, np.hypot(east, depth)))
    return np.asarray(ra % 360.0), np.asarray(dec)
