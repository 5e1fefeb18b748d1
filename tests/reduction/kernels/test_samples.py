"""Samples of values: medians, differences along rows and scatters, against numpy's own."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduction.kernels.samples import SORTED_AT_MOST, around_rank, core_rms, steps_along_rows

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
@given(st.integers(0, 2**32 - 1), st.integers(1, 20 * SORTED_AT_MOST), st.sampled_from(list(KINDS)))
def test_value_of_a_rank_and_the_one_behind_it_are_among_few(seed: int, n: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    values = KINDS[kind](rng, n)
    rank = int(rng.integers(0, n))

    place, left = around_rank(read_only(values), rank)

    found, ordered = np.sort(left), np.sort(values)
    assert found[place] == ordered[rank]
    if place + 1 < found.size:
        assert found[place + 1] == ordered[rank + 1]
    elif rank + 1 < n:
        assert ordered[rank + 1] > ordered[rank]
    assert left.size <= SORTED_AT_MOST or kind in ("with values far away", "of every size")


@pytest.mark.parametrize("n", [5, SORTED_AT_MOST + 1, 20_000])
def test_values_that_are_no_numbers_stay_among_those_that_are_left(
    n: int, rng: np.random.Generator
) -> None:
    values = rng.normal(0, 1, n)
    values[rng.integers(0, n)] = np.nan

    assert np.isnan(around_rank(read_only(values), n // 2)[1]).any()


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
