"""An isolation forest: how quickly random cuts part a point from the others."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
TREES: Final = 100
SAMPLE: Final = 256  # points a tree is grown from: more make it no better
_DEPTH: Final = 8  # log2 of the sample: what lies deeper is in the crowd
_EULER: Final = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees of random cuts, each a complete binary tree stored level by level.

    Attributes
    ----------
    feature : int64 array, ``(trees, nodes)``
        Which feature a node cuts; -1 where it is a leaf.
    cut : float array, ``(trees, nodes)``
        At which value.
    size : int64 array, ``(trees, nodes)``
        How many points of its sample came to a node.
    sample : int
        How many each tree was grown from.
    """

    feature: Numbers
    cut: Floats
    size: Numbers
    sample: int

    def loneliness(self, points: Floats) -> Floats:
        """Return how lonely points are: towards 1 if they are, 0.5 and less in the crowd.

        Parameters
        ----------
        points : float array, ``(n, k)``
            All finite.

        Returns
        -------
        float array, ``(n,)``
            ``2 ** (-h / c)``, of the mean depth `h` at which trees part a point, and that of an
            unsuccessful search in a binary tree of as many, `c`.

        References
        ----------
        Liu, Ting & Zhou (2008), IEEE ICDM, 413, equations 1 and 2.
        """
        depth = np.zeros(len(points))
        rows = np.arange(len(points))
        for feature, cut, size in zip(self.feature, self.cut, self.size, strict=True):
            node, level = np.zeros(len(points), np.int64), np.zeros(len(points))
            for _ in range(_DEPTH):
                at = feature[node]
                goes_on = at >= 0
                is_right = points[rows, np.maximum(at, 0)] >= cut[node]
                node = np.where(goes_on, 2 * node + 1 + is_right, node)
                level += goes_on
            depth += level + usual_depth(size[node])
        return np.asarray(2.0 ** (-depth / len(self.feature) / usual_depth(np.array(self.sample))))


def usual_depth(n: npt.NDArray[np.integer]) -> Floats:
    """Return the mean depth of an unsuccessful search in a binary tree of `n` points."""
    many = np.maximum(np.asarray(n, np.float64), 2.0)
    found = 2 * (np.log(many - 1) + _EULER) - 2 * (many - 1) / many
    return np.where(np.asarray(n) > 2, found, np.where(np.asarray(n) == 2, 1.0, 0.0))


def grow_forest(points: Floats, rng: np.random.Generator) -> Forest:
    """Grow an isolation forest over points.

    Parameters
    ----------
    points : float array, ``(n, k)``
        All finite, two at least; most of them usual ones.
    rng : numpy.random.Generator
        For samples and cuts.

    References
    ----------
    Liu, Ting & Zhou (2008), IEEE ICDM, 413.
    """
    n = min(SAMPLE, len(points))
    nodes = 2 ** (_DEPTH + 1) - 1
    feature = np.full((TREES, nodes), -1, np.int64)
    cut, size = np.zeros((TREES, nodes)), np.zeros((TREES, nodes), np.int64)
    for tree in range(TREES):
        chosen = points[rng.choice(len(points), n, replace=False)]
        _grow(chosen, rng, (feature[tree], cut[tree], size[tree]))
    return Forest(feature, cut, size, n)


def _grow(chosen: Floats, rng: np.random.Generator, tree: tuple[Numbers, Floats, Numbers]) -> None:
    """Grow one tree, all nodes of a level at once."""
    feature, cut, size = tree
    node, rows = np.zeros(len(chosen), np.int64), np.arange(len(chosen))
    size[0] = len(chosen)
    for level in range(_DEPTH):
        first, width = 2**level - 1, 2**level
        here = node >= first  # the others are in leaves above
        low = np.full((width, chosen.shape[1]), np.inf)
        high = np.full_like(low, -np.inf)
        np.minimum.at(low, node[here] - first, chosen[here])
        np.maximum.at(high, node[here] - first, chosen[here])
        is_empty = ~np.isfinite(low)
        low[is_empty] = high[is_empty] = 0.0
        spread = np.where(high > low, rng.random(low.shape), -1.0)  # one of those that differ
        of = np.argmax(spread, axis=1)
        these = np.arange(width)
        is_cut = spread[these, of] >= 0
        level_cut = low[these, of] + rng.random(width) * (high - low)[these, of]
        feature[first + these[is_cut]] = of[is_cut]
        cut[first + these[is_cut]] = level_cut[is_cut]
        goes_on = here & (feature[node] >= 0)
        is_right = chosen[rows, np.maximum(feature[node], 0)] >= cut[node]
        node = np.where(goes_on, 2 * node + 1 + is_right, node)
        np.add.at(size, node[goes_on], 1)
