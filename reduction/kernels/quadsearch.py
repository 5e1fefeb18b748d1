"""Inner loops of the search by quads: looked up by their shape, their places weighed and kept."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.pairs import Cells
from reduction.kernels.quads import PARTS, Code, Quads, Sky, canonical, member, project, stand_at

Floats = npt.NDArray[np.float64]
Turn = tuple[float, float, float, float, float]  # pixels from a plane: factors, shift, flip
ROUND = 1.5  # times the tolerance of one value of a code, that a star may be off


class Frame(NamedTuple):
    """Stars of a frame about its middle, a map of them, its half width and height, pixels."""

    x: Floats
    y: Floats
    cells: Cells
    half_x: float
    half_y: float


class How(NamedTuple):
    """What is believed: scales in radians a pixel; tolerances of codes; what a hit tells."""

    scale_low: float
    scale_high: float
    shortest: float
    tolerance: float
    noise_pix: float
    hit: float
    miss: float


@njit(cache=True, nogil=True)
def try_newest(frame: Frame, newest: int, index: tuple[Sky, Quads], how: How, best: Floats) -> int:
    """Look up every quad of a frame's first stars that has the newest of them in it.

    The best places are kept in `best`, see `weigh`. Returns how many quads of the index were
    like one of them.
    """
    found = 0
    inside = np.zeros(newest + 1, np.int64)
    for b in range(1, newest + 1):
        for a in range(b):
            length = math.hypot(frame.x[b] - frame.x[a], frame.y[b] - frame.y[a])
            if length < how.shortest:
                continue
            n = between(frame, a, b, newest, inside)
            # Where it is not at an end, the newest must be between, the last of those there.
            if n >= 2 and (b == newest or inside[n - 1] == newest):
                tolerance = how.tolerance + how.noise_pix / length
                found += try_side(frame, (a, b, inside, n, tolerance), index, how, best)
    return found


@njit(cache=True, nogil=True)
def try_side(
    frame: Frame,
    side: tuple[int, int, npt.NDArray[np.int64], int, float],
    index: tuple[Sky, Quads],
    how: How,
    best: Floats,
) -> int:
    """Look up the quads of one longest side: its ends, the stars between, how many, tolerance."""
    a, b, inside, n, tolerance = side
    order = np.zeros(4, np.int64)
    found = 0
    for q in range(1 if inside[n - 1] < b else n - 1, n):
        for p in range(q):
            order[0], order[1], order[2], order[3] = a, b, inside[p], inside[q]
            code = canonical(frame.x, frame.y, order)
            if code[2] >= 0:
                found += look_up(frame, (order, code, tolerance), index, how, best)
    return found


@njit(cache=True, nogil=True)
def between(frame: Frame, a: int, b: int, newest: int, inside: npt.NDArray[np.int64]) -> int:
    """Write which stars lie in the circle that has two on a diameter; returns how many."""
    mx, my = (frame.x[a] + frame.x[b]) / 2, (frame.y[a] + frame.y[b]) / 2
    r2 = (frame.x[a] - mx) ** 2 + (frame.y[a] - my) ** 2
    n = 0
    for c in range(newest + 1):
        if c not in (a, b) and (frame.x[c] - mx) ** 2 + (frame.y[c] - my) ** 2 <= r2:
            inside[n] = c
            n += 1
    return n


@njit(cache=True, nogil=True)
def look_up(
    frame: Frame,
    quad: tuple[npt.NDArray[np.int64], Code, float],
    index: tuple[Sky, Quads],
    how: How,
    best: Floats,
) -> int:
    """Weigh every quad of the index whose code is like one of the frame's, mirrored or not."""
    order, code, tolerance = quad
    quads = index[1]
    n_axis = quads.n_axis
    found = 0
    for flip in (1.0, -1.0):
        c0, c1, c2, c3 = code[0], flip * code[1] + 0.5, code[2], flip * code[3] + 0.5
        for i in range(lowest(c0, tolerance, n_axis), highest(c0, tolerance, n_axis) + 1):
            for j in range(lowest(c1, tolerance, n_axis), highest(c1, tolerance, n_axis) + 1):
                for k in range(lowest(c2, tolerance, n_axis), highest(c2, tolerance, n_axis) + 1):
                    row = ((i * n_axis + j) * n_axis + k) * n_axis
                    low = quads.starts[row + lowest(c3, tolerance, n_axis)]
                    high = quads.starts[row + highest(c3, tolerance, n_axis) + 1]
                    for q in range(low, high):
                        if (
                            is_near(quads.rest[q, 0], i, c0, tolerance, n_axis)
                            and is_near(quads.rest[q, 1], j, c1, tolerance, n_axis)
                            and is_near(quads.rest[q, 2], k, c2, tolerance, n_axis)
                        ):
                            found += weigh(frame, (order, flip, tolerance), index, q, how, best)
    return found


