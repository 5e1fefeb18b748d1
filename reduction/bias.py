"""Bias frames into a master bias."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reduction.combine import ONE_THREAD, CombineParams, Noise, Run
from reduction.masters import (
    Frame,
    Stacked,
    assemble,
    combine_part,
    has_overscan,
    leave_out_odd_levels,
    level_of,
    single_noise,
    worst_noise,
    zeroed,
)
from reduction.overscan import OverscanParams
from reduction.readout import amplifiers
from reduction.sources import CorrectedRows

NO_OVERSCAN = "no overscan: the zero level is the mean of the frames' levels"


@dataclass(frozen=True, slots=True)
class BiasParams:
    """How a master bias is made.

    Attributes
    ----------
    combine : CombineParams
        Method and thresholds of the combination.
    overscan : OverscanParams
        The fit of the zero level.
    level_sigma : float
        A frame whose level lies so many robust standard deviations from the others' is left out.
    level_noise : float
        Levels closer to each other than this many times the noise of a pixel never are.
    hot_sigma : float
        A pixel of the master so many times the noise of a single frame from all others is bad.
    """

    combine: CombineParams = CombineParams()
    overscan: OverscanParams = OverscanParams()
    level_sigma: float = 8.0
    level_noise: float = 3.0
    hot_sigma: float = 15.0


def combine_bias(
    frames: Sequence[Frame],
    *,
    params: BiasParams = BiasParams(),
    run: Run = ONE_THREAD,
) -> Stacked:
    """Combine bias frames into a master.

    Each amplifier's zero level is subtracted row by row where there is an overscan. Without one
    the frames are shifted to their common mean level first: a drift of the electronics between
    two frames is not noise of their pixels, and would hide particle hits.

    Parameters
    ----------
    frames : sequence of Frame
        With their overscans fitted, of one layout.
    params : BiasParams
        Thresholds.
    run : Run
        Threads, and who is told of progress.

    Returns
    -------
    Stacked
        Image ``(ny, nx)`` in ADU; variance of the mean; ``NO_DATA`` and ``BAD`` flags.

    Raises
    ------
    NotEnoughFramesError
        If every frame is left out.

    References
    ----------
    Howell S. B., 2006, Handbook of CCD Astronomy, 2nd ed., CUP, ch. 4.
    """
    amps = amplifiers(frames[0].info)
    used, left_out = leave_out_odd_levels(frames, params.level_sigma, params.level_noise)
    parts = []
    for a, amp in enumerate(amps):
        sources = _levelled(used, a)
        noise = Noise(single_noise(sources) ** 2)
        part = combine_part(
            amp,
            sources,
            noise,
            params=params.combine,
            run=run.part(a, len(amps)),
        )
        parts.append(part)
    image = assemble(used[0].info, parts, "adu")
    notes = () if has_overscan(used[0].info) else (NO_OVERSCAN,)
    return Stacked(image, used, left_out, worst_noise(parts), notes)


def _levelled(frames: Sequence[Frame], a: int) -> list[CorrectedRows]:
    """Return one amplifier's rows of all frames, at a common level."""
    sources = [zeroed(frame, a) for frame in frames]
    if amplifiers(frames[0].info)[a].overscan is not None:
        return sources
    levels = [level_of(source) for source in sources]
    common = float(np.mean(levels))
    return [
        replace(source, shift=common - level) for source, level in zip(sources, levels, strict=True)
    ]
