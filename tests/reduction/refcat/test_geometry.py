import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time

from reduction.refcat.geometry import moved, separations_deg


def test_separations_are_those_of_astropy() -> None:
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 500), rng.uniform(-90, 90, 500)
    theirs = SkyCoord(ra * u.deg, dec * u.deg).separation(SkyCoord(12.3 * u.deg, -45.6 * u.deg))

    ours = separations_deg(ra, dec, 12.3, -45.6)

    assert np.allclose(ours, theirs.deg, rtol=1e-12, atol=1e-12)


def test_separation_of_a_microarcsecond_is_kept() -> None:
    tiny = 1e-6 / 3600

    found = separations_deg(np.array([50.0]), np.array([30.0 + tiny]), 50.0, 30.0)

    assert found[0] == pytest.approx(tiny, rel=1e-4)


@pytest.mark.filterwarnings("ignore:ERFA function")  # of distances, which do not matter here
@pytest.mark.parametrize("dec", [-89.999, -45.0, 0.0, 60.0, 89.99])
def test_proper_motion_is_that_of_astropy(dec: float) -> None:
    rng = np.random.default_rng(2)
    ra, pmra, pmdec = rng.uniform(0, 360, 50), rng.normal(0, 2000, 50), rng.normal(0, 2000, 50)
    decs = np.full(50, dec)
    stars = SkyCoord(
        ra * u.deg,
        decs * u.deg,
        pm_ra_cosdec=pmra * u.mas / u.yr,
        pm_dec=pmdec * u.mas / u.yr,
        distance=100 * u.pc,
        obstime=Time(1985.0, format="jyear", scale="tdb"),
    )
    theirs = stars.apply_space_motion(dt=30 * u.yr)

    new_ra, new_dec = moved(ra, decs, pmra.astype(np.float32), pmdec.astype(np.float32), 30.0)

    off = SkyCoord(new_ra * u.deg, new_dec * u.deg).separation(SkyCoord(theirs.ra, theirs.dec))
    assert off.arcsec.max() < 1e-4


def test_unknown_motion_moves_nothing() -> None:
    none = np.array([np.nan], np.float32)

    ra, dec = moved(np.array([1.0]), np.array([2.0]), none, none, 100.0)

    assert (ra[0], dec[0]) == (pytest.approx(1.0, abs=1e-12), pytest.approx(2.0, abs=1e-12))
