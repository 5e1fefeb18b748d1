"""Finding the sources of a calibrated frame: background, detection, centroids, shapes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sep

from reduction.errors import ReductionError
from reduction.flags import PixelFlag
from reduction.image import FloatPlane, Image
from reduction.kernels.stars import half_max_widths
from reduction.photometry.background import Background, fit_background

Floats = npt.NDArray[np.float64]
NOT_SKY: Final = PixelFlag.BAD | PixelFlag.NO_DATA | PixelFlag.COSMIC_RAY
SIGMA_TO_FWHM: Final = 2.354820045
LEAST_ERROR_PIX: Final = 0.005
MOST_OBJECTS: Final = 3_000_000  # pixels above the threshold that are kept in memory
MOST_PARTS: Final = 8192  # of one blend
LARGEST_AXIS_PIX: Final = 200.0
REACH_PIX: Final = 30  # from a peak, within which its light falls to half
LEAST_WIDTH_PIX: Final = 0.8  # one bright pixel
COVERED_SIGMA: Final = 6.0  # of a source's half axes, that its light reaches
NARROWEST, WIDEST = 0.6, 4.0  # of a star's width, what may be one; saturated ones are wide
HOT_WIDTH_PIX: Final = 1.4  # a single bright pixel is narrower, a star hardly ever
SURE_SIGNAL: Final = 12.0  # of fainter ones the width tells nothing
STAR_SIGNAL: Final = 20.0  # of sources that tell how wide a star is


class CrowdedError(ReductionError):
    """So much of a frame is above its sky that no sources can be told apart."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"its sources cannot be told apart ({why}): is it a flat, or all of it saturated?"
        )


@dataclass(frozen=True, slots=True)
class DetectionParams:
    """How sources are found.

    Attributes
    ----------
    mesh_pix : int
        Side of a cell of the background.
    threshold_sigma : float
        Signal to noise that a source's pixels are above after the matched filter.
    min_pixels : int
        Fewer make no source.
    deblend_levels : int
        Between threshold and peak.
    deblend_contrast : float
        Share of the flux a branch needs to be a source of its own.
    """

    mesh_pix: int = 64
    threshold_sigma: float = 4.0
    min_pixels: int = 5
    deblend_levels: int = 32
    deblend_contrast: float = 0.005


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
    """

    sources: Sources
    background: FloatPlane
    sky: float
    sky_noise: float
    fwhm_pix: float | None
    ellipticity: float | None


def detect(image: Image, params: DetectionParams = DetectionParams()) -> Detected:
    """Find the sources of a frame.

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

    References
    ----------
    Bertin & Arnouts (1996), A&AS 117, 393; Barbary (2016), JOSS 1, 58.
    """
    mask = (image.mask & np.uint16(NOT_SKY)) != 0
    data = np.ascontiguousarray(image.data, np.float32)
    if mask.all():
        return _nothing(data)
    first = sep.Background(data, mask=mask, bw=params.mesh_pix, bh=params.mesh_pix)
    noise = np.sqrt(np.maximum(image.variance, np.float32(0)))
    found = _extract(data - first.back(dtype=np.float32), _noise_of_sky(noise, first), mask, params)
    sky = fit_background(data, _covered(mask, found), mesh_pix=params.mesh_pix)
    if sky is None:
        sky = Background(first.back(dtype=np.float32), first.globalback, first.globalrms)
    sources = _measured(data - sky.plane, image, found, mask)
    width, shape = star_shape(sources)
    return Detected(sources, sky.plane, sky.level, sky.noise, width, shape)


def _covered(mask: npt.NDArray[np.bool_], found: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return the pixels that tell nothing of the sky: bad ones, and those sources shine on."""
    covered = mask.copy()
    shape = (found[name].astype(float) for name in ("x", "y", "a", "b", "theta"))
    sep.mask_ellipse(covered, *shape, r=COVERED_SIGMA)
    return covered


def _nothing(data: FloatPlane) -> Detected:
    empty = np.empty(0)
    none = np.empty(0, bool)
    sources = Sources(
        *(empty, empty, empty, empty, empty, empty, empty, empty, empty),
        flags=np.empty(0, np.uint16),
        is_blended=none,
        is_truncated=none,
    )
    return Detected(sources, np.zeros_like(data), 0.0, 0.0, None, None)


