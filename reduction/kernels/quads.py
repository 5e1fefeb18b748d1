"""Inner loops of quads: four stars told by their shape, counted and stored by it."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Floats = npt.NDArray[np.float64]
Code = tuple[float, float, float, float]
PARTS = 256  # of a bin, that the rest of a code is kept in
OWNER = 255  # slot of the star a quad belongs to; others are its neighbours' numbers


class Sky(NamedTuple):
    """Stars of all levels as unit vectors, and for each the nearest of its level, -1 where none."""

    xyz: npt.NDArray[np.float32]
    near: npt.NDArray[np.int32]


class Quads(NamedTuple):
    """Quads sorted by bins of their codes: where each bin begins, and of each quad what it is."""

    starts: npt.NDArray[np.uint32]
    owner: npt.NDArray[np.uint32]
    slots: npt.NDArray[np.uint8]
    rest: npt.NDArray[np.uint8]
    n_axis: int


@njit(cache=True, nogil=True)
def code_of(x: Floats, y: Floats, order: npt.NDArray[np.int64]) -> Code:
    """Return the code of four points and write the order they stand in; all -1 if they have none.

    The two farthest apart are put at (0, 0) and (1, 0); the code is where the other two lie,
    which must be within the circle that has those two on a diameter. Of the ways to write it, the
    one is taken in which the others lie nearer the first, and the one nearer it comes first.
    """
    far, a, b = -1.0, 0, 1
    for i in range(3):
        for j in range(i + 1, 4):
            d = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2
            if d > far:
                far, a, b = d, i, j
    order[0], order[1] = a, b
    n = 2
    for i in range(4):
        if i not in (a, b):
            order[n] = i
            n += 1
    return canonical(x, y, order)


@njit(cache=True, nogil=True)
def canonical(x: Floats, y: Floats, order: npt.NDArray[np.int64]) -> Code:
    """Return the code of four points of which the first two in `order` are the farthest apart."""
    a, b, c, d = order[0], order[1], order[2], order[3]
    ux, uy = x[b] - x[a], y[b] - y[a]
    r2 = ux * ux + uy * uy
    if r2 <= 0.0:
        return -1.0, -1.0, -1.0, -1.0
    cx = ((x[c] - x[a]) * ux + (y[c] - y[a]) * uy) / r2
    cy = ((y[c] - y[a]) * ux - (x[c] - x[a]) * uy) / r2
    dx = ((x[d] - x[a]) * ux + (y[d] - y[a]) * uy) / r2
    dy = ((y[d] - y[a]) * ux - (x[d] - x[a]) * uy) / r2
    if (cx - 0.5) ** 2 + cy * cy > 0.25 or (dx - 0.5) ** 2 + dy * dy > 0.25:
        return -1.0, -1.0, -1.0, -1.0
    if cx + dx > 1.0:
        cx, cy, dx, dy = 1 - cx, -cy, 1 - dx, -dy
        order[0], order[1] = b, a
    if cx > dx:
        cx, cy, dx, dy = dx, dy, cx, cy
        order[2], order[3] = d, c
    return cx, cy, dx, dy


@njit(cache=True, nogil=True)
def project(xyz: npt.NDArray[np.float32], star: int, about: Floats) -> tuple[float, float]:
    """Return standard coordinates east and north of a star, radians, about a place.

    `about` is ``(3, 3)``: the place, and the directions east and north of it. NaN on the far side.
    """
    x, y, z = float(xyz[star, 0]), float(xyz[star, 1]), float(xyz[star, 2])
    depth = x * about[0, 0] + y * about[0, 1] + z * about[0, 2]
    if depth < 0.1:
        return math.nan, math.nan
    east = x * about[1, 0] + y * about[1, 1] + z * about[1, 2]
    north = x * about[2, 0] + y * about[2, 1] + z * about[2, 2]
    return east / depth, north / depth


@njit(cache=True, nogil=True)
def stand_at(xyz: npt.NDArray[np.float32], star: int, about: Floats) -> None:
    """Write a star's place and the directions east and north of it, ``(3, 3)``."""
    x, y, z = float(xyz[star, 0]), float(xyz[star, 1]), float(xyz[star, 2])
    length = math.sqrt(x * x + y * y + z * z)
    about[0, 0], about[0, 1], about[0, 2] = x / length, y / length, z / length
    flat = math.hypot(about[0, 0], about[0, 1])
    if flat < 1e-9:
        about[1, 0], about[1, 1], about[1, 2] = 0.0, 1.0, 0.0
    else:
        about[1, 0], about[1, 1], about[1, 2] = -about[0, 1] / flat, about[0, 0] / flat, 0.0
    for k in range(3):  # north is the place times east
        i, j = (k + 1) % 3, (k + 2) % 3
        about[2, k] = about[0, i] * about[1, j] - about[0, j] * about[1, i]


