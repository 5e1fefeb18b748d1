"""Robust numbers against samples of known distributions."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reduction.errors import ShapeMismatchError
from reduction.image import Image
from reduction.kernels.samples import SORTED_AT_MOST
from reduction.stats import (
    difference_noise,
    median_of,
    median_variance,
    mode_of,
    plane_stats,
    pooled_variance,
    robust_sigma,
    sampled_rows,
)
from tests.reduction.kernels.test_samples import KINDS


def image_of(data: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Image:
    return Image(data, np.ones_like(data), np.zeros(data.shape, np.uint16), "adu")


@pytest.mark.parametrize("sigma", [0.6, 1.2, 5.0, 300.0])
def test_scatter_of_whole_numbers_is_right_in_spite_of_outliers(
    sigma: float, rng: np.random.Generator
) -> None:
    values = np.rint(rng.normal(1000, sigma, 200_000))
    values[:2000] += 50 * sigma + 10

    measured = robust_sigma(values)

    assert measured == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=0.02)


def test_constant_sample_has_no_scatter() -> None:
    assert robust_sigma(np.full(10, 3.0)) == 0
    assert mode_of(np.full(10, 3.0)) == 3
    assert np.isnan(robust_sigma(np.empty(0)))
    assert np.isnan(mode_of(np.empty(0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 3, *range(SORTED_AT_MOST, SORTED_AT_MOST + 3), 70_000])
@pytest.mark.parametrize("kind", KINDS)
def test_median_is_numpys(
    kind: str, n: int, dtype: type[np.floating], rng: np.random.Generator
) -> None:
    values = KINDS[kind](rng, n).astype(dtype)

    assert median_of(values.reshape(1, -1)) == np.median(values)


@pytest.mark.parametrize("n", [1, 2, 5, 20_000])
@pytest.mark.parametrize("at", [0, -1])
@pytest.mark.parametrize("level", [0.0, 1.0, np.inf])
def test_what_holds_no_number_has_no_median(n: int, at: int, level: float) -> None:
    values = np.append(np.zeros(n), level)
    values[at] = np.nan

    assert np.isnan(median_of(values))


@pytest.mark.parametrize("n", [5, 20_001])
def test_median_of_what_knows_no_end_is_numpys(n: int, rng: np.random.Generator) -> None:
    values = rng.normal(0, 1, n)
    values[rng.random(n) < 0.2] = np.inf
    values[0] = -np.inf

    assert median_of(values) == np.median(values)


def test_nothing_has_no_median() -> None:
    assert np.isnan(median_of(np.empty(0)))


@settings(deadline=None)
@given(st.lists(st.floats(-1e300, 1e300) | st.sampled_from([0.0, 5e-324, 1.7e308, -1.7e308])))
@example([-1.7e308, 1.7e308])  # further apart than a number can be
@example([0.0, 5e-324])  # closer than a bin can be
def test_median_of_any_numbers_is_numpys(values: list[float]) -> None:
    many = np.array([0.5, *values] * SORTED_AT_MOST)

    with np.errstate(over="ignore"):
        assert median_of(many) == np.median(many)


def test_noise_of_pixels_is_seen_through_a_gradient_and_without_bad_ones(
    rng: np.random.Generator,
) -> None:
    plane = rng.normal(0, 4, (300, 300)) + np.arange(300) * 3.0
    good = np.asarray(rng.random(plane.shape) > 0.1)
    plane[~good] = 9999
    plane[5, 5] = np.nan

    measured = difference_noise(plane.astype(np.float32), good)

    assert measured == pytest.approx(4, rel=0.02)


def test_noise_is_not_told_by_good_pixels_of_another_plane() -> None:
    plane = np.zeros((40, 50), np.float32)

    with pytest.raises(ShapeMismatchError, match=r"\(3, 5\).*\(40, 50\)"):
        difference_noise(plane, np.ones((3, 5), np.bool_))


def test_mode_is_the_peak_of_a_skewed_sample(rng: np.random.Generator) -> None:
    values = np.concatenate([rng.normal(100, 5, 90_000), rng.exponential(200, 30_000) + 100])

    mode = mode_of(values)

    assert mode == pytest.approx(100, abs=1.5)
    assert abs(mode - 100) < abs(np.median(values) - 100)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_pooled_variance_is_not_moved_by_hits(n: int, rng: np.random.Generator) -> None:
    stack = rng.normal(0, 5, (n, 300_000))
    stack[0, :6000] += 3000

    pooled = pooled_variance(np.var(stack, axis=0, ddof=1), n - 1)

    assert pooled == pytest.approx(25, rel=0.02)


@pytest.mark.parametrize(
    ("n", "variance"),
    [(1, 1.0), (2, 0.5), (3, 0.44867), (4, 0.29820), (5, 0.28683), (501, np.pi / 2 / 501)],
)
def test_variance_of_medians_is_that_of_order_statistics(n: int, variance: float) -> None:
    # For up to five values: Teichroew D., 1956, Ann. Math. Stat. 27, 410.
    assert median_variance(n) == pytest.approx(variance, rel=0.003)


def test_statistics_leave_flagged_pixels_out(rng: np.random.Generator) -> None:
    image = image_of(rng.normal(50, 2, (100, 100)).astype(np.float32))
    image.data[:50] = 1e6
    image.mask[:50] = 1

    stats = plane_stats(image)

    assert stats.n_good == 5000
    assert stats.median == pytest.approx(50, abs=4 * 2 * 1.25 / np.sqrt(5000))
    assert stats.mode == pytest.approx(50, abs=0.4)
    assert stats.noise == pytest.approx(2, rel=0.05)


def test_statistics_of_nothing_are_zero() -> None:
    image = image_of(np.ones((5, 5), np.float32))
    image.mask[:] = 16

    stats = plane_stats(image)

    assert (stats.mode, stats.median, stats.noise, stats.n_good) == (0, 0, 0, 0)


@pytest.mark.parametrize(("ny", "nx"), [(1, 1), (3, 5), (100, 100), (5000, 3000)])
def test_sampled_rows_are_about_as_many_as_wanted(ny: int, nx: int) -> None:
    taken = len(range(ny)[sampled_rows(ny, nx, 1_000_000)])

    assert 1 <= taken <= ny
    assert taken * nx <= 1_000_000 or taken == 1
    assert taken * nx >= min(ny * nx, 400_000)


def test_scatter_of_a_large_sample_is_that_of_all_its_values(rng: np.random.Generator) -> None:
    values = rng.normal(1000, 20, 300_000)
    values[::50] += 5000

    measured = robust_sigma(values)

    core = values[np.abs(values - 1000) < 4 * 20]
    assert measured == pytest.approx(core.std(), rel=0.003)
    assert measured == robust_sigma(values)
