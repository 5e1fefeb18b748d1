from dataclasses import replace

import numpy as np
import pytest

from reduction.plots.zero_point import (
    MANY_STARS,
    ZeroStars,
    against_colour,
    against_magnitude,
    over_frame,
)
from tests.reduction.plots.svg import numbers, of_class, shapes, starts, words_of

SHAPE = (800, 1000)
SIGMA = 0.02


def stars(n: int = 100, *, tilt: float = 0.0) -> ZeroStars:
    """Stars on a frame whose right side is brighter by `tilt` than its left."""
    rng = np.random.default_rng(n)
    x, y = rng.uniform(0, SHAPE[1], n), rng.uniform(0, SHAPE[0], n)
    residual = rng.normal(0, SIGMA, n) + tilt * (x / SHAPE[1] - 0.5)
    return ZeroStars(
        number=np.arange(n),
        x=x,
        y=y,
        mag=rng.uniform(13, 18, n),
        colour=rng.uniform(0.2, 1.6, n),
        residual_mag=residual,
        is_used=np.ones(n, np.bool_),
    )


def with_outliers(known: ZeroStars, value: float) -> ZeroStars:
    residual, used = known.residual_mag.copy(), known.is_used.copy()
    residual[:5], used[:5] = value, False
    return replace(known, residual_mag=residual, is_used=used)


def test_scatter_is_that_of_the_stars_the_fit_rests_on() -> None:
    found = with_outliers(stars(1000), 0.8).scatter_mag

    assert found == pytest.approx(SIGMA, rel=0.12)


def test_outliers_are_open_and_far_ones_lie_at_the_edge_they_are_beyond() -> None:
    drawn = against_magnitude(with_outliers(stars(), 0.9))

    (out,), (used,) = of_class(drawn, "out"), of_class(drawn, "small")
    assert numbers(out) == [0, 1, 2, 3, 4]
    assert len(of_class(drawn, "hole")) == 1
    assert np.ptp(starts(out)[:, 1]) == 0
    assert starts(out)[0, 1] < starts(used)[:, 1].min()
    assert starts(out)[0, 1] > 12  # the top of the axes


def test_brighter_stars_are_at_the_left() -> None:
    known = stars()

    places = starts(of_class(against_magnitude(known), "small")[0])

    assert np.argsort(places[:, 0])[0] == np.argmin(known.mag)
    assert places[np.argmax(known.residual_mag), 1] == places[:, 1].min()


def test_running_median_follows_a_slope_of_the_residuals() -> None:
    known = stars(400)
    bent = replace(known, residual_mag=known.residual_mag + 0.05 * (known.mag - 15.5))

    line = of_class(against_magnitude(bent), "fit")[0].get("d", "")

    ys = [float(pair.split()[1]) for pair in line[1:].split("L")]
    assert np.all(np.diff(ys) < 2)  # upwards but for the noise
    assert ys[0] - ys[-1] > 50


def test_running_median_of_too_few_stars_is_not_drawn() -> None:
    assert of_class(against_magnitude(stars(23)), "fit") == []
    assert of_class(against_magnitude(stars(24)), "fit")


def test_colour_term_is_drawn_as_the_line_its_stars_lie_along() -> None:
    known = stars(300)

    drawn = against_colour(known, "g-r", 0.1)

    places = starts(of_class(drawn, "small")[0])
    slope = np.polyfit(places[:, 0], places[:, 1], 1)[0]
    start, end = of_class(drawn, "fit")[0].get("d", "")[1:].split("L")
    (x0, y0), (x1, y1) = (map(float, point.split()) for point in (start, end))
    assert slope == pytest.approx((y1 - y0) / (x1 - x0), rel=0.1)
    assert "g − r, mag" in words_of(drawn)


def test_stars_without_a_colour_are_left_out_of_that_plot_alone() -> None:
    known = stars()
    colour = known.colour.copy()
    colour[:40] = np.nan

    drawn = against_colour(replace(known, colour=colour), "B-V", None)

    assert numbers(of_class(drawn, "small")[0]) == list(range(40, 100))
    assert (
        len(numbers(of_class(against_magnitude(replace(known, colour=colour)), "small")[0])) == 100
    )


def test_few_stars_are_dots_over_the_frame_coloured_by_residual() -> None:
    known = stars(40, tilt=0.6)

    drawn = over_frame(known, SHAPE)

    tones = [one for one in shapes(drawn) if one.get("stroke")]
    of_tone = {one.get("stroke"): numbers(one[0]) for one in tones}
    assert sorted(k for found in of_tone.values() for k in found) == list(range(40))
    first, last = list(of_tone.values())[0], list(of_tone.values())[-1]
    assert known.x[first].max() < 500 < known.x[last].min()


def test_many_stars_are_medians_of_cells_over_the_frame() -> None:
    drawn = over_frame(stars(4 * MANY_STARS, tilt=0.3), SHAPE)

    cells = [one for one in shapes(drawn) if one.get("fill") and float(one.get("width", "0")) > 13]
    left = [one for one in cells if float(one.get("x", "")) < 100]
    right = [one for one in cells if float(one.get("x", "")) > 280]
    blue = [int(one.get("fill", "")[5:7], 16) - int(one.get("fill", "")[1:3], 16) for one in left]
    orange = [
        int(one.get("fill", "")[1:3], 16) - int(one.get("fill", "")[5:7], 16) for one in right
    ]
    assert min(blue) > 0
    assert min(orange) > 0


def test_outliers_do_not_colour_the_frame() -> None:
    drawn = over_frame(with_outliers(stars(60), 5.0), SHAPE)

    shown = [k for one in shapes(drawn) if one.get("stroke") for k in numbers(one[0])]
    assert set(shown) == set(range(5, 60))


@pytest.mark.parametrize("n", [1, 3])
def test_hardly_any_stars_can_be_drawn(n: int) -> None:
    known = replace(stars(n), residual_mag=np.zeros(n))

    for drawn in (
        against_magnitude(known),
        against_colour(known, "g-r", 0.1),
        over_frame(known, SHAPE),
    ):
        assert "nan" not in drawn


def test_arrays_given_are_not_changed() -> None:
    known = with_outliers(stars(), 3.0)
    before = known.residual_mag.copy()

    against_magnitude(known)
    against_colour(known, "g-r", 0.2)
    over_frame(known, SHAPE)

    assert np.array_equal(known.residual_mag, before)
