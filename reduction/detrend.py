"""One raw frame to calibrated pixels with their variance and flags, in one pass over its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from reduction.camera import Amplifier
from reduction.combine import ONE_THREAD, Run, run_tasks
from reduction.exposure import Exposure
from reduction.flags import PixelFlag
from reduction.image import FloatPlane, Image, MaskPlane, Unit
from reduction.kernels import detrend as kernel
from reduction.overscan import Overscan
from reduction.pedestal import Calibrations, Subtraction
from reduction.readout import RawRows, bands, data_rows, native_rows

BAND_BYTES = 512 * 1024  # of raw values and their variance: they stay in a core's second cache
Rows = tuple[FloatPlane, FloatPlane, MaskPlane]
UNUSABLE = int(PixelFlag.BAD | PixelFlag.NO_DATA)


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
    image = _to_fill(exposure, steps.amplifiers)
    tasks: list[Callable[[], None]] = []
    for plan in steps.amplifiers:
        raw = data_rows(exposure, plan.amp)
        part = _Part(plan, raw, steps, flat_floor)
        ny, nx = raw.shape
        rows = max(1, BAND_BYTES // (8 * nx))
        tasks += [partial(part.run, y0, y1, image) for y0, y1 in bands(ny, rows)]
    run_tasks(tasks, run)
    return image


def _to_fill(exposure: Exposure, plans: Sequence[AmplifierPlan]) -> Image:
    """Return an image to fill: already empty where the amplifiers leave gaps."""
    info = exposure.info
    shape = info.ny, info.nx
    covered = sum(plan.amp.target.shape[0] * plan.amp.target.shape[1] for plan in plans)
    make = np.empty if covered == info.ny * info.nx else np.zeros
    mask = make(shape, np.uint16)
    if make is np.zeros:
        mask[...] = PixelFlag.NO_DATA
    unit: Unit = "electron" if all(plan.in_electrons for plan in plans) else "adu"
    return Image(make(shape, np.float32), make(shape, np.float32), mask, unit)


@dataclass(frozen=True, slots=True)
class _Part:
    """One amplifier of one frame, ready to be reduced band by band."""

    plan: AmplifierPlan
    raw: RawRows
    steps: Steps
    flat_floor: float

    def run(self, y0: int, y1: int, image: Image) -> None:
        """Reduce rows ``y0:y1`` of the amplifier into their place of the frame."""
        to = self.plan.amp.target
        place = slice(to.y0 + y0, to.y0 + y1), slice(to.x0, to.x1)
        rows = image.data[place], image.variance[place], image.mask[place]
        if rows[0].flags.c_contiguous:
            self._reduce(y0, y1, rows)
            return
        beside = np.empty_like(rows[0]), np.empty_like(rows[1]), np.empty_like(rows[2])
        self._reduce(y0, y1, beside)
        image.data[place], image.variance[place], image.mask[place] = beside

    def _reduce(self, y0: int, y1: int, rows: Rows) -> None:
        """Reduce rows ``y0:y1`` of the amplifier into contiguous arrays."""
        plan, how, masters = self.plan, self.steps.subtraction, self.steps.masters
        data, variance, mask = rows
        self.raw.read(y0, y1, data)
        self.raw.release(y0, y1)
        full, unknown = int(PixelFlag.SATURATED), int(PixelFlag.NO_DATA)
        kernel.flag_raw(data, plan.saturation_adu, full, unknown, mask)
        constant = plan.noise.floor + plan.overscan.variance
        kernel.zero_rows(data, plan.overscan.levels[y0:y1], variance, constant)
        if masters.bias is not None:
            self._subtract(rows, masters.bias, y0, (1.0, how.bias_variance))
        kernel.add_photon_noise(data, variance, plan.noise.zero, plan.noise.per_adu)
        if masters.dark is not None and how.dark:
            self._subtract(rows, masters.dark.image, y0, (how.dark, how.dark_variance))
            if masters.bias is not None and how.bias != 1.0:
                # The dark brought the bias once more, as often as it was taken.
                self._subtract(rows, masters.bias, y0, (how.bias - 1.0, 0.0))
        if plan.gain != 1.0:
            kernel.scale_rows(data, variance, plan.gain)
        if masters.flat is not None:
            self._divide(rows, masters.flat, y0)
        kernel.empty_flagged(data, variance, mask, unknown)

    def _subtract(self, rows: Rows, master: Image, y0: int, factors: tuple[float, float]) -> None:
        """Subtract a multiple of a master from rows that begin at `y0` of the amplifier."""
        data, variance, mask = rows
        values, noise, flags = self._planes(master, y0, len(data))
        kernel.subtract_master(data, variance, values, noise, factors)
        kernel.take_flags(mask, flags, UNUSABLE, int(PixelFlag.BAD))

    def _divide(self, rows: Rows, flat: Image, y0: int) -> None:
        """Divide rows that begin at `y0` of the amplifier by a flat."""
        data, variance, mask = rows
        values, noise, flags = self._planes(flat, y0, len(data))
        kernel.divide_flat(data, variance, values, noise, self.flat_floor)
        kernel.take_flags(mask, flags, UNUSABLE, int(PixelFlag.BAD))
        kernel.flag_below(mask, values, self.flat_floor, int(PixelFlag.BAD))

    def _planes(self, master: Image, y0: int, n: int) -> tuple[FloatPlane, FloatPlane, MaskPlane]:
        """Return a master's planes below `n` rows of the amplifier."""
        to = self.plan.amp.target
        y = to.y0 + y0
        return (
            native_rows(master.data[:, to.x0 : to.x1], y, y + n),
            native_rows(master.variance[:, to.x0 : to.x1], y, y + n),
            native_rows(master.mask[:, to.x0 : to.x1], y, y + n),
        )
