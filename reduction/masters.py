"""What every master is made with: the choice of frames, their zero levels, their noise."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reduction.camera import Amplifier
from reduction.combine import (
    ONE_THREAD,
    Combined,
    CombineParams,
    Noise,
    Run,
    combine,
    variance_of_result,
)
from reduction.errors import NotEnoughFramesError, ShapeMismatchError
from reduction.exposure import Exposure, LeftOut
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.image import Image, MaskPlane, Unit
from reduction.normal import MAD_TO_SIGMA
from reduction.overscan import Overscan, OverscanParams, fit_overscan
from reduction.readout import RowSource, amplifiers, check_same_layout, data_rows, sample
from reduction.sources import CorrectedRows
from reduction.stats import difference_noise, pooled_variance

THIN = 5  # masters of fewer frames are marked
NOISE_PIXELS = 4_000_000  # of all frames together, from which the noise of one value is measured
LEVEL_PIXELS = 200_000  # of one frame, from which its level is measured

Reason = Callable[[FrameInfo], str | None]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame about to enter a master, with the zero level of each of its amplifiers."""

    exposure: Exposure
    overscans: tuple[Overscan, ...]

    @property
    def info(self) -> FrameInfo:
        """The frame's header, translated."""
        return self.exposure.info

    @property
    def name(self) -> str:
        """The frame's file, for messages."""
        return self.exposure.name


def choose(
    exposures: Sequence[Exposure], kind: FrameKind, unfit: Reason | None = None
) -> tuple[list[Exposure], list[LeftOut]]:
    """Part the frames that may enter a master of one kind from those that may not.

    A frame may not that is of another kind, whose kind is in doubt, that cannot be reduced, or
    of which `unfit` gives a reason.

    Raises
    ------
    NotEnoughFramesError
        If none is left; the message holds the reasons.
    ShapeMismatchError
        If those that are left cannot lie on top of each other.
    """
    chosen: list[Exposure] = []
    left_out: list[LeftOut] = []
    for exposure in exposures:
        reason = _unusable(exposure.info, kind) or (unfit(exposure.info) if unfit else None)
        if reason:
            left_out.append(LeftOut(exposure.name, reason))
        else:
            chosen.append(exposure)
    require(chosen, left_out)
    check_same_layout(chosen)
    return chosen, left_out


def _unusable(info: FrameInfo, kind: FrameKind) -> str | None:
    """Return why a frame may not enter a master of one kind, or None."""
    if info.unusable:
        return info.unusable
    if info.kind != kind:
        return f"its kind is {info.kind}, not {kind}"
    if info.kind_doubt:
        return f"its kind is in doubt: {info.kind_doubt}"
    return None


def require(frames: Sequence[object], left_out: Sequence[LeftOut]) -> None:
    """Refuse to go on without a frame.

    Raises
    ------
    NotEnoughFramesError
        If there is none; the message holds the reasons.
    """
    if not frames:
        reasons = "; ".join(f"{entry.name}: {entry.reason}" for entry in left_out[:5])
        more = f"; and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        raise NotEnoughFramesError(found=0, needed=1, why=reasons + more)


def with_overscans(exposures: Sequence[Exposure], params: OverscanParams) -> list[Frame]:
    """Fit every amplifier's overscan of every frame."""
    return [
        Frame(e, tuple(fit_overscan(e, amp, params=params) for amp in amplifiers(e.info)))
        for e in exposures
    ]


def has_overscan(info: FrameInfo) -> bool:
    """Tell whether every amplifier of a frame has an overscan to level it by."""
    return all(amp.overscan is not None for amp in amplifiers(info))


