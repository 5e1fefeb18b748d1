"""The airmass of a place on the sky over a site."""

from datetime import UTC, datetime
from typing import Final

import numpy as np

_J2000: Final = datetime(2000, 1, 1, 12, tzinfo=UTC)
_LOWEST_DEG: Final = 3.0  # lower than any telescope is pointed; the formula holds to the horizon
_DAY_S: Final = 86_400


def altitude_at(
    ra_deg: float, dec_deg: float, when: datetime, latitude_deg: float, longitude_deg: float
) -> float:
    """Return the altitude of a place over a site, degrees, without refraction.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Of the place.
    when : datetime
        Aware.
    latitude_deg, longitude_deg : float
        Of the site, east positive.

    Returns
    -------
    float
        Good to half a degree: precession since 2000 is left out.

    References
    ----------
    Meeus (1998), Astronomical Algorithms, 2nd ed., ch. 12 and 13.
    """
    days = (when - _J2000).total_seconds() / _DAY_S
    sidereal_deg = 280.46061837 + 360.98564736629 * days + longitude_deg
    hour = np.radians(sidereal_deg - ra_deg)
    latitude, dec = np.radians(latitude_deg), np.radians(dec_deg)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour)
    return float(np.degrees(np.arcsin(np.clip(sine, -1, 1))))


def airmass_of(altitude_deg: float) -> float | None:
    """Return the airmass at an altitude in degrees, None below or just above the horizon.

    References
    ----------
    Pickering (2002), DIO 12, 3.
    """
    if altitude_deg < _LOWEST_DEG:
        return None
    bent = altitude_deg + 244.0 / (165.0 + 47.0 * altitude_deg**1.1)
    return float(1.0 / np.sin(np.radians(bent)))
