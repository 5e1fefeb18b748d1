"""Finding the sources of a calibrated frame: background, detection, centroids, shapes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.flags import PixelFlag
from reduction.image import FloatPlane, Image
from reduction.kernels import circles, stars
from reduction.kernels.mesh import Pixels
from reduction.photometry.background import Levels, Surface, clean_levels, rough_levels
from reduction.photometry.deblend import (
    HOT_WIDTH_PIX,
    REACH_PIX,
    CrowdedError,
    DetectionParams,
    Footprints,
    find_footprints,
    rough_width,
)
from reduction.photometry.shapes import Ellipses, Kron, ellipses_of, kron_light

__all__ = [
    "NOT_SKY",
    "SIGMA_TO_FWHM",
    "CrowdedError",
    "Detected",
    "DetectionParams",
    "Sources",
    "detect",
    "light_of",
    "star_shape",
]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
NOT_SKY: Final = PixelFlag.BAD | PixelFlag.NO_DATA | PixelFlag.COSMIC_RAY
SIGMA_TO_FWHM: Final = 2.354820045
LEAST_ERROR_PIX: Final = 0.005
LARGEST_AXIS_PIX: Final = 200.0
LEAST_WIDTH_PIX: Final = 0.8  # one bright pixel
COVERED_SIGMA: Final = 6.0  # of a source's half axes, that its light reaches
NARROWEST, WIDEST = 0.6, 4.0  # of a star's width, what may be one; saturated ones are wide
WINDOW_LEAST, WINDOW_MOST = 0.7, 3.0  # of a star's width, that a source is centred in
WIDER: Final = 1.4  # times a star's width: what is none, and is centred in a window of its own
BLENDED_MOVE: Final = 0.3  # of its window, that a source with a neighbour may be moved
SURE_SIGNAL: Final = 12.0  # of fainter ones the width tells nothing
STAR_SIGNAL: Final = 20.0  # of sources that tell how wide a star is
SURE_STAR_SIGNAL, ENOUGH_SURE = 50.0, 10  # where there are enough: noise makes faint ones narrow
USUAL: Final = DetectionParams()


@dataclass(frozen=True)
class Sources:
    """The sources of one frame, the brightest first.

    Attributes
    ----------
    x, y : float arrays, ``(n,)``
        Windowed centroids, pixels, counted from 0.
    error_pix : float array, ``(n,)``
        Standard deviation of a centroid on one axis.
    flux : float array, ``(n,)``
        Isophotal, in the frame's unit.
    snr : float array, ``(n,)``
        Signal over noise of it.
    a_pix, b_pix, theta_rad : float arrays, ``(n,)``
        Half axes (standard deviations along them) and angle of the light from the x axis.
    fwhm_pix : float array, ``(n,)``
        Full width at half maximum, around the peak: not of a halo, nor of what is behind.
    flags : uint16 array, ``(n,)``
        Of all pixels within a FWHM of the centroid.
    is_blended, is_truncated : bool arrays, ``(n,)``
        Deblended from a neighbour; cut by the frame's edge.
    """

    x: Floats
    y: Floats
    error_pix: Floats
    flux: Floats
    snr: Floats
    a_pix: Floats
    b_pix: Floats
    theta_rad: Floats
    fwhm_pix: Floats
    flags: npt.NDArray[np.uint16]
    is_blended: npt.NDArray[np.bool_]
    is_truncated: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def is_clean(self) -> npt.NDArray[np.bool_]:
        """Which are neither saturated, touched by bad pixels, blended nor cut."""
        return np.asarray((self.flags == 0) & ~self.is_blended & ~self.is_truncated)

    def like_stars(self, fwhm_pix: float | None) -> npt.NDArray[np.int64]:
        """Return which are as wide as stars, and not single bright pixels, the brightest first."""
        if fwhm_pix is None:
            return np.arange(len(self))
        ratio = self.fwhm_pix / fwhm_pix
        is_one = (ratio > NARROWEST) & (ratio < WIDEST)
        return np.flatnonzero(is_one | (self.snr < SURE_SIGNAL))

    @cached_property
    def ellipticity(self) -> Floats:
        """One less the ratio of the axes."""
        return np.asarray(1 - self.b_pix / self.a_pix)


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found on a frame.

    Attributes
    ----------
    sources : Sources
        All of them.
    background : float array, ``(ny, nx)``
        The sky, in the frame's unit.
    sky, sky_noise : float
        Its level and the noise of one pixel of it.
    fwhm_pix : float or None
        Of a star, None where no source tells.
    ellipticity : float or None
        Of a star.
    noise : Surface or None
        Standard deviation of a pixel of sky over the frame, None where nothing is known.
    footprints : Footprints or None
        The pixels of the sources, numbered as they are.
    """

    sources: Sources
    background: FloatPlane
    sky: float
    sky_noise: float
    fwhm_pix: float | None
    ellipticity: float | None
    noise: Surface | None = None
    footprints: Footprints | None = None

    def kron(self, image: Image) -> Kron:
        """Return the light within Kron's ellipses of the sources of the frame."""
        sources = self.sources
        shapes = Ellipses(sources.a_pix, sources.b_pix, sources.theta_rad)
        return kron_light(light_of(image, self.background), sources.x, sources.y, shapes)


