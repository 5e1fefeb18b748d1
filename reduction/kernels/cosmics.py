"""Inner loops of finding particle hits by their sharp edges, only where there are any.

The Laplacian of the twice oversampled image, cut at zero and averaged back, has a closed form on
the native grid, so one pass gives it everywhere. The medians the method needs besides (noise,
smooth part, fine structure) are taken only where the Laplacian passes what the least noise of the
frame demands, and later rounds look only around what the round before changed.

All windows are cut off at the edge of the frame, where a missing neighbour counts as the pixel.
"""

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int32]

# noise of a pixel, smooth part of the Laplacian (half sides of their windows): 5 x 5 both
NOISE_HALF = 2
SMOOTH_HALF = 2
FINE_HALF = 1  # fine structure: a median over 3 x 3 ...
COARSE_HALF = 3  # ... less its own median over 7 x 7
REACH = 4  # a changed pixel alters the verdict on others this far away
CHUNK = 32  # pixels of the Laplacian looked at together
LEAST_VARIANCE = np.float32(1e-5)
LEAST_STRUCTURE = np.float32(0.01)


@njit(cache=True, nogil=True)
def laplacian_row(above: Floats, row: Floats, below: Floats, out: Floats) -> None:
    """Write the clipped, oversampled Laplacian of a row (its ends are left to `laplacian`)."""
    zero = np.float32(0)
    for i in range(1, row.size - 1):
        t = row[i] + row[i]
        left, right, up, down = row[i - 1], row[i + 1], above[i], below[i]
        total = max(zero, t - left - up) + max(zero, t - up - right)
        total += max(zero, t - right - down) + max(zero, t - down - left)
        out[i] = total * np.float32(0.25)


@njit(cache=True, nogil=True)
def laplacian(image: Floats, y: int, x: int) -> np.float32:
    """Return the clipped, oversampled Laplacian of one pixel."""
    ny, nx = image.shape
    t = image[y, x] + image[y, x]
    left, right = image[y, max(0, x - 1)], image[y, min(nx - 1, x + 1)]
    up, down = image[max(0, y - 1), x], image[min(ny - 1, y + 1), x]
    zero = np.float32(0)
    total = max(zero, t - left - up) + max(zero, t - up - right)
    total += max(zero, t - right - down) + max(zero, t - down - left)
    return np.float32(total * np.float32(0.25))


