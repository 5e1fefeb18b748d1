"""Combining a stack of frames into one, band of rows by band of rows."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from reduction.errors import NotEnoughFramesError, ShapeMismatchError
from reduction.image import FloatPlane
from reduction.kernels import combine as kernel
from reduction.kernels import counts as count_kernel
from reduction.kernels.sorting import (
    first_half,
    halving_network,
    lanes_of,
    merging_network,
    sorting_network,
)
from reduction.rawcounts import RawCounts, raw_counts
from reduction.readout import RowSource, bands
from reduction.stats import median_variance

Progress = Callable[[float], None]
Method = Literal["mean", "median", "sigma_clip", "average_sigma"]

METHODS: dict[Method, int] = {
    "mean": kernel.MEAN,
    "median": kernel.MEDIAN,
    "sigma_clip": kernel.SAMPLE,
    "average_sigma": kernel.PREDICTED,
}
# Bytes of decoded rows a thread holds. Enough rows to make a call of a kernel worth its cost,
# few enough to stay in the shared cache.
BAND_BYTES = 3 << 20
# Bytes of raw counts that are read where they lie before their pages are given back.
MAPPED_BYTES = 20 << 20
# The deviation of one value from the median of n, in units of their own scatter, cannot pass
# n / sqrt(n - 1): fewer than five values never clip anything at 3 sigma by themselves.
SMALL_STACK = 5
FAR = 4.0  # standard deviations: few values lie within a count of such a limit
CHANCE = 1e-6  # of a sample variance this large or larger from plain noise


@dataclass(frozen=True, slots=True)
class Run:
    """How work is done: bands of rows at a time, and who is told the fraction done, 0 to 1."""

    threads: int = 1
    progress: Progress | None = None

    def part(self, k: int, of: int) -> "Run":
        """Return the run of one part of several equal ones."""
        tell = self.progress
        if tell is None or of == 1:
            return self
        return Run(self.threads, lambda fraction: tell((k + fraction) / of))


ONE_THREAD = Run()


@dataclass(frozen=True, slots=True)
class Noise:
    """Variance expected of one value: ``floor + slope * max(value, 0)``."""

    floor: float
    slope: float = 0.0


@dataclass(frozen=True, slots=True)
class CombineParams:
    """How a stack is combined.

    Attributes
    ----------
    method : {"average_sigma", "sigma_clip", "median", "mean"}
        "sigma_clip" rejects by the scatter of the pixel's own values about their median, again
        and again until nothing more goes; "average_sigma" by the noise expected of a value.
    low_sigma, high_sigma : float
        How far below and above the median a value may lie, in standard deviations.
    max_rounds : int
        Most rounds of "sigma_clip".
    """

    method: Method = "average_sigma"
    low_sigma: float = 5.0
    high_sigma: float = 5.0
    max_rounds: int = 100


@dataclass(frozen=True, slots=True)
class Combined:
    """A combined stack, all arrays ``(ny, nx)``.

    Attributes
    ----------
    data : float32 array
        In the unit of the frames; 0 where nothing survived.
    variance : float32 array
        Unbiased sample variance of the values that survived, that is of one frame; 0 of one.
    count : uint16 array
        How many survived.
    n_frames : int
        How many there were.
    """

    data: FloatPlane
    variance: FloatPlane
    count: npt.NDArray[np.uint16]
    n_frames: int

    def band(self, y0: int, y1: int) -> tuple[FloatPlane, FloatPlane, npt.NDArray[np.uint16]]:
        """Return rows ``y0:y1`` of the arrays, flat, to be written to."""
        return (
            self.data[y0:y1].reshape(-1),
            self.variance[y0:y1].reshape(-1),
            self.count[y0:y1].reshape(-1),
        )


def combine(
    sources: Sequence[RowSource],
    *,
    params: CombineParams = CombineParams(),
    noise: Noise | None = None,
    weights: Sequence[float] | None = None,
    run: Run = ONE_THREAD,
) -> Combined:
    """Combine frames pixel by pixel, holding only a band of rows of each in memory.

    "average_sigma" needs `noise`, and so does "sigma_clip" of fewer than 5 frames, whose own
    scatter says nothing: without it neither rejects anything. Weights act on means, not on
    medians. The result does not depend on the number of threads.

    Parameters
    ----------
    sources : sequence of RowSource
        One a frame, all ``(ny, nx)``; NaN and infinity are unknown.
    params : CombineParams
        Method and thresholds.
    noise : Noise, optional
        Expected of one value.
    weights : sequence of float, optional
        One a frame, positive.
    run : Run
        Threads, and who is told of progress (from the calling thread).

    Returns
    -------
    Combined
        Value, sample variance and number of survivors of every pixel.

    Raises
    ------
    NotEnoughFramesError
        If there is none.
    ShapeMismatchError
        If they differ in shape.

    References
    ----------
    Average-sigma clipping: IRAF, ``images.immatch.imcombine`` (avsigclip).
    """
    shape = _common_shape(sources)
    if weights is not None and (len(weights) != len(sources) or min(weights) <= 0):
        raise ValueError("there must be one positive weight for each frame")
    result = Combined(
        data=np.empty(shape, np.float32),
        variance=np.empty(shape, np.float32),
        count=np.empty(shape, np.uint16),
        n_frames=len(sources),
    )
    method = _method(params, noise, len(sources))
    limits = _limits(params, noise or Noise(0.0))
    counts = raw_counts(sources) if weights is None else None
    work: _FloatWork | _CountWork
    if counts is not None and _as_counts(counts, method, params):
        scratch = _CountScratch(len(sources), shape[1])
        work = _CountWork(counts, counts.places(), method, limits, scratch)
        rows = max(4, MAPPED_BYTES // (2 * shape[1] * len(sources)))
    else:
        factors = np.array(() if weights is None else weights, dtype=np.float32)
        work = _FloatWork(sources, method, limits, factors)
        rows = max(1, BAND_BYTES // (4 * shape[1] * len(sources)))
    tasks = [partial(work.run, y0, y1, result) for y0, y1 in bands(shape[0], rows)]
    run_tasks(tasks, run)
    return result


def _as_counts(counts: RawCounts, method: int, params: CombineParams) -> bool:
    """Tell whether whole numbers are the faster way to a combination, and exact.

    Where a fraction was rounded off, every value within a count of its limit is a doubt: many
    where the limits are near.
    """
    if counts.are_whole or method == kernel.MEAN:
        return True
    return method != kernel.MEDIAN and min(params.low_sigma, params.high_sigma) >= FAR


def _limits(params: CombineParams, noise: Noise) -> npt.NDArray[np.float64]:
    """Return the thresholds as the kernels take them."""
    return np.array(
        (params.low_sigma, params.high_sigma, params.max_rounds, noise.floor, noise.slope),
        dtype=np.float64,
    )


def run_tasks(tasks: Sequence[Callable[[], None]], run: Run) -> None:
    """Run tasks on our own threads; the kernels they call let go of the interpreter's lock.

    A task that fails stops those that have not begun, and its error is raised here.
    """
    if run.threads <= 1:
        for k, task in enumerate(tasks):
            task()
            _tell(run, k + 1, len(tasks))
        return
    with ThreadPoolExecutor(max_workers=run.threads) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            _follow(futures, run)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _follow(futures: Iterable[Future[None]], run: Run) -> None:
    """Wait for every future in turn, raising the first error."""
    waiting = list(futures)
    for k, future in enumerate(waiting):
        future.result()
        _tell(run, k + 1, len(waiting))


def _tell(run: Run, done: int, of: int) -> None:
    if run.progress is not None:
        run.progress(done / of)


def _common_shape(sources: Sequence[RowSource]) -> tuple[int, int]:
    """Return the one shape of all sources."""
    if not sources:
        raise NotEnoughFramesError(found=0, needed=1)
    shapes = {source.shape for source in sources}
    if len(shapes) > 1:
        sizes = ", ".join(sorted(f"{nx} x {ny}" for ny, nx in shapes))
        raise ShapeMismatchError(f"frames of different size cannot be combined: {sizes}")
    return shapes.pop()


def _method(params: CombineParams, noise: Noise | None, n: int) -> int:
    """Return the kernel's method for a stack of `n`, as far as the noise is known."""
    method = METHODS[params.method]
    if method == kernel.SAMPLE and n < SMALL_STACK:
        method = kernel.PREDICTED
    return kernel.MEAN if method == kernel.PREDICTED and noise is None else method


