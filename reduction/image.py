"""The image every reduction step takes and returns, and its rows as compiled loops take them."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

FloatPlane = npt.NDArray[np.float32]
MaskPlane = npt.NDArray[np.uint16]
Unit = Literal["adu", "electron", "1"]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Image:
    """Detector data with its variance and its flags, all ``(ny, nx)``.

    Attributes
    ----------
    data : float32 array
        Pixel values, in `unit`.
    variance : float32 array
        Variance of `data`, in `unit` squared.
    mask : uint16 array
        Bits of `reduction.flags.PixelFlag`; zero is a good pixel.
    unit : {"adu", "electron", "1"}
        Unit of `data`; "1" is a normalised flat field.
    """

    data: FloatPlane
    variance: FloatPlane
    mask: MaskPlane
    unit: Unit

    def __post_init__(self) -> None:
        if not self.data.shape == self.variance.shape == self.mask.shape:
            raise ValueError("data, variance and mask must have one shape")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, ``(ny, nx)``."""
        ny, nx = self.data.shape
        return ny, nx


def native_rows(plane: npt.NDArray[Number], y0: int, y1: int) -> npt.NDArray[Number]:
    """Return rows of a plane as the kernels take them: contiguous, native, read-only."""
    native = plane.dtype.newbyteorder("=")
    rows = np.ascontiguousarray(np.asarray(plane)[y0:y1], dtype=native).view()
    rows.flags.writeable = False
    return rows
