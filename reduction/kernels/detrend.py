"""Inner loops of reducing a band of rows: bias, dark, flat, gain, variance, flags."""

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.uint16]
Columns = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def flag_raw(rows: Floats, saturation: float, saturated: int, no_data: int, mask: Flags) -> None:
    """Write the flags that raw values give: at or above saturation, or not a number (set to 0)."""
    top, full, unknown = np.float32(saturation), np.uint16(saturated), np.uint16(no_data)
    for r in range(rows.shape[0]):
        row, dq = rows[r], mask[r]
        for k in range(row.size):
            v = row[k]
            known = abs(v) < np.float32(np.inf)
            dq[k] = (full if v >= top else np.uint16(0)) if known else unknown
            row[k] = v if known else np.float32(0)


@njit(cache=True, nogil=True, fastmath={"contract"})
def zero_rows(rows: Floats, levels: Floats, variance: Floats, constant: float) -> None:
    """Subtract each row's level in place and set the variance to a constant."""
    noise = np.float32(constant)
    for r in range(rows.shape[0]):
        row, var, level = rows[r], variance[r], levels[r]
        for k in range(row.size):
            row[k] -= level
            var[k] = noise


@njit(cache=True, nogil=True, fastmath={"contract"})
def subtract_master(
    rows: Floats, variance: Floats, plane: Floats, noise: Floats, factors: tuple[float, float]
) -> None:
    """Subtract a multiple of a master and add a multiple of its variance, in place."""
    by, by_noise = np.float32(factors[0]), np.float32(factors[1])
    for r in range(rows.shape[0]):
        row, var, minus, plus = rows[r], variance[r], plane[r], noise[r]
        for k in range(row.size):
            row[k] -= minus[k] * by
            var[k] += plus[k] * by_noise


@njit(cache=True, nogil=True, fastmath={"contract"})
def add_photon_noise(rows: Floats, variance: Floats, zero: float, per_adu: float) -> None:
    """Add to the variance `per_adu` for every ADU above `zero`."""
    base, slope = np.float32(zero), np.float32(per_adu)
    for r in range(rows.shape[0]):
        row, var = rows[r], variance[r]
        for k in range(row.size):
            var[k] += max(row[k] - base, np.float32(0)) * slope


@njit(cache=True, nogil=True, fastmath={"contract"})
def scale_rows(rows: Floats, variance: Floats, gain: float) -> None:
    """Multiply rows by the gain and their variance by its square, in place."""
    g = np.float32(gain)
    g2 = g * g
    for r in range(rows.shape[0]):
        row, var = rows[r], variance[r]
        for k in range(row.size):
            row[k] *= g
            var[k] *= g2


@njit(cache=True, nogil=True, fastmath={"contract"})
def divide_flat(rows: Floats, variance: Floats, flat: Floats, noise: Floats, least: float) -> None:
    """Divide by a flat in place: ``var(s / f) = (var(s) + (s / f)^2 var(f)) / f^2``.

    A pixel where the flat is not above `least` stays as it is.
    """
    low = np.float32(least)
    for r in range(rows.shape[0]):
        row, var, f, vf = rows[r], variance[r], flat[r], noise[r]
        for k in range(row.size):
            lit = f[k] > low
            by = np.float32(1) / (f[k] if lit else np.float32(1))
            s = row[k] * by
            extra = s * s * vf[k] if lit else np.float32(0)
            row[k] = s
            var[k] = (var[k] + extra) * by * by


@njit(cache=True, nogil=True)
def take_flags(mask: Flags, master: Flags, any_of: int, becomes: int) -> None:
    """Flag pixels that a master flags with any of some bits."""
    bits, bad = np.uint16(any_of), np.uint16(becomes)
    for r in range(mask.shape[0]):
        dq, own = mask[r], master[r]
        for k in range(dq.size):
            dq[k] |= bad if own[k] & bits else np.uint16(0)


@njit(cache=True, nogil=True)
def flag_below(mask: Flags, plane: Floats, least: float, becomes: int) -> None:
    """Flag pixels where a plane is not above a value."""
    low, bad = np.float32(least), np.uint16(becomes)
    for r in range(mask.shape[0]):
        dq, own = mask[r], plane[r]
        for k in range(dq.size):
            dq[k] |= np.uint16(0) if own[k] > low else bad


@njit(cache=True, nogil=True)
def empty_flagged(rows: Floats, variance: Floats, mask: Flags, bits: int) -> None:
    """Set value and variance of pixels with any of some flags to 0."""
    unknown = np.uint16(bits)
    for r in range(rows.shape[0]):
        row, var, dq = rows[r], variance[r], mask[r]
        for k in range(row.size):
            gone = dq[k] & unknown != np.uint16(0)
            row[k] = np.float32(0) if gone else row[k]
            var[k] = np.float32(0) if gone else var[k]


@njit(cache=True, nogil=True)
def count_flags(mask: Flags, counts: npt.NDArray[np.int64]) -> None:
    """Add to `counts` how many pixels carry each of the sixteen bits."""
    for r in range(mask.shape[0]):
        row = mask[r]
        flagged = np.uint16(0)
        for k in range(row.size):
            flagged |= row[k]
        if flagged == np.uint16(0):
            continue
        for bit in range(16):
            if flagged & np.uint16(1 << bit):
                n = 0
                for k in range(row.size):
                    n += (row[k] >> np.uint16(bit)) & np.uint16(1)
                counts[bit] += n


@njit(cache=True, nogil=True)
def bleed_columns(
    raw: Floats, mask: Flags, columns: Columns, bit: int, limits: tuple[int, float, int]
) -> None:
    """Flag what bleeds from runs of saturated pixels along some columns, in place.

    `limits` holds the least run that bleeds, the value above which its neighbours in the column
    are followed from either end, and how many pixels more are flagged.
    """
    run, level, grow = limits
    ny, flag = mask.shape[0], np.uint16(bit)
    for x in columns:
        y = 0
        while y < ny:
            last = end_of_run(mask, x, y, flag)
            if last - y < run:
                y = last + 1
                continue
            while y > 0 and raw[y - 1, x] >= level:
                y -= 1
            while last < ny and raw[last, x] >= level:
                last += 1
            for k in range(max(0, y - grow), min(ny, last + grow)):
                mask[k, x] |= flag
            y = last + grow


@njit(cache=True, nogil=True)
def end_of_run(mask: Flags, x: int, y: int, flag: np.uint16) -> int:
    """Return the row after the last of a run of flagged pixels that begins at a row."""
    while y < mask.shape[0] and mask[y, x] & flag:
        y += 1
    return y
