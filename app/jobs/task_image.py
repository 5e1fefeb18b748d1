"""The image of a task, opened as the steps take it, and the masks that lie beside it."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from app.services import cameras
from app.services.task_files import IMAGE
from reduction import fitsio, headers, recipes
from reduction.errors import BadFileError, BadFrameError
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo
from reduction.headers.extensions import name_of
from reduction.headers.known_wcs import header_wcs
from reduction.image import FloatPlane, MaskPlane
from reduction.oneimage.picture import Picture, picture_of, with_custom

MASK: Final = "mask.fits"
CUSTOM_MASK: Final = "custom_mask.fits"
SPECTROSCOPY: Final = "spectroscopy"
_NO_CALIBRATION: Final = recipes.CalibrateParams(cosmic_rays=None)


def open_picture(folder: Path) -> Picture:
    """Open the image of a task's folder.

    Raises
    ------
    BadFrameError
        If there is none; and what `reduction.fitsio` refuses.
    """
    path = folder / IMAGE
    if not path.is_file():
        raise BadFrameError(
            "the task has no image yet: upload one as image.fits, or run the step stack"
        )
    picture = read_picture(path)
    if picture.info.technique == SPECTROSCOPY:
        raise BadFrameError(
            "image.fits is a spectrum, by its header: no stars tell its place and its light"
        )
    return picture


def several_told(folder: Path, picture: Picture) -> str:
    """Return which image of several is worked on, empty where there is one alone."""
    if picture.info.level >= 1 or len(picture.info.amplifiers) > 1:
        return ""  # planes of one product of this house, amplifiers of one detector
    images = [hdu for hdu in fitsio.read_headers(folder / IMAGE).hdus if len(hdu.shape) > 1]
    planes = math.prod(images[0].shape[:-2])
    said = []
    if len(images) > 1:
        name = name_of(images[0].cards)
        called = f", {name}," if name else ""
        said.append(
            f"{IMAGE} holds {len(images)} images: the first{called} is taken. For another one make "
            "a task of the file with ext, its number"
        )
    if planes > 1:
        said.append(f"{IMAGE} is a stack of {planes} planes: the first one is taken")
    return "\n".join(said)


def read_picture(path: Path) -> Picture:
    """Read the first image of a file: a plain one, a product of ours, a mosaic of amplifiers."""
    info = _info(path)
    product = _product(path, info)
    if product is not None:
        return product
    if len(info.amplifiers) > 1:
        return _assembled(path, info)
    plain = fitsio.read_image(path, info.hdus[0])
    ny, nx = plain.data.shape
    mask = _outside(info, (ny, nx))
    return picture_of(plain.data, info, mask=mask, wcs=header_wcs(plain.cards, (ny, nx)))


def _outside(info: FrameInfo, shape: tuple[int, int]) -> MaskPlane:
    """Return flags of the pixels that saw no light: overscan and the like of a raw frame."""
    mask = np.zeros(shape, np.uint16)
    if len(info.amplifiers) != 1:
        return mask
    lit = info.amplifiers[0].data
    if 0 <= lit.y0 < lit.y1 <= shape[0] and 0 <= lit.x0 < lit.x1 <= shape[1]:
        mask[...] = np.uint16(PixelFlag.NO_DATA)
        mask[lit.y0 : lit.y1, lit.x0 : lit.x1] = 0
    return mask


def _info(path: Path) -> FrameInfo:
    file = fitsio.read_headers(path)
    found = headers.translate(
        file, file_name=path.name, profiles=cameras.profiles(), site=cameras.site()
    )
    return found[0]


def _product(path: Path, info: FrameInfo) -> Picture | None:
    """Return a reduced frame of this house with its own variance and flags, None for others."""
    if info.level < 1:
        return None
    try:
        image, cards = fitsio.read_product(path)
    except BadFileError as error:
        if error.code != "not_product":
            raise
        return None
    wcs = header_wcs(list(cards.cards()), image.shape)
    return picture_of(
        image.data, info, mask=image.mask, variance=image.variance, unit=image.unit, wcs=wcs
    )


def _assembled(path: Path, info: FrameInfo) -> Picture:
    """Return the amplifiers of one detector side by side, in electrons, without overscan."""
    exposure = fitsio.open_exposure(path, info)
    made = recipes.calibrate(
        exposure, calibrations=recipes.Calibrations(), params=_NO_CALIBRATION
    ).image
    whole = replace(info, nx=made.shape[1], ny=made.shape[0])
    return picture_of(made.data, whole, mask=made.mask, variance=made.variance, unit=made.unit)


def custom_mask(folder: Path) -> npt.NDArray[np.bool_] | None:
    """Return the pixels somebody masked by hand, None where there is no such mask."""
    path = folder / CUSTOM_MASK
    if not path.is_file():
        return None
    data = _mask_in(path)
    return np.asarray(~np.isfinite(data) | (data != 0))


def _mask_in(path: Path) -> FloatPlane:
    try:
        return fitsio.read_image(path).data
    except BadFileError as error:
        raise BadFrameError(f"{path.name} cannot be used: {error}") from error


def kept_mask(folder: Path, picture: Picture) -> MaskPlane:
    """Return the flags `inspect` found, with the mask made by hand; the image's own without it."""
    path = folder / MASK
    mask = picture.mask.copy()
    if path.is_file():
        found = _mask_in(path)
        if found.shape != mask.shape:
            raise BadFrameError("the image has another size than its mask: run inspect again")
        mask |= found.astype(np.uint16)
    custom = custom_mask(folder)
    return mask if custom is None else with_custom(mask, custom)
