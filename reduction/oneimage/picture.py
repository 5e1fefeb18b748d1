"""One image as the steps take it: its pixels, what is known of them, and its noise."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import sep

from reduction.astrometry.wcs import TanSip
from reduction.cosmicrays import flag_cosmic_rays
from reduction.errors import BadFrameError
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo
from reduction.headers.readers import tells_saturation
from reduction.image import FloatPlane, Image, MaskPlane, Unit
from reduction.oneimage.options import LARGEST_MESH_PIX
from reduction.stats import difference_noise

Bits = npt.NDArray[np.bool_]
LEAST_MESH_PIX: Final = 16
USUAL_NOISE_E: Final = 10.0  # of a pixel of the sky, where units are not counts
LEAST_NOISE_E: Final = 0.3  # that any detector has
MEDIAN_SHARE, MOST_SHARE = 0.05, 0.95  # of a saturation level nobody told: of median and maximum


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that came from outside or from this house.

    Attributes
    ----------
    data : float32 array, ``(ny, nx)``
        Its pixels; what is not finite is flagged in `mask`.
    mask : uint16 array, ``(ny, nx)``
        Bits of `PixelFlag` that it brings along.
    variance : float32 array or None
        Where it brings that along too.
    unit : {"adu", "electron", "1"}
        Of the data.
    info : FrameInfo
        Its translated header.
    wcs : TanSip or None
        Where its header says it lies on the sky.
    """

    data: FloatPlane
    mask: MaskPlane
    variance: FloatPlane | None
    unit: Unit
    info: FrameInfo
    wcs: TanSip | None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ny, nx = self.data.shape
        return ny, nx

    @property
    def good(self) -> Bits:
        """Which pixels hold a value that may be looked at."""
        return np.asarray((self.mask & np.uint16(PixelFlag.BAD | PixelFlag.NO_DATA)) == 0)

    @property
    def usual_mesh_pix(self) -> int:
        """Side of a cell of the background: 256 pixels, or half of the image."""
        return max(LEAST_MESH_PIX, min(LARGEST_MESH_PIX, min(self.shape) // 2))

    @property
    def usual_gain(self) -> float:
        """Electrons a unit: as the header says, else 1, unless that would be less than noise.

        Images in nanomaggies or in counts a second have skies that scatter by far less than an
        electron if a unit were one: their sources would drown in photon noise they do not have.
        """
        if self.unit == "electron":
            return 1.0
        told = self.info.gain_e_per_adu
        if told is not None and told > 0:
            return told
        noise = difference_noise(self.data, self.good)
        return 1.0 if noise > LEAST_NOISE_E or noise <= 0 else USUAL_NOISE_E / noise

    @property
    def told_saturation(self) -> float | None:
        """The level its header tells, in its unit; None where no card does, or none can be right.

        Images with their own variance have flags of what was saturated before they were made.
        """
        level, origin = self.info.saturation_adu, self.info.origins.get("saturation_adu")
        if level is None or origin is None or origin.doubt or self.variance is not None:
            return None
        if self.unit != "adu" or not tells_saturation(origin):
            return None
        return float(level) if level > np.median(self.data[self.good]) else None

    @property
    def usual_saturation(self) -> float:
        """A level near the highest value, where nobody says at which pixels saturate."""
        values = self.data[self.good]
        return float(MEDIAN_SHARE * np.median(values) + MOST_SHARE * values.max())


def picture_of(
    data: npt.NDArray[np.generic],
    info: FrameInfo,
    *,
    mask: MaskPlane | None = None,
    variance: FloatPlane | None = None,
    unit: Unit = "adu",
    wcs: TanSip | None = None,
) -> Picture:
    """Return an image ready for the steps.

    Parameters
    ----------
    data : array, ``(ny, nx)``
        Of any number type; not changed.
    info, mask, variance, unit, wcs
        As of `Picture`.

    Raises
    ------
    BadFrameError
        Where it has too few pixels, or none that holds a value.
    """
    plane = np.array(data, np.float32)
    if plane.ndim != 2 or min(plane.shape) < LEAST_MESH_PIX:
        raise BadFrameError(
            f"an image of {' x '.join(map(str, plane.shape[::-1]))} pixels is too small: "
            f"{LEAST_MESH_PIX} on a side are needed"
        )
    flags = np.zeros(plane.shape, np.uint16) if mask is None else mask.copy()
    empty = ~np.isfinite(plane)
    flags[empty] |= np.uint16(PixelFlag.NO_DATA)
    found = Picture(plane, flags, variance, unit, info, wcs)
    if not found.good.any():
        raise BadFrameError("none of its pixels holds a value")
    plane[empty] = np.median(plane[found.good])
    return found


def with_noise(picture: Picture, mask: MaskPlane, *, gain: float, mesh_pix: int) -> Image:
    """Return an image with the variance of its pixels: of its sky as it is, and of its light.

    Parameters
    ----------
    picture : Picture
        Where it brings its own variance along, that is kept.
    mask : uint16 array, ``(ny, nx)``
        Bits of `PixelFlag`.
    gain : float
        Electrons a unit of the image.
    mesh_pix : int
        Side of a cell of the background, whose scatter is the noise of the sky.
    """
    if picture.variance is not None:
        return Image(picture.data, picture.variance, mask, picture.unit)
    level, noise = _sky(picture.data, mask, mesh_pix)
    light = np.maximum(picture.data - level, 0) / np.float32(gain)
    return Image(picture.data, noise**2 + light, mask, picture.unit)


def _sky(data: FloatPlane, mask: MaskPlane, mesh_pix: int) -> tuple[FloatPlane, FloatPlane]:
    covered = (mask & np.uint16(PixelFlag.BAD | PixelFlag.NO_DATA | PixelFlag.COSMIC_RAY)) != 0
    if covered.all():
        raise BadFrameError("all of its pixels are masked")
    sky = sep.Background(data, mask=covered, bw=mesh_pix, bh=mesh_pix)
    noise = sky.rms(dtype=np.float32)
    floor = np.float32(max(sky.globalrms, float(np.std(data[~covered])) * 1e-3, 1e-12) * 0.1)
    return sky.back(dtype=np.float32), np.maximum(noise, floor)


def mask_of(
    picture: Picture,
    *,
    saturation: float,
    gain: float,
    custom: Bits | None = None,
    has_cosmics: bool = True,
) -> MaskPlane:
    """Return the flags of an image: saturated, without value, masked by hand, hit by particles.

    Parameters
    ----------
    picture : Picture
        The image.
    saturation : float
        In its unit; values at or above are saturated.
    gain : float
        Electrons a unit, for the noise by which particle hits are told from stars.
    custom : bool array, ``(ny, nx)``, or None
        Pixels its user does not want.
    has_cosmics : bool
        Whether particle hits are looked for.

    Returns
    -------
    uint16 array, ``(ny, nx)``
        Bits of `PixelFlag`.

    Raises
    ------
    BadFrameError
        Where the mask made by hand has another shape.
    """
    mask = picture.mask.copy()
    mask[(picture.data >= saturation) & picture.good] |= np.uint16(PixelFlag.SATURATED)
    if custom is not None:
        mask = with_custom(mask, custom)
    if not has_cosmics:
        return mask
    image = with_noise(picture, mask, gain=gain, mesh_pix=picture.usual_mesh_pix)
    scale = np.float32(gain if picture.unit == "adu" else 1.0)
    electrons = Image(image.data * scale, image.variance * scale**2, mask, "electron")
    return flag_cosmic_rays(electrons).mask


def with_custom(mask: MaskPlane, custom: Bits) -> MaskPlane:
    """Return flags with the pixels somebody masked by hand, all ``(ny, nx)``.

    Raises
    ------
    BadFrameError
        Where the mask made by hand has another shape.
    """
    if custom.shape != mask.shape:
        raise BadFrameError(
            f"custom_mask.fits has {custom.shape[1]} x {custom.shape[0]} pixels, the image "
            f"{mask.shape[1]} x {mask.shape[0]}: make one of the same size"
        )
    return np.where(custom, mask | np.uint16(PixelFlag.BAD), mask)
