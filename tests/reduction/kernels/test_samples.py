"""Samples of values: medians, differences along rows and scatters, against numpy's own."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduction.kernels.samples import FEW, around_rank, core_rms, steps_along_rows

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


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20 * FEW), st.sampled_from(list(KINDS)))
def test_values_around_a_rank_are_those_between_the_least_and_greatest_of_them(
    seed: int, n: int, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    values = KINDS[kind](rng, n)
    rank = int(rng.integers(0, n))

    place, left = around_rank(read_only(values), rank)

    ordered = np.sort(values)
    assert np.sort(left)[place] == ordered[rank]
    below = np.count_nonzero(values < left.min())
    np.testing.assert_array_equal(np.sort(left), ordered[below : below + left.size])
    assert left.size <= FEW or left.min() == left.max()


def test_what_is_no_number_breaks_nothing(rng: np.random.Generator) -> None:
    values = rng.normal(0, 1, 10_000)
    values[rng.random(10_000) < 0.3] = np.nan
    values[::7] = np.inf

    around_rank(read_only(values), 5000)


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
