"""Inner loops of detection: a matched filter over a frame, and what of it belongs together."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.mesh import Pixels, surface_row

Plane = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]
BLOCK = 64  # pixels of a row that are passed over together where none is above the threshold
FIRST_RUNS, FIRST_VALUES = 1 << 14, 1 << 17  # room that is made for them at first
LEAST_SHARE = np.float32(0.25)  # of the measured variance, that a pixel's own is believed down to
TOO_BRIGHT = np.float32(1e18)  # of a pixel: its square is no number any more


class Sky(NamedTuple):
    """Surfaces of the sky and its noise, as `reduction.kernels.mesh.surface_row` takes them."""

    level: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]
    starts: Indices
    middles: Floats


class Filter(NamedTuple):
    """A symmetrical separable filter, one axis of it, and what counts as found."""

    taps: Plane
    threshold: np.float32


class Runs(NamedTuple):
    """Stretches of pixels of rows that are above the threshold, and their sharper values."""

    y: Ints
    x0: Ints
    x1: Ints
    values: Plane


class Members(NamedTuple):
    """Pixels above the threshold, those that belong together one after another."""

    first: Indices  # of each group, and one past the last
    y: Ints
    x: Ints
    values: Plane


@njit(cache=True, nogil=True)
def find_runs(
    pixels: Pixels, variance: Plane, sky: Sky, matched: Filter, rows: tuple[int, int], most: int
) -> tuple[Runs, bool]:
    """Return what of some rows is above the threshold, and whether that is all of it.

    The signal to noise of a source as wide as the filter at a pixel is
    ``sum(k d / v) / sqrt(sum(k^2 / v))`` with the light above the sky d and its variance v; both
    sums are made row by row, first along the row, then over the last few rows.
    """
    ny, nx = pixels.data.shape
    n_taps = matched.taps.size
    reach = n_taps // 2
    lights, weights = np.zeros((n_taps, nx), np.float32), np.zeros((n_taps, nx), np.float32)
    sums, norms = np.empty(nx, np.float32), np.empty(nx, np.float32)
    scratch = np.empty((2, nx), np.float32)
    square = matched.taps * matched.taps
    rows_of_light = np.zeros((n_taps, nx + 2 * reach), np.float32)
    rows_of_weight = np.zeros((n_taps, nx + 2 * reach), np.float32)
    y, x0, x1, values = first_room()
    n_runs, n_values = 0, 0
    for j in range(rows[0] - reach, rows[1] + reach):
        slot = (j + n_taps) % n_taps
        light, weight = rows_of_light[slot], rows_of_weight[slot]
        if 0 <= j < ny:
            weigh_row(
                (pixels.data[j], pixels.mask[j], variance[j]),
                pixels.bits,
                (sky, j),
                scratch,
                light[reach : reach + nx],
                weight[reach : reach + nx],
            )
            along_row(light, matched.taps, lights[slot])
            along_row(weight, square, weights[slot])
        else:
            light[:], weight[:] = 0, 0
            lights[slot], weights[slot] = 0, 0
        at = j - reach
        if at < rows[0]:
            continue
        over_rows(lights, (at + n_taps) % n_taps, matched.taps, sums)
        over_rows(weights, (at + n_taps) % n_taps, square, norms)
        if n_runs + nx // 2 + 1 > y.size:
            y, x0, x1 = twice(y), twice(x0), twice(x1)
        if n_values + nx > values.size:
            if n_values > most:
                return Runs(y[:n_runs], x0[:n_runs], x1[:n_runs], values[:n_values]), False
            values = twice(values)
        found = (y[n_runs:], x0[n_runs:], x1[n_runs:])
        more = runs_of_row(sums, norms, matched.threshold, at, found)
        ring = (rows_of_light[:, reach - 1 :], rows_of_weight[:, reach - 1 :])
        taken = 0
        for r in range(more):
            columns = (x0[n_runs + r], x1[n_runs + r])
            sharper(ring, (at + n_taps) % n_taps, columns, values[n_values + taken :])
            taken += columns[1] - columns[0]
        n_runs += more
        n_values += taken
    return Runs(y[:n_runs], x0[:n_runs], x1[:n_runs], values[:n_values]), True


@njit(cache=True, nogil=True)
def first_room() -> tuple[Ints, Ints, Ints, Plane]:
    """Return room for the first runs and their values."""
    return (
        np.empty(FIRST_RUNS, np.int32),
        np.empty(FIRST_RUNS, np.int32),
        np.empty(FIRST_RUNS, np.int32),
        np.empty(FIRST_VALUES, np.float32),
    )


@njit(cache=True, nogil=True)
def twice(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array with room for twice as much."""
    longer = np.empty(2 * a.size, a.dtype)
    longer[: a.size] = a
    return longer


