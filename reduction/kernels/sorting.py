"""Sorting the values of many pixels at once, whole numbers or floats, without a branch.

A lane is `WIDTH` pixels: a flat array with one row for each frame behind `GUARD` rows of the least
possible value. Four, eight or sixteen rows are sorted while the registers hold them, what is left
to merge goes from memory to memory, and of the last two sorted halves only the wanted ranks are
taken.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Lane = npt.NDArray[Any]  # of uint16 or float32
Pairs = npt.NDArray[np.int64]
Index = int | np.uint64
Two = tuple[float, float]
Four = tuple[float, float, float, float]
Eight = tuple[float, float, float, float, float, float, float, float]

WIDTH = 512  # pixels: a few tens of frames' counts stay in the first cache of a core
ROW = np.uint64(WIDTH)  # an index without a sign needs no test for being negative
TWO, THREE, FOUR, EIGHT, TWELVE = (np.uint64(rows * WIDTH) for rows in (2, 3, 4, 8, 12))
RUN = 16  # rows: what the vector registers of a core hold
GUARD = 4  # rows before the first that `ranked` may read
CACHE_LINE = 64  # bytes, and the width of the widest vector
LANES_BYTES = 1 << 18  # stay in the second cache of a core


@lru_cache(maxsize=32)
def sorting_network(n: int, first: int = 1, last: int | None = None) -> Pairs:
    """Return Batcher's odd-even merge sort of `n` values as pairs to compare and exchange.

    A fixed list of exchanges sorts a whole lane of pixels at once without a branch, which is what
    vector units are made for.

    Parameters
    ----------
    n : int
        Number of values.
    first : int
        Length of the runs that are sorted already, a power of two.
    last : int, optional
        Length of the sorted runs to end with, a power of two; without it all is one.

    Returns
    -------
    int64 array, ``(pairs, 2)``
        Lower and higher row.

    References
    ----------
    Batcher K. E., 1968, AFIPS Spring Joint Computer Conference 32, 307.
    """
    pairs = [
        (low, low + k)
        for p in _powers(n)
        if first <= p < (last or n)
        for k in (p >> s for s in range(p.bit_length()))
        for j in range(k % p, n - k, 2 * k)
        for low in range(j, j + min(k, n - j - k))
        if low // (2 * p) == (low + k) // (2 * p)
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _powers(n: int) -> list[int]:
    """Return the powers of two below `n`."""
    return [1 << s for s in range(max(0, n - 1).bit_length())]


def first_half(n: int) -> int:
    """Return how many of `n` rows the first of the two sorted halves has; all of few rows."""
    return n if n <= RUN else _powers(n)[-1]


def halving_network(n: int) -> Pairs:
    """Return the exchanges that make two sorted halves of runs sorted in registers."""
    return sorting_network(n, RUN, first_half(n))


def merging_network(n: int) -> Pairs:
    """Return the exchanges that merge the two sorted halves of `n` rows."""
    return sorting_network(n, first_half(n))


def lanes_of(n: int, nx: int, dtype: type[np.uint16] | type[np.float32]) -> Lane:
    """Return lanes for the values of `n` frames along a row of `nx` pixels, or a part of it.

    Rows that no frame fills hold the greatest possible value. Lanes begin on a cache line:
    sorting takes half as long again where every vector straddles two lines.

    Returns
    -------
    array, ``(lanes, length of one)``
    """
    least, most = (0, 65535) if dtype is np.uint16 else (-np.inf, np.inf)
    item, rest = np.dtype(dtype).itemsize, n % RUN
    rows = GUARD + n - rest + next(size for size in (0, 4, 8, RUN) if size >= rest)
    number = max(1, min(-(-nx // WIDTH), LANES_BYTES // (rows * WIDTH * item)))
    store = np.full(number * rows * WIDTH + CACHE_LINE // item, most, dtype)
    skip = -store.ctypes.data % CACHE_LINE // item
    lanes = store[skip : skip + number * rows * WIDTH].reshape(number, rows * WIDTH)
    lanes[:, : GUARD * WIDTH] = least
    return lanes


@njit(forceinline=True)
def _order(a: float, b: float) -> Two:
    return (a if a < b else b), (b if a < b else a)


@njit(forceinline=True)
def _merge2(a: Two, b: Two) -> Four:
    least, x = _order(a[0], b[0])
    y, most = _order(a[1], b[1])
    x, y = _order(x, y)
    return least, x, y, most


@njit(forceinline=True)
def _merge4(a: Four, b: Four) -> Eight:
    even = _merge2((a[0], a[2]), (b[0], b[2]))
    odd = _merge2((a[1], a[3]), (b[1], b[3]))
    x1, x2 = _order(odd[0], even[1])
    x3, x4 = _order(odd[1], even[2])
    x5, x6 = _order(odd[2], even[3])
    return even[0], x1, x2, x3, x4, x5, x6, odd[3]


@njit(forceinline=True)
def _merge8(a: Eight, b: Eight) -> tuple[Eight, Eight]:
    even = _merge4((a[0], a[2], a[4], a[6]), (b[0], b[2], b[4], b[6]))
    odd = _merge4((a[1], a[3], a[5], a[7]), (b[1], b[3], b[5], b[7]))
    x1, x2 = _order(odd[0], even[1])
    x3, x4 = _order(odd[1], even[2])
    x5, x6 = _order(odd[2], even[3])
    x7, x8 = _order(odd[3], even[4])
    x9, x10 = _order(odd[4], even[5])
    x11, x12 = _order(odd[5], even[6])
    x13, x14 = _order(odd[6], even[7])
    return (even[0], x1, x2, x3, x4, x5, x6, x7), (x8, x9, x10, x11, x12, x13, x14, odd[7])


@njit(forceinline=True)
def _sorted4(lane: Lane, k: Index) -> Four:
    return _merge2(_order(lane[k], lane[k + ROW]), _order(lane[k + TWO], lane[k + THREE]))


@njit(forceinline=True)
def _sorted8(lane: Lane, k: Index) -> Eight:
    return _merge4(_sorted4(lane, k), _sorted4(lane, k + FOUR))


@njit(forceinline=True)
def _put4(lane: Lane, k: Index, v: Four) -> None:
    lane[k], lane[k + ROW], lane[k + TWO], lane[k + THREE] = v


@njit(forceinline=True)
def _put8(lane: Lane, k: Index, v: Eight) -> None:
    _put4(lane, k, (v[0], v[1], v[2], v[3]))
    _put4(lane, k + FOUR, (v[4], v[5], v[6], v[7]))


@njit(nogil=True)
def sort4(lane: Lane, row: int) -> None:
    """Sort four rows of a lane from `row` on."""
    start = np.uint64(row) * ROW
    for k in range(start, start + ROW):
        _put4(lane, k, _sorted4(lane, k))


@njit(nogil=True)
def sort8(lane: Lane, row: int) -> None:
    """Sort eight rows of a lane from `row` on."""
    start = np.uint64(row) * ROW
    for k in range(start, start + ROW):
        _put8(lane, k, _sorted8(lane, k))


@njit(nogil=True)
def sort16(lane: Lane, row: int) -> None:
    """Sort sixteen rows of a lane from `row` on."""
    start = np.uint64(row) * ROW
    for k in range(start, start + ROW):
        lower, upper = _merge8(_sorted8(lane, k), _sorted8(lane, k + EIGHT))
        _put8(lane, k, lower)
        _put8(lane, k + EIGHT, upper)


@njit(nogil=True)
def exchange(lane: Lane, pairs: Pairs) -> None:
    """Compare pairs of a lane's rows and put the smaller values in the lower ones."""
    for c in range(pairs.shape[0]):
        a, b = np.uint64(GUARD + pairs[c, 0]) * ROW, np.uint64(GUARD + pairs[c, 1]) * ROW
        for k in range(ROW):
            lane[a + k], lane[b + k] = _order(lane[a + k], lane[b + k])


