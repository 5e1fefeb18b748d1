"""Simulated frames of stars with known places and fluxes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reduction.image import Image

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sky:
    """A frame and the truth about its stars, the brightest first."""

    image: Image
    x: Floats
    y: Floats
    flux: Floats
    sigma_pix: float


def make_sky(
    rng: np.random.Generator,
    n_stars: int = 200,
    *,
    shape: tuple[int, int] = (512, 512),
    fwhm_pix: float = 3.0,
    sky: float = 200.0,
    flux: tuple[float, float] = (2e3, 2e5),
) -> Sky:
    """Return a frame of Gaussian stars in electrons, with 5 electrons of read noise."""
    sigma = fwhm_pix / 2.354820045
    ny, nx = shape
    x, y = rng.uniform(8, nx - 9, n_stars), rng.uniform(8, ny - 9, n_stars)
    fluxes = np.sort(np.exp(rng.uniform(np.log(flux[0]), np.log(flux[1]), n_stars)))[::-1]
    light = np.full(shape, sky)
    reach = int(np.ceil(6 * sigma)) + 1
    for x0, y0, f in zip(x, y, fluxes, strict=True):
        rows = slice(max(0, int(y0) - reach), int(y0) + reach + 1)
        columns = slice(max(0, int(x0) - reach), int(x0) + reach + 1)
        yy, xx = np.mgrid[rows, columns][:, : ny - rows.start, : nx - columns.start]
        r2 = (xx - x0) ** 2 + (yy - y0) ** 2
        light[rows, columns] += f / (2 * np.pi * sigma**2) * np.exp(-r2 / (2 * sigma**2))
    data = rng.poisson(light) + rng.normal(0, 5.0, shape)
    image = Image(
        data.astype(np.float32),
        (light + 25).astype(np.float32),
        np.zeros(shape, np.uint16),
        "electron",
    )
    return Sky(image, x, y, fluxes, sigma)
