"""Sorting lanes of pixels."""

import numpy as np
import pytest

from reduction.kernels.sorting import (
    GUARD,
    WIDTH,
    exchange,
    extremes,
    first_half,
    halving_network,
    lanes_of,
    merging_network,
    ranked,
    sort_halves,
    sorting_network,
)


def sort_with(
    network: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    stack: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> None:
    for low, high in network:
        pair = stack[[low, high]]
        stack[low], stack[high] = pair.min(axis=0), pair.max(axis=0)


@pytest.mark.parametrize("n", [*range(1, 14), 16, 17])
def test_network_sorts_every_order_of_few_values(n: int) -> None:
    # A network that sorts all sequences of zeros and ones sorts everything (Knuth, 5.3.4).
    numbers = np.arange(2**n)
    stack = ((numbers >> np.arange(n)[:, None]) & 1).astype(np.float64)

    sort_with(sorting_network(n), stack)

    assert (np.diff(stack, axis=0) >= 0).all()


@pytest.mark.parametrize("n", [31, 32, 33, 100, 200, 500])
def test_network_sorts_many_values(n: int, rng: np.random.Generator) -> None:
    stack = rng.normal(size=(n, 50))
    expected = np.sort(stack, axis=0)

    sort_with(sorting_network(n), stack)

    assert np.array_equal(stack, expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("n", [*range(1, 37), 48, 63, 64, 65, 100, 129, 200])
def test_halves_of_a_lane_are_sorted_and_give_every_middle_rank(
    n: int, dtype: type[np.uint16] | type[np.float32], rng: np.random.Generator
) -> None:
    values = rng.integers(0, rng.choice([3, 50, 65536]), (n, WIDTH)).astype(dtype)
    lane, half = lanes_of(n, 1, dtype)[0], first_half(n)
    rows = lane[GUARD * WIDTH : (GUARD + n) * WIDTH].reshape(n, WIDTH)
    rows[:] = values
    middle, least, most = (np.empty(WIDTH, dtype) for _ in range(3))

    sort_halves(lane, n, halving_network(n))

    assert np.array_equal(rows[:half], np.sort(values[:half], axis=0))
    assert np.array_equal(rows[half:], np.sort(values[half:], axis=0))
    in_order = np.sort(values, axis=0)
    for rank in ((n + 1) // 2, n // 2 + 1):
        ranked(lane, n, half, rank, middle)
        assert np.array_equal(middle, in_order[rank - 1])
    extremes(lane, n, half, least, most)
    assert np.array_equal(least, in_order[0])
    assert np.array_equal(most, in_order[-1])
    exchange(lane, merging_network(n))
    assert np.array_equal(rows, in_order)
