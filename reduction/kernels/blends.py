"""Inner loops of deblending: the tree of a group's peaks, and which pixel is whose."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit
from reduction.kernels.detect import Members

Plane = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
NOBODY = np.int32(-1)
FLATTEST = 0.02  # of the logarithm of a core's height over its rim
NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


class Rules(NamedTuple):
    """What makes a branch of a group a source of its own."""

    threshold: float  # of the group's pixels
    levels: int  # between the threshold and the highest peak, in equal ratios
    contrast: float  # share of the light of what it is part of
    least_pixels: int
    branch_pixels: int  # fewer make no branch
    noise: float  # times its own noise, that it stands out by
    noise_area: float  # pixels that share their noise, as the filter has smoothed it


class Tree(NamedTuple):
    """What is known of the branch whose root a pixel is; room for the largest group."""

    parent: Ints
    level: Ints
    order: Ints
    n: Ints
    light: Floats
    stamp: Ints  # level at which number and light last changed
    old_n: Ints  # before it
    old_light: Floats
    parts: Ints  # sources it consists of, 0 for one that is not split
    top: Ints  # its highest pixel


class Cores(NamedTuple):
    """Tops of the sources of one group, the levels above which they stand alone, their shapes."""

    top: Ints
    level: Ints
    peak: Floats
    spread: Floats


@njit(cache=True, nogil=True)
def deblend(members: Members, rules: Rules) -> tuple[Ints, int, npt.NDArray[np.bool_]]:
    """Return whose each pixel is, how many sources there are, and which of them were blended.

    Pixels of groups too small for a source are nobody's.
    """
    owner = np.full(members.x.size, NOBODY, np.int32)
    n_groups = members.first.size - 1
    largest = 0
    for g in range(n_groups):
        largest = max(largest, members.first[g + 1] - members.first[g])
    tree, cores = room_for(largest)
    grid = np.zeros(1 << 16, np.int32)
    is_blended = np.zeros(max(1, members.x.size // max(1, rules.least_pixels)), np.bool_)
    n_sources = 0
    for g in range(n_groups):
        begin, end = members.first[g], members.first[g + 1]
        if end - begin < rules.least_pixels:
            continue
        part = Members(
            members.first[:1], members.y[begin:end], members.x[begin:end], members.values[begin:end]
        )
        n = 1
        mine = owner[begin:end]
        if end - begin >= 2 * rules.least_pixels:
            y0, x0, height, width = box(part)
            if height * width > grid.size:
                grid = np.zeros(height * width, np.int32)
            lay(part, (y0, x0), width, grid)
            n = split(part, (y0, x0, width), grid, rules, (tree, cores), mine)
            lift(part, (y0, x0), width, grid)
        if n == 1:
            mine[:] = 0
        else:
            is_blended[n_sources : n_sources + n] = True
        for p in range(mine.size):
            mine[p] += n_sources
        n_sources += n
    return owner, n_sources, is_blended[:n_sources]


@njit(cache=True, nogil=True)
def room_for(n: int) -> tuple[Tree, Cores]:
    """Return room for the tree of a group of so many pixels."""
    i = np.int32
    tree = Tree(
        np.empty(n, i), np.empty(n, i), np.empty(n, i), np.empty(n, i), np.empty(n),
        np.empty(n, i), np.empty(n, i), np.empty(n), np.empty(n, i), np.empty(n, i),
    )  # fmt: skip
    return tree, Cores(np.empty(n, i), np.empty(n, i), np.empty(n), np.empty(n))


@njit(cache=True, nogil=True)
def box(part: Members) -> tuple[int, int, int, int]:
    """Return first row, first column, height and width of a group's box with a rim around it."""
    low, high = part.x[0], part.x[0]
    for p in range(part.x.size):
        low, high = min(low, part.x[p]), max(high, part.x[p])
    y0 = part.y[0] - 1
    return y0, low - 1, part.y[part.y.size - 1] + 2 - y0, high + 2 - (low - 1)


@njit(cache=True, nogil=True)
def lay(part: Members, corner: tuple[int, int], width: int, grid: Ints) -> None:
    """Write the number of each pixel, from 1, at its place in the box."""
    for p in range(part.x.size):
        grid[(part.y[p] - corner[0]) * width + part.x[p] - corner[1]] = p + 1


@njit(cache=True, nogil=True)
def lift(part: Members, corner: tuple[int, int], width: int, grid: Ints) -> None:
    """Take the numbers out of the box again."""
    for p in range(part.x.size):
        grid[(part.y[p] - corner[0]) * width + part.x[p] - corner[1]] = 0