@dataclass(frozen=True, slots=True)
class _FloatWork:
    """A combination of any frames, as floats."""

    sources: Sequence[RowSource]
    method: int
    limits: npt.NDArray[np.float64]
    weights: FloatPlane

    def run(self, y0: int, y1: int, result: Combined) -> None:
        """Combine one band."""
        n, nx = len(self.sources), result.data.shape[1]
        stack = kernel.aligned(n, (y1 - y0) * nx)
        for row, source in zip(stack, self.sources, strict=True):
            source.read(y0, y1, row.reshape(y1 - y0, nx))
            source.release(y0, y1)
        kernel.combine_rows(
            stack,
            kernel.lane_scratch(n),
            sorting_network(n),
            self.weights,
            self.method,
            self.limits,
            *result.band(y0, y1),
        )


class _CountScratch(threading.local):
    """What each thread sorts counts in, band after band."""

    def __init__(self, n: int, nx: int) -> None:
        self.lanes = lanes_of(n, nx, np.uint16)
        self.doubts = lanes_of(n, 1, np.uint16)[0]
        self.networks = first_half(n), halving_network(n), merging_network(n)
        self.pixels = count_kernel.scratch_of(n)


@dataclass(frozen=True, slots=True)
class _CountWork:
    """A combination of raw counts."""

    counts: RawCounts
    places: npt.NDArray[np.int64]
    method: int
    limits: npt.NDArray[np.float64]
    scratch: _CountScratch

    def run(self, y0: int, y1: int, result: Combined) -> None:
        """Combine one band."""
        raws, places = self.counts.raws, self.places.copy()
        dtype, scratch = raws[0].plane.dtype, self.scratch
        places[:, 0] += y0 * places[:, 1]
        count_kernel.combine_counts(
            places,
            scratch.lanes,
            scratch.doubts,
            scratch.networks,
            (not dtype.isnative, raws[0].sign),
            np.ascontiguousarray(self.counts.shifts[:, y0:y1]),
            self.method,
            np.append(self.limits, self.counts.common),
            result.band(y0, y1),
            scratch.pixels,
        )
        for raw in raws:
            raw.release(y0, y1)


