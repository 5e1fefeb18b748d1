"""Frames, or parts of them, that give their rows to be combined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reduction.image import FloatPlane, native_rows
from reduction.kernels.rows import level_rows, subtract_rows
from reduction.readout import RawRows


@dataclass(frozen=True, slots=True)
class ArrayRows:
    """An array in memory, ``(ny, nx)``, as a source of rows: ``array * scale + shift``.

    Masked pixels (nonzero in `mask`) and those that are not finite are unknown.
    """

    array: npt.NDArray[np.generic]
    mask: npt.NDArray[np.generic] | None = None
    scale: float = 1.0
    shift: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ny, nx = self.array.shape
        return ny, nx

    def read(self, y0: int, y1: int, out: FloatPlane) -> None:
        """Write rows ``y0:y1`` to `out`."""
        np.copyto(out, self.array[y0:y1], casting="unsafe")
        if self.scale != 1.0 or self.shift != 0.0:
            np.multiply(out, np.float32(self.scale), out=out)
            np.add(out, np.float32(self.shift), out=out)
        if self.mask is not None:
            out[self.mask[y0:y1] != 0] = np.nan

    def release(self, y0: int, y1: int) -> None:
        """Do nothing: the array stays in memory."""


@dataclass(frozen=True, slots=True)
class CorrectedRows:
    """An amplifier of a raw frame, corrected as it is read.

    ``(raw - levels - sum(plane * factor)) * scale + shift``; raw values of `ceiling` or more
    are unknown.

    Attributes
    ----------
    raw : RawRows
        The amplifier's pixels.
    levels : float32 array, ``(ny,)``
        The read-out's zero level of every row, in ADU.
    ceiling : float
        In ADU; infinite where nothing saturates.
    scale, shift : float
        Of the corrected value.
    planes : sequence of (float32 array ``(ny, nx)``, float)
        What is subtracted, in ADU, with its factor.
    """

    raw: RawRows
    levels: FloatPlane
    ceiling: float = float("inf")
    scale: float = 1.0
    shift: float = 0.0
    planes: Sequence[tuple[FloatPlane, float]] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.raw.shape

    def read(self, y0: int, y1: int, out: FloatPlane) -> None:
        """Write rows ``y0:y1`` to `out`."""
        self.raw.read(y0, y1, out)
        level_rows(out, self.levels[y0:y1], self.ceiling, self.scale, self.shift)
        for plane, factor in self.planes:
            subtract_rows(out, native_rows(plane, y0, y1), factor * self.scale)

    def release(self, y0: int, y1: int) -> None:
        """Let the raw rows go."""
        self.raw.release(y0, y1)

    @property
    def only_shifts(self) -> bool:
        """Tell whether the result is the raw value plus a number for each row."""
        return not self.planes and self.scale == 1.0 and self.ceiling == float("inf")
