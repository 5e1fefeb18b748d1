"""Inner loops of combining whole numbers of sixteen bits, twice as many at a time as floats.

Frames of raw counts differ from the values to combine by a zero level for each frame and row.
Its whole part moves the counts, so that they can be sorted as they are; its fraction enters the
sums. Where rounding, an outlier or the edge of the range leaves a doubt, the pixel is combined
from its exact values.

The counts are read where they lie, in the maps of the files: a copy of every frame would cost
more than the sorting.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic

from reduction.kernels.combine import MEDIAN, NEARLY, SAMPLE, Counts, Floats, doubtful
from reduction.kernels.compiled import njit
from reduction.kernels.doubts import (
    Clipping,
    Limits,
    Pixels,
    Results,
    clipping_of,
    gather,
    settle,
    store_pixel,
)
from reduction.kernels.sorting import (
    CACHE_LINE,
    GUARD,
    WIDTH,
    Pairs,
    extremes,
    ranked,
    sort_halves,
)

Shifts = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Decoding = tuple[bool, int]  # whether bytes are swapped, and the sign bit
# Of lanes: fractions of the shifts, first counts, sums; ranks; one pixel; verdicts; places; doubts.
Scratch = tuple[
    tuple[Floats, Floats, Floats, Floats],
    Counts,
    Shifts,
    tuple[Flags, Flags],
    tuple[Pixels, Pixels],
    Clipping,
]
Networks = tuple[int, Pairs, Pairs]  # rows of the first half, how halves are made, and merged

END = 65535  # of the range of counts


def _counts(_: Any, address: Any, size: Any) -> Any:  # noqa: ANN401 - numba's own types
    """Take what lies at an address as an array of counts.

    Numba's own `carray` brings a part of the compiler with it when it is loaded.
    """
    counts = types.Array(types.uint16, 1, "C")

    def emit(context: Any, builder: Any, _: Any, numbers: Any) -> Any:  # noqa: ANN401
        from numba.np import arrayobj  # only who compiles needs it

        made = arrayobj.make_array(counts)(context, builder)  # type: ignore[no-untyped-call]
        step = context.get_constant(types.intp, 2)
        arrayobj.populate_array(  # type: ignore[no-untyped-call]
            made,
            data=builder.inttoptr(numbers[0], made.data.type),
            shape=[numbers[1]],
            strides=[step],
            itemsize=step,
            meminfo=None,
        )
        return made._getvalue()

    return counts(address, size), emit


def _prefetch(_: Any, address: Any) -> Any:  # noqa: ANN401 - numba's own types
    """Have a line of memory brought to the second cache; a hint, true of any address."""

    def emit(context: Any, builder: Any, _: Any, numbers: Any) -> Any:  # noqa: ANN401
        from llvmlite import ir  # type: ignore[import-untyped] # only who compiles needs it

        place = builder.inttoptr(numbers[0], ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        takes = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
        hint = builder.module.declare_intrinsic("llvm.prefetch", (place.type,), takes)
        builder.call(hint, [place, word(0), word(2), word(1)])  # to read, second cache, data
        return context.get_dummy_value()

    return types.void(address), emit


_counts_from: Any = intrinsic(_counts)
_soon: Any = intrinsic(_prefetch)


@njit(forceinline=True)
def counts_at(places: Places, frame: int, row: int, nx: int) -> Counts:
    """Return a row of a frame as it lies in memory, `places` being of `combine_counts`."""
    counts: Counts = _counts_from(places[frame, 0] + row * places[frame, 1], nx)
    return counts


@njit(nogil=True)
def announce(places: Places, row: int, column: int, quarter: int) -> None:
    """Have a lane's share of a row brought near, of a quarter of the frames.

    The next row is on its way while this one is sorted: waiting for it took a third of the time.
    A quarter at a time, since a core has few requests to memory open at once.
    """
    n = places.shape[0]
    for i in range(quarter * n // 4, (quarter + 1) * n // 4):
        start = places[i, 0] + row * places[i, 1] + 2 * column
        for ahead in range(0, 2 * WIDTH, CACHE_LINE):
            _soon(start + ahead)


def scratch_of(n: int) -> Scratch:
    """Return the memory in which `combine_counts` works on `n` frames.

    Made here: a loop that makes arrays brings a part of the compiler with it when it is loaded.
    """
    parts, first, s1, s2 = (np.empty(size, np.float32) for size in (n, WIDTH, WIDTH, WIDTH))
    accepted, inside = np.empty(WIDTH, np.bool_), np.empty(WIDTH, np.bool_)
    places = np.empty(WIDTH, np.int64), np.empty(WIDTH, np.int64)
    ranks, column = np.empty((4, WIDTH), np.uint16), np.empty(n, np.float64)
    return (parts, first, s1, s2), ranks, column, (accepted, inside), places, clipping_of(n)


@njit(nogil=True)
def are_whole(shifts: Shifts) -> bool:
    """Tell whether all shifts are whole numbers."""
    parts = 0
    for i in range(shifts.shape[0]):
        for r in range(shifts.shape[1]):
            parts += int(shifts[i, r] != np.rint(shifts[i, r]))
    return parts == 0


@njit(nogil=True)
def decode(raw: Counts, decoding: Decoding, step: int, mirrored: bool, key: Counts) -> None:
    """Decode counts and move them by a whole step, kept within sixteen bits."""
    flip, plus = np.uint16(decoding[1]), np.uint16(step & END)
    low, high = np.uint16(max(0, -step)), np.uint16(END - max(0, step))
    # Sixteen bits stay sixteen bits only where every result is said to be so.
    if mirrored:
        for k in range(key.size):
            key[k] = raw[key.size - 1 - k]
    if decoding[0]:
        for k in range(key.size):
            v = key[k] if mirrored else raw[k]
            v = np.uint16((v << np.uint16(8)) | (v >> np.uint16(8)))
            key[k] = min(max(np.uint16(v ^ flip), low), high) + plus
    else:
        for k in range(key.size):
            v = key[k] if mirrored else raw[k]
            key[k] = min(max(np.uint16(v ^ flip), low), high) + plus


@njit(nogil=True)
def load_lanes(
    places: Places,
    span: tuple[int, int, int, int],
    decoding: Decoding,
    shifts: Shifts,
    lanes: Counts,
    parts: Floats,
) -> None:
    """Decode lanes of all frames, from one column to another of a row.

    A frame's columns are read all at once: memory answers a long read sooner than many short
    ones. `parts` gets what is left of the frames' shifts beside their whole steps.
    """
    row, p, e, nx = span
    for i in range(shifts.shape[0]):
        whole = np.rint(shifts[i, row])
        parts[i] = np.float32(shifts[i, row] - whole)
        step = int(min(max(whole, -END), END))
        mirrored = places[i, 2] != 0
        raw = counts_at(places, i, row, nx)
        o = (GUARD + i) * WIDTH
        for q in range(p, e, WIDTH):
            w = min(WIDTH, e - q)
            part = raw[nx - q - w : nx - q] if mirrored else raw[q : q + w]
            decode(part, decoding, step, mirrored, lanes[(q - p) // WIDTH, o : o + w])


@njit(nogil=True, fastmath={"contract"})
def sum_lane(lane: Counts, n: int, parts: Floats, first: Floats, s1: Floats, s2: Floats) -> None:
    """Sum the values of a lane, and their squares, about the first frame's counts."""
    row = np.uint64(WIDTH)
    start = np.uint64(GUARD) * row
    for k in range(row):
        first[k] = np.float32(lane[start + k])
        s1[k] = np.float32(0)
        s2[k] = np.float32(0)
    by_four = n - n % 4  # four frames at a time, and the sums come and go a fourth as often
    for i in range(0, by_four, 4):
        a = start + np.uint64(i) * row
        b, c, d = a + row, a + row + row, a + row + row + row
        for k in range(row):
            zero = first[k]
            x = np.float32(lane[a + k]) - zero + parts[i]
            y = np.float32(lane[b + k]) - zero + parts[i + 1]
            z = np.float32(lane[c + k]) - zero + parts[i + 2]
            t = np.float32(lane[d + k]) - zero + parts[i + 3]
            s1[k] += (x + y) + (z + t)
            s2[k] += (x * x + y * y) + (z * z + t * t)
    for i in range(by_four, n):
        a = start + np.uint64(i) * row
        for k in range(row):
            x = np.float32(lane[a + k]) - first[k] + parts[i]
            s1[k] += x
            s2[k] += x * x


