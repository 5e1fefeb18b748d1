"""The objects of one image: found, measured, those of odd shape flagged."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import sep
from scipy.ndimage import gaussian_filter

from reduction.errors import ReductionError
from reduction.flags import PixelFlag
from reduction.image import FloatPlane, Image
from reduction.oneimage.apertures import MASKED_FOOTPRINT, WHOLE_FWHM, Light, Measurer
from reduction.oneimage.growth import growth_of_stars
from reduction.oneimage.options import DetectOptions, PhotometryOptions
from reduction.oneimage.prefilter import SHAPE_OUTLIER, shape_outliers
from reduction.oneimage.segments import Segments, segments_of
from reduction.photometry.detection import (
    SIGMA_TO_FWHM,
    Detected,
    DetectionParams,
    Sources,
    detect,
)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.int64]
DEBLENDED, SATURATED, TRUNCATED = 0x2, 0x4, 0x8
SHARE_OF_SN: Final = 0.8  # of the signal to noise asked for, that the search goes down to
SHALLOWEST, DEEPEST = 8.0, 1.5
KRON_FACTOR, KRON_REACH, LEAST_KRON = 2.5, 6.0, 3.5
USUAL_FWHM_PIX: Final = 4.0


class NoObjectsError(ReductionError):
    """Nothing was found on an image."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What was found on an image, the brightest first, ``(n,)`` each.

    Attributes
    ----------
    sources : Sources
        Places and shapes.
    light : Light
        Of their apertures, brought to all of a star's light.
    flags : int64 array
        0x2 deblended, 0x4 saturated, 0x8 cut by the edge, 0x100 masked pixels in the footprint,
        0x200 in the aperture, 0x400 in most of the ring, 0x800 odd shape.
    half_light_pix : float array
        Radius that holds half of the light.
    auto_flux : float array
        Within a Kron ellipse.
    peak : float array
        Of the brightest pixel, less the background.
    area_pix : int64 array
        Pixels above the threshold.
    level : float array
        Of the background at their places.
    """

    sources: Sources
    light: Light
    flags: Flags
    half_light_pix: Floats
    auto_flux: Floats
    peak: Floats
    area_pix: npt.NDArray[np.int64]
    level: Floats

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def signal(self) -> Floats:
        """Light over its error."""
        return np.asarray(self.light.flux / np.maximum(self.light.error, 1e-30))


@dataclass(frozen=True, slots=True)
class Extracted:
    """Everything that was made on the way to the objects of an image.

    Attributes
    ----------
    objects : Objects
        What was found.
    detected : Detected
        The same as the frame's chain knows it, with the background.
    measurer : Measurer
        To measure further places alike.
    fwhm_pix : float
        Of a star, as it was used.
    growth, growth_error : float
        Share of a star's light in the aperture; 1 and 0 where too few stars tell.
    segments : Segments
        Which pixel belongs to which object.
    noise : float32 array, ``(ny, nx)``
        Of a pixel.
    """

    objects: Objects
    detected: Detected
    measurer: Measurer
    fwhm_pix: float
    growth: float
    growth_error: float
    segments: Segments
    noise: FloatPlane


def extract(image: Image, mesh_pix: int, options: PhotometryOptions) -> Extracted:
    """Find the objects of an image and measure their light.

    Parameters
    ----------
    image : Image
        With variance and flags.
    mesh_pix : int
        Side of a cell of the background.
    options : PhotometryOptions
        What was asked for.

    Returns
    -------
    Extracted
        Objects of enough signal to noise, the brightest first.

    Raises
    ------
    NoObjectsError
        Where there is none.
    """
    detected = found_on(image, mesh_pix, options.detect)
    sources = _first_look(image, detected, options)
    fwhm = options.apertures.fwhm_override_pix or detected.fwhm_pix or USUAL_FWHM_PIX
    measurer = Measurer.of(image, detected.background, fwhm, options.apertures)
    growth, growth_error = growth_of_stars(measurer, sources, detected.fwhm_pix)
    light = measurer.light(sources.x, sources.y).scaled(1 / growth)
    kept = np.flatnonzero((light.flux > options.detect.sn * light.error) & np.isfinite(light.flux))
    if not len(kept):
        raise NoObjectsError(
            f"no object reaches a signal to noise of {options.detect.sn:g}: clouds, a closed dome, "
            "or a gain that is wrong? Lower sn to see fainter ones"
        )
    noise = np.sqrt(measurer.variance)
    segments = segments_of(measurer.above, noise, measurer.masked, sources.x, sources.y)
    objects = _all_of(image, measurer, (sources, light), segments)
    if options.detect.prefilter:
        objects = replace(objects, flags=objects.flags | _odd(objects))
    chosen = _selected(objects, kept)
    return Extracted(
        chosen, detected, measurer, fwhm, growth, growth_error, segments.renumbered(kept), noise
    )


def found_on(image: Image, mesh_pix: int, options: DetectOptions) -> Detected:
    """Return what is detected, after smoothing by a Gaussian where that is asked for."""
    params = DetectionParams(
        mesh_pix=mesh_pix,
        threshold_sigma=float(np.clip(SHARE_OF_SN * options.sn, DEEPEST, SHALLOWEST)),
        min_pixels=options.min_pixels,
    )
    r0 = options.initial_r0_pix
    if r0 <= 0:
        return detect(image, params)
    smoothed = detect(smooth(image, r0), params)
    sources = smoothed.sources
    # A Gaussian's width adds in squares; half a pixel is the least a star can be.
    spread = SIGMA_TO_FWHM * r0
    true = np.sqrt(np.maximum(sources.fwhm_pix**2 - spread**2, 0.25))
    width = smoothed.fwhm_pix
    return replace(
        smoothed,
        sources=replace(sources, fwhm_pix=true),
        fwhm_pix=None if width is None else float(np.sqrt(max(width**2 - spread**2, 0.25))),
    )


def smooth(image: Image, sigma_pix: float) -> Image:
    """Return an image smoothed by a Gaussian, with the noise that is left."""
    data = gaussian_filter(image.data, sigma_pix, mode="nearest")
    centre = np.zeros((2 * int(np.ceil(4 * sigma_pix)) + 1,) * 2)
    centre[centre.shape[0] // 2, centre.shape[1] // 2] = 1.0
    left = float(np.sum(gaussian_filter(centre, sigma_pix, mode="constant") ** 2))
    variance = gaussian_filter(image.variance, sigma_pix, mode="nearest") * np.float32(left)
    return Image(data, variance, image.mask, image.unit)


def _first_look(image: Image, detected: Detected, options: PhotometryOptions) -> Sources:
    """Return the sources that shine in a small aperture, all but hits of single pixels."""
    sources = detected.sources
    if not len(sources):
        raise NoObjectsError("nothing was found on the image: clouds, or a closed dome?")
    radius = options.apertures.initial_aper_pix
    above = np.ascontiguousarray(image.data - detected.background, np.float32)
    masked = (image.mask & np.uint16(PixelFlag.BAD | PixelFlag.NO_DATA)) != 0
    flux, error, _ = sep.sum_circle(
        above, sources.x, sources.y, radius, var=np.maximum(image.variance, 0), mask=masked
    )
    kept = np.flatnonzero(flux > min(SHARE_OF_SN * options.detect.sn, DEEPEST) * error)
    return part_of(sources, kept)


def regrown(extracted: Extracted, share: tuple[float, float]) -> Extracted:
    """Return the same with fluxes brought to all of a star's light by another share of it."""
    factor = extracted.growth / share[0]
    light = extracted.objects.light.scaled(factor)
    objects = replace(extracted.objects, light=light)
    return replace(extracted, objects=objects, growth=share[0], growth_error=share[1])