def light_of(image: Image, background: FloatPlane) -> stars.Light:
    """Return a frame above its sky as the kernels take it, no pixel copied that need not be."""
    return stars.Light(
        np.ascontiguousarray(image.data, np.float32),
        np.ascontiguousarray(background, np.float32),
        np.ascontiguousarray(image.variance, np.float32),
        np.ascontiguousarray(image.mask, np.uint16),
        np.uint16(NOT_SKY),
    )


def detect(image: Image, params: DetectionParams = USUAL) -> Detected:
    """Find the sources of a frame.

    The sky is told twice: by the modes of cells before the sources are known, by the means of what
    they leave after.

    Parameters
    ----------
    image : Image
        Calibrated; pixels that are bad, without data or hit by cosmic rays are not looked at.
    params : DetectionParams
        Thresholds.

    Returns
    -------
    Detected
        Sources, background and the width of a star.

    Raises
    ------
    CrowdedError
        If most of the frame is above its sky.

    References
    ----------
    Bertin & Arnouts (1996), A&AS 117, 393; Barbary (2016), JOSS 1, 58.
    """
    light = light_of(image, np.empty(image.shape, np.float32))
    pixels = Pixels(light.data, light.mask, light.bits)
    rough = rough_levels(pixels, params.mesh_pix, params.threads)
    if rough is None:
        return _nothing(light.sky)
    rough.sky.plane(light.sky.shape[1], light.sky)
    width = rough_width(pixels, rough, params.mesh_pix)
    footprints = find_footprints(pixels, light.variance, rough, params, width)
    covered = _covered(light, footprints)
    sky = clean_levels(pixels, covered, params.mesh_pix, params.threads)
    if sky is None:
        sky = rough
    sky.sky.plane(light.sky.shape[1], light.sky)
    return _told(light, sky, footprints, width)


def _told(light: stars.Light, sky: Levels, footprints: Footprints, width: float | None) -> Detected:
    """Return the sources of footprints, measured on the final sky."""
    sources, kept = _measured(light, footprints, width)
    fwhm, ellipticity = star_shape(sources)
    return Detected(
        sources,
        light.sky,
        sky.level,
        sky.typical_noise,
        fwhm,
        ellipticity,
        noise=sky.noise,
        footprints=footprints.renumbered(kept),
    )


def _isophotes(light: stars.Light, footprints: Footprints) -> stars.Isophotes:
    """Return what the pixels of each footprint add up to."""
    n = len(footprints)
    flux, x, y, x2, y2, xy, peak = np.zeros((7, n))
    counts, is_cut = np.zeros(n, np.int32), np.zeros(n, np.bool_)
    out = stars.Isophotes(counts, flux, x, y, x2, y2, xy, peak, is_cut)
    places = footprints.y, footprints.x, footprints.signal
    stars.isophotes(light, places, footprints.owner, out)
    return out


def _covered(light: stars.Light, footprints: Footprints) -> npt.NDArray[np.bool_]:
    """Return the pixels that sources shine on."""
    covered = np.zeros(light.data.shape, np.bool_)
    found = _isophotes(light, footprints)
    shapes = ellipses_of(found.x2, found.y2, found.xy)
    sane = np.isfinite(shapes.a_pix) & (shapes.a_pix < LARGEST_AXIS_PIX)
    inverse = np.where(sane[:, None], shapes.inverse() / COVERED_SIGMA**2, np.inf)
    reach = np.where(sane, COVERED_SIGMA * np.maximum(shapes.a_pix, LEAST_WIDTH_PIX), 0.0)
    stars.cover(covered, (found.x, found.y), inverse, reach)
    covered[footprints.y, footprints.x] = True
    return covered


def _nothing(plane: FloatPlane) -> Detected:
    empty = np.empty(0)
    none = np.empty(0, bool)
    sources = Sources(
        *(empty, empty, empty, empty, empty, empty, empty, empty, empty),
        flags=np.empty(0, np.uint16),
        is_blended=none,
        is_truncated=none,
    )
    plane[...] = 0
    return Detected(sources, plane, 0.0, 0.0, None, None)


