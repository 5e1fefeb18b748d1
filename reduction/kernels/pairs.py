"""Inner loops of finding a star list in a catalogue: pairs of equal length, checked on a map."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reduction.kernels.compiled import njit

Floats = npt.NDArray[np.float64]
EARLY = 15  # stars looked up before a hopeless trial is given up
EARLY_HITS = 2
LATER = 31
LATER_HITS = 4


class Cells(NamedTuple):
    """A map of the plane whose cells say whether a catalogue star lies in or beside them."""

    filled: npt.NDArray[np.uint8]
    x0: float
    y0: float
    side: float


class Pairs(NamedTuple):
    """Pairs of catalogue stars, by length."""

    length: Floats
    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]
    x: Floats  # of each catalogue star
    y: Floats


class Search(NamedTuple):
    """What is tried: scales between two, pairs of so many bright stars, not shorter than this."""

    scale_low: float
    scale_high: float
    n_bright: int
    shortest: float
    enough: int
    most_trials: int


@njit(cache=True, nogil=True)
def fill_cells(x: Floats, y: Floats, cells: Cells) -> None:
    """Mark the cells that stars lie in, and the eight around each."""
    ny, nx = cells.filled.shape
    for s in range(x.size):
        i = int((x[s] - cells.x0) / cells.side)
        j = int((y[s] - cells.y0) / cells.side)
        for b in range(max(0, j - 1), min(ny, j + 2)):
            for a in range(max(0, i - 1), min(nx, i + 2)):
                cells.filled[b, a] = 1


@njit(cache=True, nogil=True)
def count_hits(x: Floats, y: Floats, turn: tuple[float, ...], cells: Cells) -> int:
    """Return how many stars fall on a marked cell; a trial without any early ones is given up."""
    a, b, dx, dy, flip = turn
    ny, nx = cells.filled.shape
    hits = 0
    for s in range(x.size):
        u = a * x[s] - b * flip * y[s] + dx
        v = b * x[s] + a * flip * y[s] + dy
        i = int(math.floor((u - cells.x0) / cells.side))
        j = int(math.floor((v - cells.y0) / cells.side))
        if 0 <= i < nx and 0 <= j < ny and cells.filled[j, i]:
            hits += 1
        if (s == EARLY and hits < EARLY_HITS) or (s == LATER and hits < LATER_HITS):
            return 0
    return hits


@njit(cache=True, nogil=True)
def turn_onto(
    here: tuple[float, float, float, float], there: tuple[float, float, float, float], flip: float
) -> tuple[float, float, float, float, float]:
    """Return the similarity that takes one pair of points onto another: ``x0, y0, x1, y1``."""
    dx, dy = here[2] - here[0], flip * (here[3] - here[1])
    ex, ey = there[2] - there[0], there[3] - there[1]
    r2 = dx * dx + dy * dy
    a = (ex * dx + ey * dy) / r2
    b = (ey * dx - ex * dy) / r2
    y0 = flip * here[1]
    return a, b, there[0] - a * here[0] + b * y0, there[1] - b * here[0] - a * y0, flip


@njit(cache=True, nogil=True)
def search(x: Floats, y: Floats, pairs: Pairs, cells: Cells, how: Search, best: Floats) -> int:
    """Try similarities that take pairs of stars onto pairs of the catalogue.

    The best are kept in `best`, ``(n, 6)``: hits, then the similarity. Returns how many were
    tried. It ends early when one has hits enough.
    """
    trials = 0
    for q in range(1, min(how.n_bright, x.size)):
        for p in range(q):
            length = math.hypot(x[q] - x[p], y[q] - y[p])
            if length < how.shortest:
                continue
            low = np.searchsorted(pairs.length, length * how.scale_low)
            high = np.searchsorted(pairs.length, length * how.scale_high)
            here = (x[p], y[p], x[q], y[q])
            for t in range(low, high):
                if trials >= how.most_trials:
                    return trials
                trials += 4
                if try_pair(x, y, here, (pairs, t), (cells, best)) >= how.enough:
                    return trials
    return trials


@njit(cache=True, nogil=True)
def try_pair(
    x: Floats,
    y: Floats,
    here: tuple[float, float, float, float],
    of: tuple[Pairs, int],
    into: tuple[Cells, Floats],
) -> int:
    """Try a pair of the catalogue both ways round and mirrored, and return the most hits."""
    pairs, t = of
    cells, best = into
    u, v = pairs.first[t], pairs.second[t]
    most = 0
    for way in range(4):
        if way % 2:
            there = (pairs.x[v], pairs.y[v], pairs.x[u], pairs.y[u])
        else:
            there = (pairs.x[u], pairs.y[u], pairs.x[v], pairs.y[v])
        turn = turn_onto(here, there, 1.0 if way < 2 else -1.0)
        hits = count_hits(x, y, turn, cells)
        most = max(most, hits)
        if hits > best[-1, 0]:
            keep(best, hits, turn, cells.side)
    return most


@njit(cache=True, nogil=True)
def keep(
    best: Floats, hits: int, turn: tuple[float, float, float, float, float], near: float
) -> None:
    """Put a similarity in its place among the best, once: what is nearly the same is the same."""
    n = best.shape[0]
    last = n - 1  # the row that makes room
    for k in range(n):
        if best[k, 0] > 0 and is_same(best[k], turn, near):
            last = k
            break
    if hits <= best[last, 0]:
        return
    place = last
    while place > 0 and hits > best[place - 1, 0]:
        best[place] = best[place - 1]
        place -= 1
    best[place, 0] = hits
    for m in range(5):
        best[place, m + 1] = turn[m]


@njit(cache=True, nogil=True)
def is_same(row: Floats, turn: tuple[float, float, float, float, float], near: float) -> bool:
    """Tell whether two similarities put the middle of the frame at one place, one way round."""
    there = abs(row[3] - turn[2]) < 2 * near and abs(row[4] - turn[3]) < 2 * near
    return bool(row[5] == turn[4] and there)
