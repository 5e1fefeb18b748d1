"""Where a detector saturates, and what bleeds from there along its columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reduction.camera import Section
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo
from reduction.image import Image, MaskPlane, native_rows
from reduction.kernels.detrend import bleed_columns, mark_columns
from reduction.readout import RawRows


@dataclass(frozen=True, slots=True)
class SaturationParams:
    """What counts as saturated.

    Attributes
    ----------
    fraction : float
        Of the stated saturation level at which a pixel is flagged.
    bleed_run_pix : int
        Least run of saturated pixels along a column that bleeds.
    bleed_fraction : float
        Pixels that continue such a run above this fraction of saturation are part of it.
    bleed_grow_pix : int
        And so many more at either end.
    """

    fraction: float = 1.0
    bleed_run_pix: int = 3
    bleed_fraction: float = 0.5
    bleed_grow_pix: int = 2


def saturation_level(
    info: FrameInfo, stated_adu: float | None, rows: RawRows
) -> tuple[float, str | None]:
    """Return the ADU at which pixels of a read-out saturate, and a sentence where it is a guess.

    What header or profile state; else the top of the converter's range; else that of the file's
    whole numbers. Floats without a statement never saturate.
    """
    if stated_adu is not None:
        return stated_adu, None
    if info.bits is not None and 8 <= info.bits <= 32:
        top = float(2**info.bits - 1)
        return top, f"saturation not stated: taken as {top:.0f} ADU, the end of {info.bits} bits"
    if rows.plane.dtype.kind in "iu":
        top = float(np.iinfo(rows.plane.dtype.str).max) + rows.offset
        return top, f"saturation not stated: taken as {top:.0f} ADU, the end of the file's numbers"
    return float("inf"), "saturation not stated: no pixel is flagged as saturated"


def saturated_columns(mask: MaskPlane, place: Section) -> npt.NDArray[np.int64]:
    """Return which columns of a part of a mask hold a saturated pixel, counted from its left.

    Parameters
    ----------
    mask : uint16 array, ``(ny, nx)``
        Of the whole frame.
    place : Section
        The part.

    Returns
    -------
    int64 array
        In ascending order.
    """
    found = np.zeros(place.shape[1], np.bool_)
    rows = native_rows(mask, place.y0, place.y1)
    mark_columns(rows, place.x0, int(PixelFlag.SATURATED), found)
    return np.flatnonzero(found)


def flag_bleeding(image: Image, place: Section, *, level: float, params: SaturationParams) -> None:
    """Flag the bleeding of saturated pixels in one part of an image that is being made.

    Parameters
    ----------
    image : Image
        Signal, the columns along the charge transfer, and a mask with ``SATURATED`` where a pixel
        itself is, which is written to; planes as `reduction.detrend.detrend` makes them.
    place : Section
        The part: an amplifier's.
    level : float
        Saturation, in the unit of the image.
    params : SaturationParams
        Lengths and fractions.
    """
    columns = saturated_columns(image.mask, place) + place.x0
    limits = params.bleed_run_pix, params.bleed_fraction * level, params.bleed_grow_pix
    rows = place.y0, place.y1
    bleed_columns(image.data, image.mask, columns, rows, int(PixelFlag.SATURATED), limits)
