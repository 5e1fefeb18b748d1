"""Inner loops of reducing a band of rows: bias, dark, flat, gain, variance, flags."""

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.rows import decode_halves

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.uint16]
Halves = npt.NDArray[np.uint16]
Columns = npt.NDArray[np.int64]
Planes = tuple[Floats, Floats, Flags]  # values, variance, flags
Decoding = tuple[int, int, bool, bool, int, float]  # of `decode_halves`, in its order

COUNTED = 256  # flags looked at together: most such stretches hold none


@njit(cache=True, nogil=True)
def reduce_rows(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    raw: Floats,
    levels: Floats,
    place: tuple[int, int],
    frame: Planes,
    masters: tuple[Planes, Planes, Planes],
    noise: tuple[float, float, float],
    factors: tuple[float, float, float, float],
    limits: tuple[float, float, float],
    bits: Flags,
) -> None:
    """Reduce rows of an amplifier into the frame, whose first pixel there is at `place`.

    Parameters
    ----------
    raw : float32 array, ``(rows, nx)``
        In ADU.
    levels : float32 array, ``(rows,)``
        Zero level of each row.
    place : tuple of int
        Row and column of the frame.
    frame : tuple of arrays
        What is written: values, variance and flags, ``(ny, nx)``.
    masters : tuple of tuples of arrays
        Bias, dark and flat of the frame. One that there is not has a single row, which changes
        nothing: it stays in the first cache and spares a version of the loop.
    noise : tuple of float
        Variance at zero light, the value there, and variance for every ADU above it.
    factors : tuple of float
        How often the variance of the bias is added; how often the dark is subtracted, and its
        variance added; and how often the bias is subtracted once more after it.
    limits : tuple of float
        Saturation in ADU, the gain, and the least flat that is divided by.
    bits : uint16 array, ``(4,)``
        Flags of a saturated pixel, of one without data and of a bad one, and those of a master
        that make a pixel bad. As an array: the loop would widen whole numbers to 64 bits.
    """
    y0, x0 = place
    x1 = x0 + raw.shape[1]
    for r in range(raw.shape[0]):
        y = y0 + r
        reduce_row(
            raw[r],
            levels[r],
            (frame[0][y, x0:x1], frame[1][y, x0:x1], frame[2][y, x0:x1]),
            (row_of(masters[0], y, x0, x1), row_of(masters[1], y, x0, x1)),
            row_of(masters[2], y, x0, x1),
            noise,
            factors,
            limits,
            bits,
        )


@njit(cache=True, nogil=True)
def reduce_halves(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    raw: Halves,
    how: Decoding,
    row: Floats,
    levels: Floats,
    place: tuple[int, int],
    frame: Planes,
    masters: tuple[Planes, Planes, Planes],
    noise: tuple[float, float, float],
    factors: tuple[float, float, float, float],
    limits: tuple[float, float, float],
    bits: Flags,
) -> None:
    """Reduce rows of 16-bit numbers as they are stored: else as `reduce_rows`.

    Each is decoded into `row`, ``(1, nx)``, and reduced while the first cache holds it.
    """
    start, stride, flip_x, swap, sign, base = how
    for r in range(levels.size):
        decode_halves(row, raw, start + r * stride, stride, flip_x, swap, sign, base)
        at = place[0] + r, place[1]
        reduce_rows(row, levels[r : r + 1], at, frame, masters, noise, factors, limits, bits)


@njit(cache=True, nogil=True)
def row_of(planes: Planes, y: int, x0: int, x1: int) -> Planes:
    """Return a row of a master, from one column to another."""
    values, noise, flags = planes
    if len(values) == 1:
        return values[0, : x1 - x0], noise[0, : x1 - x0], flags[0, : x1 - x0]
    return values[y, x0:x1], noise[y, x0:x1], flags[y, x0:x1]


