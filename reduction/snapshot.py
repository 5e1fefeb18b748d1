"""Pictures of single images as other programs ask for them: percentiles, smoothing, JPEG or PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from reduction.errors import ReductionError
from reduction.image import FloatPlane
from reduction.preview import DisplayLimits, Palette, palette, resized, stretched

FORMATS: Final = ("jpeg", "png")
MOST_PIX: Final = 25_000_000  # of a picture: each takes some thirty bytes while it is made
MOST_SIDE_PIX: Final = 65_000  # a JPEG has no longer sides
# Pixels of a picture times the pixels it is smoothed with: some three seconds of work.
MOST_SMOOTHING: Final = 200_000_000
_SAMPLE: Final = 250_000  # pixels that settle percentiles
_TRUNCATE: Final = 4.0  # standard deviations of the smoothing Gaussian
_TITLE_PIX: Final = 22  # above each plane of a strip
_GAP_PIX: Final = 4
_PAPER: Final = (255, 255, 255)
_INK: Final = (30, 30, 34)
_FLAGS: Final = frozenset({"MASK", "FOOTPRINT", "DQ"})  # planes without a sky


class TooLargePictureError(ReductionError):
    """A picture as it is wanted would be larger than any that is made."""


class TooSmoothPictureError(ReductionError):
    """A picture is wanted so smooth at its size that making it takes too long."""


@dataclass(frozen=True, slots=True)
class View:
    """How an image is shown.

    Attributes
    ----------
    stretch, cmap : str
        As of `reduction.preview`.
    qmin, qmax : float
        Percentiles of the pixels shown darkest and brightest, 0 to 100.
    smooth_pix : float
        Standard deviation of a Gaussian it is smoothed with first; 0: as it is.
    width : int
        Of the picture, pixels; 0 is the image's own, and none is enlarged.
    format : {"jpeg", "png"}
        Of the file.
    quality : int
        Of a JPEG, 1 to 95.
    """

    stretch: str = "linear"
    cmap: str = "Blues_r"
    qmin: float = 0.5
    qmax: float = 99.5
    smooth_pix: float = 0.0
    width: int = 800
    format: str = "jpeg"
    quality: int = 80


def take(data: FloatPlane, view: View) -> bytes:
    """Return a picture of an image.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        Pixel values, any unit; NaN is left out of percentiles and smoothing, and shown darkest
        at full size.
    view : View
        How it is shown.

    Returns
    -------
    bytes
        A file of `view.format`, row 0 at the bottom.

    Raises
    ------
    ValueError
        If there is no such stretch or colour map.
    TooLargePictureError
        If the picture would be larger than `MOST_PIX`, or one of its sides than `MOST_SIDE_PIX`.
    TooSmoothPictureError
        If smoothing it takes more than `MOST_SMOOTHING`.
    """
    colours = palette(view.cmap)
    ny, nx = data.shape
    check(ny, nx, view)
    width = min(view.width or nx, nx)
    # Made smaller first: a large image smoothed as it is takes many times its room.
    plane = smoothed(resized(data, width), view.smooth_pix * width / nx)
    limits = percentile_limits(plane if view.smooth_pix > 0 else data, view.qmin, view.qmax)
    return _encoded(_coloured(stretched(plane, view.stretch, limits), colours), view)


def check(ny: int, nx: int, view: View) -> None:
    """Refuse a picture that `take` would not make of an image.

    Parameters
    ----------
    ny, nx : int
        Rows and columns of the image.
    view : View
        How it is to be shown.

    Raises
    ------
    TooLargePictureError, TooSmoothPictureError
        As `take` does.
    """
    width = min(view.width or nx, nx)
    height = max(1, round(ny * width / nx))
    _check_size(width, height)
    most = MOST_SMOOTHING / (width * height) * nx / width
    if view.smooth_pix > most:
        raise TooSmoothPictureError(
            f"smoothing by {view.smooth_pix:g} pixels takes too long in a picture {width} pixels "
            f"wide: ask for {most:.2g} at most, or for a smaller picture (width)"
        )


def strip(planes: Sequence[tuple[str, FloatPlane]], view: View) -> bytes:
    """Return planes beside each other, each under its title, on one scale of its own.

    Parameters
    ----------
    planes : sequence of (str, float32 array)
        Title and pixels, ``(ny, nx)`` each.
    view : View
        Its width is that of one plane, to which small ones are enlarged; 0 keeps their size.

    Returns
    -------
    bytes
        A file of `view.format`.

    Raises
    ------
    TooLargePictureError
        As `take` does, of all of them together.
    """
    sizes = [_tile_size(data, view.width) for _, data in planes]
    gaps = _GAP_PIX * (len(sizes) - 1)
    _check_size(
        sum(width for width, _ in sizes) + gaps, max(height for _, height in sizes) + _TITLE_PIX
    )
    tiles = [_titled(title, data, view) for title, data in planes]
    width = sum(tile.width for tile in tiles) + _GAP_PIX * (len(tiles) - 1)
    sheet = Picture.new("RGB", (width, max(tile.height for tile in tiles)), _PAPER)
    x = 0
    for tile in tiles:
        sheet.paste(tile, (x, 0))
        x += tile.width + _GAP_PIX
    return _encoded(sheet, view)


def smoothed(data: FloatPlane, sigma_pix: float) -> FloatPlane:
    """Return an image smoothed with a Gaussian; NaN takes no part, and stays NaN far from others.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        Not changed.
    sigma_pix : float
        Its standard deviation; 0 or less changes nothing.

    Returns
    -------
    float32 array, ``(ny, nx)``
    """
    if sigma_pix <= 0:
        return data
    from scipy.ndimage import gaussian_filter  # slow to import, and seldom asked for

    good = np.isfinite(data)
    filled = np.where(good, data, 0).astype(np.float32)
    total = gaussian_filter(filled, sigma_pix, mode="nearest", truncate=_TRUNCATE)
    if good.all():
        return np.asarray(total, np.float32)
    weight = gaussian_filter(good.astype(np.float32), sigma_pix, mode="nearest", truncate=_TRUNCATE)
    mean: FloatPlane = np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), np.float32(np.nan))
    return mean


def percentile_limits(data: FloatPlane, qmin: float, qmax: float) -> DisplayLimits:
    """Return the values at two percentiles of the finite pixels; 0 and 1 where there are none.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        Large ones are sampled.
    qmin, qmax : float
        From 0 to 100, in any order.

    Returns
    -------
    DisplayLimits
        ``low < high`` always.
    """
    step = max(1, int(np.sqrt(data.size / _SAMPLE)))
    values = data[::step, ::step]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return DisplayLimits(0.0, 1.0)
    low, high = (float(v) for v in np.percentile(values, sorted((qmin, qmax))))
    return DisplayLimits(low, high) if high > low else DisplayLimits(low - 0.5, low + 0.5)


def _coloured(steps: Palette, colours: Palette) -> Picture.Image:
    return Picture.fromarray(np.ascontiguousarray(colours[steps[::-1]]))


def _titled(title: str, data: FloatPlane, view: View) -> Picture.Image:
    if title.upper() in _FLAGS:
        limits = DisplayLimits(0.0, 1.0)
    else:
        limits = percentile_limits(data, view.qmin, view.qmax)
    picture = _coloured(stretched(data, view.stretch, limits), palette(view.cmap))
    if view.width:
        size = _tile_size(data, view.width)
        picture = picture.resize(size, Picture.Resampling.NEAREST)
    tile = Picture.new("RGB", (picture.width, picture.height + _TITLE_PIX), _PAPER)
    tile.paste(picture, (0, _TITLE_PIX))
    font = ImageFont.load_default(size=14)
    middle = picture.width / 2, _TITLE_PIX / 2
    ImageDraw.Draw(tile).text(middle, title, fill=_INK, font=font, anchor="mm")
    return tile


def _tile_size(data: FloatPlane, width: int) -> tuple[int, int]:
    ny, nx = data.shape
    return (width, max(1, round(ny * width / nx))) if width else (nx, ny)


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIX or max(width, height) > MOST_SIDE_PIX:
        raise TooLargePictureError(
            f"the picture would be {width} x {height} pixels, which is too large: "
            f"{MOST_PIX // 1_000_000} million are the most, and {MOST_SIDE_PIX} on a side"
        )


def _encoded(picture: Picture.Image, view: View) -> bytes:
    stream = io.BytesIO()
    if view.format == "png":
        picture.save(stream, "PNG", compress_level=1)
    else:
        picture.save(stream, "JPEG", quality=view.quality)
    return stream.getvalue()
