"""Which pixels of an image belong to which object."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, label, maximum
from scipy.spatial import cKDTree

from reduction.image import FloatPlane

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
THRESHOLD_SIGMA: Final = 1.5  # of a pixel, above which its light belongs to an object
SMOOTHING_PIX: Final = 1.0
LEFT_BY_SMOOTHING: Final = 0.2821  # of a pixel's noise: 1 / (2 sqrt(pi) sigma)


@dataclass(frozen=True, slots=True)
class Segments:
    """The pixels of objects.

    Attributes
    ----------
    labels : int32 array, ``(ny, nx)``
        Number of the object from 1, 0 where there is none.
    filtered : float32 array, ``(ny, nx)``
        The image less its background, smoothed, in which they were told apart.
    n : int
        Objects.
    """

    labels: Labels
    filtered: FloatPlane
    n: int

    def areas(self) -> npt.NDArray[np.int64]:
        """Return how many pixels each object has, ``(n,)``."""
        return np.bincount(self.labels.ravel(), minlength=self.n + 1)[1 : self.n + 1]

    def peaks(
        self,
        above: FloatPlane,
        at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    ) -> Floats:
        """Return the highest value of each object's pixels, at its place where it has none."""
        found = np.asarray(maximum(above, self.labels, np.arange(1, self.n + 1)), np.float64)
        return np.where(self.areas() > 0, found, above[at[1], at[0]])

    def renumbered(self, kept: npt.NDArray[np.int64]) -> "Segments":
        """Return the same of some of the objects alone, in their order."""
        numbers = np.zeros(self.n + 1, np.int32)
        numbers[kept + 1] = np.arange(1, len(kept) + 1)
        return Segments(numbers[self.labels], self.filtered, len(kept))


def segments_of(
    above: FloatPlane, noise: FloatPlane, masked: Bits, x: Floats, y: Floats
) -> Segments:
    """Return which pixels belong to which object.

    Pixels that stand out of the smoothed image and hang together with an object's place; where
    several objects hang together each has the pixels it is nearest to.

    Parameters
    ----------
    above : float32 array, ``(ny, nx)``
        Image less background.
    noise : float32 array, ``(ny, nx)``
        Of its pixels.
    masked : bool array, ``(ny, nx)``
        Pixels that tell nothing.
    x, y : float arrays, ``(n,)``
        Places of the objects.
    """
    filled = np.where(masked, np.float32(0), above)
    filtered = gaussian_filter(filled, SMOOTHING_PIX, mode="nearest").astype(np.float32)
    limit = np.float32(THRESHOLD_SIGMA * LEFT_BY_SMOOTHING / SMOOTHING_PIX) * noise
    parts, n_parts = label(filtered > np.maximum(limit, 0))
    ny, nx = above.shape
    rows = np.clip(np.rint(y).astype(int), 0, ny - 1)
    columns = np.clip(np.rint(x).astype(int), 0, nx - 1)
    own = parts[rows, columns]
    labels = np.zeros(above.shape, np.int32)
    if not len(x) or not n_parts:
        return Segments(labels, filtered, len(x))
    has_object = np.zeros(n_parts + 1, bool)
    has_object[own] = True
    has_object[0] = False
    py, px = np.nonzero(has_object[parts])
    labels[py, px] = _nearest(px, py, parts[py, px], (x, y, own))
    return Segments(labels, filtered, len(x))


def _nearest(
    px: npt.NDArray[np.int64],
    py: npt.NDArray[np.int64],
    part: npt.NDArray[np.int32],
    objects: tuple[Floats, Floats, npt.NDArray[np.int32]],
) -> Labels:
    """Return the number of the nearest object of each pixel's own part, from 1."""
    x, y, own = objects
    # Parts lie far apart in a third dimension, so that only objects of the same are near.
    apart = 10.0 * (float(max(px.max(), py.max())) + 1)
    tree = cKDTree(np.column_stack([x, y, own * apart]))
    _, nearest = tree.query(np.column_stack([px, py, part * apart]))
    return np.asarray(nearest + 1, np.int32)