def single_noise(sources: Sequence[RowSource]) -> float:
    """Return the standard deviation of one value of a stack, measured from the stack.

    From the scatter between the frames; of a single frame from the differences of neighbouring
    pixels, which holds what is fixed in it too.
    """
    stack = np.stack([sample(s, NOISE_PIXELS // max(4, len(sources))) for s in sources])
    if len(sources) == 1:
        return _or_zero(difference_noise(stack[0]))
    known = np.isfinite(stack).all(axis=0)
    variances = np.var(stack[:, known].astype(np.float64), axis=0, ddof=1)
    return _or_zero(float(np.sqrt(pooled_variance(variances, len(sources) - 1))))


def _or_zero(value: float) -> float:
    return value if np.isfinite(value) else 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """One amplifier's combined pixels and the noise of one value and of the result's."""

    amp: Amplifier
    combined: Combined
    noise: Noise
    result_noise: Noise
    median: bool


def combine_part(
    amp: Amplifier,
    sources: Sequence[RowSource],
    noise: Noise,
    *,
    params: CombineParams,
    weights: Sequence[float] | None = None,
    run: Run = ONE_THREAD,
) -> Part:
    """Combine one amplifier's rows of all frames."""
    combined = combine(sources, params=params, noise=noise, weights=weights, run=run)
    return Part(amp, combined, noise, noise, params.method == "median")


def assemble(info: FrameInfo, parts: Sequence[Part], unit: Unit) -> Image:
    """Put the amplifiers' combined pixels in their places of one frame.

    Returns
    -------
    Image
        ``(ny, nx)``; a pixel without a value, or that no amplifier reads, is 0 and ``NO_DATA``.
    """
    shape = info.ny, info.nx
    if len(parts) == 1 and parts[0].combined.data.shape == shape:
        (part,) = parts
        variance = variance_of_result(part.combined, part.result_noise, median=part.median)
        return Image(part.combined.data, variance, _no_data(part.combined), unit)
    data, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    mask = np.full(shape, PixelFlag.NO_DATA, np.uint16)
    for part in parts:
        to = part.amp.target
        place = slice(to.y0, to.y1), slice(to.x0, to.x1)
        data[place] = part.combined.data
        variance[place] = variance_of_result(part.combined, part.result_noise, median=part.median)
        mask[place] = _no_data(part.combined)
    return Image(data, variance, mask, unit)


def _no_data(combined: Combined) -> MaskPlane:
    """Return the mask of a combined stack: pixels without any value."""
    mask = np.zeros(combined.count.shape, np.uint16)
    mask[combined.count == 0] = PixelFlag.NO_DATA
    return mask


def is_thin(n_frames: int) -> bool:
    """Tell whether a master of so many frames is to be marked as thin."""
    return n_frames < THIN


def outlying(levels: Sequence[float], tolerance: float, sigma: float) -> list[bool]:
    """Tell which frames' levels lie far from the others'.

    Further from their median than `sigma` robust standard deviations and than `tolerance`. Of
    fewer than three nobody can say which is wrong: none is outlying.
    """
    values = np.asarray(levels, dtype=np.float64)
    if values.size < 3:
        return [False] * values.size
    deviation = np.abs(values - np.median(values))
    scatter = MAD_TO_SIGMA * float(np.median(deviation))
    return [bool(d > max(tolerance, sigma * scatter)) for d in deviation]


def level_of(source: RowSource) -> float:
    """Return the median of a source's known pixels; NaN where there is none."""
    values = sample(source, LEVEL_PIXELS)
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


@dataclass(frozen=True, slots=True)
class Stacked:
    """A master's pixels, how they came about, and the noise of one frame in the image's unit."""

    image: Image
    used: Sequence[Frame]
    left_out: Sequence[LeftOut]
    noise: float
    notes: Sequence[str] = ()


def zeroed(frame: Frame, a: int, *, shift: float = 0.0) -> CorrectedRows:
    """Return an amplifier's rows of a frame above its zero level."""
    amp = amplifiers(frame.info)[a]
    return CorrectedRows(data_rows(frame.exposure, amp), frame.overscans[a].levels, shift=shift)


def worst_noise(parts: Sequence[Part]) -> float:
    """Return the noise of one value where it is largest among the amplifiers."""
    return float(np.sqrt(max(part.noise.floor for part in parts)))


def leave_out_odd_levels(
    frames: Sequence[Frame], sigma: float, noises: float
) -> tuple[list[Frame], list[LeftOut]]:
    """Part frames whose level is like the others' from those whose is not.

    Raises
    ------
    NotEnoughFramesError
        If none is left.
    """
    reasons: dict[int, str] = {}
    for a, amp in enumerate(amplifiers(frames[0].info)):
        levels = [level_of(zeroed(frame, a)) for frame in frames]
        reasons |= {k: "its pixels hold no number" for k, v in enumerate(levels) if np.isnan(v)}
        known = [k for k in range(len(frames)) if k not in reasons]
        if not known:
            continue
        tolerance = noises * _frame_noise([frames[k].overscans[a] for k in known], amp)
        odd = outlying([levels[k] for k in known], tolerance, sigma)
        middle = float(np.median([levels[k] for k in known]))
        reasons |= {
            k: f"its level is {levels[k]:.1f} ADU, the others' {middle:.1f} ADU"
            for k, is_odd in zip(known, odd, strict=True)
            if is_odd
        }
    used = [frame for k, frame in enumerate(frames) if k not in reasons]
    left_out = [LeftOut(frames[k].name, reason) for k, reason in sorted(reasons.items())]
    require(used, left_out)
    return used, left_out


def _frame_noise(overscans: Sequence[Overscan], amp: Amplifier) -> float:
    """Return the read noise of one pixel, in ADU: measured, else as the header has it, else 5."""
    measured = [o.noise_adu for o in overscans if o.noise_adu]
    if measured:
        return float(np.median(measured))
    if amp.read_noise_e and amp.gain_e_per_adu:
        return amp.read_noise_e / amp.gain_e_per_adu
    return 5.0


def most_common_band(infos: Sequence[FrameInfo]) -> str | None:
    """Return the band most of the frames are of; None where there is none."""
    return Counter(info.band for info in infos).most_common(1)[0][0] if infos else None


def check_master(master: Image | None, exposure: Exposure) -> None:
    """Refuse a master that cannot lie on a frame.

    Raises
    ------
    ShapeMismatchError
        If their shapes differ.
    """
    shape = exposure.info.ny, exposure.info.nx
    if master is not None and master.shape != shape:
        raise ShapeMismatchError(
            f"{exposure.name} is {shape[1]} x {shape[0]} pixels, the master to be applied to it "
            f"{master.shape[1]} x {master.shape[0]}: they are not of one camera and binning"
        )
