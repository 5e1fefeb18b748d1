"""Every kernel compiled, or loaded from the cache, before a frame needs it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from reduction import fitswrite
from reduction.astrometry import warm as astrometry_warm
from reduction.camera import Amplifier, Section
from reduction.combine import CombineParams
from reduction.exposure import Exposure, RawPlane
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.pedestal import Calibrations, DarkFrame
from reduction.photometry import warm as photometry_warm
from reduction.recipes import BiasParams, FlatParams, calibrate, make_bias, make_dark, make_flat


def warm() -> None:
    """Load every kernel, or compile it where its cache is empty, on tiny frames.

    Called before workers fork, so that no job waits for a compiler.
    """
    for part in PARTS:
        part()


def _warm_calibration() -> None:
    """Load the kernels that make masters and calibrated frames."""
    for dtype in ("<u2", ">i2", ">f4"):
        dim = np.full((48, 64), 1000.0)
        dim[::2, ::3] += 2
        bright = dim.copy()
        bright[:, :48] *= 3
        bright[:4, :48] *= 10  # saturated
        hit = bright.copy()
        hit[20, 20:23] += 5000
        _warm_with(*(plane.astype(dtype) for plane in (dim, bright, hit)))
    fitswrite.warm()


def _warm_with(pixels: RawPlane, lit: RawPlane, hit: RawPlane) -> None:
    """Run every recipe on copies of a dark plane, of a bright one, and on one with hits."""
    amp = Amplifier(
        hdu=0,
        data=Section(0, 48, 0, 48),
        overscan=Section(0, 48, 48, 64),
        target=Section(0, 48, 0, 48),
        flip_x=True,
        gain_e_per_adu=1.5,
        read_noise_e=5.0,
        saturation_adu=20000.0,
    )
    infos = {
        kind: FrameInfo("", kind, 48, 48, amplifiers=(amp,), exptime_s=1.0)
        for kind in (FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.SCIENCE)
    }
    sigma_clip = CombineParams(method="sigma_clip")
    bias = make_bias(
        [Exposure(infos[FrameKind.BIAS], {0: pixels})] * 6, params=BiasParams(sigma_clip)
    )
    dark = make_dark([Exposure(infos[FrameKind.DARK], {0: pixels})] * 2, bias=bias.image)
    masters = Calibrations(bias.image, DarkFrame(dark.image, 1.0, None, bias_removed=True))
    flat = make_flat(
        [Exposure(infos[FrameKind.FLAT], {0: lit})] * 2,
        calibrations=masters,
        params=FlatParams(max_saturated=0.5),
    )
    calibrate(
        Exposure(infos[FrameKind.SCIENCE], {0: hit}),
        calibrations=replace(masters, flat=flat.image),
    )


# Parts of about the same cost, of which two processes may compile one each.
PARTS: Final[Sequence[Callable[[], None]]] = (
    photometry_warm.warm,
    _warm_calibration,
    astrometry_warm.warm,
)