@njit(nogil=True)
def sort_halves(lane: Lane, n: int, halving: Pairs) -> None:
    """Sort the rows of `n` frames into two halves, or into one where they are few.

    `halving` is of `halving_network`.
    """
    row, end = GUARD, GUARD + n
    while end - row > RUN // 2:
        sort16(lane, row)
        row += RUN
    if end - row > RUN // 4:
        sort8(lane, row)
    elif end > row:
        sort4(lane, row)
    exchange(lane, halving)


@njit(nogil=True)
def _meet4(lane: Lane, down: int, up: int, out: Lane) -> None:
    """Lower `out` to the least of four rows' greater values: one row goes down, the other up."""
    a, b = np.uint64(down) * ROW, np.uint64(up) * ROW
    for k in range(ROW):
        x = min(max(lane[a + k], lane[b + k]), max(lane[a - ROW + k], lane[b + ROW + k]))
        y = min(
            max(lane[a - TWO + k], lane[b + TWO + k]),
            max(lane[a - THREE + k], lane[b + THREE + k]),
        )
        out[k] = min(out[k], min(x, y))


@njit(nogil=True)
def ranked(lane: Lane, n: int, half: int, rank: int, out: Lane) -> None:
    """Write every pixel's value of one rank, from 1, of two sorted halves.

    The value of rank k is the least, over all j, of the greater of the first half's (k - j)th
    and the second half's jth. Beyond its ends a half is taken as infinite: there lie the guard,
    and the rows that no frame fills.
    """
    first, second = GUARD - 1, GUARD + half - 1
    a, b = np.uint64(first + min(rank, half)) * ROW, np.uint64(second + max(rank - half, 0)) * ROW
    for k in range(ROW):
        out[k] = lane[a + k] if rank <= half else max(lane[a + k], lane[b + k])
    for j in range(1, n - half + 1, 4):
        _meet4(lane, first + rank - j, second + j, out)


@njit(nogil=True)
def extremes(lane: Lane, n: int, half: int, least: Lane, most: Lane) -> None:
    """Write every pixel's least and greatest value of two sorted halves."""
    a, b = np.uint64(GUARD) * ROW, np.uint64(GUARD + half % n) * ROW
    c, d = np.uint64(GUARD + half - 1) * ROW, np.uint64(GUARD + n - 1) * ROW
    for k in range(ROW):
        least[k] = min(lane[a + k], lane[b + k])
        most[k] = max(lane[c + k], lane[d + k])
