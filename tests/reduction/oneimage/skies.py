"""Simulated images of one field of stars, shifted, turned and blurred."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reduction.astrometry.wcs import TanSip
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.oneimage.picture import Picture, picture_of

Floats = npt.NDArray[np.float64]
SHAPE = (400, 420)
SCALE_DEG = 0.6 / 3600
WCS = TanSip((150.0, 20.0), (209.5, 199.5), SCALE_DEG * np.array([[-1.0, 0.05], [0.05, 1.0]]))
ZERO_POINT = 25.0
INFO = FrameInfo(writer="test", kind=FrameKind.SCIENCE, nx=SHAPE[1], ny=SHAPE[0], band="r")


@dataclass(frozen=True)
class Field:
    """Stars of a field: places on the first image, fluxes, colours."""

    x: Floats
    y: Floats
    flux: Floats
    colour: Floats

    @property
    def mag(self) -> Floats:
        return ZERO_POINT - 2.5 * np.log10(self.flux)


def make_field(rng: np.random.Generator, n: int = 120, *, border: float = 12.0) -> Field:
    ny, nx = SHAPE
    kept: list[tuple[float, float]] = []
    while len(kept) < n:
        x, y = rng.uniform(border, nx - border), rng.uniform(border, ny - border)
        if all((x - a) ** 2 + (y - b) ** 2 > 400 for a, b in kept):
            kept.append((x, y))
    x, y = np.array(kept).T
    flux = np.sort(np.exp(rng.uniform(np.log(3e3), np.log(3e5), n)))[::-1]
    return Field(x, y, flux, rng.uniform(0.2, 1.4, n))


def light_of(
    field: Field, *, fwhm_pix: float = 3.2, matrix: Floats | None = None,
    shift: tuple[float, float] = (0.0, 0.0), flux: Floats | None = None,
) -> Floats:  # fmt: skip
    """Return the light of the stars alone, turned about the middle and shifted."""
    x, y = moved(field, matrix, shift)
    sigma = fwhm_pix / 2.354820045
    light = np.zeros(SHAPE)
    reach = int(np.ceil(6 * sigma)) + 1
    for x0, y0, f in zip(x, y, field.flux if flux is None else flux, strict=True):
        ys = np.arange(max(0, int(y0) - reach), min(SHAPE[0], int(y0) + reach + 2))
        xs = np.arange(max(0, int(x0) - reach), min(SHAPE[1], int(x0) + reach + 2))
        if not len(ys) or not len(xs):
            continue
        r2 = (xs[None, :] - x0) ** 2 + (ys[:, None] - y0) ** 2
        light[np.ix_(ys, xs)] += f / (2 * np.pi * sigma**2) * np.exp(-r2 / (2 * sigma**2))
    return light


def moved(
    field: Field, matrix: Floats | None = None, shift: tuple[float, float] = (0.0, 0.0)
) -> tuple[Floats, Floats]:
    """Return where the stars are on an image that is turned and shifted against the first."""
    middle = np.array([(SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2])
    offsets = np.column_stack([field.x, field.y]) - middle
    there = offsets @ (np.eye(2) if matrix is None else matrix).T + middle + shift
    return there[:, 0], there[:, 1]


def turned(degrees: float, scale: float = 1.0) -> Floats:
    angle = np.radians(degrees)
    return scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def make_picture(
    rng: np.random.Generator,
    light: Floats,
    *,
    sky: float = 300.0,
    gain: float = 1.0,
    wcs: TanSip | None = WCS,
    read_noise_e: float = 4.0,
) -> Picture:
    """Return an image in counts of some light in counts."""
    electrons = rng.poisson(np.maximum(light + sky, 0) * gain) + rng.normal(0, read_noise_e, SHAPE)
    info = replace(INFO, gain_e_per_adu=gain, saturation_adu=1e9)
    return picture_of((electrons / gain).astype(np.float32), info, wcs=wcs)
