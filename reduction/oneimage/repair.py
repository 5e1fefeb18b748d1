"""Repairs to one image before it is processed: its header, its borders, stripes of the readout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from reduction.errors import ReductionError
from reduction.headers.task_products import cropped_header, fixed_header
from reduction.normal import MAD_TO_SIGMA

__all__ = ["BadCropError", "Cropped", "crop", "cropped_header", "destripe", "fixed_header"]

Direction = Literal["horizontal", "vertical", "both"]
CLIP_SIGMA: Final = 3.0
ROUNDS: Final = 5
LEAST_SIDE_PIX: Final = 10


class BadCropError(ReductionError):
    """Limits that leave no image."""


@dataclass(frozen=True, slots=True)
class Cropped:
    """What is left of an image.

    Attributes
    ----------
    planes : list of array, ``(ny, nx)`` each
        Copies.
    x0, y0 : int
        Columns and rows that were taken off at the left and at the bottom.
    """

    planes: list[npt.NDArray[Any]]
    x0: int
    y0: int


def crop(
    planes: Sequence[npt.NDArray[Any]],
    x1: int | None = None,
    y1: int | None = None,
    x2: int | None = None,
    y2: int | None = None,
) -> Cropped:
    """Cut planes of one shape to columns ``x1:x2`` and rows ``y1:y2``.

    Parameters
    ----------
    planes : sequence of array, ``(ny, nx)`` each
        Not changed.
    x1, y1, x2, y2 : int or None
        Counted from 0, the last not included; negative counts from the far edge, None cuts
        nothing there. What lies beyond an edge means the edge.

    Returns
    -------
    Cropped
        Copies of the planes, and what `cropped_header` takes.

    Raises
    ------
    BadCropError
        Where fewer than 10 columns or rows are left.
    """
    ny, nx = planes[0].shape
    columns, rows = _span(x1, x2, nx), _span(y1, y2, ny)
    for what, (first, last), size in (("columns", columns, nx), ("rows", rows, ny)):
        if last - first < LEAST_SIDE_PIX:
            raise BadCropError(
                f"{max(0, last - first)} of {size} {what} would be left, and {LEAST_SIDE_PIX} are "
                f"needed: x1 and y1 are the first to be kept, x2 and y2 the first not to be"
            )
    cut = [plane[slice(*rows), slice(*columns)].copy() for plane in planes]
    return Cropped(cut, columns[0], rows[0])


def _span(first: int | None, last: int | None, size: int) -> tuple[int, int]:
    start, stop, _ = slice(first, last).indices(size)
    return start, stop


def destripe(
    data: npt.NDArray[np.floating[Any]], direction: Direction = "both"
) -> npt.NDArray[np.float32]:
    """Take off what whole rows or columns lie above or below the rest.

    Each row's (column's) clipped median is brought to the median of all of them: stars do not
    move it, the level of the sky stays.

    Parameters
    ----------
    data : float array, ``(ny, nx)``
        NaN is not looked at and stays.
    direction : {"horizontal", "vertical", "both"}
        Horizontal stripes are rows, vertical ones columns.

    Returns
    -------
    float32 array, ``(ny, nx)``
    """
    found = np.array(data, np.float32)
    for axis, name in ((1, "horizontal"), (0, "vertical")):
        if direction in (name, "both"):
            levels = _levels(found, axis)
            known = np.isfinite(levels)
            middle = np.median(levels[known]) if known.any() else 0.0
            offsets = np.where(known, levels - middle, 0).astype(np.float32)
            found -= np.expand_dims(offsets, axis)
    return found


def _levels(data: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float64]:
    """Return the clipped median of every row (`axis` 1) or column; NaN where it has no pixel."""
    lines = data if axis == 1 else data.T
    levels = np.empty(len(lines))
    for i, line in enumerate(lines):
        values = line[np.isfinite(line)].astype(np.float64)
        for _ in range(ROUNDS):
            if not len(values):
                break
            middle = np.median(values)
            scatter = MAD_TO_SIGMA * np.median(np.abs(values - middle))
            kept = values[np.abs(values - middle) <= CLIP_SIGMA * scatter]
            if len(kept) in (0, len(values)):
                break
            values = kept
        levels[i] = np.median(values) if len(values) else np.nan
    return levels
