"""Which pixels of a frame are above its sky, and which source each of them belongs to."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.errors import ReductionError
from reduction.image import FloatPlane
from reduction.kernels import blends, detect, stars
from reduction.kernels.mesh import Pixels
from reduction.photometry.background import Levels

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
MOST_PIXELS: Final = 4_000_000  # above the threshold, that are kept in memory
FWHM_TO_SIGMA: Final = 0.42466090
NARROWER: Final = 0.65  # times a star: joins fewer neighbours than a filter as wide as they
REACH_SIGMA: Final = 2.5
SHARP_TAPS: Final = (0.5, 1.0, 0.5)
SHARP_SIGMA: Final = 0.72  # of a Gaussian that is about as wide as those
WIDEST_SIGMA: Final = 5.0  # of a filter, in pixels
SHARP_AREA: Final = 64 / 9  # pixels: square of the sum of such a filter over the sum of squares
BRANCH_PIXELS: Final = 3  # above the saddle: the top of a narrow star
NOISE_PER_FWHM_PIX: Final = 1 / 3  # of its noise a branch must stand out by, wide stars have more
LEAST_NOISE, MOST_NOISE = 1.0, 2.0
BRIGHT_SIGMA: Final = 20.0  # of peaks that tell how wide a star is
MOST_PEAKS: Final = 4000
ENOUGH_PEAKS: Final = 5
USED_PEAKS: Final = 300
REACH_PIX: Final = 30  # from a peak, within which its light falls to half
HOT_WIDTH_PIX: Final = 1.4  # a single bright pixel is narrower, a star hardly ever


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
        Share of the flux of what it is part of, that a branch needs to be a source of its own.
    threads : int
        To work with.
    """

    mesh_pix: int = 64
    threshold_sigma: float = 4.0
    min_pixels: int = 5
    deblend_levels: int = 128
    deblend_contrast: float = 0.005
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Footprints:
    """The pixels of sources, ``(m,)`` each.

    Attributes
    ----------
    y, x : int32 arrays
        Row and column.
    signal : float32 array
        Signal to noise of a star there, by a filter of three by three pixels.
    owner : int32 array
        Number of the source, -1 of none.
    is_blended : bool array, ``(n,)``
        Which sources were parted from others.
    """

    y: Ints
    x: Ints
    signal: FloatPlane
    owner: Ints
    is_blended: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.is_blended)

    def renumbered(self, kept: npt.NDArray[np.int64]) -> "Footprints":
        """Return those of some sources alone, numbered as they are given."""
        number = np.full(len(self) + 1, -1, np.int32)
        number[kept] = np.arange(len(kept), dtype=np.int32)
        return Footprints(self.y, self.x, self.signal, number[self.owner], self.is_blended[kept])

    def plane(self, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
        """Return the number of the source at every pixel from 1, 0 where there is none."""
        segments = np.zeros(shape, np.int32)
        segments[self.y, self.x] = self.owner + 1
        return segments


def find_footprints(
    pixels: Pixels,
    variance: FloatPlane,
    levels: Levels,
    asked: DetectionParams,
    fwhm_pix: float | None,
) -> Footprints:
    """Return the pixels of the sources of a frame.

    What a matched filter finds above the threshold is parted by its peaks: a branch of the tree of
    peaks is a source where its light above the saddle is more than a share of the light of both
    that meet there, and more than its own noise.

    Parameters
    ----------
    pixels : Pixels
        Frame and flags.
    variance : float32 array, ``(ny, nx)``
        Of each pixel.
    levels : Levels
        Sky and noise.
    asked : DetectionParams
        Thresholds.
    fwhm_pix : float or None
        About the width of a star; None filters by three by three pixels.

    Returns
    -------
    Footprints
        Sources in no order.

    Raises
    ------
    CrowdedError
        If most of the frame is above its sky.

    References
    ----------
    Bertin & Arnouts (1996), A&AS 117, 393; Irwin (1985), MNRAS 214, 575.
    """
    taps = filter_taps(fwhm_pix)
    for times in (1.0, 3.0, 10.0):
        threshold = asked.threshold_sigma * times
        matched = detect.Filter(taps, np.float32(threshold))
        runs = _runs(pixels, variance, levels, matched, asked.threads)
        if runs is not None:
            break
    else:
        raise CrowdedError(f"more than {MOST_PIXELS} pixels are bright")
    members = detect.group(runs)
    # The sharper filter gathers less of a flat source: its values are lower.
    gathers = float(taps.sum() ** 2 / np.sum(taps**2))
    ratio = min(1.0, np.sqrt(SHARP_AREA) / gathers)
    noise = np.clip((fwhm_pix or 0) * NOISE_PER_FWHM_PIX, LEAST_NOISE, MOST_NOISE)
    rules = blends.Rules(
        threshold=threshold * ratio,
        levels=max(1, asked.deblend_levels),
        contrast=asked.deblend_contrast,
        least_pixels=max(1, asked.min_pixels),
        branch_pixels=max(1, min(BRANCH_PIXELS, asked.min_pixels)),
        noise=float(noise),
        noise_area=SHARP_AREA,
    )
    owner, _, is_blended = blends.deblend(members, rules)
    return Footprints(members.y, members.x, members.values, owner, is_blended)


def filter_taps(fwhm_pix: float | None) -> npt.NDArray[np.float32]:
    """Return one axis of the filter stars of a width are looked for with."""
    sigma = NARROWER * (fwhm_pix or 0) * FWHM_TO_SIGMA
    if sigma <= SHARP_SIGMA:
        return np.array(SHARP_TAPS, np.float32)
    sigma = min(sigma, WIDEST_SIGMA)
    reach = int(np.ceil(REACH_SIGMA * sigma))
    offsets = np.arange(-reach, reach + 1)
    return np.exp(-(offsets**2) / (2 * sigma**2)).astype(np.float32)


def _runs(
    pixels: Pixels, variance: FloatPlane, levels: Levels, matched: detect.Filter, threads: int
) -> detect.Runs | None:
    """Return all that is above the threshold, None where that is too much of the frame."""
    sky = detect.Sky(levels.sky.pieces, levels.noise.pieces, levels.sky.starts, levels.sky.middles)
    ny = pixels.data.shape[0]
    edges = [ny * k // threads for k in range(threads + 1)]
    bands = list(zip(edges[:-1], edges[1:], strict=True))

    def search(rows: tuple[int, int]) -> tuple[detect.Runs, bool]:
        most = MOST_PIXELS // threads
        found: tuple[detect.Runs, bool] = detect.find_runs(
            pixels, variance, sky, matched, rows, most
        )
        return found

    if threads == 1:
        parts = [search(bands[0])]
    else:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            parts = list(pool.map(search, bands))
    if not all(is_all for _, is_all in parts):
        return None
    if len(parts) == 1:
        return parts[0][0]
    columns = zip(*(runs for runs, _ in parts), strict=True)
    return detect.Runs(*(np.concatenate(column) for column in columns))


def rough_width(pixels: Pixels, levels: Levels, mesh_pix: int) -> float | None:
    """Return about how wide a star is, from bright peaks, before anything is detected.

    Parameters
    ----------
    pixels : Pixels
        Frame and flags; a peak beside any flag is not used.
    levels : Levels
        Sky and noise.
    mesh_pix : int
        Side of the cells a peak is compared with.

    Returns
    -------
    float or None
        FWHM in pixels, None where too few peaks tell.
    """
    ny, nx = pixels.data.shape
    rows = np.minimum(np.arange(0, ny, mesh_pix) + mesh_pix // 2, ny - 1)
    columns = np.minimum(np.arange(0, nx, mesh_pix) + mesh_pix // 2, nx - 1)
    sky, noise = (one.at(rows, columns) for one in (levels.sky, levels.noise))
    y, x = stars.bright_peaks(
        pixels.data, pixels.mask, (sky, np.float32(BRIGHT_SIGMA) * noise), mesh_pix, MOST_PEAKS
    )
    if len(x) < ENOUGH_PEAKS:
        return None
    chosen = np.arange(len(x))[:: max(1, len(x) // USED_PEAKS)]
    x, y = x[chosen], y[chosen]
    widths = np.empty(len(x))
    level = sky[y // mesh_pix, x // mesh_pix].astype(np.float64)
    stars.half_max_widths(
        pixels.data, level, x.astype(np.float64), y.astype(np.float64), REACH_PIX, widths
    )
    return densest_width(widths[np.isfinite(widths)])


def densest_width(widths: Floats) -> float | None:
    """Return the median of the densest half of some widths, single bright pixels left out."""
    wide = np.sort(widths[widths > HOT_WIDTH_PIX])
    if len(wide) < ENOUGH_PEAKS:
        return None
    half = (len(wide) + 1) // 2
    start = int(np.argmin(wide[half - 1 :] - wide[: len(wide) - half + 1]))
    return float(np.median(wide[start : start + half]))
