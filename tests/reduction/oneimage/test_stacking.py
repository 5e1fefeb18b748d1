"""Sums, clipped means and medians of images: their noise, their outliers, their gaps."""

import numpy as np
import pytest

from reduction.errors import NotEnoughFramesError
from reduction.image import FloatPlane
from reduction.oneimage.stacking import Method, stacked

SHAPE = (150, 140)


def planes(rng: np.random.Generator, n: int = 9, level: float = 100.0) -> list[FloatPlane]:
    return [rng.normal(level, 5.0, SHAPE).astype(np.float32) for _ in range(n)]


@pytest.mark.parametrize(("method", "level", "noise"), [
    ("sum", 900.0, 15.0),
    ("clipped_mean", 100.0, 5.0 / 3),
    ("median", 100.0, 5.0 / 3 * 1.24),
])  # fmt: skip
def test_level_and_noise_are_those_of_the_method(
    rng: np.random.Generator, method: Method, level: float, noise: float
) -> None:
    found, counts = stacked(planes(rng), method)

    assert float(found.mean()) == pytest.approx(level, abs=4 * noise / np.sqrt(found.size))
    assert float(found.std()) == pytest.approx(noise, rel=0.05)
    assert (counts == 9).all()


@pytest.mark.parametrize("method", ["clipped_mean", "median"])
def test_one_hit_leaves_no_trace(rng: np.random.Generator, method: Method) -> None:
    many = planes(rng)
    many[4][20, 30] += 5000

    found, _ = stacked(many, method)

    assert float(found[20, 30]) == pytest.approx(100.0, abs=5 * 5.0 / 3 * 1.3)


def test_sums_stand_for_all_images_where_one_has_a_gap(rng: np.random.Generator) -> None:
    many = planes(rng, 4)
    many[1][:10] = np.nan
    for one in many:
        one[50, 60] = np.nan

    found, counts = stacked(many, "sum")

    assert float(found[:10].mean()) == pytest.approx(400.0, abs=2.0)
    assert counts[5, 5] == 3
    assert np.isnan(found[50, 60])
    assert counts[50, 60] == 0


def test_stars_in_changing_seeing_are_not_clipped(rng: np.random.Generator) -> None:
    many = planes(rng, 7)
    for k, one in enumerate(many):
        one[70, 70] = 20_000 * (1 + 0.03 * (k - 3))

    found, _ = stacked(many, "clipped_mean")

    assert float(found[70, 70]) == pytest.approx(20_000, rel=0.002)


def test_nothing_makes_no_image() -> None:
    with pytest.raises(NotEnoughFramesError):
        stacked([], "sum")
