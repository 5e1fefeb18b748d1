import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduction.refcat.geometry import positions, vectors
from reduction.refcat.pixels import Ranges, centres_of, cover, n_pixels, nested_of, order_for
from reduction.refcat.regions import Cone

# Anywhere, and where pixels change their shape or right ascension its number.
RAS = st.one_of(st.floats(-720, 720), st.sampled_from([0.0, 360.0, 359.9999999, 45.0, 90.0, 1e-9]))
DECS = st.one_of(
    st.floats(-90, 90),
    st.sampled_from([90.0, -90.0, 0.0, 41.8103148957, -41.8103148957, 89.9999999, -89.99999]),
)
RADII = st.one_of(st.floats(0, 60), st.sampled_from([0.0, 1e-9, 1e-5, 0.25, 60.0]))


def points_in(cone: Cone, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Points inside and on the edge of a cone, the middle among them."""
    rng = np.random.default_rng(3)
    middle = vectors(cone.ra_deg, cone.dec_deg)
    east = np.array([-np.sin(np.radians(cone.ra_deg)), np.cos(np.radians(cone.ra_deg)), 0.0])
    north = np.cross(middle, east)
    angle = rng.uniform(0, 2 * np.pi, n)
    away = np.radians(cone.radius_deg) * np.sqrt(rng.uniform(0, 1, n))
    away[0], away[1:60] = 0.0, np.radians(cone.radius_deg)
    aside = east[:, None] * np.cos(angle) + north[:, None] * np.sin(angle)
    return positions(middle[:, None] * np.cos(away) + aside * np.sin(away))


@settings(max_examples=300, deadline=None)
@given(RAS, DECS, RADII, st.integers(0, 9))
def test_cover_of_a_cone_holds_every_point_of_it(
    ra: float, dec: float, radius: float, finest: int
) -> None:
    cone = Cone(ra, dec, radius)
    order = order_for(radius, finest)

    ranges = cover(cone, order)

    pixels = ranges.pixels()
    assert np.isin(nested_of(*points_in(cone), order), pixels).all()
    assert (np.diff(pixels) > 0).all()
    assert 0 <= pixels[0] <= pixels[-1] < n_pixels(order)


def test_cover_of_a_cone_holds_little_else() -> None:
    cone = Cone(77.0, 33.0, 0.25)

    waste = cover(cone, 9).n_pixels * (41252.96 / n_pixels(9)) / (np.pi * 0.25**2)

    assert waste < 4


def test_cover_of_the_whole_sky_is_every_pixel() -> None:
    assert cover(Cone(10, 20, 180), 3).n_pixels == n_pixels(3)


@pytest.mark.parametrize("order", [0, 1, 5, 9])
def test_pixels_of_the_middles_of_pixels_are_themselves(order: int) -> None:
    pixels = np.unique(np.random.default_rng(4).integers(0, n_pixels(order), 500))

    assert np.array_equal(nested_of(*centres_of(pixels, order), order), pixels)


def test_runs_of_pixels_give_the_pixels_back() -> None:
    pixels = np.array([3, 4, 5, 9, 11, 12])

    ranges = Ranges.of_pixels(2, pixels)

    assert ranges.start.tolist() == [3, 9, 11]
    assert np.array_equal(ranges.pixels(), pixels)
    assert ranges.at(3).pixels().tolist() == [4 * p + i for p in pixels for i in range(4)]
