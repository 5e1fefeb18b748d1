"""A frame cut into cells, for what is told by many stars together."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.plots.drawing import Panel

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
LEAST_STARS: Final = 3  # of a cell, below which it tells nothing


@dataclass(frozen=True, slots=True)
class Cells:
    """Which stars lie in which cell.

    Attributes
    ----------
    rows, columns : int
        How many there are, counted from the bottom left.
    shape : tuple of int
        Rows and columns of the frame, in pixels.
    number : integer array, ``(n,)``
        Of each star's cell, row by row.
    """

    rows: int
    columns: int
    shape: tuple[int, int]
    number: Indices

    def members(self) -> Iterator[tuple[int, Indices]]:
        """Give each cell that has stars enough, with which they are."""
        order = np.argsort(self.number, kind="stable")
        first = np.searchsorted(self.number[order], np.arange(self.rows * self.columns + 1))
        for cell in range(self.rows * self.columns):
            chosen = order[first[cell] : first[cell + 1]]
            if len(chosen) >= LEAST_STARS:
                yield cell, chosen

    def middle(self, cell: int) -> tuple[float, float]:
        """Return the pixel in the middle of a cell."""
        ny, nx = self.shape
        row, column = divmod(cell, self.columns)
        return (column + 0.5) * nx / self.columns - 0.5, (row + 0.5) * ny / self.rows - 0.5

    def place(self, cell: int, panel: Panel) -> tuple[float, float, float, float]:
        """Return left, top, width and height of a cell on a drawing of the frame."""
        ny, nx = self.shape
        row, column = divmod(cell, self.columns)
        left, bottom = panel.at(column * nx / self.columns - 0.5, row * ny / self.rows - 0.5)
        right, top = panel.at(
            (column + 1) * nx / self.columns - 0.5, (row + 1) * ny / self.rows - 0.5
        )
        return left, top, right - left, bottom - top


def cut(x: Floats, y: Floats, shape: tuple[int, int], *, per_cell: int, most: int) -> Cells:
    """Cut a frame into about square cells of so many stars each.

    Parameters
    ----------
    x, y : float arrays, ``(n,)``
        Places of the stars, pixels.
    shape : tuple of int
        Rows and columns of the frame.
    per_cell : int
        How many stars a cell should have.
    most : int
        Cells along the frame's longer side.

    Returns
    -------
    Cells
        One at least.
    """
    ny, nx = shape
    wanted = max(1.0, len(x) / per_cell)
    columns = int(np.clip(round(np.sqrt(wanted * nx / ny)), 1, most))
    rows = int(np.clip(round(np.sqrt(wanted * ny / nx)), 1, most))
    column = np.clip((x + 0.5) * columns / nx, 0, columns - 1).astype(np.int64)
    row = np.clip((y + 0.5) * rows / ny, 0, rows - 1).astype(np.int64)
    return Cells(rows, columns, shape, row * columns + column)