@njit(cache=True, nogil=True, fastmath={"contract", "arcp"})
def weigh_row(
    row: tuple[Plane, npt.NDArray[np.uint16], Plane],
    bits: np.uint16,
    sky: tuple[Sky, int],
    scratch: Plane,
    light: Plane,
    weight: Plane,
) -> None:
    """Write light over variance and one over variance of a row's pixels, 0 of those no good.

    The variance is the sky's, as measured, or the pixel's own where that is smaller: a star's
    photons make it no fainter.
    """
    data, mask, variance = row
    surfaces, j = sky
    level, noise = scratch[0], scratch[1]
    surface_row(surfaces.level[j], surfaces.starts, surfaces.middles, level)
    surface_row(surfaces.noise[j], surfaces.starts, surfaces.middles, noise)
    for i in range(data.size):
        v = data[i] - level[i]
        good = (abs(v) < TOO_BRIGHT) & ((mask[i] & bits) == 0)
        measured = noise[i] * noise[i]
        own = variance[i] if variance[i] < measured else measured
        own = own if own > LEAST_SHARE * measured else LEAST_SHARE * measured
        w = np.float32(1) / own
        weight[i] = w if good else np.float32(0)
        light[i] = v * w if good else np.float32(0)


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def along_row(padded: Plane, taps: Plane, out: Plane) -> None:
    """Write a row filtered along itself; it is longer by the filter's reach at either end."""
    n = out.size
    reach = taps.size // 2
    centre = padded[reach : reach + n]
    middle = taps[reach]
    one = taps[reach - 1]
    left, right = padded[reach - 1 : reach - 1 + n], padded[reach + 1 : reach + 1 + n]
    for i in range(n):
        out[i] = middle * centre[i] + one * (left[i] + right[i])
    for t in range(2, reach + 1):
        k = taps[reach - t]
        left, right = padded[reach - t : reach - t + n], padded[reach + t : reach + t + n]
        for i in range(n):
            out[i] += k * (left[i] + right[i])


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def over_rows(ring: Plane, slot: int, taps: Plane, out: Plane) -> None:
    """Write a row filtered over the rows around it, which lie in a ring."""
    n = taps.size
    reach = n // 2
    centre, above, below = ring[slot], ring[(slot + n - 1) % n], ring[(slot + 1) % n]
    middle, one = taps[reach], taps[reach - 1]
    for i in range(out.size):
        out[i] = middle * centre[i] + one * (above[i] + below[i])
    for t in range(2, reach + 1):
        k = taps[reach - t]
        above, below = ring[(slot + n - t) % n], ring[(slot + t) % n]
        for i in range(out.size):
            out[i] += k * (above[i] + below[i])


@njit(cache=True, nogil=True)
def runs_of_row(
    sums: Plane, norms: Plane, threshold: np.float32, at: int, found: tuple[Ints, Ints, Ints]
) -> int:
    """Write the runs of one row, and return how many there are."""
    y, x0, x1 = found
    limit = threshold * threshold
    n, inside = 0, False
    for begin in range(0, sums.size, BLOCK):
        end = min(sums.size, begin + BLOCK)
        if not inside and not is_any_above(sums[begin:end], norms[begin:end], limit):
            continue
        for i in range(begin, end):
            s, v = sums[i], norms[i]
            above = s > 0 and s * s >= limit * v
            if above and not inside:
                y[n], x0[n] = at, i
            elif inside and not above:
                x1[n] = i
                n += 1
            inside = above
    if inside:
        x1[n] = sums.size
        n += 1
    return n


