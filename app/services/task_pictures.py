"""Pictures of the images in a task's folder, and of those below the data root."""

import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.errors import InvalidRequestError
from reduction import fitsio
from reduction.errors import BadFileError
from reduction.headers.extensions import name_of
from reduction.image import FloatPlane
from reduction.preview import STRETCHES, palette
from reduction.snapshot import (
    FORMATS,
    MOST_PIX,
    TooLargePictureError,
    TooSmoothPictureError,
    View,
    check,
    strip,
    take,
)

MAX_WIDTH: Final = 20_000
MAX_STRIP_WIDTH: Final = 2_000
MAX_SMOOTHING_PIX: Final = 100.0
NOT_A_NUMBER: Final = "Invalid numeric value"
_CUTOUT_WIDTH: Final = 0  # of one plane: as it is
_MOST_PLANES: Final = 20
_DEFAULT: Final = View()
_TOO_LARGE: Final = frozenset({"too_large", "bomb"})
# What is unpacked where pages are made: an image of a large camera, not all that may be archived.
LIMITS: Final = fitsio.Limits(max_pixels=100_000_000, max_bytes=400 << 20, max_ratio=50)
# Each takes some hundred megabytes while it is made, so they are made one at a time.
MAKING: Final = threading.BoundedSemaphore(1)


class NotAnImageError(InvalidRequestError):
    """The file holds no image that can be shown."""


def picture(path: Path, options: Mapping[str, str]) -> tuple[bytes, str]:
    """Return a picture of one image of a file, and its content type.

    Raises
    ------
    InvalidRequestError
        If an option cannot be used; `fields` says which.
    NotAnImageError
        If the file is no FITS file, or has no image there.
    """
    view = view_of(options)
    hdu = _integer(options, "ext", -1)
    try:
        with MAKING:
            image = fitsio.read_image(path, hdu if hdu >= 0 else None, limits=LIMITS)
            return take(image.data, view), f"image/{view.format}"
    except BadFileError as error:
        raise _not_shown(error) from error
    except TooLargePictureError as error:
        raise InvalidRequestError(width=str(error)) from error
    except TooSmoothPictureError as error:
        raise InvalidRequestError(r0=str(error)) from error


def check_look(shape: tuple[int, int], options: Mapping[str, str]) -> None:
    """Refuse what `picture` would not make of an image of this many rows and columns.

    Raises
    ------
    InvalidRequestError
        With the option that cannot be used.
    """
    view = view_of(options)
    try:
        check(*shape, view)
    except TooLargePictureError as error:
        raise InvalidRequestError(width=str(error)) from error
    except TooSmoothPictureError as error:
        raise InvalidRequestError(r0=str(error)) from error


def cutout(path: Path, options: Mapping[str, str]) -> tuple[bytes, str]:
    """Return the planes of a cutout beside each other, and the content type.

    Raises
    ------
    InvalidRequestError
        If an option cannot be used; `fields` says which.
    NotAnImageError
        If the file is no FITS file, or has no image.
    """
    asked = {"width": str(_CUTOUT_WIDTH)} | dict(options)
    view = view_of(asked)
    if view.width > MAX_STRIP_WIDTH:
        raise InvalidRequestError(width=f"must be from 0 (as it is) to {MAX_STRIP_WIDTH}")
    try:
        with MAKING:
            return strip(_planes(path), view), f"image/{view.format}"
    except BadFileError as error:
        raise _not_shown(error) from error
    except TooLargePictureError as error:
        raise InvalidRequestError(width=str(error)) from error


def view_of(options: Mapping[str, str]) -> View:
    """Return how a picture is wanted, from options as they come in an address.

    Raises
    ------
    InvalidRequestError
        With the first option that cannot be used.
    """
    view = View(
        stretch=options.get("stretch") or _DEFAULT.stretch,
        cmap=options.get("cmap") or _DEFAULT.cmap,
        qmin=_number(options, "qmin", _DEFAULT.qmin, 100),
        qmax=_number(options, "qmax", _DEFAULT.qmax, 100),
        smooth_pix=_number(options, "r0", 0.0, MAX_SMOOTHING_PIX),
        width=_width(options),
        format=_format(options),
        quality=min(95, max(1, _integer(options, "quality", _DEFAULT.quality))),
    )
    if view.stretch not in STRETCHES:
        raise InvalidRequestError(stretch=f"must be one of {', '.join(STRETCHES)}")
    try:
        palette(view.cmap)
    except ValueError as error:
        raise InvalidRequestError(cmap=str(error)) from error
    return view


def _not_shown(error: BadFileError) -> NotAnImageError:
    if error.code in _TOO_LARGE:
        return NotAnImageError("This image is too large to be shown here: download it.")
    return NotAnImageError(str(error))


def _planes(path: Path) -> list[tuple[str, FloatPlane]]:
    hdus = fitsio.read_headers(path, limits=LIMITS).hdus
    images = [hdu for hdu in hdus if len(hdu.shape) > 1][:_MOST_PLANES]
    if not images:
        raise NotAnImageError(f"{path.name} holds no image.")
    if sum(math.prod(hdu.shape) for hdu in images) > MOST_PIX:
        raise NotAnImageError("These images are too large to be shown beside each other.")
    return [
        (
            name_of(hdu.cards) or "IMAGE",
            fitsio.read_image(path, hdu.index, limits=LIMITS).data,
        )
        for hdu in images
    ]


def _width(options: Mapping[str, str]) -> int:
    width = _integer(options, "width", _DEFAULT.width)
    if not 0 <= width <= MAX_WIDTH:
        raise InvalidRequestError(width=f"must be from 0 (as it is) to {MAX_WIDTH}")
    return width


def _format(options: Mapping[str, str]) -> str:
    asked = (options.get("format") or _DEFAULT.format).lower().replace("jpg", "jpeg")
    if asked not in FORMATS:
        raise InvalidRequestError(format=f"must be one of {', '.join(FORMATS)}")
    return asked


def _integer(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, "").strip()
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise InvalidRequestError(**{name: NOT_A_NUMBER}) from None


def _number(options: Mapping[str, str], name: str, default: float, most: float) -> float:
    text = options.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        raise InvalidRequestError(**{name: NOT_A_NUMBER}) from None
    if not 0 <= value <= most:  # NaN is refused here too
        raise InvalidRequestError(**{name: f"must be from 0 to {most:g}"})
    return value
