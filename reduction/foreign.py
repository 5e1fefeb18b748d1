"""Masters that other programs made, as images the recipes take."""

import numpy as np

from reduction.errors import BadFrameError, ShapeMismatchError
from reduction.exposure import Exposure
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameKind
from reduction.image import FloatPlane, Image, MaskPlane
from reduction.readout import amplifiers, data_rows
from reduction.stats import difference_noise, mode_of


def foreign_master(exposure: Exposure, *, mask: FloatPlane | None = None) -> Image:
    """Return a master of another program as an image.

    Nothing tells how well its pixels are known: their scatter from pixel to pixel is taken for
    their noise, which is too much rather than too little. A flat is normalised by its mode.

    Parameters
    ----------
    exposure : Exposure
        The master's pixels and its translated header.
    mask : array, ``(ny, nx)``, optional
        Pixels that are not to be used: nonzero is bad.

    Returns
    -------
    Image
        ``(ny, nx)``, in ADU, or of unit "1" for a flat. NaN pixels are 0 and ``NO_DATA``, those of
        `mask` are ``BAD``.

    Raises
    ------
    BadFrameError
        If it holds no number, or a flat no light.
    ShapeMismatchError
        If the mask has another shape.
    """
    data = _assembled(exposure)
    known = np.isfinite(data)
    if not known.any():
        raise BadFrameError(f"{exposure.name} holds no number")
    flags = np.where(known, 0, PixelFlag.NO_DATA).astype(np.uint16)
    if mask is not None:
        flags |= _bad(mask, exposure)
    if exposure.info.kind == FrameKind.FLAT:
        data = data / np.float32(_light(data[known], exposure.name))
    noise = difference_noise(data, flags == 0)
    variance = np.full(data.shape, noise**2 if np.isfinite(noise) else 0.0, np.float32)
    return Image(
        data=np.where(known, data, 0).astype(np.float32),
        variance=variance,
        mask=flags,
        unit="1" if exposure.info.kind == FrameKind.FLAT else "adu",
    )


def _assembled(exposure: Exposure) -> FloatPlane:
    data = np.full((exposure.info.ny, exposure.info.nx), np.nan, np.float32)
    for amp in amplifiers(exposure.info):
        rows, to = data_rows(exposure, amp), amp.target
        part = np.empty(amp.data.shape, np.float32)
        rows.read(0, amp.data.shape[0], part)
        data[to.y0 : to.y1, to.x0 : to.x1] = part
    return data


def _bad(mask: FloatPlane, exposure: Exposure) -> MaskPlane:
    shape = exposure.info.ny, exposure.info.nx
    if mask.shape != shape:
        raise ShapeMismatchError(
            f"the mask of {exposure.name} has {mask.shape[1]} x {mask.shape[0]} pixels, "
            f"the master {shape[1]} x {shape[0]}"
        )
    return np.where(mask != 0, PixelFlag.BAD, 0).astype(np.uint16)


def _light(values: FloatPlane, name: str) -> float:
    level = mode_of(values)
    if not level > 0:
        raise BadFrameError(f"{name}: a flat whose level is {level:g} lights nothing")
    return level
