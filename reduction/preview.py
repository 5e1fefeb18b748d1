"""Pictures of images for people: stretches, colour maps, thumbnails and tiles.

North is where the header puts it, but row 0 is at the bottom, as every FITS viewer has it.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from reduction.flags import PixelFlag
from reduction.image import FloatPlane, MaskPlane

Palette = npt.NDArray[np.uint8]  # (256, 3)

STRETCHES: Final = ("zscale", "linear", "log", "sqrt", "asinh", "minmax")
TILE: Final = 256
_SAMPLE: Final = 40_000  # pixels that settle limits; more do not move them visibly
_ZSCALE_CONTRAST: Final = 0.25  # the default of IRAF and DS9
_ZSCALE_LINE: Final = 1_000  # pixels in its fitted line
_ASINH_SOFTENING: Final = 0.002  # of the range: fainter is linear, brighter logarithmic
_LOG_RANGE: Final = 1_000.0  # DS9's exponent

# Control colours, evenly spaced, interpolated linearly: near enough to the eye.
_CONTROL: Final[Mapping[str, tuple[int, ...]]] = {
    "gray": (0x000000, 0xFFFFFF),
    "red": (0x000000, 0x8C1A0A, 0xFF5A36, 0xFFE3DA),
    "heat": (0x000000, 0x7F0000, 0xFF7F00, 0xFFFF7F, 0xFFFFFF),
    "blues": (0xF7FBFF, 0xC6DBEF, 0x6BAED6, 0x2171B5, 0x08306B),
    "viridis": (0x440154, 0x472D7B, 0x3B528B, 0x2C728E, 0x21918C, 0x28AE80, 0x5EC962, 0xFDE725),
    "magma": (0x000004, 0x231151, 0x5F187F, 0x982D80, 0xD3436E, 0xF8765C, 0xFEBA80, 0xFCFDBF),
    "inferno": (0x000004, 0x280B53, 0x65156E, 0x9F2A63, 0xD44842, 0xF57D15, 0xFAC228, 0xFCFFA4),
    "plasma": (0x0D0887, 0x5302A3, 0x8B0AA5, 0xB83289, 0xDB5C68, 0xF48849, 0xFEBD2A, 0xF0F921),
}
COLOUR_MAPS: Final = (*_CONTROL, "cubehelix")
_ALIASES: Final = {"grey": "gray", "greys": "gray", "hot": "heat"}

# Which colour a flagged pixel has, the most serious flag first.
FLAG_COLOURS: Final[Mapping[PixelFlag, int]] = {
    PixelFlag.NO_DATA: 0x555555,
    PixelFlag.BAD: 0xD62728,
    PixelFlag.SATURATED: 0xFFD23F,
    PixelFlag.COSMIC_RAY: 0x2EC4F1,
    PixelFlag.TRAIL: 0xB07AFF,
    PixelFlag.NONLINEAR: 0xFF8C42,
    PixelFlag.INTERPOLATED: 0x7BD389,
    PixelFlag.EDGE: 0x8899AA,
    PixelFlag.OBJECT: 0x3A5FCD,
}


@dataclass(frozen=True, slots=True)
class DisplayLimits:
    """The values shown darkest and brightest, in the unit of the plane."""

    low: float
    high: float


def display_limits(data: FloatPlane, stretch: str) -> DisplayLimits:
    """Choose the values that become black and white.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        Pixel values, any unit; NaN and infinities are ignored.
    stretch : str
        One of `STRETCHES`: "zscale" follows the sky (IRAF's algorithm); "minmax" shows all
        values; the rest leave out the faintest 0.5 % and the brightest 0.5 % (linear) or
        0.1 % (log, sqrt, asinh, which have room for bright stars).

    Returns
    -------
    DisplayLimits
        ``low < high`` always, both finite; 0 and 1 where no pixel is finite.

    Raises
    ------
    ValueError
        If there is no such stretch.
    """
    _check_stretch(stretch)
    values = _sample(data, whole=stretch == "minmax")
    if values.size == 0:
        return DisplayLimits(0.0, 1.0)
    if stretch == "zscale":
        low, high = _zscale(values)
    elif stretch == "minmax":
        low, high = float(values.min()), float(values.max())
    else:
        top = 99.5 if stretch == "linear" else 99.9
        low, high = (float(v) for v in np.percentile(values, [0.5, top]))
    return DisplayLimits(low, high) if high > low else DisplayLimits(low - 0.5, low + 0.5)


def _check_stretch(stretch: str) -> None:
    if stretch not in STRETCHES:
        raise ValueError(f"there is no stretch {stretch!r}; choose one of {', '.join(STRETCHES)}")


def _sample(data: FloatPlane, *, whole: bool) -> npt.NDArray[np.float64]:
    step = 1 if whole else max(1, int(np.sqrt(data.size / _SAMPLE)))
    values = data[::step, ::step].astype(np.float64).ravel()
    return values[np.isfinite(values)]


def _zscale(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Fit a line to the sorted values about their median and show its flattened slope."""
    ordered = np.sort(values)[:: max(1, values.size // _ZSCALE_LINE)]
    middle = (ordered.size - 1) / 2
    rank = np.arange(ordered.size) - middle
    kept = np.ones(ordered.size, dtype=bool)
    slope = 0.0
    for _ in range(5):
        if kept.sum() < max(5, ordered.size // 2):  # no line: too much of it is stars
            return float(ordered[0]), float(ordered[-1])
        slope, intercept = np.polyfit(rank[kept], ordered[kept], 1)
        residual = ordered - (intercept + slope * rank)
        now = kept & (np.abs(residual) <= 2.5 * residual[kept].std() + 1e-12)
        if now.sum() == kept.sum():
            break
        kept = now
    reach = slope / _ZSCALE_CONTRAST * middle
    median = float(np.median(ordered))
    return max(float(ordered[0]), median - reach), min(float(ordered[-1]), median + reach)


def stretched(data: FloatPlane, stretch: str, limits: DisplayLimits) -> Palette:
    """Map pixel values to the 256 steps of a palette.

    Parameters
    ----------
    data : float32 array
        Any shape; NaN becomes step 0.
    stretch : str
        One of `STRETCHES`; "zscale" and "minmax" are linear between their limits.
    limits : DisplayLimits
        Shown as step 0 and step 255.

    Returns
    -------
    uint8 array
        Of the shape of `data`.

    Raises
    ------
    ValueError
        If there is no such stretch.
    """
    _check_stretch(stretch)
    span = max(limits.high - limits.low, 1e-30)
    share = np.clip((data.astype(np.float32) - np.float32(limits.low)) / np.float32(span), 0, 1)
    if stretch == "log":
        share = np.log1p(_LOG_RANGE * share) / np.log1p(_LOG_RANGE)
    elif stretch == "sqrt":
        share = np.sqrt(share)
    elif stretch == "asinh":
        share = np.arcsinh(share / _ASINH_SOFTENING) / np.arcsinh(1 / _ASINH_SOFTENING)
    steps: Palette = (np.nan_to_num(share, nan=0.0) * 255 + 0.5).astype(np.uint8)
    return steps


def palette(cmap: str) -> Palette:
    """Return the 256 colours of a map.

    Parameters
    ----------
    cmap : str
        One of `COLOUR_MAPS`, without case, or of matplotlib's, as it spells them; ``_r`` behind
        it turns it round.

    Returns
    -------
    uint8 array, ``(256, 3)``
        Red, green, blue.

    Raises
    ------
    ValueError
        If there is no such colour map.
    """
    name = cmap.lower()
    plain = name.removesuffix("_r")
    plain = _ALIASES.get(plain, plain)
    if plain not in COLOUR_MAPS:
        return _of_matplotlib(cmap)
    colours = _cubehelix() if plain == "cubehelix" else _interpolated(_CONTROL[plain])
    return colours[::-1].copy() if name.endswith("_r") else colours


def _of_matplotlib(cmap: str) -> Palette:
    from matplotlib import colormaps  # slow to import, and seldom asked for

    if cmap not in colormaps:
        raise ValueError(f"there is no colour map {cmap!r}; choose one of {', '.join(COLOUR_MAPS)}")
    colours: Palette = colormaps[cmap](np.linspace(0, 1, 256), bytes=True)[:, :3].copy()
    return colours


def _rgb(colour: int) -> tuple[int, int, int]:
    return colour >> 16, colour >> 8 & 0xFF, colour & 0xFF


def _interpolated(control: tuple[int, ...]) -> Palette:
    known = np.array([_rgb(colour) for colour in control], dtype=float)
    at = np.linspace(0, len(control) - 1, 256)
    channels = [np.interp(at, np.arange(len(control)), known[:, i]) for i in range(3)]
    return (np.stack(channels, axis=1) + 0.5).astype(np.uint8)


def _cubehelix() -> Palette:
    """Green D. A., 2011, BASI 39, 289, with his default parameters."""
    grey = np.linspace(0, 1, 256)
    angle = 2 * np.pi * (0.5 / 3 + 1 - 1.5 * grey)
    swing = grey * (1 - grey) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    red = grey + swing * (-0.14861 * cos + 1.78277 * sin)
    green = grey + swing * (-0.29227 * cos - 0.90649 * sin)
    blue = grey + swing * (1.97294 * cos)
    return (np.clip(np.stack([red, green, blue], axis=1), 0, 1) * 255 + 0.5).astype(np.uint8)


def halved(data: FloatPlane) -> FloatPlane:
    """Return a plane at half its size: means of 2 x 2 pixels that leave NaN out.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        An odd last row or column counts twice.

    Returns
    -------
    float32 array, ``((ny + 1) // 2, (nx + 1) // 2)``
        NaN where all four pixels are.
    """
    quarters = np.stack(_quarters(data.astype(np.float32, copy=False)))
    good = np.isfinite(quarters)
    if good.all():
        mean: FloatPlane = quarters.mean(axis=0, dtype=np.float32)
        return mean
    n_good = good.sum(axis=0)
    total = np.where(good, quarters, 0).sum(axis=0, dtype=np.float32)
    means: FloatPlane = np.where(n_good > 0, total / np.maximum(n_good, 1), np.float32(np.nan))
    return means


def halved_flags(mask: MaskPlane) -> MaskPlane:
    """Return a mask at half its size; a pixel has every flag of the four it stands for."""
    joined: MaskPlane = np.bitwise_or.reduce(_quarters(mask))
    return joined


def _quarters(plane: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    ny, nx = plane.shape
    even = np.pad(plane, ((0, ny % 2), (0, nx % 2)), mode="edge") if ny % 2 or nx % 2 else plane
    return [even[i::2, j::2] for i in (0, 1) for j in (0, 1)]


def flag_indices(mask: MaskPlane) -> Palette:
    """Map flags to steps of `flag_palette`: the most serious one of each pixel, 0 for none.

    Parameters
    ----------
    mask : uint16 array
        Bits of `PixelFlag`, any shape.

    Returns
    -------
    uint8 array
        Of the shape of `mask`.
    """
    indices = np.zeros(mask.shape, dtype=np.uint8)
    for step, flag in reversed(list(enumerate(FLAG_COLOURS, start=1))):
        indices[(mask & flag.value) != 0] = step
    return indices


def flag_palette() -> Palette:
    """Return the colours `flag_indices` counts in; unflagged pixels are nearly black."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[0] = (12, 12, 14)
    for step, colour in enumerate(FLAG_COLOURS.values(), start=1):
        colours[step] = _rgb(colour)
    return colours


def encode(indices: Palette, colours: Palette) -> bytes:
    """Return palette steps as a PNG with row 0 at the bottom.

    Parameters
    ----------
    indices : uint8 array, ``(ny, nx)``
        Steps of the palette.
    colours : uint8 array, ``(256, 3)``
        The palette.

    Returns
    -------
    bytes
        An 8-bit palette PNG.
    """
    picture = Picture.fromarray(np.ascontiguousarray(indices[::-1]))
    picture.putpalette(colours.tobytes())
    return _png(picture)


def _png(picture: Picture.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)  # noise hardly packs; more effort only costs time
    return stream.getvalue()


def resized(data: FloatPlane, width: int) -> FloatPlane:
    """Return a plane no wider than `width`, each pixel the mean of those it covers.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        NaN takes the median of the plane, so that it does not spread.
    width : int
        In pixels; 0, or more than the plane has, gives `data` itself.

    Returns
    -------
    float32 array
        The aspect ratio is kept to half a pixel.
    """
    ny, nx = data.shape
    plane: FloatPlane = data.astype(np.float32, copy=False)
    if width <= 0 or width >= nx:
        return plane
    good = np.isfinite(plane)
    if not good.all():
        plane = np.where(good, plane, np.median(plane[good]) if good.any() else np.float32(0))
    size = width, max(1, round(ny * width / nx))
    return np.asarray(Picture.fromarray(plane).resize(size, Picture.Resampling.BOX))


def render(
    data: FloatPlane,
    *,
    stretch: str = "zscale",
    cmap: str = "gray",
    width: int = 0,
    limits: DisplayLimits | None = None,
) -> bytes:
    """Return a plane as a PNG.

    Parameters
    ----------
    data : float32 array, ``(ny, nx)``
        Pixel values, any unit; NaN is shown dark at full size, as sky when made smaller.
    stretch, cmap : str
        One of `STRETCHES` and of `COLOUR_MAPS`.
    width : int
        Of the picture; 0 is full size, and none is enlarged.
    limits : DisplayLimits, optional
        Values shown darkest and brightest; by default what the stretch chooses.

    Returns
    -------
    bytes
        An 8-bit palette PNG, row 0 at the bottom.

    Raises
    ------
    ValueError
        If there is no such stretch or colour map.
    """
    colours = palette(cmap)
    limits = limits or display_limits(data, stretch)
    return encode(stretched(resized(data, width), stretch, limits), colours)


def thumbnail(image: FloatPlane, *, width: int = 160) -> bytes:
    """Return a small grey PNG of a plane, stretched to show its sky.

    Parameters
    ----------
    image : float32 array, ``(ny, nx)``
        Pixel values, any unit.
    width : int
        Of the picture.

    Returns
    -------
    bytes
        An 8-bit palette PNG, row 0 at the bottom.
    """
    small = resized(image, width)
    return render(small, stretch="zscale", limits=display_limits(image, "zscale"))