def part_of(sources: Sources, kept: npt.NDArray[np.int64]) -> Sources:
    """Return some of the sources."""
    names = [name for name in sources.__dataclass_fields__ if name]
    return replace(
        sources,
        **{
            name: value[kept]
            for name in names
            if isinstance(value := getattr(sources, name), np.ndarray)
            and len(value) == len(sources)
        },
    )


def _all_of(
    image: Image, measurer: Measurer, found: tuple[Sources, Light], segments: Segments
) -> Objects:
    sources, light = found
    above = measurer.above
    ny, nx = above.shape
    rows = np.clip(np.rint(sources.y).astype(int), 0, ny - 1)
    columns = np.clip(np.rint(sources.x).astype(int), 0, nx - 1)
    largest = WHOLE_FWHM * np.maximum(sources.fwhm_pix, measurer.fwhm_pix)
    auto = _kron(measurer, sources)
    half, _ = sep.flux_radius(
        above, sources.x, sources.y, largest, 0.5, normflux=np.maximum(auto, 1e-30),
        mask=measurer.masked,
    )  # fmt: skip
    return Objects(
        sources=sources,
        light=light,
        flags=light.flags | _flags(sources),
        half_light_pix=np.asarray(half, np.float64),
        auto_flux=auto,
        peak=segments.peaks(above, (columns, rows)),
        area_pix=segments.areas(),
        level=np.asarray(image.data[rows, columns] - above[rows, columns], np.float64),
    )


def _kron(measurer: Measurer, sources: Sources) -> Floats:
    """Return the light within 2.5 times the first moment's ellipse (Kron 1980, ApJS 43, 305)."""
    above, masked = measurer.above, measurer.masked
    places = sources.x, sources.y
    a, b = np.maximum(sources.a_pix, 0.3), np.maximum(sources.b_pix, 0.3)
    theta = np.clip(sources.theta_rad, -np.pi / 2, np.pi / 2)
    radius, _ = sep.kron_radius(above, *places, a, b, theta, KRON_REACH, mask=masked)
    scale = np.maximum(KRON_FACTOR * np.nan_to_num(radius), LEAST_KRON)
    flux, _, _ = sep.sum_ellipse(above, *places, a, b, theta, scale, mask=masked, subpix=5)
    return np.asarray(flux, np.float64)


def _flags(sources: Sources) -> Flags:
    bad = np.uint16(PixelFlag.BAD | PixelFlag.NO_DATA | PixelFlag.COSMIC_RAY)
    return np.asarray(
        np.where(sources.is_blended, DEBLENDED, 0)
        | np.where(sources.flags & np.uint16(PixelFlag.SATURATED), SATURATED, 0)
        | np.where(sources.is_truncated, TRUNCATED, 0)
        | np.where(sources.flags & bad, MASKED_FOOTPRINT, 0),
        np.int64,
    )


def _odd(objects: Objects) -> Flags:
    features = (objects.half_light_pix, objects.sources.fwhm_pix, objects.peak / objects.auto_flux)
    with np.errstate(invalid="ignore", divide="ignore"):
        mag = -2.5 * np.log10(objects.light.flux)
    odd = shape_outliers(mag, np.column_stack(features), is_clean=objects.flags == 0)
    return np.where(odd, SHAPE_OUTLIER, 0)


def _selected(objects: Objects, kept: npt.NDArray[np.int64]) -> Objects:
    light = objects.light
    return Objects(
        part_of(objects.sources, kept),
        Light(*(getattr(light, name)[kept] for name in light.__dataclass_fields__)),
        *(getattr(objects, name)[kept] for name in list(objects.__dataclass_fields__)[2:]),
    )
