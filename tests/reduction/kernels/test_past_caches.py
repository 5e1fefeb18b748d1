"""Lines put past the caches: where they may not go, and what counts as the next line."""

import numpy as np
import numpy.typing as npt
import pytest
from numba.core.errors import TypingError

from reduction.kernels.past_caches import LINE, put_lines, to_next_line


def room(shift: int) -> npt.NDArray[np.uint8]:
    """Return bytes that begin so many behind a line."""
    some = np.zeros(40 * LINE, np.uint8)
    first = -some.ctypes.data % LINE + shift
    return some[first : first + 32 * LINE]


def test_lines_go_where_they_are_told_to() -> None:
    values = np.arange(32, dtype=np.uint32)
    to = room(0).view(np.uint32)

    put_lines(to, 16, values, 2)

    np.testing.assert_array_equal(to[16:48], values)
    assert not to[:16].any()
    assert not to[48:].any()


@pytest.mark.parametrize(("shift", "before"), [(0, 0), (4, 15), (60, 1)])
def test_next_line_is_the_first_that_lies_in_an_array_as_a_whole(shift: int, before: int) -> None:
    assert to_next_line(room(shift).view(np.uint32)) == before
    assert to_next_line(room(shift)[:0].view(np.uint32)) == 0


def test_no_line_begins_in_an_array_that_is_askew() -> None:
    assert to_next_line(room(1)[:-64].view(np.uint32)) == 16 * 31


def test_arrays_with_gaps_are_refused() -> None:
    with pytest.raises(TypingError):
        put_lines(room(0).view(np.uint32)[::2], 0, np.zeros(64, np.uint32), 1)