@njit(cache=True, nogil=True)
def knows(sky: Sky, star: int, other: int) -> bool:
    """Tell whether a star is among the neighbours of another."""
    found = False
    for k in range(sky.near.shape[1]):
        found |= sky.near[star, k] == other
    return found


@njit(cache=True, nogil=True)
def is_owner(sky: Sky, members: npt.NDArray[np.int64]) -> bool:
    """Tell whether no star with a lower number than the first would make the same quad."""
    for m in range(1, 4):
        if members[m] < members[0]:
            sees = 0
            for k in range(4):
                if k != m and knows(sky, members[m], members[k]):
                    sees += 1
            if sees == 3:
                return False
    return True


@njit(cache=True, nogil=True)
def bin_of(code: Code, n_axis: int, rest: npt.NDArray[np.uint8]) -> int:
    """Return the bin of a code, and write where in it the code lies."""
    number = 0
    for k in range(4):
        value = code[k] + (0.5 if k % 2 else 0.0)  # the ordinates may be negative
        at = min(max(value, 0.0) * n_axis, n_axis - 1e-9)
        number = number * n_axis + int(at)
        rest[k] = int((at - int(at)) * PARTS)
    return number


@njit(cache=True, nogil=True)
def store_quads(
    sky: Sky, triples: npt.NDArray[np.uint8], quads: Quads, cursor: npt.NDArray[np.uint32]
) -> None:
    """Go through the quads of all stars; store them, or count them where there is no room yet.

    Of each star `triples` says which neighbours it makes quads with, the last of them ascending.
    `cursor` is one longer than there are bins: counts go one bin up, so that their running sum
    is where each bin begins; then it is where the next quad of each bin goes.
    """
    n_near = sky.near.shape[1]
    about, flat = np.zeros((3, 3)), np.zeros((n_near, 2))
    for star in range(sky.xyz.shape[0]):
        stand_at(sky.xyz, star, about)
        n = 0
        while n < n_near and sky.near[star, n] >= 0:
            flat[n, 0], flat[n, 1] = project(sky.xyz, sky.near[star, n], about)
            n += 1
        store_of_star(sky, (star, n, flat), triples, quads, cursor)


@njit(cache=True, nogil=True)
def store_of_star(
    sky: Sky,
    of: tuple[int, int, Floats],
    triples: npt.NDArray[np.uint8],
    quads: Quads,
    cursor: npt.NDArray[np.uint32],
) -> None:
    """Store or count the quads one star owns; `of` is it, its neighbours, where they lie."""
    star, n, flat = of
    x, y = np.zeros(4), np.zeros(4)
    members, order = np.zeros(4, np.int64), np.zeros(4, np.int64)
    slot, rest = np.zeros(4, np.uint8), np.zeros(4, np.uint8)
    members[0], slot[0] = star, OWNER
    for t in range(triples.shape[0]):
        if triples[t, 2] >= n:
            continue
        for m in range(1, 4):
            slot[m] = triples[t, m - 1]
            members[m] = sky.near[star, slot[m]]
            x[m], y[m] = flat[slot[m], 0], flat[slot[m], 1]
        code = code_of(x, y, order)
        if not code[2] >= 0 or not is_owner(sky, members):
            continue
        number = bin_of(code, quads.n_axis, rest)
        if quads.owner.size == 0:
            cursor[number + 1] += 1
            continue
        place = cursor[number]
        cursor[number] += 1
        quads.owner[place] = star
        for m in range(4):
            quads.slots[place, m] = slot[order[m]]
            quads.rest[place, m] = rest[m]


@njit(cache=True, nogil=True)
def member(sky: Sky, quads: Quads, quad: int, which: int) -> int:
    """Return the number of a quad's star: the first, second, third or fourth of its code."""
    slot = quads.slots[quad, which]
    owner = quads.owner[quad]
    return int(owner) if slot == OWNER else int(sky.near[owner, slot])