@njit(nogil=True)
def rank_lane(lane: Counts, n: int, half: int, ranks: Counts) -> None:
    """Write the two middle values of a sorted lane's pixels, the least and the greatest."""
    ranked(lane, n, half, (n + 1) // 2, ranks[0])
    ranked(lane, n, half, n // 2 + 1, ranks[1])
    extremes(lane, n, half, ranks[2], ranks[3])


@njit(nogil=True, fastmath={"contract"})
def accept_counts(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    ranks: Counts,
    n: int,
    method: int,
    limits: Limits,
    is_whole: bool,
    s1: Floats,
    s2: Floats,
    inside: Flags,
    accepted: Flags,
) -> None:
    """Tell which pixels of a sorted lane met no end of the range, and certainly lose no value."""
    lower, upper, least, most = ranks[0], ranks[1], ranks[2], ranks[3]
    clips = method >= SAMPLE
    low, high = np.float32(limits[0] ** 2 * NEARLY), np.float32(limits[1] ** 2 * NEARLY)
    floor, slope = np.float32(limits[3]), np.float32(limits[4])
    slack = np.float32(0 if is_whole else 1)  # what rounding may hide
    by_n, common = np.float32(1.0 / n), np.float32(limits[5])
    for k in range(accepted.size):
        centre = np.float32(np.int32(lower[k]) + np.int32(upper[k])) * np.float32(0.5)
        mean = s1[k] * by_n
        scatter2 = s2[k] * by_n - mean * mean
        expected2 = floor + slope * max(centre + common, np.float32(0))
        sigma2 = scatter2 if method == SAMPLE else expected2
        below = centre - np.float32(least[k]) + slack
        above = np.float32(most[k]) - centre + slack
        near = (below * below <= low * sigma2) & (above * above <= high * sigma2)
        inside[k] = (least[k] > np.uint16(0)) & (most[k] < np.uint16(END))
        accepted[k] = inside[k] & (near | (not clips))


@njit(nogil=True, fastmath={"contract"})
def store_counts(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    ranks: Counts,
    n: int,
    median: bool,
    common: float,
    first: Floats,
    s1: Floats,
    s2: Floats,
    results: Results,
) -> None:
    """Store the results of a sorted lane as if every value of every pixel counted."""
    data, variance, count = results
    lower, upper = ranks[0], ranks[1]
    by_n, plus = np.float32(1.0 / n), np.float32(common)
    by_dof = np.float32(1.0 / (n - 1)) if n > 1 else np.float32(0)
    for k in range(data.size):
        mean = s1[k] * by_n
        # Whole numbers first: far from zero a float has no room for the fraction.
        twice = np.float32(np.int32(lower[k]) + np.int32(upper[k])) + (plus + plus)
        data[k] = twice * np.float32(0.5) if median else (first[k] + plus) + mean
        variance[k] = max(np.float32(0), s2[k] - s1[k] * mean) * by_dof
        count[k] = np.uint16(n)


@njit(nogil=True)
def exact_column(
    places: Places,
    decoding: Decoding,
    shifts: Shifts,
    common: float,
    pixel: tuple[int, int, int],
    column: npt.NDArray[np.float64],
) -> None:
    """Write one pixel's exact values, sorted."""
    row, x, nx = pixel
    flip = np.uint16(decoding[1])
    for i in range(shifts.shape[0]):
        v = counts_at(places, i, row, nx)[nx - 1 - x if places[i, 2] else x]
        if decoding[0]:
            v = np.uint16((v << np.uint16(8)) | (v >> np.uint16(8)))
        value = float(v ^ flip) + shifts[i, row] + common
        b = i
        while b > 0 and column[b - 1] > value:
            column[b] = column[b - 1]
            b -= 1
        column[b] = value


@njit(cache=True, nogil=True)
def combine_counts(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    places: Places,
    lanes: Counts,
    doubts: Counts,
    networks: Networks,
    decoding: Decoding,
    shifts: Shifts,
    method: int,
    limits: Limits,
    results: Results,
    scratch: Scratch,
) -> None:
    """Combine rows of raw counts, which are read where they lie.

    `places` has for each frame the address of its first row, the bytes from a row to the next,
    and 1 where rows are mirrored. The value of frame i in row r is its count plus
    ``shifts[i, r]`` and a constant that is the last of `limits`, whose others are as of
    `reduction.kernels.combine.combine_rows`. A median takes whole shifts only. `results` are
    value, variance and number of the values that entered, flat, as there. `lanes` and `doubts`
    are lanes of counts, `scratch` is of `scratch_of`.
    """
    n, rows = shifts.shape
    nx, block = results[0].size // rows, lanes.shape[0] * WIDTH
    half, halving, merging = networks
    (parts, first, s1, s2), ranks, column, (accepted, inside), (found, pixels), clipping = scratch
    waiting, is_whole = 0, are_whole(shifts)
    blocks = (nx + block - 1) // block
    for t in range(rows * blocks):
        r, p0 = t // blocks, t % blocks * block
        p1 = min(nx, p0 + block)
        load_lanes(places, (r, p0, p1, nx), decoding, shifts, lanes, parts)
        for p in range(p0, p1, WIDTH):
            lane, o, w = lanes[(p - p0) // WIDTH], r * nx + p, min(p1 - p, WIDTH)
            after = min(r + 1, rows - 1)
            announce(places, after, p, 0)
            sum_lane(lane, n, parts, first, s1, s2)
            announce(places, after, p, 1)
            sort_halves(lane, n, halving)
            announce(places, after, p, 2)
            rank_lane(lane, n, half, ranks)
            announce(places, after, p, 3)
            store = results[0][o : o + w], results[1][o : o + w], results[2][o : o + w]
            store_counts(ranks, n, method == MEDIAN, limits[5], first, s1, s2, store)
            accept_counts(ranks, n, method, limits, is_whole, s1, s2, inside, accepted[:w])
            for j in range(doubtful(accepted, w, found)):
                k = found[j]
                if is_whole and inside[k]:
                    gather(lane, n, k, doubts, waiting)
                    pixels[waiting] = o + k
                    waiting += 1
                else:
                    exact_column(places, decoding, shifts, limits[5], (r, p + k, nx), column)
                    store_pixel(column, method, limits, o + k, results)
                if waiting == WIDTH:
                    settle(doubts, pixels, merging, clipping, method, limits, results)
                    waiting = 0
    settle(doubts, pixels[:waiting], merging, clipping, method, limits, results)
