"""Particle hits in a single frame."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from reduction.combine import ONE_THREAD, Run, run_tasks
from reduction.flags import PixelFlag
from reduction.image import FloatPlane, Image
from reduction.kernels import cosmics as kernel
from reduction.readout import bands
from reduction.stats import sampled_rows

NOT_SEARCHED = np.uint16(PixelFlag.BAD | PixelFlag.NO_DATA)
SATURATED = np.uint16(PixelFlag.SATURATED)
STAR_SHARE = 0.1  # of a saturated pixel's value: so much around it is a star, less a hit
STAR_GROW_PIX = 2  # around a saturated star, whose flat top has sharp edges too
BAND_ROWS = 64
LOW_PERCENT = 1.0  # percentile of the variance taken for the frame's lowest ...
LOW_SHARE = 0.7  # ... less a margin: a smaller value costs time, a larger one finds


@dataclass(frozen=True, slots=True)
class CosmicRayParams:
    """How particle hits are found.

    Attributes
    ----------
    edge_sigma : float
        How far, in noise, the edge of a hit stands out. At the paper's 4.5 one flagged pixel in
        seven is noise on the simulated night; at 5 one in forty, and as many hits are found.
    neighbour_fraction : float
        Fraction of that which the neighbour of a hit needs.
    contrast : float
        How many times sharper than a star's core a hit is.
    rounds : int
        Most rounds; each sees the frame cleaned of what the one before found.
    interpolate : bool
        Whether hit pixels are replaced by the median of those around them.
    """

    edge_sigma: float = 5.0
    neighbour_fraction: float = 0.3
    contrast: float = 5.0
    rounds: int = 4
    interpolate: bool = False


def flag_cosmic_rays(
    image: Image, *, params: CosmicRayParams = CosmicRayParams(), run: Run = ONE_THREAD
) -> Image:
    """Return an image with particle hits flagged, and replaced where that is asked for.

    A hit has sharper edges than the optics can make: its Laplacian stands out of the noise, and
    by more than the fine structure at the same place, which is strong at a star. Pixels bad in
    the masters are neither hits nor believed; the surroundings of saturated stars are left out.

    Parameters
    ----------
    image : Image
        ``(ny, nx)``, its variance that of the unhit sky (a hit's own photon noise is overcome by
        medians).
    params : CosmicRayParams
        Thresholds.
    run : Run
        Threads, on which the result does not depend, and who is told of progress.

    Returns
    -------
    Image
        With ``COSMIC_RAY`` set; where pixels were replaced ``INTERPOLATED`` too.

    References
    ----------
    van Dokkum P. G., 2001, PASP 113, 1420 (L.A.Cosmic); the contrast is tested on the Laplacian
    freed of its smooth part, as the author's program does.
    """
    search = _Search.of(image, params)
    hits = search.hits(params.rounds, run)
    mask = image.mask.copy()
    mask[hits] |= np.uint16(PixelFlag.COSMIC_RAY)
    if not params.interpolate:
        return Image(image.data, image.variance, mask, image.unit)
    mask[hits] |= np.uint16(PixelFlag.INTERPOLATED)
    data = np.where(hits, search.data, image.data)
    variance = np.where(hits, search.variance, image.variance).astype(np.float32, copy=False)
    return Image(data, variance, mask, image.unit)


@dataclass(frozen=True, slots=True)
class _Search:
    """Working copies of a frame, cleaner with every round, and what is known about it."""

    data: FloatPlane
    variance: FloatPlane
    noise: FloatPlane
    excluded: npt.NDArray[np.bool_]
    least: float
    levels: tuple[float, float]
    limits: tuple[float, float]
    growth: tuple[float, float]

    @classmethod
    def of(cls, image: Image, params: CosmicRayParams) -> "_Search":
        """Copy a frame, fill its bad pixels and find the least edge that can be a hit."""
        data, variance = _writable(image.data), _writable(image.variance)
        rows = sampled_rows(*image.shape)
        good = image.mask[rows] == 0
        if image.unit != "electron":
            # The photon noise of sources is not known. Without any, all that is bright would
            # pass for sharp: take one electron an ADU.
            middle = np.float32(np.median(image.data[rows][good]) if good.any() else 0)
            variance += np.maximum(np.nan_to_num(data) - middle, 0)
        sky, noise2, low2 = _levels(image.data[rows][good], variance[rows][good])
        bad = (image.mask & NOT_SEARCHED) != 0
        places = _places(bad)
        kernel.fill_places(data, (bad, bad), places, sky)
        kernel.fill_places(variance, (bad, bad), places, noise2)
        edge = params.edge_sigma
        return cls(
            data=data,
            variance=variance,
            noise=np.zeros(image.shape, np.float32),
            excluded=bad | _saturated_stars(data, image.mask),
            least=2.0 * edge * float(np.sqrt(LOW_SHARE * low2)),
            levels=(sky, noise2),
            limits=(edge, params.contrast),
            growth=(edge, edge * params.neighbour_fraction),
        )

    def hits(self, rounds: int, run: Run) -> npt.NDArray[np.bool_]:
        """Find hits, clean them and look again around them."""
        found = np.zeros(self.data.shape, dtype=bool)
        near = np.zeros_like(found)
        seeds = self._first_look(run)
        for k in range(rounds):
            marked = kernel.grow_hits(self._planes, self.excluded, found, seeds, self.growth)
            if not len(marked):
                break
            kernel.fill_places(self.data, (found, self.excluded), marked, self.levels[0])
            kernel.fill_places(self.variance, (found, self.excluded), marked, self.levels[1])
            if k + 1 < rounds:
                kernel.forget_noise(self.noise, marked)
                places = kernel.places_near(self.data, self.excluded, marked, self.least, near)
                seeds = kernel.look_again(self._planes, places, self.limits)
        return found

    @property
    def _planes(self) -> tuple[FloatPlane, FloatPlane, FloatPlane]:
        return self.data, self.variance, self.noise

    def _first_look(self, run: Run) -> npt.NDArray[np.int32]:
        """Look at every pixel, band by band."""
        spans = list(bands(self.data.shape[0], BAND_ROWS))
        found: dict[int, npt.NDArray[np.int32]] = {}

        def look(k: int) -> None:
            found[k] = kernel.first_look(
                self._planes, self.excluded, spans[k], self.least, self.limits
            )

        run_tasks([partial(look, k) for k in range(len(spans))], run)
        return np.concatenate([found[k] for k in range(len(spans))])


def _places(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return row and column of every True, as the kernels take them."""
    return np.ascontiguousarray(np.argwhere(chosen), dtype=np.int32)


def _writable(plane: FloatPlane) -> FloatPlane:
    return np.array(plane, dtype=np.float32, order="C")


def _levels(data: FloatPlane, variance: FloatPlane) -> tuple[float, float, float]:
    """Return median value, median variance and a low variance of a frame's good pixels."""
    if data.size == 0:
        return 0.0, 1.0, 0.0
    low = max(0.0, float(np.percentile(variance, LOW_PERCENT)))
    return float(np.median(data)), float(np.median(variance)), low


def _saturated_stars(data: FloatPlane, mask: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Return the pixels in and around saturated stars; a saturated hit is not one."""
    stars = np.zeros(data.shape, dtype=bool)
    full = _places((mask & SATURATED) != 0)
    kernel.surround_stars(data, full, STAR_SHARE, STAR_GROW_PIX, stars)
    return stars
