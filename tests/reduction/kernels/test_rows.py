"""Values on their way into a file: their bytes and their sums, wherever they lie in memory."""

from collections.abc import Callable
from typing import SupportsInt

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reduction.kernels.past_caches import LINE
from reduction.kernels.rows import TOGETHER, store_flags, store_words, sum_flags, sum_words

Row = np.ndarray[tuple[int], np.dtype]

SIZES = st.integers(0, 3 * TOGETHER + 40)
SHIFTS = st.integers(0, LINE)  # of the first value from a line of the caches


def shifted(size: int, shift: int, dtype: type[np.generic]) -> Row:
    """Return random values that begin so many of them behind a line of the caches."""
    width = np.dtype(dtype).itemsize
    room = np.empty(size + shift + 2 * LINE, dtype)
    first = -room.ctypes.data % LINE // width + shift
    row = room[first : first + size]
    row.view(np.uint8)[:] = np.frombuffer(np.random.default_rng(size).bytes(row.nbytes), np.uint8)
    return row


def stored(store: Callable[..., SupportsInt], values: Row, to: int) -> tuple[Row, int]:
    """Return what is stored so far behind a line, and its sum; nothing beside it is touched."""
    around = shifted(values.size + 2, to, values.dtype.type)
    ends = around[[0, -1]].copy()

    total = int(store(read_only(values), around[1:-1]))

    np.testing.assert_array_equal(around[[0, -1]], ends)
    return around[1:-1], total


def read_only(values: Row) -> Row:
    values.flags.writeable = False
    return values


@settings(deadline=None)
@given(SIZES, SHIFTS, SHIFTS)
@example(TOGETHER, 0, 0)
@example(TOGETHER + 16, 0, 15)
@example(5, 3, 0)
def test_words_are_turned_and_summed(size: int, before: int, to: int) -> None:
    words = shifted(size, before, np.uint32)

    turned, total = stored(store_words, words, to)

    np.testing.assert_array_equal(turned, words.byteswap())
    assert total == int(words.sum(dtype=np.uint64)) == int(sum_words(words))


@settings(deadline=None)
@given(SIZES, SHIFTS, SHIFTS)
@example(TOGETHER, 0, 0)
@example(TOGETHER + 32, 1, 31)
@example(5, 3, 0)
def test_flags_are_stored_as_signed_numbers_and_summed(size: int, before: int, to: int) -> None:
    flags = shifted(size, before, np.uint16)

    turned, total = stored(store_flags, flags, to)

    signed = np.zeros(size + size % 2, ">i2")
    signed[:size] = flags.astype(np.int32) - 32768
    assert turned.tobytes() == signed[:size].tobytes()
    assert total == int(signed.view(">u4").sum(dtype=np.uint64)) == int(sum_flags(flags))


@pytest.mark.parametrize(("store", "dtype"), [(store_words, np.uint32), (store_flags, np.uint16)])
def test_values_are_stored_askew_too(store: Callable[..., int], dtype: type[np.generic]) -> None:
    width = np.dtype(dtype).itemsize
    values = np.arange(3 * TOGETHER).astype(dtype)
    askew = np.zeros(width * (values.size + 1), np.uint8)[1 : 1 - width].view(dtype)
    straight = np.zeros(values.size, dtype)

    assert store(read_only(values), askew) == store(values, straight)
    np.testing.assert_array_equal(askew, straight)


@pytest.mark.parametrize("store", [store_words, store_flags])
def test_no_values_have_no_sum(store: object) -> None:
    dtype = np.uint32 if store is store_words else np.uint16
    none = np.empty(0, dtype)

    assert store(read_only(none), np.empty(0, dtype)) == 0  # type: ignore[operator]
