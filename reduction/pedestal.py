"""What lies under a frame's light: how bias and dark are taken from it."""

from dataclasses import dataclass, replace
from typing import Final

from reduction.camera import Section
from reduction.image import FloatPlane, Image

DARK_FREE_BELOW_C: Final = -70.0  # a detector colder than this needs no dark


@dataclass(frozen=True, slots=True)
class DarkFrame:
    """A master dark as the recipes take it.

    Attributes
    ----------
    image : Image
        Dark signal of one exposure, ``(ny, nx)``, in ADU.
    exptime_s : float
        That exposure.
    temp_c : float or None
        The detector's temperature.
    bias_removed : bool
        Whether the signal is proportional to the exposure.
    """

    image: Image
    exptime_s: float
    temp_c: float | None
    bias_removed: bool


def same_exposure(a_s: float, b_s: float, tolerance: float) -> bool:
    """Tell whether two exposure times agree within a fraction."""
    return abs(a_s - b_s) <= tolerance * max(a_s, b_s)


def needless_dark(temp_c: float | None, below_c: float = DARK_FREE_BELOW_C) -> str:
    """Return why a frame without a dark lacks nothing; empty where it does.

    Parameters
    ----------
    temp_c : float or None
        Measured temperature of the detector, degrees Celsius; None if it is not known.
    below_c : float
        A detector colder than this needs none.

    Returns
    -------
    str
        A sentence for an observer.
    """
    if temp_c is None or temp_c > below_c:
        return ""
    return (
        f"no dark needed: a detector at {temp_c:.1f} C, below {below_c:g} C, "
        "has no dark current to speak of"
    )


@dataclass(frozen=True, slots=True)
class Calibrations:
    """The masters to apply to a frame; None where there is none.

    Attributes
    ----------
    bias : Image or None
        Master bias, ``(ny, nx)``, in ADU.
    dark : DarkFrame or None
        Master dark.
    flat : Image or None
        Master flat of the frame's band, of unit "1".
    bias_frames : int or None
        How many frames the bias is made of: its variance then tells the read noise of a camera
        whose header does not.
    """

    bias: Image | None = None
    dark: DarkFrame | None = None
    flat: Image | None = None
    bias_frames: int | None = None


@dataclass(frozen=True, slots=True)
class Subtraction:
    """How often bias and dark are taken from a frame, and their variances added.

    With k the ratio of the exposures: where the dark was freed of its bias, the frame less bias
    less k times (dark less bias) holds the bias 1 - k times, and so does the noise it brings.
    """

    bias: float = 0.0
    dark: float = 0.0
    bias_variance: float = 0.0
    dark_variance: float = 0.0


def plan_subtraction(
    dark: DarkFrame | None, bias: Image | None, exptime_s: float | None, *, tolerance: float
) -> tuple[Subtraction, str | None]:
    """Return how bias and dark enter a frame, and a sentence where the dark cannot.

    A dark without its bias is scaled to the exposure. One that still has it is taken as it is
    for the same exposure (within `tolerance`), or freed of the bias where there is one.

    Parameters
    ----------
    dark : DarkFrame or None
        Master dark; a bias-free one is taken to be made with the same `bias`.
    bias : Image or None
        Master bias of the same camera.
    exptime_s : float or None
        Of the frame to be corrected.
    tolerance : float
        Exposures this close, as a fraction, are the same.

    Returns
    -------
    Subtraction, str or None
        Factors, and why there is no dark among them where there could have been.
    """
    plain = Subtraction(bias=1.0, bias_variance=1.0) if bias is not None else Subtraction()
    if dark is None:
        return plain, None
    if exptime_s is None:
        return plain, "dark not applied: the header gives no exposure time"
    k = exptime_s / dark.exptime_s
    if dark.bias_removed:
        return replace(
            plain, dark=k, dark_variance=k * k, bias_variance=_kept(plain, 1 - 2 * k)
        ), None
    if bias is not None:
        return Subtraction(1 - k, k, (1 - k) ** 2, k * k), None
    if same_exposure(exptime_s, dark.exptime_s, tolerance):
        return Subtraction(dark=1.0, dark_variance=1.0), None
    return plain, (
        f"dark not applied: the dark of {dark.exptime_s:g} s still holds the bias and cannot be "
        f"scaled to {exptime_s:g} s without a bias"
    )


def _kept(plain: Subtraction, factor: float) -> float:
    """Return a factor of the bias's variance, or 0 where there is no bias."""
    return factor if plain.bias else 0.0


def cut(plane: FloatPlane, target: Section) -> FloatPlane:
    """Return an amplifier's part of a frame's plane, as a view."""
    return plane[target.y0 : target.y1, target.x0 : target.x1]


def planes_of(
    plan: Subtraction, bias: Image | None, dark: DarkFrame | None, target: Section
) -> tuple[tuple[FloatPlane, float], ...]:
    """Return an amplifier's part of what is subtracted, each with its factor."""
    pairs = (
        (bias.data if bias is not None else None, plan.bias),
        (dark.image.data if dark is not None else None, plan.dark),
    )
    return tuple((cut(plane, target), by) for plane, by in pairs if plane is not None and by)
