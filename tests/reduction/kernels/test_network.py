"""The sorting network of the combine kernels."""

import numpy as np
import pytest

from reduction.kernels.combine import sorting_network


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