def variance_of_result(combined: Combined, noise: Noise, *, median: bool = False) -> FloatPlane:
    """Return the variance of a combined frame's pixels.

    The noise of one value, taken as known, divided by how many entered; for the median, the
    variance of an order statistic. A sample of n values has a variance of its own, true only to
    ``sqrt(2 / (n - 1))``, so it is believed only where it is too large to be chance in one of a
    million pixels.

    Parameters
    ----------
    combined : Combined
        The stack's result.
    noise : Noise
        Of one value.
    median : bool
        Whether `combined` is a median.

    Returns
    -------
    float32 array, ``(ny, nx)``
        0 where nothing survived.
    """
    count = np.maximum(combined.count, 1).astype(np.float32)
    single = np.float32(noise.floor) + np.float32(noise.slope) * np.maximum(combined.data, 0)
    noisy = combined.variance > single * _chance(combined.n_frames)[combined.count]
    single = np.where(noisy, combined.variance, single)
    if median:
        share = np.array([0.0, *(median_variance(n) for n in range(1, combined.n_frames + 1))])
        single *= share.astype(np.float32)[combined.count]
    else:
        single /= count
    single[combined.count == 0] = 0
    return single.astype(np.float32, copy=False)


def _chance(n: int) -> FloatPlane:
    """Return, for 0 to `n` values, how far above the truth their variance gets by chance."""
    from scipy import special  # a slow import, and a plain combination needs none of it

    dof = np.maximum(np.arange(n + 1) - 1, 1)
    return np.asarray(2.0 * special.gammainccinv(dof / 2, CHANCE) / dof, dtype=np.float32)