# One loop, as the time goes into waiting for the masters. No divisor can be 0, and looking for
# one, as Python does, would keep the loop from being vectorised. No
# product is fused with a sum: which are would differ from where the loop was linked to where it is
# loaded, and with it the last bit of the variance.
@njit(cache=True, nogil=True, error_model="numpy")
def reduce_row(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    raw: Floats,
    level: float,
    row: Planes,
    under: tuple[Planes, Planes],
    flat: Planes,
    noise: tuple[float, float, float],
    factors: tuple[float, float, float, float],
    limits: tuple[float, float, float],
    bits: Flags,
) -> None:
    """Reduce one row, of its own or of the amplifier's width: as `reduce_rows`.

    With the flat f, ``var(s / f) = (var(s) + (s / f)^2 var(f)) / f^2``; a pixel where it is too
    low is not divided. A raw value that is no number becomes 0, with variance 0.
    """
    value, variance, flags = row
    bias, bias_noise, bias_flags = under[0]
    dark, dark_noise, dark_flags = under[1]
    response, response_noise, response_flags = flat
    none, zero, one = np.uint16(0), np.float32(0), np.float32(1)
    floor, base, slope = np.float32(noise[0]), np.float32(noise[1]), np.float32(noise[2])
    by_bias, by_dark = np.float32(factors[0]), np.float32(factors[1])
    by_dark_noise, again = np.float32(factors[2]), np.float32(factors[3])
    top, gain, low = np.float32(limits[0]), np.float32(limits[1]), np.float32(limits[2])
    full, unknown, bad, unusable = bits[0], bits[1], bits[2], bits[3]
    for k in range(raw.size):
        v = raw[k]
        known = abs(v) < np.float32(np.inf)
        s = (v if known else zero) - np.float32(level) - bias[k]
        w = floor + bias_noise[k] * by_bias
        w += max(s - base, zero) * slope
        s -= dark[k] * by_dark
        w += dark_noise[k] * by_dark_noise
        s -= bias[k] * again
        lit = response[k] > low
        by = one / (response[k] if lit else one)
        s = s * gain * by
        w = (w * gain * gain + s * (s * (response_noise[k] if lit else zero))) * by * by
        value[k] = s if known else zero
        variance[k] = w if known else zero
        # Sixteen bits stay sixteen bits only where every result is said to be so.
        own = np.uint16(np.uint16(bias_flags[k] | dark_flags[k] | response_flags[k]) & unusable)
        state = (full if v >= top else none) if known else unknown
        flags[k] = np.uint16(state | (none if lit and own == none else bad))


@njit(cache=True, nogil=True)
def count_flags(flags: Flags, counts: npt.NDArray[np.int64]) -> None:
    """Add to `counts` how many pixels carry each of the sixteen bits, and how many any."""
    for start in range(0, flags.size, COUNTED):
        some = flags[start : start + COUNTED]
        seen = np.uint16(0)
        for k in range(some.size):
            seen |= some[k]
        if seen == np.uint16(0):
            continue
        for k in range(some.size):
            if some[k]:
                counts[16] += 1
                for bit in range(16):
                    counts[bit] += (some[k] >> np.uint16(bit)) & np.uint16(1)


@njit(cache=True, nogil=True)
def mark_columns(mask: Flags, x0: int, bits: int, found: npt.NDArray[np.bool_]) -> None:
    """Mark the columns, from `x0` on, in which a pixel carries any of some flags."""
    wanted = np.uint16(bits)
    for r in range(mask.shape[0]):
        row = mask[r, x0 : x0 + found.size]
        for start in range(0, row.size, COUNTED):
            some = row[start : start + COUNTED]
            seen = np.uint16(0)
            for k in range(some.size):
                seen |= some[k]
            if seen & wanted:
                for k in range(some.size):
                    found[start + k] |= some[k] & wanted != np.uint16(0)


@njit(cache=True, nogil=True)
def bleed_columns(
    raw: Floats,
    mask: Flags,
    columns: Columns,
    rows: tuple[int, int],
    bit: int,
    limits: tuple[int, float, int],
) -> None:
    """Flag what bleeds from runs of saturated pixels along some columns, in place.

    `rows` are the first of the columns' rows and the one after the last. `limits` holds the least
    run that bleeds, the value above which its neighbours in the column are followed from either
    end, and how many pixels more are flagged.
    """
    run, level, grow = limits
    (top, end), flag = rows, np.uint16(bit)
    for x in columns:
        y = top
        while y < end:
            last = end_of_run(mask, x, y, end, flag)
            if last - y < run:
                y = last + 1
                continue
            while y > top and raw[y - 1, x] >= level:
                y -= 1
            while last < end and raw[last, x] >= level:
                last += 1
            for k in range(max(top, y - grow), min(end, last + grow)):
                mask[k, x] |= flag
            y = last + grow


@njit(cache=True, nogil=True)
def end_of_run(mask: Flags, x: int, y: int, end: int, flag: np.uint16) -> int:
    """Return the row after the last of a run of flagged pixels that begins at a row."""
    while y < end and mask[y, x] & flag:
        y += 1
    return y
