"""The steps in order: raw frames to masters, a raw frame to a calibrated one."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace

import numpy as np
import numpy.typing as npt

from reduction.badpixels import cold_pixels, hot_pixels
from reduction.bias import BiasParams, combine_bias
from reduction.calibrate import PlanParams, plan_calibration
from reduction.combine import Run
from reduction.cosmicrays import CosmicRayParams, flag_cosmic_rays
from reduction.dark import DarkParams, combine_dark, common_exposure
from reduction.detrend import AmplifierPlan, detrend
from reduction.errors import BadFrameError
from reduction.exposure import Calibrated, Exposure, LeftOut, Master, PlaneStats
from reduction.flags import PixelFlag
from reduction.flat import FlatParams, combine_flats
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.image import Image, native_rows
from reduction.kernels.detrend import count_flags
from reduction.masters import (
    Stacked,
    check_master,
    choose,
    is_thin,
    most_common_band,
    with_overscans,
)
from reduction.pedestal import Calibrations, DarkFrame
from reduction.saturation import SaturationParams, flag_bleeding
from reduction.seams import match_amplifiers
from reduction.stats import median_of, plane_stats, sampled_rows

__all__ = [
    "BiasParams",
    "CalibrateParams",
    "Calibrations",
    "CosmicRayParams",
    "DarkFrame",
    "DarkParams",
    "FlatParams",
    "calibrate",
    "make_bias",
    "make_dark",
    "make_flat",
    "recipe_hash",
]

Progress = Callable[[float], None]

CODE_VERSION = 5  # raised whenever the same input and parameters would give other pixels
THREADS = 2
BELOW_BIAS = 10.0  # of a pixel's standard deviation: no drift of a bias is as large
BIAS, DARK, FLAT = BiasParams(), DarkParams(), FlatParams()


@dataclass(frozen=True, slots=True)
class CalibrateParams:
    """How a raw frame is calibrated.

    Attributes
    ----------
    plan : PlanParams
        Overscan, saturation and what counts as missing.
    flat_floor : float
        Pixels where the flat is lower are flagged and not divided.
    cosmic_rays : CosmicRayParams or None
        How particle hits are found; None leaves them. Spectra are never searched: a sky line is
        as sharp as a hit.
    """

    plan: PlanParams = PlanParams()
    flat_floor: float = 0.05
    cosmic_rays: CosmicRayParams | None = CosmicRayParams()


def make_bias(
    exposures: Sequence[Exposure],
    *,
    params: BiasParams = BIAS,
    progress: Progress | None = None,
    threads: int = THREADS,
) -> Master:
    """Make a master bias.

    Overscan and trim by amplifier, combination, hot pixels.

    Parameters
    ----------
    exposures : sequence of Exposure
        Raw bias frames of one camera; doubtful and odd ones are left out with their reason.
    params : BiasParams
        Thresholds.
    progress : callable, optional
        Told the fraction done, 0 to 1.
    threads : int
        Bands of rows worked on at a time.

    Returns
    -------
    Master
        In ADU.

    Raises
    ------
    NotEnoughFramesError
        If no frame is usable.
    ShapeMismatchError
        If frames cannot lie on top of each other.
    """
    chosen, left_out = choose(exposures, FrameKind.BIAS)
    frames = with_overscans(chosen, params.overscan)
    stacked = combine_bias(frames, params=params, run=Run(threads, progress))
    mask = hot_pixels(stacked.image, noise=stacked.noise, sigma=params.hot_sigma)
    return _master(stacked, replace(stacked.image, mask=mask), left_out)


def make_dark(
    exposures: Sequence[Exposure],
    *,
    bias: Image | None,
    params: DarkParams = DARK,
    progress: Progress | None = None,
    threads: int = THREADS,
) -> Master:
    """Make a master dark: the dark signal of the frames' middle exposure.

    Parameters
    ----------
    exposures : sequence of Exposure
        Raw darks of one camera and temperature.
    bias : Image or None
        Master bias; without it the dark holds the bias and serves one exposure only.
    params : DarkParams
        Thresholds.
    progress : callable, optional
        Told the fraction done, 0 to 1.
    threads : int
        Bands of rows worked on at a time.

    Returns
    -------
    Master
        In ADU, with the exposure and temperature it stands for.

    Raises
    ------
    NotEnoughFramesError
        If no frame is usable.
    ShapeMismatchError
        If frames, or the bias, cannot lie on top of each other.
    """
    chosen, left_out = choose(exposures, FrameKind.DARK)
    check_master(bias, chosen[0])
    frames, odd, exptime_s = common_exposure(
        with_overscans(chosen, params.overscan), scalable=bias is not None, params=params
    )
    stacked = combine_dark(frames, exptime_s, bias=bias, params=params, run=Run(threads, progress))
    mask = hot_pixels(stacked.image, noise=stacked.noise, sigma=params.hot_sigma)
    master = _master(stacked, replace(stacked.image, mask=mask), [*left_out, *odd])
    temps = [f.info.temp_c for f in stacked.used if f.info.temp_c is not None]
    notes = () if bias is not None else ("no bias: the dark contains it and cannot be scaled",)
    return replace(
        master,
        exptime_s=exptime_s,
        temp_c=float(np.median(temps)) if temps else None,
        bias_removed=bias is not None,
        notes=(*master.notes, *notes),
    )


def make_flat(
    exposures: Sequence[Exposure],
    *,
    calibrations: Calibrations,
    params: FlatParams = FLAT,
    progress: Progress | None = None,
    threads: int = THREADS,
) -> Master:
    """Make a master flat of one band, normalised by its mode.

    Parameters
    ----------
    exposures : sequence of Exposure
        Raw flats of one camera and band.
    calibrations : Calibrations
        Bias and dark to take off; the flat in it is not used.
    params : FlatParams
        Thresholds.
    progress : callable, optional
        Told the fraction done, 0 to 1.
    threads : int
        Bands of rows worked on at a time.

    Returns
    -------
    Master
        Of unit "1".

    Raises
    ------
    NotEnoughFramesError
        If no frame is usable.
    ShapeMismatchError
        If frames, bias or dark cannot lie on top of each other.
    """
    band = most_common_band([e.info for e in exposures if e.info.kind == FrameKind.FLAT])

    def unfit(info: FrameInfo) -> str | None:
        return None if info.band == band else f"it is of band {info.band}, the others of {band}"

    chosen, left_out = choose(exposures, FrameKind.FLAT, unfit)
    bias, dark = calibrations.bias, calibrations.dark
    check_master(bias, chosen[0])
    check_master(dark.image if dark is not None else None, chosen[0])
    stacked = combine_flats(
        with_overscans(chosen, params.overscan),
        bias=bias,
        dark=dark,
        params=params,
        run=Run(threads, progress),
    )
    mask = cold_pixels(stacked.image, low=params.cold_low, high=params.cold_high, dead=params.dead)
    notes = () if bias is not None or dark is not None else ("no bias and no dark taken off",)
    master = _master(stacked, replace(stacked.image, mask=mask), left_out)
    return replace(master, notes=(*master.notes, *notes))


def _master(stacked: Stacked, image: Image, left_out: Sequence[LeftOut]) -> Master:
    """Return a master of what was combined."""
    return Master(
        image=image,
        used=[frame.name for frame in stacked.used],
        left_out=[*left_out, *stacked.left_out],
        stats=plane_stats(image),
        thin=is_thin(len(stacked.used)),
        notes=tuple(stacked.notes),
    )


def calibrate(
    exposure: Exposure,
    *,
    calibrations: Calibrations,
    params: CalibrateParams = CalibrateParams(),
    progress: Progress | None = None,
    threads: int = THREADS,
    spare: Image | None = None,
) -> Calibrated:
    """Calibrate one raw frame as far as the masters at hand allow.

    Overscan, trim, bias, dark, gain, flat, variance, saturation and its bleeding, particle hits.

    Parameters
    ----------
    exposure : Exposure
        Raw frame.
    calibrations : Calibrations
        Masters to apply.
    params : CalibrateParams
        Thresholds.
    progress : callable, optional
        Told the fraction done, 0 to 1.
    threads : int
        Bands of rows worked on at a time.
    spare : Image, optional
        One that nobody needs any more, to be written over: as of `reduction.detrend.detrend`.

    Returns
    -------
    Calibrated
        With what was done and what was missing.

    Raises
    ------
    BadFrameError
        If the frame's planes do not hold its sections, or none of its pixels is good.
    ShapeMismatchError
        If a master has another shape than the frame.
    """
    plan = plan_calibration(exposure, calibrations, params=params.plan)
    run = Run(threads, progress)
    image = detrend(
        exposure, plan.steps, flat_floor=params.flat_floor, run=run.part(0, 2), spare=spare
    )
    done, notes = list(plan.done), list(plan.notes)
    if plan.steps.masters.flat is None and "flat" not in exposure.info.done:
        image, said = match_amplifiers(image, [part.amp.target for part in plan.steps.amplifiers])
        notes += said
    _flag_bleeding(image, plan.steps.amplifiers, params.plan.saturation)
    if params.cosmic_rays is not None and exposure.info.technique != "spectroscopy":
        image = flag_cosmic_rays(image, params=params.cosmic_rays, run=run.part(1, 2))
        done.append("cosmic rays")
    elif params.cosmic_rays is not None:
        notes.append("cosmic rays not searched for: sky lines of a spectrum are as sharp")
    counts = _count_flags(image)
    stats = plane_stats(image, n_flagged=int(counts[-1]))
    if stats.n_good == 0:
        flags = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in _by_name(counts).items())
        raise BadFrameError(
            f"{exposure.name}: none of its {image.mask.size} pixels is good: {flags}"
        )
    missing = [*plan.missing, *_below_the_bias(image, stats)] if "bias" in done else plan.missing
    return Calibrated(
        image=image,
        done=done,
        missing=missing,
        stats=stats,
        counts=_by_name(counts),
        notes=notes,
    )


def _below_the_bias(image: Image, stats: PlaneStats) -> list[str]:
    """Tell of a frame that is darker than no light at all, by more than noise or a drift."""
    if stats.median >= 0:
        return []
    variance = image.variance[sampled_rows(*image.shape)]
    if stats.median >= -BELOW_BIAS * np.sqrt(median_of(variance.reshape(-1))):
        return []
    depth = f"{-stats.median:.4g} {image.unit}"
    why = "not read out, or read out otherwise than the bias"
    return [f"no light: the frame lies {depth} below its bias ({why})"]


def _flag_bleeding(image: Image, plans: Sequence[AmplifierPlan], params: SaturationParams) -> None:
    """Flag what bleeds along each amplifier's columns."""
    for plan in plans:
        level = (plan.saturation_adu - float(np.median(plan.overscan.levels))) * plan.gain
        flag_bleeding(image, plan.amp.target, level=level, params=params)


def flag_counts(image: Image) -> Mapping[str, int]:
    """Return how many pixels carry each flag, by its name in lower case; zeros left out."""
    return _by_name(_count_flags(image))


def _count_flags(image: Image) -> npt.NDArray[np.int64]:
    """Return how many pixels carry each bit, and last how many carry any."""
    counts = np.zeros(17, np.int64)
    count_flags(native_rows(image.mask, 0, len(image.mask)).reshape(-1), counts)
    return counts


def _by_name(counts: npt.NDArray[np.int64]) -> Mapping[str, int]:
    named = {flag.name: int(counts[int(flag).bit_length() - 1]) for flag in PixelFlag}
    return {name.lower(): n for name, n in named.items() if name and n}


def recipe_hash(name: str, params: object) -> str:
    """Return twelve hexadecimal digits of a recipe's name, its code's version and parameters."""
    values = asdict(params) if is_dataclass(params) and not isinstance(params, type) else params
    text = json.dumps([name, CODE_VERSION, values], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
