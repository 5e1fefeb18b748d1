import numpy as np
import pytest

from reduction.plots.fwhm_map import StarShapes, fwhm_map
from tests.reduction.plots.svg import of_class, shapes, steps, words_of

SHAPE = (1000, 1000)


def stars(n: int = 640, *, theta_deg: float = 30.0, ellipticity: float = 0.2) -> StarShapes:
    rng = np.random.default_rng(n)
    x, y = rng.uniform(0, 1000, n), rng.uniform(0, 1000, n)
    return StarShapes(
        x, y, 3.0 + x / 1000, np.full(n, ellipticity), np.full(n, np.radians(theta_deg))
    )


def test_cells_say_the_median_width_of_their_stars() -> None:
    drawn = fwhm_map(stars(), SHAPE)

    cells = of_class(drawn, "cell")
    assert len(cells) == 64
    for cell in cells:
        column = (float(cell.get("x", "")) - 58) / (440 - 58 - 74) * 8 - 0.5
        assert float(cell.text or "") == pytest.approx(3.0 + (column + 0.5) / 8, abs=0.1)


def test_wider_cells_are_brighter() -> None:
    drawn = fwhm_map(stars(), SHAPE)

    filled = [one for one in shapes(drawn) if one.get("fill") and float(one.get("width", "0")) > 13]
    green = {float(one.get("x", "")): int(one.get("fill", "")[3:5], 16) for one in filled}
    assert green[min(green)] < green[max(green)]


@pytest.mark.parametrize("theta_deg", [0.0, 30.0, 90.0, 135.0, 179.0])
def test_whiskers_lie_along_the_longer_axis(theta_deg: float) -> None:
    drawn = fwhm_map(stars(theta_deg=theta_deg), SHAPE)

    strokes = np.concatenate([steps(one) for one in of_class(drawn, "whisker")])
    angles = np.degrees(np.arctan2(-strokes[:, 1], strokes[:, 0]))
    away = (angles - theta_deg + 90) % 180 - 90
    assert len(strokes) == 64
    assert np.abs(away).max() < 2


def test_directions_that_cancel_leave_no_whisker() -> None:
    rng = np.random.default_rng(4)
    known = stars(2000)
    round_stars = StarShapes(
        known.x, known.y, known.fwhm_pix, known.ellipticity, rng.uniform(0, np.pi, 2000)
    )

    drawn = fwhm_map(round_stars, SHAPE)

    assert sum(len(steps(one)) for one in of_class(drawn, "whisker")) < 64


def test_stars_near_a_turn_of_the_angle_do_not_cancel() -> None:
    known = stars(640)
    theta = np.radians(np.where(np.arange(640) % 2, 2.0, 178.0))

    drawn = fwhm_map(StarShapes(known.x, known.y, known.fwhm_pix, known.ellipticity, theta), SHAPE)

    assert sum(len(steps(one)) for one in of_class(drawn, "whisker")) == 64


def test_flat_frame_looks_flat() -> None:
    rng = np.random.default_rng(9)
    known = stars(640)
    flat = StarShapes(known.x, known.y, 3.0 + rng.normal(0, 0.01, 640))

    drawn = fwhm_map(flat, SHAPE)

    filled = [one for one in shapes(drawn) if one.get("fill") and float(one.get("width", "0")) > 13]
    greens = [int(one.get("fill", "")[3:5], 16) for one in filled]
    assert np.ptp(greens) < 25


def test_shapes_are_not_needed() -> None:
    known = stars()

    drawn = fwhm_map(StarShapes(known.x, known.y, known.fwhm_pix), SHAPE)

    assert of_class(drawn, "whisker") == []
    assert of_class(drawn, "cell")


def test_frame_with_hardly_a_star_can_be_drawn() -> None:
    drawn = fwhm_map(StarShapes(np.array([5.0]), np.array([5.0]), np.array([3.0])), SHAPE)

    assert "nan" not in drawn
    assert "FWHM, pixels" in words_of(drawn)
