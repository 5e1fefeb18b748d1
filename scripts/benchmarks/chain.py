"""A calibrated frame from its sky to its zero point, as a science block's job takes it."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from scripts.benchmarks.data import READ_NOISE_E
from scripts.benchmarks.measure import Arm, Meter, cpu_s

if TYPE_CHECKING:
    from reduction.reference import Reference

SCALE_DEG: Final = 0.5 / 3600
CENTRE: Final = (150.0, 20.0)  # degrees
POINTED_OFF_DEG: Final = 0.02
ZERO_POINT_MAG: Final = 25.0  # of one electron a second


def catalogue(folder: Path) -> "Reference":
    """Return the frame's stars as a catalogue has them."""
    from reduction.astrometry.tangent import to_sky
    from reduction.reference import Reference

    x, y, flux = np.load(folder / "science" / "stars.npy")
    brightest = np.argsort(-flux)
    x, y, flux = x[brightest], y[brightest], flux[brightest]
    half = x.max() / 2
    ra, dec = to_sky(SCALE_DEG * (x - half), SCALE_DEG * (y - half), CENTRE)
    mag = ZERO_POINT_MAG - 2.5 * np.log10(flux)
    return Reference("made", "r", ra, dec, mag, np.full(len(mag), 0.003))


def chain(meter: Meter, folder: Path) -> None:
    """Find sources, their place, fluxes in circles and the zero point; then fluxes by the PSF."""
    from astropy.io import fits

    from reduction.frameinfo import FrameInfo, FrameKind
    from reduction.image import Image
    from reduction.onsky import put_on_sky, with_psf

    data = fits.getdata(folder / "science" / "calibrated.fits").astype(np.float32)
    variance = np.maximum(data, 0) + np.float32(READ_NOISE_E**2)
    image = Image(data, variance, np.zeros(data.shape, np.uint16), "electron")
    ny, nx = data.shape
    info = FrameInfo(
        writer="made", kind=FrameKind.SCIENCE, nx=nx, ny=ny,
        ra_deg=CENTRE[0] + POINTED_OFF_DEG, dec_deg=CENTRE[1], exptime_s=1.0, band="r",
        pixel_scale_arcsec=3600 * SCALE_DEG,
    )  # fmt: skip
    stars = [catalogue(folder)]
    found = with_psf(put_on_sky(image, info, lambda *_: stars), image)  # also loads the kernels
    if found.zero_point is None:
        raise RuntimeError(found.message or found.no_zero_point)
    meter.note(off_mmag=1000 * abs(found.zero_point.value - ZERO_POINT_MAG))
    meter.time(lambda: put_on_sky(image, info, lambda *_: stars))
    before = cpu_s()
    with_psf(found, image)
    meter.note(psf_cpu_s=cpu_s() - before)


ARMS: dict[str, Arm] = {"chain": chain}
