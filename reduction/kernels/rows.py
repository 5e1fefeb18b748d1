"""Inner loops between files and values: their bytes, their zero level, their checksums."""

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.past_caches import LINE, put_lines, settle, to_next_line

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.uint16]
Words = npt.NDArray[np.uint32]

TOGETHER = 1024  # values turned while the first cache holds them


@njit(cache=True, nogil=True)
def decode_halves(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    out: Floats,
    raw: Halves,
    start: int,
    stride: int,
    flip_x: bool,
    swap: bool,
    sign: int,
    base: float,
) -> None:
    """Decode rows of 16-bit whole numbers; `sign` is 0x8000 where they are signed, else 0.

    Exclusive-or with the sign bit turns a signed number into an unsigned one 32768 higher, which
    `base` takes back: one loop serves both, in any byte order.
    """
    rows, nx = out.shape
    flip = np.uint16(sign)
    shift = np.float32(base)
    for r in range(rows):
        row = raw[start + r * stride : start + r * stride + nx]
        dst = out[r]
        if swap:
            for k in range(nx):
                v = row[k]
                dst[k] = (
                    np.float32(np.uint16((v << np.uint16(8)) | (v >> np.uint16(8))) ^ flip) + shift
                )
        else:
            for k in range(nx):
                dst[k] = np.float32(row[k] ^ flip) + shift
        if flip_x:
            reverse(dst)


@njit(cache=True, nogil=True)
def decode_words(  # noqa: PLR0913 - a compiled loop takes its arrays one by one
    out: Floats, raw: Words, start: int, stride: int, flip_x: bool, swap: bool, base: float
) -> None:
    """Decode rows of 32-bit floats, given as their bits, in any byte order."""
    rows, nx = out.shape
    shift = np.float32(base)
    bits = out.view(np.uint32)
    for r in range(rows):
        row = raw[start + r * stride : start + r * stride + nx]
        dst = bits[r]
        if swap:
            for k in range(nx):
                v = row[k]
                dst[k] = (
                    ((v & np.uint32(0xFF)) << np.uint32(24))
                    | ((v & np.uint32(0xFF00)) << np.uint32(8))
                    | ((v >> np.uint32(8)) & np.uint32(0xFF00))
                    | (v >> np.uint32(24))
                )
        else:
            for k in range(nx):
                dst[k] = row[k]
        if shift != 0:
            for k in range(nx):
                out[r, k] += shift
        if flip_x:
            reverse(out[r])


@njit(cache=True, nogil=True)
def reverse(row: Floats) -> None:
    """Mirror a row in place."""
    n = row.size
    for k in range(n // 2):
        row[k], row[n - 1 - k] = row[n - 1 - k], row[k]


@njit(cache=True, nogil=True)
def level_rows(rows: Floats, levels: Floats, ceiling: float, scale: float, shift: float) -> None:
    """Turn raw rows into values to combine: ``(raw - level) * scale + shift``, in place.

    A raw value at or above `ceiling` becomes NaN.
    """
    top, factor, plus = np.float32(ceiling), np.float32(scale), np.float32(shift)
    for r in range(rows.shape[0]):
        level = levels[r]
        row = rows[r]
        for k in range(row.size):
            v = row[k]
            row[k] = np.float32(np.nan) if v >= top else (v - level) * factor + plus


@njit(cache=True, nogil=True)
def subtract_rows(rows: Floats, plane: Floats, factor: float) -> None:
    """Subtract ``plane * factor`` from rows in place."""
    by = np.float32(factor)
    for r in range(rows.shape[0]):
        row, minus = rows[r], plane[r]
        for k in range(row.size):
            row[k] -= minus[k] * by


@njit(cache=True, nogil=True)
def sum_words(words: Words) -> np.uint64:
    """Return the plain sum of up to 2^32 words."""
    total = np.uint64(0)
    for k in range(words.size):
        total += np.uint64(words[k])
    return total


@njit(cache=True, nogil=True)
def store_words(words: Words, out: Words) -> np.uint64:
    """Write words in the other byte order, a file's on our machines; return their plain sum."""
    turned = np.empty(TOGETHER, np.uint32)
    at = to_next_line(out)
    total = turn_words(words, 0, at, out, 0)
    while words.size - at >= TOGETHER:
        total += turn_words(words, at, TOGETHER, turned, 0)
        put_lines(out, at, turned, TOGETHER * 4 // LINE)
        at += TOGETHER
    settle()
    return total + turn_words(words, at, words.size - at, out, at)


@njit(nogil=True)
def turn_words(words: Words, first: int, n: int, out: Words, at: int) -> np.uint64:
    """Write `n` words in the other byte order from place `at` on; return their plain sum."""
    total = np.uint64(0)
    i, j = np.uint64(first), np.uint64(at)
    for k in range(np.uint64(n)):
        v = words[i + k]
        total += np.uint64(v)
        out[j + k] = (
            ((v & np.uint32(0xFF)) << np.uint32(24))
            | ((v & np.uint32(0xFF00)) << np.uint32(8))
            | ((v >> np.uint32(8)) & np.uint32(0xFF00))
            | (v >> np.uint32(24))
        )
    return total


@njit(cache=True, nogil=True)
def sum_flags(flags: Halves) -> np.uint64:
    """Return the plain sum of the words that flags make as they are stored, the last one padded."""
    high, low = np.uint64(0), np.uint64(0)
    for k in range(flags.size // 2):
        high += np.uint64(flags[2 * k] ^ np.uint16(0x8000))
        low += np.uint64(flags[2 * k + 1] ^ np.uint16(0x8000))
    if flags.size % 2:
        high += np.uint64(flags[flags.size - 1] ^ np.uint16(0x8000))
    return (high << np.uint64(16)) + low


@njit(cache=True, nogil=True)
def store_flags(flags: Halves, out: Halves) -> np.uint64:
    """Write flags as big-endian signed numbers 32768 lower, as FITS keeps unsigned ones.

    Returns the plain sum of the words they make, as `sum_flags`: they begin with a word.
    """
    turned = np.empty(TOGETHER, np.uint16)
    at = to_next_line(out)
    turn_flags(flags, 0, at, out, 0)
    while flags.size - at >= TOGETHER:
        turn_flags(flags, at, TOGETHER, turned, 0)
        put_lines(out, at, turned, TOGETHER * 2 // LINE)
        at += TOGETHER
    settle()
    turn_flags(flags, at, flags.size - at, out, at)
    return sum_flags(flags)


@njit(nogil=True)
def turn_flags(flags: Halves, first: int, n: int, out: Halves, at: int) -> None:
    """Write `n` flags as they are stored from place `at` on."""
    i, j = np.uint64(first), np.uint64(at)
    for k in range(np.uint64(n)):
        v = flags[i + k] ^ np.uint16(0x8000)
        out[j + k] = (v << np.uint16(8)) | (v >> np.uint16(8))
