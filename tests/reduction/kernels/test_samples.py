"""Samples of values: medians, differences along rows and scatters, against numpy's own."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reduction.kernels.samples import FEW, core_rms, median, steps_along_rows

Made = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]

KINDS: dict[str, Made] = {
    "normal": lambda rng, n: rng.normal(1000, 20, n),
    "whole numbers": lambda rng, n: np.rint(rng.normal(1000, 2, n)),
    "one of a few": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "all the same": lambda _, n: np.full(n, -3.25),
    "with values far away": lambda rng, n: rng.normal(0, 1, n) * 10.0 ** rng.integers(0, 30, n),
    "of every size": lambda rng, n: np.exp(rng.normal(0, 15, n)),
    "next to nothing": lambda rng, n: rng.normal(0, 3e-43, n),
    "two heaps": lambda rng, n: np.where(np.arange(n) < n // 2, 0, 1e9) + rng.random(n),
}


def read_only(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    values.flags.writeable = False
    return values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 3, FEW, FEW + 1, FEW + 2, 5000, 70_001])
@pytest.mark.parametrize("kind", KINDS)
def test_median_is_numpys(
    kind: str, n: int, dtype: type[np.floating], rng: np.random.Generator
) -> None:
    values = KINDS[kind](rng, n).astype(dtype)

    assert dtype(median(read_only(values))) == np.median(values)


def test_what_is_no_number_breaks_nothing(rng: np.random.Generator) -> None:
    values = rng.normal(0, 1, 10_000)
    values[rng.random(10_000) < 0.3] = np.nan
    values[::7] = np.inf

    median(read_only(values))


def test_nothing_has_no_median() -> None:
    assert np.isnan(median(read_only(np.empty(0))))


@settings(deadline=None)
@given(
    arrays.arrays(
        np.float64,
        st.integers(1, 3 * FEW),
        elements=st.floats(-1e300, 1e300) | st.sampled_from([0.0, 5e-324, 1.7e308, -1.7e308]),
    )
)
@example(np.repeat([-1.7e308, 1.7e308], FEW))  # further apart than a number can be
@example(np.repeat([0.0, 5e-324], FEW))
def test_median_holds_one_half_on_either_side(values: npt.NDArray[np.float64]) -> None:
    with np.errstate(over="ignore"):
        expected = np.median(values)

    assert median(read_only(values.copy())) == expected


@pytest.mark.parametrize("masked", [False, True])
def test_steps_are_those_between_good_numbers(masked: bool, rng: np.random.Generator) -> None:
    plane = rng.normal(100, 10, (31, 47)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.1] = np.nan
    plane[rng.random(plane.shape) < 0.02] = np.inf
    good = rng.random(plane.shape) < 0.9
    told = good if masked else np.empty((0, 47), np.bool_)
    steps = np.empty(plane.size)

    n = steps_along_rows(read_only(plane), told, steps)

    with np.errstate(invalid="ignore"):
        expected = np.diff(plane.astype(np.float64), axis=1)
    usable = np.isfinite(expected)
    if masked:
        usable &= good[:, 1:] & good[:, :-1]
    np.testing.assert_array_equal(steps[:n], expected[usable])


def test_scatter_is_that_of_what_is_near_the_centre() -> None:
    values = read_only(np.array([1.0, 3.0, 7.0, 5.0, -90.0]))

    assert core_rms(values, 4.0, 3.0) == pytest.approx(np.sqrt((9 + 1 + 9 + 1) / 4))
    assert core_rms(values, 50.0, 3.0) == 0