@njit(cache=True, nogil=True)
def split(
    part: Members,
    place: tuple[int, int, int],
    grid: Ints,
    rules: Rules,
    room: tuple[Tree, Cores],
    owner: Ints,
) -> int:
    """Write whose each pixel of a group is, and return how many sources there are."""
    if not has_two_peaks(part, place, grid):
        return 1
    tree, cores = room
    top = set_levels(part, rules, tree)
    n = grow_tree(part, place, grid, rules, (tree, cores), top)
    if n < 2:
        return 1
    owner[:] = NOBODY
    queue = tree.parent  # not needed any more
    n_queued = 0
    for s in range(n):
        which = (s, n_queued, top)
        n_queued = flood(part, place, grid, (tree, cores), (rules, owner), which)
    share(part, place, grid, cores, owner, (queue, n_queued))
    return n


@njit(cache=True, nogil=True)
def has_two_peaks(part: Members, place: tuple[int, int, int], grid: Ints) -> bool:
    """Return whether two pixels or more are higher than all around them."""
    y0, x0, width = place
    peaks = 0
    for p in range(part.x.size):
        at = (part.y[p] - y0) * width + part.x[p] - x0
        v = part.values[p]
        is_peak = True
        for dy, dx in NEIGHBOURS:
            q = grid[at + dy * width + dx] - 1
            if q >= 0 and (part.values[q] > v or (part.values[q] == v and q < p)):
                is_peak = False
                break
        peaks += is_peak
        if peaks > 1:
            return True
    return False


@njit(cache=True, nogil=True)
def set_levels(part: Members, rules: Rules, tree: Tree) -> float:
    """Write each pixel's level and their order, the highest first, and return the highest value."""
    n = part.x.size
    top = rules.threshold * 1.0001
    for p in range(n):
        top = max(top, float(part.values[p]))
    scale = rules.levels / math.log(top / rules.threshold)
    counts = np.zeros(rules.levels + 1, np.int64)
    for p in range(n):
        level = int(scale * math.log(max(float(part.values[p]), rules.threshold) / rules.threshold))
        level = min(max(level, 0), rules.levels - 1)
        tree.level[p] = level
        counts[level] += 1
    at = 0
    for level in range(rules.levels - 1, -1, -1):
        here = counts[level]
        counts[level] = at
        at += here
    for p in range(n):
        tree.order[counts[tree.level[p]]] = p
        counts[tree.level[p]] += 1
        tree.parent[p] = NOBODY
    return top


@njit(cache=True, nogil=True)
def grow_tree(
    part: Members,
    place: tuple[int, int, int],
    grid: Ints,
    rules: Rules,
    room: tuple[Tree, Cores],
    top: float,
) -> int:
    """Join a group's pixels from the highest down, and return how many sources it is made of."""
    tree, cores = room
    y0, x0, width = place
    found = 0
    for k in range(part.x.size):
        p = tree.order[k]
        start(tree, p, part.values[p])
        at = (part.y[p] - y0) * width + part.x[p] - x0
        for dy, dx in NEIGHBOURS:
            q = grid[at + dy * width + dx] - 1
            if q >= 0 and tree.parent[q] != NOBODY:
                found = meet(part.values, tree, (p, q), rules, top, (cores, found))
    return found


@njit(cache=True, nogil=True)
def start(tree: Tree, p: int, value: float) -> None:
    """Make a pixel a branch of its own."""
    tree.parent[p], tree.n[p], tree.light[p] = p, 1, value
    tree.stamp[p], tree.old_n[p], tree.old_light[p] = tree.level[p], 0, 0.0
    tree.parts[p], tree.top[p] = 0, p


@njit(cache=True, nogil=True)
def root(parent: Ints, k: int) -> int:
    """Return the root of a pixel's branch, and shorten the way to it."""
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


@njit(cache=True, nogil=True)
def meet(
    values: Plane,
    tree: Tree,
    pair: tuple[int, int],
    rules: Rules,
    highest: float,
    out: tuple[Cores, int],
) -> int:
    """Join the branches of two pixels; where both are sources, note them. Return how many are."""
    cores, found = out
    level = tree.level[pair[0]]
    a, b = root(tree.parent, pair[0]), root(tree.parent, pair[1])
    if a == b:
        return found
    remember(tree, a, level)
    remember(tree, b, level)
    ratio = (level + 1.0) / rules.levels
    floor = rules.threshold * (highest / rules.threshold) ** ratio
    least = rules.contrast * (tree.light[a] + tree.light[b])
    is_a, is_b = (
        stands_out(tree, a, floor, least, rules),
        stands_out(tree, b, floor, least, rules),
    )
    if is_a and is_b:
        found = note(tree, a, cores, found)
        found = note(tree, b, cores, found)
    keep, give = (a, b) if tree.n[a] >= tree.n[b] else (b, a)
    of = a if is_a and not is_b else b
    if is_a == is_b:
        of = a if values[tree.top[a]] >= values[tree.top[b]] else b
    top, old_n, old_light = tree.top[of], tree.old_n[of], tree.old_light[of]
    tree.parent[give] = keep
    tree.n[keep] += tree.n[give]
    tree.light[keep] += tree.light[give]
    tree.parts[keep] += tree.parts[give]
    tree.top[keep], tree.old_n[keep], tree.old_light[keep] = top, old_n, old_light
    return found


