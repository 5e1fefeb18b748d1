"""Frames of simulated stars for the measurements of accuracy, as a camera sums their light."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from reduction.image import Image

Floats = npt.NDArray[np.float64]
SKY_E, READ_NOISE_E, EXPTIME_S = 400.0, 8.0, 60.0
LEAST_SIGNAL, MOST_SIGNAL = 5.0, 500.0  # over noise, of the stars; drawn evenly in its logarithm
ALL_FWHM: Final = 4.0  # radius that holds what all the light of a star means here
REACH_FWHM: Final = 8.0  # to which stars are drawn: 0.02 % of a Moffat's light lies beyond
APART_FWHM: Final = 9.0  # of isolated stars at least, on a grid that is shaken
SHAKEN_FWHM: Final = 1.5  # either way, so that the grid matches itself nowhere else
LEAST_PITCH_PIX: Final = 24.0
SMOOTH_PIX: Final = 4.0  # of a profile as wide as that the middle of a pixel tells its light
FINE_PIX: Final = 2.5
ZERO_POINT, COLOUR_TERM = 25.0, 0.05


@dataclass(frozen=True)
class Simulated:
    """A frame and the truth about its stars; `flux` is all their light, `snr` that of a circle."""

    image: Image
    fwhm: float
    x: Floats
    y: Floats
    flux: Floats
    snr: Floats
    colour: Floats

    @property
    def mag(self) -> Floats:
        """In the catalogue's band."""
        inst = -2.5 * np.log10(self.flux / EXPTIME_S)
        return np.asarray(inst + ZERO_POINT + COLOUR_TERM * self.colour)


def frame_of_stars(seed: int, side: int, fwhm: float, crowd: float | None) -> Simulated:
    """Return a frame of Moffat stars in electrons.

    Parameters
    ----------
    seed : int
        Of chance.
    side : int
        Of the frame, pixels.
    fwhm : float
        Of the stars, pixels.
    crowd : float or None
        Squares of the FWHM there are for each star; None keeps stars nine FWHM apart.
    """
    rng = np.random.default_rng(seed)
    x, y = grid_places(rng, side, fwhm) if crowd is None else crowd_places(rng, side, fwhm, crowd)
    snr = np.exp(rng.uniform(np.log(LEAST_SIGNAL), np.log(MOST_SIGNAL), len(x)))
    noise2 = np.pi * fwhm**2 * (SKY_E + READ_NOISE_E**2)
    flux = snr**2 / 2 * (1 + np.sqrt(1 + 4 * noise2 / snr**2))
    light = np.full((side, side), SKY_E)
    draw(light, (x, y, flux / share_within(ALL_FWHM, fwhm)), core2_of(fwhm), REACH_FWHM * fwhm,
         *points_of(fwhm))  # fmt: skip
    data = rng.poisson(light) + rng.normal(0, READ_NOISE_E, light.shape)
    variance = np.maximum(data, 0) + READ_NOISE_E**2  # as a camera's frames know it
    image = Image(data.astype(np.float32), variance.astype(np.float32),
                  np.zeros(light.shape, np.uint16), "electron")  # fmt: skip
    return Simulated(image, fwhm, x, y, flux, snr, rng.normal(0.65, 0.4, len(x)))


def crowd_places(
    rng: np.random.Generator, side: int, fwhm: float, crowd: float
) -> tuple[Floats, Floats]:
    """Return places anywhere on the frame and a little beyond."""
    beyond = 4 * fwhm
    n = rng.poisson((side + 2 * beyond) ** 2 / (crowd * fwhm**2))
    x, y = rng.uniform(-beyond, side + beyond, (2, n))
    return x, y


def grid_places(rng: np.random.Generator, side: int, fwhm: float) -> tuple[Floats, Floats]:
    """Return places that are far from one another."""
    shaken = SHAKEN_FWHM * fwhm
    pitch = max(APART_FWHM * fwhm + 2 * shaken, LEAST_PITCH_PIX)
    along = np.arange(pitch / 2, side - pitch / 2, pitch)
    x, y = (values.ravel() for values in np.meshgrid(along, along))
    return x + rng.uniform(-shaken, shaken, len(x)), y + rng.uniform(-shaken, shaken, len(y))


def core2_of(fwhm: float) -> float:
    """Return the square of the core of a Moffat profile with an exponent of 3."""
    return fwhm**2 / (4 * (2 ** (1 / 3) - 1))


def share_within(radius_fwhm: float, fwhm: float) -> float:
    """Return the share of such a profile's light within a radius."""
    return float(1 - (1 + (radius_fwhm * fwhm) ** 2 / core2_of(fwhm)) ** -2)


def light_within(radius: float, fwhm: float) -> float:
    """Return the light within a radius in pixels, in units of `Simulated.flux`."""
    return share_within(radius / fwhm, fwhm) / share_within(ALL_FWHM, fwhm)


def points_of(fwhm: float) -> tuple[Floats, Floats]:
    """Return where in a pixel the profile is looked at, and the weights (Gauss, Legendre)."""
    n = 1 if fwhm > SMOOTH_PIX else 3 if fwhm > FINE_PIX else 5
    at, weight = np.polynomial.legendre.leggauss(n)
    return at / 2, weight / 2


@njit(cache=True)
def draw(
    light: Floats,
    stars: tuple[Floats, Floats, Floats],
    core2: float,
    reach: float,
    at: Floats,
    weight: Floats,
) -> None:
    """Add stars to a plane."""
    ny, nx = light.shape
    xs, ys, fluxes = stars
    for s in range(xs.size):
        peak = fluxes[s] * 2 / (np.pi * core2)
        for j in range(max(0, int(ys[s] - reach)), min(ny, int(ys[s] + reach) + 2)):
            for i in range(max(0, int(xs[s] - reach)), min(nx, int(xs[s] + reach) + 2)):
                if (i - xs[s]) ** 2 + (j - ys[s]) ** 2 > reach * reach:
                    continue
                total = 0.0
                for b in range(at.size):
                    for a in range(at.size):
                        r2 = (i + at[a] - xs[s]) ** 2 + (j + at[b] - ys[s]) ** 2
                        total += weight[a] * weight[b] / (1 + r2 / core2) ** 3
                light[j, i] += peak * total
