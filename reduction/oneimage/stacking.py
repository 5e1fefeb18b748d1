"""Several images that lie on each other made into one."""

import warnings
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from reduction.errors import NotEnoughFramesError
from reduction.image import FloatPlane
from reduction.normal import MAD_TO_SIGMA

Method = Literal["sum", "clipped_mean", "median"]
CLIP_SIGMA: Final = 4.0
SEEING_SHARE: Final = 0.1  # of a value, that images of one field may differ by where it is a star
BAND_ROWS: Final = 128


def stacked(
    planes: Sequence[FloatPlane], method: Method
) -> tuple[FloatPlane, npt.NDArray[np.int32]]:
    """Combine images of one grid.

    Parameters
    ----------
    planes : sequence of float32 array, ``(ny, nx)`` each
        NaN where one has no value; may be mapped from files.
    method : {"sum", "clipped_mean", "median"}
        A sum stands for all images also where some have no value: it is the mean of the others
        times their number. A clipped mean leaves out what lies further from the median than four
        times the scatter, a tenth of the value allowed on top: seeing differs.

    Returns
    -------
    tuple of float32 and int32 arrays, ``(ny, nx)``
        The image, NaN where none has a value; and how many had one.

    Raises
    ------
    NotEnoughFramesError
        If there are no images.
    """
    if not planes:
        raise NotEnoughFramesError(found=0, needed=1)
    out = np.empty(planes[0].shape, np.float32)
    counts = np.empty(planes[0].shape, np.int32)
    for first in range(0, len(out), BAND_ROWS):
        rows = slice(first, first + BAND_ROWS)
        cube = np.stack([np.asarray(plane[rows], np.float32) for plane in planes])
        counts[rows] = np.isfinite(cube).sum(axis=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of pixels that no image has
            out[rows] = _combined(cube, method)
    return out, counts


def _combined(cube: npt.NDArray[np.float32], method: Method) -> npt.NDArray[np.float32]:
    if method == "median":
        return np.asarray(np.nanmedian(cube, axis=0), np.float32)
    if method == "sum":
        return np.asarray(np.nanmean(cube, axis=0, dtype=np.float64) * len(cube), np.float32)
    middle = np.nanmedian(cube, axis=0)
    away = np.abs(cube - middle)
    scatter = MAD_TO_SIGMA * np.nanmedian(away, axis=0)
    # Of few images the scatter at one pixel is often small by chance: the row's is the least.
    least = np.nanmedian(scatter, axis=1, keepdims=True)
    allowed = CLIP_SIGMA * np.maximum(scatter, least) + SEEING_SHARE * np.abs(middle)
    kept = np.where(away <= allowed, cube, np.nan)
    return np.asarray(np.nanmean(kept, axis=0, dtype=np.float64), np.float32)