@njit(cache=True, nogil=True)
def note(tree: Tree, r: int, cores: Cores, found: int) -> int:
    """Note a branch as a source if it is not of several already, and return how many there are."""
    if tree.parts[r] > 0:
        return found
    cores.top[found], cores.level[found] = tree.top[r], tree.stamp[r] + 1
    tree.parts[r] = 1
    return found + 1


@njit(cache=True, nogil=True)
def remember(tree: Tree, r: int, level: int) -> None:
    """Note what a branch was before the level that is being worked on."""
    if tree.stamp[r] != level:
        tree.old_n[r], tree.old_light[r] = tree.n[r], tree.light[r]
        tree.stamp[r] = level


@njit(cache=True, nogil=True)
def stands_out(tree: Tree, r: int, floor: float, least: float, rules: Rules) -> bool:
    """Return whether a branch is a source, by its light above where it meets another."""
    if tree.parts[r] > 0:
        return True
    n = tree.old_n[r]
    if n < rules.branch_pixels:
        return False
    above = tree.old_light[r] - floor * n
    return bool(
        above > least and above > rules.noise * math.sqrt(n * min(float(n), rules.noise_area))
    )


@njit(cache=True, nogil=True)
def flood(
    part: Members,
    place: tuple[int, int, int],
    grid: Ints,
    room: tuple[Tree, Cores],
    given: tuple[Rules, Ints],
    which: tuple[int, int, float],
) -> int:
    """Give a source the pixels around its top that are above its level; return the queue's end.

    Its spread follows from their number, as a Gaussian's.
    """
    tree, cores = room
    rules, owner = given
    y0, x0, width = place
    s, begin, highest = which
    queue = tree.parent
    queue[begin] = cores.top[s]
    owner[cores.top[s]] = s
    n_queued = begin + 1
    k = begin
    while k < n_queued:
        p = queue[k]
        k += 1
        at = (part.y[p] - y0) * width + part.x[p] - x0
        for dy, dx in NEIGHBOURS:
            q = grid[at + dy * width + dx] - 1
            if q >= 0 and owner[q] == NOBODY and tree.level[q] >= cores.level[s]:
                owner[q] = s
                queue[n_queued] = q
                n_queued += 1
    floor = rules.threshold * (highest / rules.threshold) ** (cores.level[s] / rules.levels)
    cores.peak[s] = math.log(max(float(part.values[cores.top[s]]), rules.threshold))
    over = max(cores.peak[s] - math.log(floor), FLATTEST)
    cores.spread[s] = (n_queued - begin) / (2 * math.pi * over)
    return n_queued


@njit(cache=True, nogil=True)
def share(
    part: Members,
    place: tuple[int, int, int],
    grid: Ints,
    cores: Cores,
    owner: Ints,
    queued: tuple[Ints, int],
) -> None:
    """Give every other pixel to the source that shines on it most, of those it touches."""
    y0, x0, width = place
    queue, n_queued = queued
    k = 0
    while k < n_queued:
        p = queue[k]
        k += 1
        at = (part.y[p] - y0) * width + part.x[p] - x0
        for dy, dx in NEIGHBOURS:
            to = at + dy * width + dx
            q = grid[to] - 1
            if q >= 0 and owner[q] == NOBODY:
                owner[q] = brightest(part, (q, to, width), grid, cores, owner)
                queue[n_queued] = q
                n_queued += 1


@njit(cache=True, nogil=True)
def brightest(
    part: Members, where: tuple[int, int, int], grid: Ints, cores: Cores, owner: Ints
) -> np.int32:
    """Return the source beside a pixel whose Gaussian is the highest there."""
    p, at, width = where
    best, most = NOBODY, -np.inf
    for dy, dx in NEIGHBOURS:
        q = grid[at + dy * width + dx] - 1
        if q < 0 or owner[q] == NOBODY:
            continue
        s = owner[q]
        t = cores.top[s]
        r2 = float(part.x[p] - part.x[t]) ** 2 + float(part.y[p] - part.y[t]) ** 2
        light = cores.peak[s] - r2 / (2 * cores.spread[s])
        if light > most:
            best, most = s, light
    return best
