import numpy as np
import pytest
from astropy.wcs import WCS

from reduction.refcat.errors import BadRegionError
from reduction.refcat.regions import Cone, Footprint


def frame(ra: float, dec: float, angle_deg: float = 30.0) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [500.5, 400.5]
    turn, scale = np.radians(angle_deg), 1e-3
    wcs.wcs.cd = scale * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return wcs


@pytest.mark.parametrize("place", [(0.0, 0.0), (0.1, 89.9), (200.0, -90.0), (359.99, 45.0)])
@pytest.mark.parametrize("backwards", [False, True])
def test_footprint_of_a_frame_holds_its_pixels_and_no_others(
    place: tuple[float, float], backwards: bool
) -> None:
    wcs = frame(*place)
    corners = np.array([(-0.5, -0.5), (999.5, -0.5), (999.5, 799.5), (-0.5, 799.5)])
    ra, dec = wcs.pixel_to_world_values(*(corners[::-1] if backwards else corners).T)
    x, y = np.random.default_rng(1).uniform(-400, 1400, (2, 3000))
    inside = (np.abs(x - 499.5) < 500) & (np.abs(y - 399.5) < 400)

    found = Footprint.of(ra, dec).contains(*wcs.pixel_to_world_values(x, y))

    assert np.array_equal(found, inside)  # sides are straight in a gnomonic projection


def test_margin_reaches_beyond_the_sides_and_the_cone_holds_it_all() -> None:
    ra, dec = np.array([10.0, 11.0, 11.0, 10.0]), np.array([0.0, 0.0, 1.0, 1.0])
    beside = np.array([9.95]), np.array([0.5])

    assert not Footprint.of(ra, dec).contains(*beside)[0]
    grown = Footprint.of(ra, dec, margin_deg=0.1)
    assert grown.contains(*beside)[0]
    assert grown.cone.contains(*beside)[0]


def test_corners_are_inside() -> None:
    ra, dec = np.array([10.0, 11.0, 11.0, 10.0]), np.array([40.0, 40.0, 41.0, 41.0])

    assert Footprint.of(ra, dec).contains(ra, dec).all()


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ([10, 11, 10, 11], [0, 1, 1, 0]),  # crossed
        ([10, 11], [0, 1]),
        ([10, 10, 10], [0, 0, 0]),
        ([10, 11, np.nan], [0, 0, 1]),
        ([0, 120, 240], [-0.5, -0.5, -0.5]),
    ],
)
def test_corners_that_make_no_footprint_are_refused(ra: list[float], dec: list[float]) -> None:
    with pytest.raises(BadRegionError):
        Footprint.of(np.array(ra, float), np.array(dec, float))


@pytest.mark.parametrize(
    "numbers", [(0, 91, 1), (0, -90.001, 1), (np.nan, 0, 1), (0, 0, -1), (0, 0, np.inf)]
)
def test_cones_that_are_none_are_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(BadRegionError):
        Cone(*numbers)