@njit(cache=True, nogil=True)
def lowest(value: float, tolerance: float, n_axis: int) -> int:
    """Return the lowest bin along an axis that may hold a value as near as this."""
    return max(0, min(n_axis - 1, int(math.floor((value - tolerance) * n_axis))))


@njit(cache=True, nogil=True)
def highest(value: float, tolerance: float, n_axis: int) -> int:
    """Return the highest bin along an axis that may hold a value as near as this."""
    return max(0, min(n_axis - 1, int(math.floor((value + tolerance) * n_axis))))


@njit(cache=True, nogil=True)
def is_near(rest: int, at: int, value: float, tolerance: float, n_axis: int) -> bool:
    """Tell whether a stored value is within a tolerance of another, its rounding allowed for."""
    stored = (at + (rest + 0.5) / PARTS) / n_axis
    return abs(stored - value) <= tolerance + 0.5 / PARTS / n_axis


@njit(cache=True, nogil=True)
def weigh(
    frame: Frame,
    like: tuple[npt.NDArray[np.int64], float, float],
    index: tuple[Sky, Quads],
    quad: int,
    how: How,
    best: Floats,
) -> int:
    """Place the frame by a quad of the index, and look for what else is known around its stars.

    The stars around those of the quad that fall on the frame must be found there. A row of `best`
    is: score, hits, stars expected, the unit vectors of the frame's middle and of the pixel half
    a width to the right of it, and 1, or -1 where the frame is mirrored. Returns 1 where the
    quad was like the frame's and of a scale that may be.
    """
    sky, quads = index
    order, flip, tolerance = like
    about = np.empty((3, 3))
    stand_at(sky.xyz, member(sky, quads, quad, 0), about)
    east, north = project(sky.xyz, member(sky, quads, quad, 1), about)
    ax, ay = frame.x[order[0]], flip * frame.y[order[0]]
    px, py = frame.x[order[1]] - ax, flip * frame.y[order[1]] - ay
    r2 = east * east + north * north
    scale = math.sqrt(r2 / (px * px + py * py))
    if not how.scale_low <= scale <= how.scale_high:
        return 0
    # Pixels, as a complex number, are alpha times the plane's, and a shift.
    turn = (px * east + py * north) / r2, (py * east - px * north) / r2, ax, ay, flip
    # The fourth value of a code is looked at only here.
    if not are_there(frame, like, (sky, quads, quad), about, turn):
        return 0
    hits, expected = count_around(frame, (sky, quads, quad), about, turn)
    score = hits * how.hit + (expected - hits) * how.miss
    if hits > 0 and score > best[-1, 0]:
        keep_place(best, (score, hits, expected), about, turn, frame)
    return 1