def _noise_of_sky(noise: FloatPlane, sky: Any) -> FloatPlane:  # noqa: ANN401 - sep's own type
    """Return the noise of the sky of every pixel: as measured, where the frame knows it worse."""
    measured = sky.rms(dtype=np.float32)
    floor = np.float32(1e-6) + measured * np.float32(0.5)
    return np.asarray(np.maximum(np.minimum(noise, measured), floor), np.float32)


def _extract(
    above: FloatPlane,
    noise: FloatPlane,
    mask: npt.NDArray[np.bool_],
    params: DetectionParams,
) -> npt.NDArray[Any]:
    sep.set_extract_pixstack(MOST_OBJECTS)
    sep.set_sub_object_limit(MOST_PARTS)
    for times in (1.0, 3.0, 10.0):
        try:
            found: npt.NDArray[Any] = sep.extract(
                above,
                params.threshold_sigma * times,
                err=noise,
                mask=mask,
                minarea=params.min_pixels,
                filter_type="matched",
                deblend_nthresh=params.deblend_levels,
                deblend_cont=params.deblend_contrast,
            )
            break
        except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
            full = error
    else:
        raise CrowdedError(str(full)) from full
    sane = np.isfinite(found["x"] + found["y"] + found["a"] + found["b"]) & (found["flux"] > 0)
    sane &= (found["a"] < LARGEST_AXIS_PIX) & (found["b"] > 0)
    kept: npt.NDArray[Any] = found[sane][np.argsort(-found["flux"][sane], kind="stable")]
    return kept


def _measured(
    above: FloatPlane, image: Image, found: npt.NDArray[Any], mask: npt.NDArray[np.bool_]
) -> Sources:
    x, y = found["x"].astype(float), found["y"].astype(float)
    flux = found["flux"].astype(float)
    fwhm = np.empty(len(x))
    half_max_widths(above, x, y, REACH_PIX, fwhm)
    fwhm = np.where(np.isfinite(fwhm) & (fwhm > LEAST_WIDTH_PIX), fwhm, LEAST_WIDTH_PIX)
    x_win, y_win, failed = sep.winpos(above, x, y, fwhm / SIGMA_TO_FWHM, mask=mask)
    moved = np.hypot(x_win - x, y_win - y)
    is_better = (failed == 0) & np.isfinite(moved) & (moved < fwhm)
    x, y = np.where(is_better, x_win, x), np.where(is_better, y_win, y)
    total, error, _ = sep.sum_circle(
        above, x, y, fwhm, var=np.maximum(image.variance, 0), mask=mask, subpix=5
    )
    snr = np.where(error > 0, total / np.maximum(error, 1e-30), 0.0)
    # A Gaussian's centroid is known to its sigma over the signal to noise ratio.
    known_to = fwhm / SIGMA_TO_FWHM / np.maximum(snr, 1.0)
    return Sources(
        x=x,
        y=y,
        error_pix=np.maximum(known_to, LEAST_ERROR_PIX),
        flux=flux,
        snr=snr,
        a_pix=found["a"].astype(float),
        b_pix=found["b"].astype(float),
        theta_rad=found["theta"].astype(float),
        fwhm_pix=fwhm,
        flags=flags_around(image.mask, x, y, fwhm),
        is_blended=(found["flag"] & sep.OBJ_MERGED) != 0,
        is_truncated=(found["flag"] & sep.OBJ_TRUNC) != 0,
    )


def flags_around(
    mask: npt.NDArray[np.uint16], x: Floats, y: Floats, radius_pix: Floats
) -> npt.NDArray[np.uint16]:
    """Return all flags that pixels of squares around some places carry, ``(n,)``."""
    ny, nx = mask.shape
    reach = np.ceil(radius_pix).astype(int)
    x0, y0 = np.rint(x).astype(int), np.rint(y).astype(int)
    found = np.zeros(len(x), np.uint16)
    for k in range(len(x)):
        rows = slice(max(0, y0[k] - reach[k]), min(ny, y0[k] + reach[k] + 1))
        columns = slice(max(0, x0[k] - reach[k]), min(nx, x0[k] + reach[k] + 1))
        found[k] = np.bitwise_or.reduce(mask[rows, columns], axis=None)
    return found


def star_shape(sources: Sources) -> tuple[float | None, float | None]:
    """Return the FWHM in pixels and the ellipticity of a star, None where no source tells.

    Of bright clean sources, the densest half in width: galaxies are wider, hits of cosmic rays
    narrower, and both scatter.
    """
    wide = sources.fwhm_pix > HOT_WIDTH_PIX
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
