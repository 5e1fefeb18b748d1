"""One raw frame to calibrated pixels with their variance and flags, in one pass over its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from reduction.camera import Amplifier
from reduction.combine import ONE_THREAD, Run, run_tasks
from reduction.exposure import Exposure
from reduction.flags import PixelFlag
from reduction.image import FloatPlane, Image, MaskPlane, Unit, native_rows
from reduction.kernels import detrend as kernel
from reduction.overscan import Overscan
from reduction.pedestal import Calibrations, Subtraction
from reduction.readout import RawRows, bands, data_rows

BAND_BYTES = 512 * 1024  # of decoded rows: they stay in a core's second cache
SPAN = 256  # rows that one thread reduces at a time
Planes = tuple[FloatPlane, FloatPlane, MaskPlane]
UNUSABLE = int(PixelFlag.BAD | PixelFlag.NO_DATA)
BITS = np.array([PixelFlag.SATURATED, PixelFlag.NO_DATA, PixelFlag.BAD, UNUSABLE], np.uint16)


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Variance of a pixel above its zero level, in ADU squared.

    ``floor + max(value - zero, 0) * per_adu``; `per_adu` is 1 over the gain, 0 where no photon
    noise can be told.
    """

    floor: float
    zero: float = 0.0
    per_adu: float = 0.0


@dataclass(frozen=True, slots=True)
class AmplifierPlan:
    """What is done to the pixels of one amplifier.

    Attributes
    ----------
    amp : Amplifier
        Which.
    overscan : Overscan
        Its zero level.
    saturation_adu : float
        Raw value at which a pixel is flagged.
    noise : NoiseModel
        Read noise and photon noise.
    gain : float
        Multiplies values above zero.
    in_electrons : bool
        Whether they are electrons then.
    """

    amp: Amplifier
    overscan: Overscan
    saturation_adu: float
    noise: NoiseModel
    gain: float
    in_electrons: bool


@dataclass(frozen=True, slots=True)
class Steps:
    """What is done to a frame.

    Attributes
    ----------
    amplifiers : sequence of AmplifierPlan
        One for each of its amplifiers.
    subtraction : Subtraction
        How often bias and dark are taken off.
    masters : Calibrations
        Those to apply, all ``(ny, nx)``; None where one is not to be.
    """

    amplifiers: Sequence[AmplifierPlan]
    subtraction: Subtraction
    masters: Calibrations


def detrend(
    exposure: Exposure,
    steps: Steps,
    *,
    flat_floor: float = 0.05,
    run: Run = ONE_THREAD,
    spare: Image | None = None,
) -> Image:
    """Reduce a raw frame: zero level, bias, dark, gain and flat, with variance and flags.

    The variance of a pixel is that of its read-out, of the electrons that light and dark current
    made, of the fit to its overscan and of every master applied to it.

    Parameters
    ----------
    exposure : Exposure
        Raw frame.
    steps : Steps
        What is done to it.
    flat_floor : float
        Pixels where the flat is lower are not divided by it, and flagged ``BAD``.
    run : Run
        Threads, on which the result does not depend, and who is told of progress.
    spare : Image, optional
        One that nobody needs any more: where it has the frame's size the result is written over
        it, which spares the system the work of finding and clearing its memory.

    Returns
    -------
    Image
        ``(ny, nx)``. A raw value that is not a number, or that no amplifier reads, is 0 with
        variance 0 and ``NO_DATA``; a pixel bad in a master is ``BAD``.

    Raises
    ------
    BadFrameError, ShapeMismatchError
        If the planes do not hold the amplifiers.
    """
    image = _to_fill(exposure, steps.amplifiers, spare)
    planes = _masters(steps, image.shape[1])
    tasks: list[Callable[[], None]] = []
    for plan in steps.amplifiers:
        part = _Part(plan, data_rows(exposure, plan.amp), steps.subtraction, planes, flat_floor)
        tasks += [partial(part.run, y0, y1, image) for y0, y1 in bands(part.raw.shape[0], SPAN)]
    run_tasks(tasks, run)
    return image


