"""Calibrate a simulated frame with the truth itself: the best any reduction could do."""

import numpy as np
from astropy.io import fits
from scipy.ndimage import binary_dilation

from reduction.flags import PixelFlag
from reduction.simulate import Detector, FrameTruth, Truth
from tests.accuracy.photometry import Planes


def calibrate(truth: Truth, frame: FrameTruth, detector: Detector) -> Planes:
    """Undo the detector with its true planes; flag its true faults and the true particle hits."""
    params = truth.params
    ny, nx = params.shape
    raw = fits.getdata(truth.path(frame), memmap=False).astype(float)
    drift = np.polynomial.Legendre.fit(np.arange(ny), raw[:, nx:].mean(axis=1), 3)(np.arange(ny))
    response = np.maximum(detector.response[frame.band], 0.05)
    electrons = (raw[:, :nx] - drift[:, None] - detector.bias_adu) * params.gain_e_per_adu
    variance = np.maximum(electrons, 0.0) + params.read_noise_e**2 + params.gain_e_per_adu**2 / 12
    mask = np.zeros(params.shape, dtype=np.uint16)
    mask[truth.bad.y, truth.bad.x] |= np.uint16(PixelFlag.BAD)
    full = raw[:, :nx] >= params.saturation_adu
    # The last pixel of a bleed is only partly filled, and looks like any other.
    bled = binary_dilation(full, np.ones((3, 1)))
    mask[bled] |= np.uint16(PixelFlag.SATURATED)
    hits = truth.hits[frame.file]
    mask[hits.y, hits.x] |= np.uint16(PixelFlag.COSMIC_RAY)
    dark = detector.dark_e_per_s * frame.exptime_s
    return Planes((electrons - dark) / response, variance / response**2, mask)
