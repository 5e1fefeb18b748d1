"""Directions on the sky: unit vectors, separations, proper motion."""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Motions = npt.NDArray[np.float32]

MAS_PER_RAD: Final = np.degrees(1.0) * 3.6e6


def vectors(ra_deg: Floats | float, dec_deg: Floats | float) -> Floats:
    """Return unit vectors, ``(3, n)``, of positions in degrees."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def positions(xyz: Floats) -> tuple[Floats, Floats]:
    """Return RA in [0, 360) and Dec, degrees, of vectors ``(3, n)`` of any length."""
    x, y, z = xyz
    ra = np.degrees(np.arctan2(y, x)) % 360.0
    return np.where(ra == 360.0, 0.0, ra), np.degrees(np.arctan2(z, np.hypot(x, y)))


def half_chord2(ra_deg: Floats, dec_deg: Floats, ra0_deg: float, dec0_deg: float) -> Floats:
    """Return ``sin(separation / 2) ** 2`` from a point, exact for tiny angles and at the poles.

    The haversine formula (Sinnott 1984, Sky & Telescope 68, 159).
    """
    dec, dec0 = np.radians(dec_deg), float(np.radians(dec0_deg))
    across = np.sin(np.radians(ra_deg - ra0_deg) / 2.0)
    up = np.sin((dec - dec0) / 2.0)
    return np.asarray(up * up + np.cos(dec) * float(np.cos(dec0)) * across * across)


def separations_deg(ra_deg: Floats, dec_deg: Floats, ra0_deg: float, dec0_deg: float) -> Floats:
    """Return the angle of each position from a point, degrees."""
    chord2 = half_chord2(ra_deg, dec_deg, ra0_deg, dec0_deg)
    return np.asarray(np.degrees(2.0 * np.arcsin(np.sqrt(np.minimum(chord2, 1.0)))))


def moved(
    ra_deg: Floats,
    dec_deg: Floats,
    pmra_mas_yr: Motions,
    pmdec_mas_yr: Motions,
    years: float | Floats,
) -> tuple[Floats, Floats]:
    """Return positions after some years of proper motion.

    The motion is taken along the tangent of the sphere and projected back, which holds at the
    poles; radial motion, of milliarcseconds a century squared, is left out (ESA 1997, The
    Hipparcos and Tycho Catalogues, vol. 1, section 1.5.5).

    Parameters
    ----------
    ra_deg, dec_deg : float array, ``(n,)``
        Degrees.
    pmra_mas_yr, pmdec_mas_yr : float array, ``(n,)``
        Milliarcseconds a year, that in RA times cos(Dec); NaN counts as none.
    years : float or float array
        From the catalogue's epoch.

    Returns
    -------
    ra_deg, dec_deg : float array, ``(n,)``
    """
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    sin_a, cos_a, sin_d, cos_d = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
    east = np.nan_to_num(pmra_mas_yr.astype(np.float64)) * years / MAS_PER_RAD
    north = np.nan_to_num(pmdec_mas_yr.astype(np.float64)) * years / MAS_PER_RAD
    return positions(
        np.stack(
            [
                cos_d * cos_a - east * sin_a - north * sin_d * cos_a,
                cos_d * sin_a + east * cos_a - north * sin_d * sin_a,
                sin_d + north * cos_d,
            ]
        )
    )
