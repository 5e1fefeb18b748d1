"""The tangential projection, against astropy's and at the edges of the sphere."""

import numpy as np
import pytest
from astropy.wcs import WCS

from reduction.astrometry.tangent import to_plane, to_sky


@pytest.mark.parametrize("centre", [(0.0, 0.0), (359.999, 45.0), (120.0, -89.9), (10.0, 89.9999)])
def test_projection_is_astropys_and_comes_back(
    centre: tuple[float, float], rng: np.random.Generator
) -> None:
    plane = WCS(naxis=2)
    plane.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    plane.wcs.crval = centre
    east, north = rng.uniform(-2, 2, 100), rng.uniform(-2, 2, 100)

    ra, dec = to_sky(east, north, centre)

    theirs = plane.wcs_world2pix(ra, dec, 1)
    assert np.allclose(theirs[0], east, atol=1e-9)
    assert np.allclose(theirs[1], north, atol=1e-9)
    back = to_plane(ra, dec, centre)
    assert np.allclose(back[0], east, atol=1e-9)
    assert np.allclose(back[1], north, atol=1e-9)
    assert (ra >= 0).all()
    assert (ra < 360).all()


def test_the_other_half_of_the_sky_has_no_place_on_the_plane() -> None:
    east, north = to_plane(np.array([180.0, 0.0]), np.array([0.0, 0.0]), (0.0, 0.0))

    assert np.isnan(east[0])
    assert np.isnan(north[0])
    assert east[1] == 0
