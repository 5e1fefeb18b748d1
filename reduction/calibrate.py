"""What a raw frame needs and what there is for it: the plan by which it is calibrated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reduction.camera import Amplifier
from reduction.detrend import AmplifierPlan, NoiseModel, Steps
from reduction.exposure import Exposure
from reduction.frameinfo import FrameInfo
from reduction.image import Image
from reduction.masters import check_master
from reduction.overscan import Overscan, OverscanParams, fit_overscan
from reduction.pedestal import (
    DARK_FREE_BELOW_C,
    Calibrations,
    Subtraction,
    cut,
    needless_dark,
    plan_subtraction,
    planes_of,
)
from reduction.readout import amplifiers, data_rows, gains_known, sample
from reduction.saturation import SaturationParams, saturation_level
from reduction.sources import CorrectedRows
from reduction.stats import difference_noise, median_of

OWN_NOISE_DOUBT = 1.1  # a frame this many times noisier than its parts has a noise of its own
NOISE_SAMPLE = 40_000  # pixels of an amplifier from which its level and noise are measured


@dataclass(frozen=True, slots=True)
class PlanParams:
    """What decides on a frame's plan.

    Attributes
    ----------
    overscan : OverscanParams
        The fit of the zero level.
    saturation : SaturationParams
        What counts as saturated.
    exptime_tolerance : float
        Exposures this close, as a fraction, are the same for a dark that cannot be scaled.
    max_temp_difference_c : float
        A dark from a detector this much warmer or colder is applied, and said to be.
    dark_free_below_c : float
        A detector colder than this needs no dark.
    read_noise_doubt : float
        A measured read noise this many times the stated one, or less than its inverse, is noted.
    """

    overscan: OverscanParams = OverscanParams()
    saturation: SaturationParams = SaturationParams()
    exptime_tolerance: float = 0.02
    max_temp_difference_c: float = 1.0
    dark_free_below_c: float = DARK_FREE_BELOW_C
    read_noise_doubt: float = 1.3


@dataclass(frozen=True, slots=True)
class Plan:
    """How a frame is calibrated.

    Attributes
    ----------
    steps : Steps
        For `detrend`.
    done, missing, notes : sequence of str
        As of `Calibrated`.
    """

    steps: Steps
    done: Sequence[str]
    missing: Sequence[str]
    notes: Sequence[str]


def plan_calibration(
    exposure: Exposure, calibrations: Calibrations, *, params: PlanParams = PlanParams()
) -> Plan:
    """Decide what is done to a raw frame and say what is missing.

    A step the frame's header says was done already is not done again.

    Parameters
    ----------
    exposure : Exposure
        Raw frame.
    calibrations : Calibrations
        Masters at hand.
    params : PlanParams
        Thresholds.

    Returns
    -------
    Plan
        Steps, and what to say of them.

    Raises
    ------
    ShapeMismatchError
        If a master has another shape than the frame.
    BadFrameError
        If the frame's planes do not hold its sections.
    """
    info = exposure.info
    masters, notes = _not_done_yet(info, calibrations)
    dark = masters.dark.image if masters.dark is not None else None
    for master in (masters.bias, dark, masters.flat):
        check_master(master, exposure)
    how, why_not = plan_subtraction(
        masters.dark, masters.bias, info.exptime_s, tolerance=params.exptime_tolerance
    )
    missing = _missing(info, masters, why_not, params)
    notes += _dark_notes(info, masters, how, params)
    plans, said = _amplifier_plans(exposure, masters, how, params)
    done = _step_names(info, masters, how, plans)
    return Plan(Steps(plans, how, masters), done, missing, [*notes, *said])


def _not_done_yet(info: FrameInfo, given: Calibrations) -> tuple[Calibrations, list[str]]:
    """Return the masters whose step the frame has not had, and a note for each other."""
    notes = [f"{step} was applied before the file was written" for step in sorted(info.done)]
    masters = Calibrations(
        bias=None if "bias" in info.done else given.bias,
        dark=None if "dark" in info.done else given.dark,
        flat=None if "flat" in info.done else given.flat,
        bias_frames=given.bias_frames,
    )
    return masters, notes


def _missing(
    info: FrameInfo, masters: Calibrations, why_not: str | None, params: PlanParams
) -> list[str]:
    """Return a sentence for each calibration the frame should have had."""
    missing = []
    dark_holds_bias = masters.dark is not None and not masters.dark.bias_removed and not why_not
    if masters.bias is None and "bias" not in info.done and not dark_holds_bias:
        missing.append("no bias: the read-out's pattern is still in the pixels")
    warm = not needless_dark(info.temp_c, params.dark_free_below_c)
    if why_not:
        missing.append(why_not)
    elif masters.dark is None and "dark" not in info.done and warm:
        missing.append("no dark: the dark current and its hot pixels are still in the pixels")
    if masters.flat is None and "flat" not in info.done:
        missing.append(f"no flat in band {info.band or 'unknown'}: the pixels' responses differ")
    return missing


def _dark_notes(
    info: FrameInfo, masters: Calibrations, how: Subtraction, params: PlanParams
) -> list[str]:
    """Return what an observer should know about the dark that is applied, or is not needed."""
    dark = masters.dark
    needless = "" if "dark" in info.done else needless_dark(info.temp_c, params.dark_free_below_c)
    if dark is None and needless:
        return [needless]
    if dark is None or not how.dark:
        return []
    notes = []
    if not dark.bias_removed and masters.bias is None:
        notes.append("the dark holds the bias: one subtraction takes both off")
    if info.exptime_s is not None and abs(how.dark - 1) > params.exptime_tolerance:
        notes.append(f"dark scaled from {dark.exptime_s:g} s to {info.exptime_s:g} s")
    if dark.temp_c is None or info.temp_c is None:
        return notes
    if abs(dark.temp_c - info.temp_c) > params.max_temp_difference_c:
        notes.append(f"the dark was taken at {dark.temp_c:g} C, the frame at {info.temp_c:g} C")
    return notes


def _step_names(
    info: FrameInfo, masters: Calibrations, how: Subtraction, plans: Sequence[AmplifierPlan]
) -> list[str]:
    """Return the names of the steps that are applied, in order."""
    amps = [plan.amp for plan in plans]
    trimmed = any(amp.overscan is not None or amp.data.shape != (info.ny, info.nx) for amp in amps)
    steps = {
        "overscan": any(plan.overscan.noise_adu is not None for plan in plans),
        "trim": trimmed and bool(info.amplifiers),
        "bias": masters.bias is not None
        or (how.dark > 0 and masters.bias is None and _holds(masters)),
        "dark": how.dark > 0,
        "flat": masters.flat is not None,
        "gain": all(plan.in_electrons for plan in plans),
    }
    return [name for name, is_applied in steps.items() if is_applied]


def _holds(masters: Calibrations) -> bool:
    """Tell whether the dark still holds the bias."""
    return masters.dark is not None and not masters.dark.bias_removed


def _amplifier_plans(
    exposure: Exposure, masters: Calibrations, how: Subtraction, params: PlanParams
) -> tuple[list[AmplifierPlan], list[str]]:
    """Return each amplifier's plan, and what was said on the way, once each."""
    info, amps = exposure.info, amplifiers(exposure.info)
    in_electrons = gains_known(amps)
    said: list[str] = []
    if not in_electrons:
        said.append(
            "gain unknown: values are in ADU, their variance without the sources' photon noise"
        )
    plans = []
    for amp in amps:
        overscan = _overscan(exposure, amp, params)
        rows = data_rows(exposure, amp)
        stated, guess = saturation_level(info, amp.saturation_adu, rows)
        under = planes_of(_before_photons(how, masters), masters.bias, masters.dark, amp.target)
        above = CorrectedRows(rows, overscan.levels, planes=under)
        read, doubt = _read_noise(amp, overscan, masters, params)
        zero_known = bool(under) or overscan.noise_adu is not None or "bias" in info.done
        noise, more = _noise_model(above, amp, read if zero_known else None)
        doubt += more
        said += [sentence for sentence in (guess, *doubt) if sentence]
        plans.append(
            AmplifierPlan(
                amp=amp,
                overscan=overscan,
                saturation_adu=params.saturation.fraction * stated,
                noise=noise,
                gain=(amp.gain_e_per_adu or 1.0) if in_electrons else 1.0,
                in_electrons=in_electrons,
            )
        )
    return plans, list(dict.fromkeys(said))