@njit(cache=True, nogil=True)
def median_of(values: Floats, n: int) -> np.float32:
    """Return the median of the first `n` values (the upper of the two in the middle); sorts."""
    for a in range(1, n):
        v = values[a]
        b = a
        while b > 0 and values[b - 1] > v:
            values[b] = values[b - 1]
            b -= 1
        values[b] = v
    return np.float32(values[n // 2])


@njit(cache=True, nogil=True)
def window_median(plane: Floats, y: int, x: int, half: int, work: Floats) -> np.float32:
    """Return the median of a square window around a pixel."""
    ny, nx = plane.shape
    n = 0
    for j in range(max(0, y - half), min(ny, y + half + 1)):
        for i in range(max(0, x - half), min(nx, x + half + 1)):
            work[n] = plane[j, i]
            n += 1
    return median_of(work, n)


@njit(cache=True, nogil=True)
def noise_at(variance: Floats, noise: Floats, y: int, x: int, work: Floats) -> np.float32:
    """Return the noise of a pixel from the median variance around it, remembering it."""
    if noise[y, x] == 0:
        around = window_median(variance, y, x, NOISE_HALF, work)
        noise[y, x] = np.sqrt(np.float32(max(around, LEAST_VARIANCE)))
    return np.float32(noise[y, x])


@njit(cache=True, nogil=True)
def edge_at(
    planes: tuple[Floats, Floats, Floats], y: int, x: int, work: tuple[Floats, Floats]
) -> np.float32:
    """Return by how many times the noise a pixel's Laplacian stands out of the smooth part."""
    image, variance, noise = planes
    ny, nx = image.shape
    n = 0
    own = np.float32(0)
    for j in range(max(0, y - SMOOTH_HALF), min(ny, y + SMOOTH_HALF + 1)):
        for i in range(max(0, x - SMOOTH_HALF), min(nx, x + SMOOTH_HALF + 1)):
            scaled = laplacian(image, j, i) / (2 * noise_at(variance, noise, j, i, work[0]))
            work[1][n] = scaled
            n += 1
            if j == y and i == x:
                own = np.float32(scaled)
    return np.float32(own - median_of(work[1], n))


@njit(cache=True, nogil=True)
def stands_out(
    planes: tuple[Floats, Floats, Floats],
    y: int,
    x: int,
    threshold: float,
    work: tuple[Floats, Floats],
) -> bool:
    """Tell whether `edge_at` passes a threshold.

    The smooth part is never below zero: where the pixel's own edge is too small, which most are
    near stars, the medians of all its neighbours need not be taken.
    """
    image, variance, noise = planes
    own = laplacian(image, y, x) / (2 * noise_at(variance, noise, y, x, work[0]))
    return bool(own > threshold and edge_at(planes, y, x, work) > threshold)


@njit(cache=True, nogil=True)
def structure_at(
    planes: tuple[Floats, Floats, Floats], y: int, x: int, work: tuple[Floats, Floats]
) -> np.float32:
    """Return the fine structure at a pixel, in units of its noise: large where a star is."""
    image, variance, noise = planes
    ny, nx = image.shape
    fine = window_median(image, y, x, FINE_HALF, work[0])
    n = 0
    for j in range(max(0, y - COARSE_HALF), min(ny, y + COARSE_HALF + 1)):
        for i in range(max(0, x - COARSE_HALF), min(nx, x + COARSE_HALF + 1)):
            work[1][n] = window_median(image, j, i, FINE_HALF, work[0])
            n += 1
    smooth = median_of(work[1], n)
    scaled = (fine - smooth) / noise_at(variance, noise, y, x, work[0])
    return np.float32(max(np.float32(scaled), LEAST_STRUCTURE))


@njit(cache=True, nogil=True)
def is_hit(
    planes: tuple[Floats, Floats, Floats],
    y: int,
    x: int,
    limits: tuple[float, float],
    work: tuple[Floats, Floats],
) -> bool:
    """Tell whether a pixel's edge passes the noise, and the structure a star would have."""
    if not stands_out(planes, y, x, limits[0], work):
        return False
    edge = edge_at(planes, y, x, work)
    return bool(edge / structure_at(planes, y, x, work) > limits[1])


@njit(cache=True, nogil=True)
def first_look(
    planes: tuple[Floats, Floats, Floats],
    excluded: Bools,
    rows: tuple[int, int],
    least: float,
    limits: tuple[float, float],
) -> Places:
    """Return the hits among some rows, as (y, x) pairs, none with a Laplacian up to `least`."""
    image = planes[0]
    ny, nx = image.shape
    edges = np.zeros(nx, np.float32)
    work = np.empty(64, np.float32), np.empty(64, np.float32)
    found = np.empty((256, 2), np.int32)
    n = 0
    low = np.float32(least)
    for y in range(rows[0], rows[1]):
        laplacian_row(image[max(0, y - 1)], image[y], image[min(ny - 1, y + 1)], edges)
        edges[0], edges[nx - 1] = laplacian(image, y, 0), laplacian(image, y, nx - 1)
        for start in range(0, nx, CHUNK):
            stop = min(nx, start + CHUNK)
            high = False
            for x in range(start, stop):
                high |= edges[x] > low
            if not high:
                continue
            for x in range(start, stop):
                if edges[x] > low and not excluded[y, x] and is_hit(planes, y, x, limits, work):
                    if n == len(found):
                        found = np.concatenate((found, np.empty_like(found)))
                    found[n, 0], found[n, 1] = y, x
                    n += 1
    return found[:n].copy()


@njit(cache=True, nogil=True)
def grow_hits(
    planes: tuple[Floats, Floats, Floats],
    excluded: Bools,
    hits: Bools,
    seeds: Places,
    thresholds: tuple[float, float],
) -> Places:
    """Mark seeds, then twice their 3 x 3 neighbours over a threshold, in `hits`; return all marked.

    Pixels hit in an earlier round are marked no more, but their neighbours still are looked at
    when they are seeds again.
    """
    image = planes[0]
    ny, nx = image.shape
    work = np.empty(64, np.float32), np.empty(64, np.float32)
    marked = np.empty((max(256, 2 * len(seeds)), 2), np.int32)
    n = 0
    for k in range(len(seeds)):
        hits[seeds[k, 0], seeds[k, 1]] = True
        marked[n] = seeds[k]
        n += 1
    for threshold in thresholds:
        border = n
        for k in range(border):
            y, x = marked[k, 0], marked[k, 1]
            for j in range(max(0, y - 1), min(ny, y + 2)):
                for i in range(max(0, x - 1), min(nx, x + 2)):
                    new = not (hits[j, i] or excluded[j, i])
                    if new and stands_out(planes, j, i, threshold, work):
                        hits[j, i] = True
                        if n == len(marked):
                            marked = np.concatenate((marked, np.empty_like(marked)))
                        marked[n, 0], marked[n, 1] = j, i
                        n += 1
    return marked[:n].copy()


@njit(cache=True, nogil=True)
def fill_places(
    plane: Floats, avoid: tuple[Bools, Bools], places: Places, otherwise: float
) -> None:
    """Replace pixels by the median of those around them that are in neither of two masks."""
    ny, nx = plane.shape
    work = np.empty(64, np.float32)
    values = np.empty(len(places), np.float32)
    for k in range(len(places)):
        y, x = places[k]
        n = 0
        for j in range(max(0, y - 2), min(ny, y + 3)):
            for i in range(max(0, x - 2), min(nx, x + 3)):
                if not avoid[0][j, i] and not avoid[1][j, i]:
                    work[n] = plane[j, i]
                    n += 1
        values[k] = median_of(work, n) if n else np.float32(otherwise)
    for k in range(len(places)):
        plane[places[k, 0], places[k, 1]] = values[k]


@njit(cache=True, nogil=True)
def forget_noise(noise: Floats, changed: Places) -> None:
    """Clear the remembered noise around pixels that changed."""
    ny, nx = noise.shape
    for k in range(len(changed)):
        y, x = changed[k]
        for j in range(max(0, y - NOISE_HALF), min(ny, y + NOISE_HALF + 1)):
            for i in range(max(0, x - NOISE_HALF), min(nx, x + NOISE_HALF + 1)):
                noise[j, i] = np.float32(0)


@njit(cache=True, nogil=True)
def places_near(
    image: Floats, excluded: Bools, changed: Places, least: float, near: Bools
) -> Places:
    """Return pixels with an edge above `least` within reach of changed ones, each once.

    `near` must be False everywhere, and is so again afterwards.
    """
    ny, nx = image.shape
    side = 2 * REACH + 1
    found = np.empty((side * side * len(changed), 2), np.int32)
    n = 0
    for k in range(len(changed)):
        y, x = changed[k]
        for j in range(max(0, y - REACH), min(ny, y + REACH + 1)):
            for i in range(max(0, x - REACH), min(nx, x + REACH + 1)):
                if laplacian(image, j, i) > least and not excluded[j, i] and not near[j, i]:
                    near[j, i] = True
                    found[n, 0], found[n, 1] = j, i
                    n += 1
    for k in range(n):
        near[found[k, 0], found[k, 1]] = False
    return found[:n].copy()


@njit(cache=True, nogil=True)
def look_again(
    planes: tuple[Floats, Floats, Floats], places: Places, limits: tuple[float, float]
) -> Places:
    """Return which of some places are hits."""
    work = np.empty(64, np.float32), np.empty(64, np.float32)
    found = np.empty_like(places)
    n = 0
    for k in range(len(places)):
        if is_hit(planes, places[k, 0], places[k, 1], limits, work):
            found[n] = places[k]
            n += 1
    return found[:n].copy()


@njit(cache=True, nogil=True)
def surround_stars(image: Floats, full: Places, share: float, half: int, stars: Bools) -> None:
    """Mark the surroundings of saturated pixels where these are bright too: a star is, no hit."""
    work = np.empty((2 * half + 1) ** 2, np.float32)
    for k in range(len(full)):
        y, x = full[k]
        if window_median(image, y, x, half, work) > share * image[y, x]:
            top, left = max(0, y - half), max(0, x - half)
            stars[top : y + half + 1, left : x + half + 1] = True
