"""Dark frames into a master dark, and the dark signal of an exposure from a master."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reduction.combine import ONE_THREAD, CombineParams, Noise, Run
from reduction.exposure import LeftOut
from reduction.image import Image
from reduction.masters import (
    Frame,
    Stacked,
    assemble,
    combine_part,
    leave_out_odd_levels,
    level_of,
    require,
    single_noise,
    worst_noise,
)
from reduction.overscan import OverscanParams
from reduction.pedestal import cut, same_exposure
from reduction.readout import amplifiers, data_rows
from reduction.sources import CorrectedRows


@dataclass(frozen=True, slots=True)
class DarkParams:
    """How a master dark is made.

    Attributes
    ----------
    combine : CombineParams
        Method and thresholds of the combination.
    overscan : OverscanParams
        The fit of the zero level.
    level_sigma, level_noise : float
        As of a bias: when a frame's level is left out.
    exptime_tolerance : float
        Exposures this close, as a fraction, are the same.
    max_temp_spread_c : float
        A frame whose detector was further than this from the others' temperature is left out.
    hot_sigma : float
        A pixel so many times the noise of a single frame above the others is hot.
    """

    combine: CombineParams = CombineParams()
    overscan: OverscanParams = OverscanParams()
    level_sigma: float = 8.0
    level_noise: float = 3.0
    exptime_tolerance: float = 0.02
    max_temp_spread_c: float = 1.5
    hot_sigma: float = 15.0


def common_exposure(
    frames: Sequence[Frame], *, scalable: bool, params: DarkParams
) -> tuple[list[Frame], list[LeftOut], float]:
    """Part the darks that one master can stand for from the others, and return its exposure.

    Exposures may differ where the bias is removed, as the dark signal grows with them; without
    that they must agree.

    Raises
    ------
    NotEnoughFramesError
        If none is left.
    """
    times = [frame.info.exptime_s for frame in frames if _positive(frame.info.exptime_s)]
    exptime_s = float(np.median([t for t in times if t is not None])) if times else 0.0
    temps = [frame.info.temp_c for frame in frames if frame.info.temp_c is not None]
    temp_c = float(np.median(temps)) if temps else None
    used: list[Frame] = []
    left_out: list[LeftOut] = []
    for frame in frames:
        reason = _unfit(frame, exptime_s, temp_c, scalable, params)
        if reason:
            left_out.append(LeftOut(frame.name, reason))
        else:
            used.append(frame)
    require(used, left_out)
    return used, left_out, exptime_s


def _positive(value: float | None) -> bool:
    return value is not None and value > 0


def _unfit(
    frame: Frame, exptime_s: float, temp_c: float | None, scalable: bool, params: DarkParams
) -> str | None:
    """Return why a dark does not belong with the others, or None."""
    own_s, own_c = frame.info.exptime_s, frame.info.temp_c
    if own_s is None or own_s <= 0:
        return "its header gives no exposure time"
    if not scalable and not same_exposure(own_s, exptime_s, params.exptime_tolerance):
        return (
            f"it is of {own_s:g} s, the others of {exptime_s:g} s, and without a bias a dark "
            "cannot be scaled"
        )
    if own_c is not None and temp_c is not None and abs(own_c - temp_c) > params.max_temp_spread_c:
        return f"its detector was at {own_c:g} C, the others' at {temp_c:g} C"
    return None


def combine_dark(
    frames: Sequence[Frame],
    exptime_s: float,
    *,
    bias: Image | None,
    params: DarkParams = DarkParams(),
    run: Run = ONE_THREAD,
) -> Stacked:
    """Combine darks into the dark signal of one exposure.

    Parameters
    ----------
    frames : sequence of Frame
        With their overscans fitted, of one layout, from `common_exposure`.
    exptime_s : float
        Exposure the result stands for; frames of another are scaled to it.
    bias : Image or None
        Master bias ``(ny, nx)``, ADU; without it the dark contains the bias and is not scaled.
    params : DarkParams
        Thresholds.
    run : Run
        Threads, and who is told of progress.

    Returns
    -------
    Stacked
        Image ``(ny, nx)`` in ADU. The variance holds that of the bias.

    Raises
    ------
    NotEnoughFramesError
        If every frame is left out.
    """
    amps = amplifiers(frames[0].info)
    used, left_out = list(frames), list[LeftOut]()
    if _one_exposure(frames, params):
        used, left_out = leave_out_odd_levels(frames, params.level_sigma, params.level_noise)
    parts = []
    for a, amp in enumerate(amps):
        sources = [_signal(frame, a, exptime_s, bias) for frame in used]
        noise = _noise(sources, amp.gain_e_per_adu)
        part = combine_part(
            amp,
            sources,
            noise,
            params=params.combine,
            run=run.part(a, len(amps)),
        )
        parts.append(part)
    image = assemble(used[0].info, parts, "adu")
    if bias is not None:
        image = replace(image, variance=image.variance + bias.variance, mask=image.mask | bias.mask)
    return Stacked(image, used, left_out, worst_noise(parts))


def _one_exposure(frames: Sequence[Frame], params: DarkParams) -> bool:
    times = [frame.info.exptime_s or 0.0 for frame in frames]
    return same_exposure(min(times), max(times), params.exptime_tolerance)


def _signal(frame: Frame, a: int, exptime_s: float, bias: Image | None) -> CorrectedRows:
    """Return the dark signal of one amplifier of a frame, scaled to the master's exposure."""
    amp = amplifiers(frame.info)[a]
    rows = CorrectedRows(
        data_rows(frame.exposure, amp),
        frame.overscans[a].levels,
        ceiling=amp.saturation_adu or float("inf"),
    )
    if bias is None:
        return rows
    own_s = frame.info.exptime_s or exptime_s
    return replace(rows, planes=((cut(bias.data, amp.target), 1.0),), scale=exptime_s / own_s)


def _noise(sources: Sequence[CorrectedRows], gain: float | None) -> Noise:
    """Return the noise of one dark: measured at the common level, photon noise above it."""
    measured = single_noise(sources) ** 2
    if gain is None:
        return Noise(measured)
    slope = float(np.mean([source.scale for source in sources])) / gain
    level = float(np.median([level_of(source) for source in sources]))
    # Without a bias the level holds the pedestal, whose electrons are nobody's noise.
    if not all(source.planes for source in sources):
        return Noise(measured)
    return Noise(max(measured - slope * max(level, 0.0), 0.1 * measured), slope)