def _before_photons(how: Subtraction, masters: Calibrations) -> Subtraction:
    """Return what is no electron's: the bias, or the dark that holds it; never a dark current."""
    if masters.bias is not None:
        return Subtraction(bias=1.0)
    return how if _holds(masters) else Subtraction()


def _overscan(exposure: Exposure, amp: Amplifier, params: PlanParams) -> Overscan:
    """Return an amplifier's zero level: what the writer subtracted already stays subtracted."""
    if exposure.info.done & {"bias", "overscan"}:
        return Overscan(np.zeros(amp.data.shape[0], np.float32), None, 0.0)
    return fit_overscan(exposure, amp, params=params.overscan)


def _noise_model(
    rows: CorrectedRows, amp: Amplifier, read_adu: float | None
) -> tuple[NoiseModel, list[str]]:
    """Return an amplifier's noise above its zero level, and what is doubtful about it.

    Read noise, and photon noise of what is above zero. Where there is no telling zero level or
    read noise (`read_adu` None), or the gain, the noise of the frame's sky is measured instead,
    and photon noise counts only above the sky.
    """
    values = sample(rows, NOISE_SAMPLE)
    known = values[np.isfinite(values)]
    sky = median_of(known) if known.size else 0.0
    noise = difference_noise(values)
    measured = (noise if np.isfinite(noise) else 0.0) ** 2
    gain = amp.gain_e_per_adu
    if gain is None:
        return NoiseModel(floor=measured, zero=sky), []
    if read_adu is None:
        note = "zero level or read noise unknown: the sky's variance is measured from its scatter"
        return NoiseModel(floor=measured, zero=sky, per_adu=1.0 / gain), [note]
    photons = max(sky, 0.0) / gain
    if photons < measured / 2 and measured > OWN_NOISE_DOUBT**2 * (read_adu**2 + photons):
        own = float(np.sqrt(measured - photons))
        note = f"read noise {own:.2f} ADU in the frame itself, {read_adu:.2f} ADU expected"
        return NoiseModel(floor=own**2, per_adu=1.0 / gain), [note]
    return NoiseModel(floor=read_adu**2, per_adu=1.0 / gain), []


def _read_noise(
    amp: Amplifier, overscan: Overscan, masters: Calibrations, params: PlanParams
) -> tuple[float | None, list[str]]:
    """Return the read noise in ADU, and what is doubtful about it.

    As the overscan shows it; else as it is stated, unless the bias contradicts it by more than
    the way it was combined could.
    """
    stated = None
    if amp.read_noise_e is not None and amp.gain_e_per_adu is not None:
        stated = amp.read_noise_e / amp.gain_e_per_adu
    measured = overscan.noise_adu
    if measured is None and masters.bias is not None and masters.bias_frames:
        measured = _bias_noise(masters.bias, masters.bias_frames, amp)
    if measured is None or stated is None:
        return (stated if measured is None else measured), []
    if 1 / params.read_noise_doubt < measured / stated < params.read_noise_doubt:
        return (stated if overscan.noise_adu is None else measured), []
    return measured, [
        f"read noise stated as {stated:.2f} ADU, measured as {measured:.2f} ADU and so taken"
    ]


def _bias_noise(bias: Image, frames: int, amp: Amplifier) -> float:
    """Return the read noise of one frame from the variance of a mean of several."""
    return float(np.sqrt(np.median(cut(bias.variance, amp.target)[::8, ::8]) * frames))