def _masters(steps: Steps, nx: int) -> tuple[Planes, Planes, Planes]:
    """Return the planes of bias, dark and flat as the kernel takes them."""
    masters = steps.masters
    dark = masters.dark.image if masters.dark is not None and steps.subtraction.dark else None
    return _planes(masters.bias, nx), _planes(dark, nx), _planes(masters.flat, nx, neutral=1.0)


def _planes(master: Image | None, nx: int, *, neutral: float = 0.0) -> Planes:
    """Return a master's planes, or a row that changes nothing."""
    if master is None:
        row = np.zeros((1, nx), np.float32)
        master = Image(row + np.float32(neutral), row, row.astype(np.uint16), "1")
    ny = master.shape[0]
    return (
        native_rows(master.data, 0, ny),
        native_rows(master.variance, 0, ny),
        native_rows(master.mask, 0, ny),
    )


def _to_fill(exposure: Exposure, plans: Sequence[AmplifierPlan], spare: Image | None) -> Image:
    """Return an image to fill: already empty where the amplifiers leave gaps."""
    shape = exposure.info.ny, exposure.info.nx
    unit: Unit = "electron" if all(plan.in_electrons for plan in plans) else "adu"
    if spare is not None and spare.shape == shape and _can_be_filled(spare):
        image = replace(spare, unit=unit)
    else:
        data, variance = np.empty(shape, np.float32), np.empty(shape, np.float32)
        image = Image(data, variance, np.empty(shape, np.uint16), unit)
    covered = sum(plan.amp.target.shape[0] * plan.amp.target.shape[1] for plan in plans)
    if covered != shape[0] * shape[1]:
        image.data.fill(0)
        image.variance.fill(0)
        image.mask.fill(PixelFlag.NO_DATA)
    return image


def _can_be_filled(image: Image) -> bool:
    """Tell whether the arrays of an image are as the kernel writes them."""
    planes = (image.data, np.float32), (image.variance, np.float32), (image.mask, np.uint16)
    return all(
        plane.dtype == dtype and plane.flags.c_contiguous and plane.flags.writeable
        for plane, dtype in planes
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One amplifier of one frame, ready to be reduced band by band."""

    plan: AmplifierPlan
    raw: RawRows
    how: Subtraction
    masters: tuple[Planes, Planes, Planes]
    flat_floor: float

    def run(self, y0: int, y1: int, image: Image) -> None:
        """Reduce rows ``y0:y1`` of the amplifier into their place of the frame."""
        nx = self.raw.shape[1]
        if self.raw.is_of_halves:
            row = np.empty((1, nx), np.float32)
            kernel.reduce_halves(*self.raw.coded(y0, y1), row, *self._rest(y0, y1, image))
        else:
            values = np.empty((min(y1 - y0, max(1, BAND_BYTES // (4 * nx))), nx), np.float32)
            for first, last in bands(y1 - y0, len(values)):
                rows, begin, end = values[: last - first], y0 + first, y0 + last
                self.raw.read(begin, end, rows)
                kernel.reduce_rows(rows, *self._rest(begin, end, image))
        self.raw.release(y0, y1)

    def _rest(self, y0: int, y1: int, image: Image) -> tuple[Any, ...]:
        """Return what the kernels take beside the pixels of rows ``y0:y1``."""
        plan, to = self.plan, self.plan.amp.target
        variance = plan.noise.floor + plan.overscan.variance
        return (
            plan.overscan.levels[y0:y1],
            (to.y0 + y0, to.x0),
            (image.data, image.variance, image.mask),
            self.masters,
            (variance, plan.noise.zero, plan.noise.per_adu),
            self._factors,
            (plan.saturation_adu, plan.gain, self.flat_floor),
            BITS,
        )

    @property
    def _factors(self) -> tuple[float, float, float, float]:
        """How often masters' variances are added and the dark subtracted, in the kernel's order.

        A dark brings the bias once more, as often as it was taken.
        """
        how = self.how
        again = how.bias - 1.0 if how.dark else 0.0
        return how.bias_variance, how.dark, how.dark_variance, again
