"""Which sources of a frame are so near to one another that they are measured together."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
LINK_FWHM: Final = 2.0  # sources nearer than this share pixels
CLOSER: Final = 0.75  # times, that large groups are linked again by
MOST_TOGETHER: Final = 25  # a group's cost rises with the cube of its number
LEAST_LINK_FWHM: Final = 0.5


def group_near(x: Floats, y: Floats, fwhm_pix: float) -> tuple[Indices, Indices]:
    """Return the groups of sources that are linked by neighbours two FWHM apart.

    A group that is too large is linked again by closer neighbours; at last it is cut.

    Parameters
    ----------
    x, y : float arrays, ``(n,)``
        Places in pixels.
    fwhm_pix : float
        Width of a star.

    Returns
    -------
    first, order : int64 arrays, ``(g + 1,)`` and ``(n,)``
        Members of group k are ``order[first[k]:first[k + 1]]``.
    """
    places = np.column_stack([x, y])
    done: list[Indices] = []
    left, link = np.arange(len(x)), LINK_FWHM
    while len(left):
        groups = _linked(places, left, link * fwhm_pix)
        small = [one for one in groups if len(one) <= MOST_TOGETHER]
        large = [one for one in groups if len(one) > MOST_TOGETHER]
        done += small
        link *= CLOSER
        if link < LEAST_LINK_FWHM:
            done += [one[k : k + MOST_TOGETHER] for one in large
                     for k in range(0, len(one), MOST_TOGETHER)]  # fmt: skip
            break
        left = np.concatenate(large) if large else np.empty(0, np.int64)
    if not done:
        return np.zeros(1, np.int64), np.empty(0, np.int64)
    first = np.concatenate([[0], np.cumsum([len(one) for one in done])])
    return first.astype(np.int64), np.concatenate(done)


def _linked(places: Floats, which: Indices, link_pix: float) -> list[Indices]:
    """Return groups of some places that are joined by steps shorter than a link."""
    pairs = cKDTree(places[which]).query_pairs(link_pix, output_type="ndarray")
    n = len(which)
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    n_groups, label = connected_components(links, directed=False)
    order = np.argsort(label, kind="stable")
    edges = np.searchsorted(label[order], np.arange(1, n_groups))
    return [which[one] for one in np.split(order, edges)]
