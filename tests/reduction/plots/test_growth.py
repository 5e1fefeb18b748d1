import numpy as np

from reduction.plots.growth import MOST_STARS, growth_curve, telling_stars
from tests.reduction.plots.svg import of_class, starts, words_of

RADII = np.array([2.0, 3.0, 4.5, 6.0, 9.0, 12.0])
GROWTH = np.array([0.55, 0.78, 0.92, 0.965, 0.99, 1.0])


def test_curve_rises_to_all_of_the_light() -> None:
    drawn = growth_curve(RADII, np.empty((0, 6)), GROWTH)

    places = starts(of_class(drawn, "big")[0])
    assert len(places) == 6
    assert np.all(np.diff(places[:, 0]) > 0)
    assert np.all(np.diff(places[:, 1]) < 0)


def test_circle_that_is_measured_in_is_named_with_what_it_holds() -> None:
    drawn = growth_curve(RADII, np.empty((0, 6)), GROWTH, used_pix=3.0)

    assert "measured in 3.0 pixels: 78.0 %" in words_of(drawn)


def test_stars_are_thin_lines_and_not_too_many() -> None:
    shares = GROWTH + np.random.default_rng(1).normal(0, 0.01, (5 * MOST_STARS, 6))

    drawn = growth_curve(RADII, shares, GROWTH)

    assert len(of_class(drawn, "hair")) == MOST_STARS


def test_share_far_off_breaks_its_stars_line_instead_of_leaving_the_axes() -> None:
    shares = np.array([[0.55, 0.78, 5.0, 0.97, np.nan, 1.0]])

    drawn = growth_curve(RADII, shares, GROWTH)

    assert (of_class(drawn, "hair")[0].get("d") or "").count("M") == 3


def test_only_good_stars_that_are_alone_tell() -> None:
    x = np.array([0.0, 3.0, 100.0, 200.0])
    good = np.array([True, True, True, False])

    found = telling_stars(x, np.zeros(4), good, apart_pix=20.0)

    assert found.tolist() == [2]


def test_a_single_source_is_alone() -> None:
    one = np.zeros(1)

    assert telling_stars(one, one, np.array([True]), apart_pix=20.0).tolist() == [0]
    assert telling_stars(one[:0], one[:0], np.zeros(0, np.bool_), apart_pix=20.0).tolist() == []
