"""Measure reduced frames of a simulated night against its truth.

Nothing here knows how a frame was reduced: planes and truth go in, numbers come out, so the same
code judges an image in memory and a file fetched from the server.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.ndimage import binary_dilation

from reduction.flags import PixelFlag
from reduction.image import Image
from reduction.simulate import FrameTruth, Hits, Sources
from reduction.simulate.sky import draw_stars

Array = npt.NDArray[np.float64]
Claims = npt.NDArray[np.bool_]

RADIUS_PIX = 8.0  # takes 99 % of a star's light; the rest is known from the true profile
SKY_INNER_PIX, SKY_OUTER_PIX = 14.0, 30.0
MIN_SKY_PIXELS = 400
UNUSABLE = (
    PixelFlag.BAD
    | PixelFlag.SATURATED
    | PixelFlag.COSMIC_RAY
    | PixelFlag.NO_DATA
    | PixelFlag.INTERPOLATED
    | PixelFlag.EDGE
)
FAINT_LIGHT = 0.05  # of a pixel's noise: starlight below it does not disturb a sky pixel
CROSSTALK = 0.1  # of a flux's error: neighbours' light below it leaves a star isolated


@dataclass(frozen=True)
class Planes:
    """A reduced frame in electrons: ``data``, ``variance``, ``mask``, each ``(ny, nx)``."""

    data: Array
    variance: Array
    mask: npt.NDArray[np.uint16]

    @property
    def usable(self) -> Claims:
        return np.asarray((self.mask & int(UNUSABLE)) == 0)


@dataclass(frozen=True)
class Photometry:
    """Stars of one or many frames; `clean` ones are unflagged, whole, isolated."""

    flux_e: Array
    sigma_e: Array
    truth_e: Array
    clean: Claims

    @property
    def pulls(self) -> Array:
        """(measured - true) / sigma of the clean stars."""
        pull = (self.flux_e - self.truth_e) / self.sigma_e
        return np.asarray(pull[self.clean])

    def bias(self, min_signal_to_noise: float) -> tuple[float, float]:
        """Mean relative error of the clean bright stars, and how well it is known.

        The weights must not know which way a star's own photons fell, or faint falls would
        count for more than bright ones: its measured photons are exchanged for the true mean.
        """
        sigma = np.sqrt(np.maximum(self.sigma_e**2 - self.flux_e + self.truth_e, 1.0))
        use = self.clean & (self.truth_e > min_signal_to_noise * sigma)
        weight = (self.truth_e[use] / sigma[use]) ** 2
        relative = self.flux_e[use] / self.truth_e[use] - 1
        return float(np.average(relative, weights=weight)), float(weight.sum() ** -0.5)


@dataclass(frozen=True)
class CosmicScore:
    """How a frame's cosmic-ray flags compare with the particles that hit it, in pixels."""

    hit: int
    found: int
    flagged: int
    flagged_on_hits: int
    cores: int
    cores_eaten: int

    def __add__(self, other: "CosmicScore") -> "CosmicScore":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return CosmicScore(*(mine + theirs for mine, theirs in pairs))

    @property
    def recall(self) -> float:
        return self.found / self.hit

    @property
    def precision(self) -> float:
        return self.flagged_on_hits / self.flagged


def planes_of(image: Image) -> Planes:
    """Take the planes of an image in memory."""
    return Planes(image.data.astype(np.float64), image.variance.astype(np.float64), image.mask)


def read_planes(path: Path) -> Planes:
    """Read SCI, VAR and DQ of a product, with a reader that is not ours."""
    with fits.open(path, checksum=True) as hdus:
        sci, var, dq = (np.asarray(hdus[name].data) for name in ("SCI", "VAR", "DQ"))
    return Planes(sci.astype(np.float64), var.astype(np.float64), dq.astype(np.uint16))


def starlight(shape: tuple[int, int], frame: FrameTruth, sources: Sources) -> Array:
    """Return the mean electrons of all true stars, ``(ny, nx)``."""
    return draw_stars(shape, sources.x, sources.y, sources.electrons, frame.psf)


def measure(planes: Planes, frame: FrameTruth, sources: Sources) -> Photometry:
    """Measure every true star in a fixed aperture over the sky around it.

    The sky is the mean of an annulus without flagged pixels and without starlight that would
    count; the error is the variance plane's sum over the aperture and that of the sky's mean.
    """
    light = starlight(planes.data.shape, frame, sources)
    blank = planes.usable & (light < FAINT_LIGHT * np.sqrt(planes.variance))
    rows = np.array(
        [_measure_star(planes, blank, light, frame, star) for star in _stars(sources)]
    ).reshape(-1, 4)
    flux, sigma, others, unflagged = rows.T
    clean = (unflagged == 1) & (np.abs(others) < CROSSTALK * sigma)
    return Photometry(flux_e=flux, sigma_e=sigma, truth_e=sources.electrons, clean=clean)


def _stars(sources: Sources) -> Iterable[tuple[float, float, float]]:
    return zip(sources.x.tolist(), sources.y.tolist(), sources.electrons.tolist(), strict=True)