@njit(cache=True, nogil=True)
def are_there(
    frame: Frame,
    like: tuple[npt.NDArray[np.int64], float, float],
    of: tuple[Sky, Quads, int],
    about: Floats,
    turn: Turn,
) -> bool:
    """Tell whether the two stars between fall on the frame's, when those at the ends do."""
    sky, quads, quad = of
    order, flip, tolerance = like
    a, b = order[0], order[1]
    length = math.hypot(frame.x[b] - frame.x[a], frame.y[b] - frame.y[a])
    for m in (2, 3):
        e, n = project(sky.xyz, member(sky, quads, quad, m), about)
        x, y = turn[0] * e - turn[1] * n + turn[2], turn[1] * e + turn[0] * n + turn[3]
        away = math.hypot(x - frame.x[order[m]], y - flip * frame.y[order[m]])
        if not away <= ROUND * tolerance * length:
            return False
    return True


@njit(cache=True, nogil=True)
def count_around(
    frame: Frame, of: tuple[Sky, Quads, int], about: Floats, turn: Turn
) -> tuple[int, int]:
    """Return how many of the stars around a quad's are on the frame, and how many should be."""
    sky, quads, quad = of
    n_near = sky.near.shape[1]
    seen = np.empty(4 * n_near, np.int64)
    expected, hits = 0, 0
    for m in range(4):
        star = member(sky, quads, quad, m)
        for k in range(n_near):
            other = sky.near[star, k]
            if other < 0:
                break
            fell = falls(frame, of, (other, seen, expected), about, turn)
            if fell >= 0:
                seen[expected] = other
                expected += 1
                hits += fell
    return hits, expected


@njit(cache=True, nogil=True)
def falls(
    frame: Frame,
    of: tuple[Sky, Quads, int],
    star: tuple[int, npt.NDArray[np.int64], int],
    about: Floats,
    turn: Turn,
) -> int:
    """Return 1 where a star falls on one of the frame's, 0 beside all, -1 off or seen before."""
    sky, quads, quad = of
    other, seen, n_seen = star
    for m in range(4):
        if member(sky, quads, quad, m) == other:
            return -1
    for k in range(n_seen):
        if seen[k] == other:
            return -1
    e, n = project(sky.xyz, other, about)
    x = turn[0] * e - turn[1] * n + turn[2]
    y = turn[4] * (turn[1] * e + turn[0] * n + turn[3])
    if not (abs(x) < frame.half_x and abs(y) < frame.half_y):
        return -1
    cells = frame.cells
    i, j = int((x - cells.x0) / cells.side), int((y - cells.y0) / cells.side)
    ny, nx = cells.filled.shape
    return int(cells.filled[j, i]) if 0 <= i < nx and 0 <= j < ny else 0


@njit(cache=True, nogil=True)
def keep_place(
    best: Floats,
    told: tuple[float, int, int],
    about: Floats,
    turn: Turn,
    frame: Frame,
) -> None:
    """Put a place among the best, once: nearly the same one again only if it is better."""
    row = np.empty(10)
    row[0], row[1], row[2] = told
    size = turn[0] ** 2 + turn[1] ** 2
    for m in range(2):
        # The plane's coordinates of the middle of the frame, and of a place to its right.
        x, y = m * frame.half_x - turn[2], -turn[3]
        e, n = (x * turn[0] + y * turn[1]) / size, (y * turn[0] - x * turn[1]) / size
        length = math.sqrt(1 + e * e + n * n)
        for k in range(3):
            row[3 + 3 * m + k] = (about[0, k] + e * about[1, k] + n * about[2, k]) / length
    row[9] = turn[4]
    near = (0.02 * frame.half_x) ** 2 / size  # radians, squared
    last = best.shape[0] - 1
    for k in range(best.shape[0]):
        if best[k, 0] > 0 and is_same_place(best[k], row, near):
            last = k
            break
    if row[0] <= best[last, 0]:
        return
    while last > 0 and row[0] > best[last - 1, 0]:
        best[last] = best[last - 1]
        last -= 1
    best[last] = row


@njit(cache=True, nogil=True)
def is_same_place(one: Floats, other: Floats, near: float) -> bool:
    """Tell whether both put the middle and the right of a frame at the same places."""
    for m in (3, 6):
        away = 0.0
        for k in range(3):
            away += (one[m + k] - other[m + k]) ** 2
        if away > near:
            return False
    return bool(one[9] == other[9])
