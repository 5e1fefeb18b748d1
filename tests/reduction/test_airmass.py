"""Airmass over a site, against places and times worked out elsewhere."""

from datetime import UTC, datetime

import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from reduction.airmass import airmass_of, altitude_at


@pytest.mark.parametrize(("ra_deg", "dec_deg"), [(10.0, -30.0), (120.0, 5.0), (300.0, -80.0)])
def test_the_altitude_is_that_of_astropy(ra_deg: float, dec_deg: float) -> None:
    when = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
    site = EarthLocation(lat=-30.17 * u.deg, lon=-70.8 * u.deg, height=2200 * u.m)
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        frame = AltAz(obstime=Time(when.replace(tzinfo=None)), location=site)
        expected = SkyCoord(ra_deg * u.deg, dec_deg * u.deg).transform_to(frame).alt.deg

    # The place has moved by a third of a degree since 2000.
    found = altitude_at(ra_deg, dec_deg, when, -30.17, -70.8)

    assert found == pytest.approx(expected, abs=0.4)


def test_the_airmass_is_one_in_the_zenith_two_at_thirty_degrees_and_none_below_ground() -> None:
    assert airmass_of(90) == pytest.approx(1.0, abs=1e-4)
    assert airmass_of(30) == pytest.approx(1.99, abs=0.01)
    assert airmass_of(10) == pytest.approx(5.6, abs=0.1)
    assert airmass_of(-5) is None