def _measured(
    light: stars.Light, footprints: Footprints, star_width: float | None
) -> tuple[Sources, Indices]:
    """Return the sources, the brightest first, and the numbers of their footprints."""
    found = _isophotes(light, footprints)
    shapes = ellipses_of(found.x2, found.y2, found.xy)
    sane = (found.flux > 0) & (shapes.a_pix < LARGEST_AXIS_PIX) & (shapes.b_pix > 0)
    kept = np.flatnonzero(sane)
    kept = kept[np.argsort(-found.flux[kept], kind="stable")]
    x, y = found.x[kept], found.y[kept]
    fwhm = _widths(light, x, y)
    blended = footprints.is_blended[kept]
    windows = _windows(light, (x, y), fwhm, star_width)
    x, y, known_to = _centred(light, (x, y), windows, blended)
    total, error = np.empty(len(x)), np.empty(len(x))
    circles.own_circles(light, (x, y), fwhm, total, error)
    snr = np.where(error > 0, total / np.maximum(error, 1e-30), 0.0)
    # A Gaussian's centroid is known to its sigma over the signal to noise ratio.
    by_snr = fwhm / SIGMA_TO_FWHM / np.maximum(snr, 1.0)
    flags = np.empty(len(x), np.uint16)
    stars.flags_near(light.mask, x, y, fwhm, flags)
    sources = Sources(
        x=x,
        y=y,
        error_pix=np.maximum(np.where(np.isfinite(known_to), known_to, by_snr), LEAST_ERROR_PIX),
        flux=found.flux[kept],
        snr=snr,
        a_pix=shapes.a_pix[kept],
        b_pix=shapes.b_pix[kept],
        theta_rad=shapes.theta_rad[kept],
        fwhm_pix=fwhm,
        flags=flags,
        is_blended=blended,
        is_truncated=found.is_cut[kept],
    )
    return sources, kept


def _widths(light: stars.Light, x: Floats, y: Floats) -> Floats:
    """Return the full width at half maximum of each source."""
    fwhm = np.empty(len(x))
    level = light.sky[np.rint(y).astype(int), np.rint(x).astype(int)].astype(np.float64)
    stars.half_max_widths(light.data, level, x, y, REACH_PIX, fwhm)
    return np.where(np.isfinite(fwhm) & (fwhm > LEAST_WIDTH_PIX), fwhm, LEAST_WIDTH_PIX)


def _windows(
    light: stars.Light, places: tuple[Floats, Floats], fwhm: Floats, star_width: float | None
) -> Floats:
    """Return the width of the window each source is centred in.

    That of a star, unless the source is bright enough to tell its own, or plainly wider: noise
    makes faint stars narrow, and a window that is narrow by noise is centred on its peak, farther
    off and with less of an error than it has.
    """
    if star_width is None:
        return fwhm
    flux, error = np.empty(len(fwhm)), np.empty(len(fwhm))
    circles.own_circles(light, places, np.full(len(fwhm), star_width), flux, error)
    is_wide = (flux > SURE_SIGNAL * error) & (fwhm > WIDER * star_width)
    own = is_wide | (flux > SURE_STAR_SIGNAL * error)
    limits = WINDOW_LEAST * star_width, WINDOW_MOST * star_width
    return np.where(own, np.clip(fwhm, *limits), star_width)


def _centred(
    light: stars.Light,
    places: tuple[Floats, Floats],
    windows: Floats,
    is_blended: npt.NDArray[np.bool_],
) -> tuple[Floats, Floats, Floats]:
    """Return windowed centroids and their errors, NaN where the isophote's place is kept."""
    x, y = places
    n = len(x)
    out = stars.Centroids(np.empty(n), np.empty(n), np.empty(n), np.empty(n))
    stars.window(light, x, y, windows, out)
    moved = np.hypot(out.x - x, out.y - y)
    # Beside a brighter source a window slides towards it.
    is_better = np.isfinite(moved) & (moved < windows * np.where(is_blended, BLENDED_MOVE, 1.0))
    known_to = np.where(is_better, np.sqrt((out.x_error**2 + out.y_error**2) / 2), np.nan)
    return np.where(is_better, out.x, x), np.where(is_better, out.y, y), known_to


def star_shape(sources: Sources) -> tuple[float | None, float | None]:
    """Return the FWHM in pixels and the ellipticity of a star, None where no source tells.

    Of bright clean sources, the densest half in width: galaxies are wider, hits of cosmic rays
    narrower, and both scatter.
    """
    wide = sources.fwhm_pix > HOT_WIDTH_PIX
    chosen = np.flatnonzero(sources.is_clean & (sources.snr > SURE_STAR_SIGNAL) & wide)
    if len(chosen) < ENOUGH_SURE:
        chosen = np.flatnonzero(sources.is_clean & (sources.snr > STAR_SIGNAL) & wide)
    if len(chosen) < 3:
        chosen = np.flatnonzero(sources.is_clean & (sources.snr > STAR_SIGNAL))
    if len(chosen) < 3:
        chosen = np.flatnonzero((sources.snr > STAR_SIGNAL / 2) & ~sources.is_truncated)
    if len(chosen) < 3:
        return None, None
    order = chosen[np.argsort(sources.fwhm_pix[chosen])]
    widths = sources.fwhm_pix[order]
    half = max(2, (len(widths) + 1) // 2)
    start = int(np.argmin(widths[half - 1 :] - widths[: len(widths) - half + 1]))
    densest = order[start : start + half]
    width = float(np.median(sources.fwhm_pix[densest]))
    return width, float(np.median(sources.ellipticity[densest]))