def _measure_star(
    planes: Planes,
    blank: Claims,
    light: Array,
    frame: FrameTruth,
    star: tuple[float, float, float],
) -> tuple[float, float, float, bool]:
    """Return one star's flux, its error, its neighbours' light, and whether nothing is amiss.

    A pixel counts by how far it reaches into the aperture; the share of the star's light inside
    is the true profile's sum with the same weights.
    """
    (xc, yc, electrons), (ny, nx) = star, planes.data.shape
    if not (RADIUS_PIX < xc < nx - 1 - RADIUS_PIX and RADIUS_PIX < yc < ny - 1 - RADIUS_PIX):
        return np.nan, np.nan, np.nan, False
    reach = int(SKY_OUTER_PIX) + 1
    y0, x0 = max(int(yc) - reach, 0), max(int(xc) - reach, 0)
    box = (slice(y0, int(yc) + reach + 1), slice(x0, int(xc) + reach + 1))
    rows, columns = np.indices(light[box].shape)
    radius = np.hypot(columns + x0 - xc, rows + y0 - yc)
    weight = np.clip(RADIUS_PIX + 0.5 - radius, 0.0, 1.0)
    ring = blank[box] & (radius > SKY_INNER_PIX) & (radius < SKY_OUTER_PIX)
    if ring.sum() < MIN_SKY_PIXELS:
        return np.nan, np.nan, np.nan, False
    data, variance = planes.data[box], planes.variance[box]
    sky, sky_variance = data[ring].mean(), variance[ring].mean() / ring.sum()
    own = float((weight * frame.psf.density(radius**2)).sum())
    flux = (weight * (data - sky)).sum() / own
    sigma = np.sqrt((weight**2 * variance).sum() + weight.sum() ** 2 * sky_variance) / own
    others = (weight * light[box]).sum() / own - electrons
    return flux, sigma, others, bool(planes.usable[box][weight > 0].all())


def together(parts: Iterable[Photometry]) -> Photometry:
    """Put the stars of several frames into one table."""
    tables = list(parts)
    names = ("flux_e", "sigma_e", "truth_e")
    flux, sigma, truth = (np.concatenate([getattr(t, n) for t in tables]) for n in names)
    return Photometry(flux, sigma, truth, np.concatenate([t.clean for t in tables]))


def sky_ratio(planes: Planes, frame: FrameTruth, sources: Sources) -> float:
    """Return the blank sky's scatter over what the variance plane says, as standard deviations.

    Differences of neighbouring rows cancel what is left of the sky's shape; the median of their
    absolute values is deaf to the few pixels that particles grazed.
    """
    light = starlight(planes.data.shape, frame, sources)
    blank = planes.usable & (light < FAINT_LIGHT * np.sqrt(planes.variance))
    pairs = blank[1::2] & blank[:-1:2]
    pull = (planes.data[1::2] - planes.data[:-1:2])[pairs]
    mean_variance = (planes.variance[1::2] + planes.variance[:-1:2])[pairs].mean()
    return float(np.median(np.abs(pull)) * 1.482602 / np.sqrt(mean_variance))


def score_cosmics(
    planes: Planes, frame: FrameTruth, sources: Sources, hits: Hits, *, threshold: float = 10.0
) -> CosmicScore:
    """Compare the cosmic-ray flags of a frame with the particles that hit it.

    A hit counts as one to find where it left more than `threshold` times the pixel's noise
    without it, away from bad and saturated pixels. A flag counts as right on a hit or beside
    one. A star's core is eaten where a pixel within 1.5 of its centre is flagged and no
    particle came near; only stars that stand out and do not saturate are asked.
    """
    shape = planes.data.shape
    flagged = (planes.mask & PixelFlag.COSMIC_RAY) != 0
    other = (planes.mask & (PixelFlag.BAD | PixelFlag.SATURATED)) != 0
    electrons = np.zeros(shape)
    electrons[hits.y, hits.x] = hits.electrons
    near_hit = binary_dilation(electrons > 0, np.ones((3, 3)))
    quiet = float(np.median(planes.variance)) + starlight((shape[0], shape[1]), frame, sources)
    to_find = (electrons > threshold * np.sqrt(quiet)) & ~other
    y, x = np.mgrid[: shape[0], : shape[1]]
    bright = (sources.electrons > 3000) & (sources.peak_e < 50000)
    bright &= (sources.x > 0) & (sources.x < shape[1] - 1)
    bright &= (sources.y > 0) & (sources.y < shape[0] - 1)
    cores = np.zeros(shape, dtype=bool)
    eaten = 0
    for xc, yc in zip(sources.x[bright], sources.y[bright], strict=True):
        y0, x0 = max(int(yc) - 3, 0), max(int(xc) - 3, 0)
        box = (slice(y0, y0 + 8), slice(x0, x0 + 8))
        core = np.hypot(x[box] - xc, y[box] - yc) < 1.5
        cores[box] |= core
        eaten += bool((core & flagged[box] & ~near_hit[box] & ~other[box]).any())
    return CosmicScore(
        hit=int(to_find.sum()),
        found=int((to_find & flagged).sum()),
        flagged=int((flagged & ~other).sum()),
        flagged_on_hits=int((flagged & ~other & near_hit).sum()),
        cores=int(bright.sum()),
        cores_eaten=eaten,
    )
