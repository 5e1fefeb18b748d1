"""Every kernel of detection and photometry compiled, or loaded, before a frame needs it."""

import numpy as np

from reduction.image import Image
from reduction.photometry.apertures import measure
from reduction.photometry.detection import detect
from reduction.photometry.psf import fit_psf, psf_fluxes

SIDE_PIX, APART_PIX, SIGMA_PIX = 160, 24, 1.5


def warm() -> None:
    """Run every kernel once on a small frame of a few stars."""
    y, x = np.mgrid[:SIDE_PIX, :SIDE_PIX].astype(np.float64)
    # A sky that is not flat to the last digit, as a real one's: otherwise it has no noise.
    light = 100.0 + 3 * np.sin(12.9898 * x + 78.233 * y)
    for y0 in range(APART_PIX // 2, SIDE_PIX, APART_PIX):
        for x0 in range(APART_PIX // 2, SIDE_PIX, APART_PIX):
            light += 5000 * np.exp(-((x - x0 - 0.3) ** 2 + (y - y0) ** 2) / (2 * SIGMA_PIX**2))
    image = Image(
        light.astype(np.float32),
        np.maximum(light, 1).astype(np.float32),
        np.zeros(light.shape, np.uint16),
        "electron",
    )
    detected = detect(image)
    apertures = measure(image, detected)
    detected.kron(image)
    model = fit_psf(image, detected, apertures)
    if model is None:
        raise RuntimeError("the stars that kernels are warmed by tell no profile")
    psf_fluxes(image, detected, apertures, model)