@njit(cache=True, nogil=True, fastmath={"contract"})
def sharper(ring: tuple[Plane, Plane], slot: int, columns: tuple[int, int], values: Plane) -> None:
    """Write the signal to noise of a run's pixels with a filter of three by three pixels.

    The matched filter joins what is close; in this one neighbours are still apart.
    """
    light, weight = ring
    n = light.shape[0]
    above, below = (slot + n - 1) % n, (slot + 1) % n
    two, four = np.float32(2), np.float32(4)
    sixteen = np.float32(16)
    for i in range(columns[0], columns[1]):
        s, v = np.float32(0), np.float32(0)
        for k in (above, below):
            s += light[k, i] + two * light[k, i + 1] + light[k, i + 2]
            v += weight[k, i] + four * weight[k, i + 1] + weight[k, i + 2]
        s += two * (light[slot, i] + two * light[slot, i + 1] + light[slot, i + 2])
        v += four * (weight[slot, i] + weight[slot, i + 2]) + sixteen * weight[slot, i + 1]
        values[i - columns[0]] = s / np.sqrt(v) if v > 0 else np.float32(0)


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def is_any_above(sums: Plane, norms: Plane, limit: np.float32) -> bool:
    """Return whether any pixel of a stretch may be above the threshold."""
    n = np.int32(0)
    for i in range(sums.size):
        s = sums[i]
        n += np.int32((s > 0) & (s * s >= limit * norms[i]))
    return bool(n > 0)


@njit(cache=True, nogil=True)
def group(runs: Runs) -> Members:
    """Return the pixels of runs that touch, corners included, group by group."""
    parent = joined(runs)
    number = np.empty(parent.size, np.int64)
    n_groups = 0
    for r in range(parent.size):
        if parent[r] == r:
            number[r] = n_groups
            n_groups += 1
        else:
            number[r] = number[parent[r]]  # a group's first run has the least number
    first = np.zeros(n_groups + 1, np.int64)
    for r in range(parent.size):
        first[number[r] + 1] += runs.x1[r] - runs.x0[r]
    for g in range(n_groups):
        first[g + 1] += first[g]
    to = first[:-1].copy()
    n = runs.values.size
    y, x, values = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.float32)
    k = 0
    for r in range(parent.size):
        p = to[number[r]]
        for i in range(runs.x0[r], runs.x1[r]):
            y[p], x[p], values[p] = runs.y[r], i, runs.values[k]
            p += 1
            k += 1
        to[number[r]] = p
    return Members(first, y, x, values)


@njit(cache=True, nogil=True)
def joined(runs: Runs) -> Indices:
    """Return the first run of the group of each."""
    n = runs.y.size
    parent = np.arange(n)
    above, above_end, k = 0, 0, 0
    while k < n:
        end = k
        while end < n and runs.y[end] == runs.y[k]:
            end += 1
        if above_end > above and runs.y[above] == runs.y[k] - 1:
            join_rows(runs, (above, above_end), (k, end), parent)
        above, above_end, k = k, end, end
    for r in range(n):
        parent[r] = root(parent, r)
    return parent


@njit(cache=True, nogil=True)
def join_rows(runs: Runs, above: tuple[int, int], below: tuple[int, int], parent: Indices) -> None:
    """Join the runs of a row with those they touch in the row before."""
    t = above[0]
    for r in range(below[0], below[1]):
        while t < above[1] and runs.x1[t] < runs.x0[r]:
            t += 1
        u = t
        while u < above[1] and runs.x0[u] <= runs.x1[r]:
            a, b = root(parent, r), root(parent, u)
            parent[max(a, b)] = min(a, b)
            u += 1


@njit(cache=True, nogil=True)
def root(parent: Indices, k: int) -> int:
    """Return what stands for the group of an element, and shorten the way to it."""
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k
