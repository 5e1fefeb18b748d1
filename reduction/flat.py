"""Flat fields of one band into a master flat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reduction.camera import Amplifier
from reduction.combine import ONE_THREAD, CombineParams, Noise, Run
from reduction.exposure import LeftOut
from reduction.image import FloatPlane, Image
from reduction.masters import (
    LEVEL_PIXELS,
    Frame,
    Stacked,
    assemble,
    combine_part,
    require,
    single_noise,
    worst_noise,
)
from reduction.overscan import OverscanParams
from reduction.pedestal import DarkFrame, plan_subtraction, planes_of
from reduction.readout import amplifiers, data_rows, gains_known, sample
from reduction.sources import CorrectedRows
from reduction.stats import mode_of, sampled_rows

COARSE_CELLS = 8  # on a side: a flat's pattern, for comparing it with the others'


@dataclass(frozen=True, slots=True)
class FlatParams:
    """How a master flat is made.

    Attributes
    ----------
    combine : CombineParams
        Method and thresholds of the combination.
    overscan : OverscanParams
        The fit of the zero level.
    min_level_adu : float
        A fainter flat is left out.
    max_level : float
        A flat whose middle pixel is above this fraction of saturation is left out.
    max_saturated : float
        So is one with a larger fraction of saturated pixels.
    pattern_sigma, pattern_tolerance : float
        A flat is left out whose illumination differs from the others' (rms over a coarse grid)
        by this many times what is usual among them and by more than this fraction.
    exptime_tolerance : float
        Exposures this close, as a fraction, are the same for a dark that cannot be scaled.
    cold_low, cold_high : float
        A pixel outside these fractions of the smoothed flat is bad.
    dead : float
        So is one below this fraction of the flat's level.
    """

    combine: CombineParams = CombineParams()
    overscan: OverscanParams = OverscanParams()
    min_level_adu: float = 500.0
    max_level: float = 0.85
    max_saturated: float = 0.01
    pattern_sigma: float = 5.0
    pattern_tolerance: float = 0.02
    exptime_tolerance: float = 0.02
    cold_low: float = 0.96
    cold_high: float = 1.04
    dead: float = 0.2


@dataclass(frozen=True, slots=True)
class _Light:
    """A flat freed of bias and dark: its rows, its level, its illumination, its faults."""

    frame: Frame
    sources: tuple[CorrectedRows, ...]
    level: float
    pattern: npt.NDArray[np.float64]
    fault: str | None
    note: str | None


def combine_flats(
    frames: Sequence[Frame],
    *,
    bias: Image | None,
    dark: DarkFrame | None,
    params: FlatParams = FlatParams(),
    run: Run = ONE_THREAD,
) -> Stacked:
    """Combine flats of one band into a master normalised by its mode.

    Each is freed of its zero level, bias and dark, brought to electrons where every amplifier's
    gain is known (so that the gains' differences are not taken out twice), divided by its level
    and weighted by it, as is right for photon noise. Saturated, faint and outlying flats are left
    out, and of the others every saturated pixel. The result is divided by its mode.

    Parameters
    ----------
    frames : sequence of Frame
        With their overscans fitted, of one layout and band.
    bias, dark : optional
        Masters of the same camera, in ADU.
    params : FlatParams
        Thresholds.
    run : Run
        Threads, and who is told of progress.

    Returns
    -------
    Stacked
        Image ``(ny, nx)`` of unit "1".

    Raises
    ------
    NotEnoughFramesError
        If every frame is left out; the message holds the reasons.
    """
    lights, left_out = _usable([_light(frame, bias, dark, params) for frame in frames], params)
    levels = [light.level for light in lights]
    amps = amplifiers(frames[0].info)
    parts = []
    for a, amp in enumerate(amps):
        sources = [_relative(light.sources[a], light.level) for light in lights]
        noise, of_mean = _noise(sources, amp, levels)
        part = combine_part(
            amp,
            sources,
            noise,
            params=params.combine,
            weights=levels,
            run=run.part(a, len(amps)),
        )
        parts.append(replace(part, result_noise=of_mean))
    flat = _normalised(assemble(frames[0].info, parts, "1"))
    notes = tuple(sorted({light.note for light in lights if light.note}))
    return Stacked(flat, [light.frame for light in lights], left_out, worst_noise(parts), notes)


def _light(frame: Frame, bias: Image | None, dark: DarkFrame | None, params: FlatParams) -> _Light:
    """Free a flat of bias and dark, and measure it."""
    plan, why_not = plan_subtraction(
        dark, bias, frame.info.exptime_s, tolerance=params.exptime_tolerance
    )
    amps = amplifiers(frame.info)
    sources = tuple(
        CorrectedRows(
            data_rows(frame.exposure, amp),
            frame.overscans[a].levels,
            ceiling=amp.saturation_adu or float("inf"),
            scale=amp.gain_e_per_adu or 1.0 if gains_known(amps) else 1.0,
            planes=planes_of(plan, bias, dark, amp.target),
        )
        for a, amp in enumerate(amps)
    )
    samples = [sample(source, LEVEL_PIXELS // len(sources)) for source in sources]
    # The median, not the mode: what scales one flat to another must be known better than a pixel.
    known = np.concatenate([s[np.isfinite(s)] for s in samples])
    level = float(np.median(known)) if known.size else 0.0
    faults = (_fault(s, source, params) for s, source in zip(samples, sources, strict=True))
    fault = next((f for f in faults if f), None)
    pattern = np.concatenate([_coarse(s) for s in samples])
    return _Light(frame, sources, level, pattern / (level if level > 0 else 1.0), fault, why_not)


def _fault(values: FloatPlane, source: CorrectedRows, params: FlatParams) -> str | None:
    """Return what is wrong with the level of an amplifier's pixels, or None."""
    known = np.isfinite(values)
    unknown = 1.0 - float(np.mean(known))
    if unknown > params.max_saturated:
        return f"{100 * unknown:.1f} % of its pixels are saturated"
    level = float(np.median(values[known])) / source.scale
    raw = level + float(np.median(source.levels))
    if raw > params.max_level * source.ceiling:
        return f"its level of {raw:.0f} ADU is too near saturation at {source.ceiling:.0f} ADU"
    if level < params.min_level_adu:
        return f"it is faint: {level:.0f} ADU, at least {params.min_level_adu:.0f} are needed"
    return None


def _coarse(values: FloatPlane) -> npt.NDArray[np.float64]:
    """Return the medians of a coarse grid of cells, flattened."""
    cells = (
        cell
        for band in np.array_split(values, min(COARSE_CELLS, values.shape[0]), axis=0)
        for cell in np.array_split(band, min(COARSE_CELLS, values.shape[1]), axis=1)
    )
    return np.array(
        [float(np.median(c[np.isfinite(c)])) if np.isfinite(c).any() else 0.0 for c in cells]
    )


def _usable(lights: Sequence[_Light], params: FlatParams) -> tuple[list[_Light], list[LeftOut]]:
    """Part flats that are exposed well and lit alike from the others."""
    left_out = [LeftOut(light.frame.name, light.fault) for light in lights if light.fault]
    exposed = [light for light in lights if not light.fault]
    require(exposed, left_out)
    deviation = _pattern_deviation(exposed)
    limit = max(params.pattern_tolerance, params.pattern_sigma * float(np.median(deviation)))
    odd = [len(exposed) > 2 and bool(d > limit) for d in deviation]
    left_out += [
        LeftOut(light.frame.name, f"its illumination differs from the others' by {100 * d:.1f} %")
        for light, d, is_odd in zip(exposed, deviation, odd, strict=True)
        if is_odd
    ]
    return [light for light, is_odd in zip(exposed, odd, strict=True) if not is_odd], left_out


def _pattern_deviation(lights: Sequence[_Light]) -> npt.NDArray[np.float64]:
    """Return each flat's rms difference from the others' median illumination, as a fraction."""
    patterns = np.stack([light.pattern for light in lights])
    usual = np.median(patterns, axis=0)
    lit = usual > 0.05 * float(np.median(usual))
    ratio = patterns[:, lit] / usual[lit]
    ratio /= np.median(ratio, axis=1, keepdims=True)
    return np.asarray(np.sqrt(np.mean((ratio - 1.0) ** 2, axis=1)))


def _relative(source: CorrectedRows, level: float) -> CorrectedRows:
    """Return a flat's rows over its level."""
    return replace(source, scale=source.scale / level)


def _noise(
    sources: Sequence[CorrectedRows], amp: Amplifier, levels: Sequence[float]
) -> tuple[Noise, Noise]:
    """Return the noise of one flat's value, and n times the variance of the weighted mean.

    A flat of level L holds photon noise ``c / L`` at relative brightness c and read noise
    ``r^2 / L^2``; weights L leave of n of them ``(c sum(L) + n r^2) / sum(L)^2``. How much there
    is of both together is measured from the stack; read noise and gain say in what proportion.
    """
    level, n = np.asarray(levels), len(levels)
    measured = single_noise(sources) ** 2
    r2 = (amp.read_noise_e or 0.0) ** 2 if amp.gain_e_per_adu else 0.0
    photons, read = float(np.mean(1 / level)), r2 * float(np.mean(1 / level**2))
    unit = measured / (photons + read)
    total = float(level.sum())
    return (
        Noise(floor=unit * read, slope=unit * photons),
        Noise(floor=unit * r2 * (n / total) ** 2, slope=unit * n / total),
    )


def _normalised(flat: Image) -> Image:
    """Return a flat divided by the mode of its good pixels."""
    rows = sampled_rows(*flat.shape)
    level = np.float32(mode_of(flat.data[rows][flat.mask[rows] == 0]))
    if not level > 0:
        level = np.float32(1.0)
    return replace(flat, data=flat.data / level, variance=flat.variance / (level * level))
