"""Star lists of frames with known places on the sky, and the catalogues around them."""

from dataclasses import dataclass

import numpy as np

from reduction.astrometry.solution import Pointing, SkyList, StarList
from reduction.astrometry.tangent import to_sky
from reduction.astrometry.wcs import Floats, TanSip

ON_FRAME = 0.75  # widths of a frame from its middle: its corners, and what distortion brings there


@dataclass(frozen=True)
class Recipe:
    """What a field is like.

    Attributes
    ----------
    n_stars : int
        Bright enough to be seen on the frame.
    side : int
        Of the frame, pixels.
    noise_pix : float
        Standard deviation of a position on one axis.
    distortion : float
        At the middle of a side, as a fraction.
    pointing_off : float
        How far the frame may be from where it is believed to be, of its width.
    missing, spurious : float
        Share of the stars that are not detected; detections that are no stars, of those that are.
    dec_limit : float
        Degrees from the equator.
    depth : float
        Stars of the catalogue on the frame, for each that is bright enough to be seen.
    mag_noise : float
        By which the frame and the catalogue order stars differently, magnitudes.
    """

    n_stars: int = 300
    side: int = 2048
    noise_pix: float = 0.15
    distortion: float = 0.002  # at the middle of a side, as a fraction
    pointing_off: float = 0.3  # of the field's width
    missing: float = 0.2
    spurious: float = 0.2
    dec_limit: float = 89.0
    depth: float = 2.0
    mag_noise: float = 0.3


@dataclass(frozen=True)
class Field:
    """A star list, the catalogue around it, what is believed, and the truth.

    The catalogue's stars are sorted by brightness; it reaches as far as the pointing may be off.
    """

    stars: StarList
    catalogue: SkyList
    pointing: Pointing
    truth: TanSip


def make_field(rng: np.random.Generator, recipe: Recipe) -> Field:
    """Return a field of random place, rotation, scale and parity.

    Parameters
    ----------
    rng : Generator
        The only source of chance.
    recipe : Recipe
        What it is like.
    """
    side = recipe.side
    truth = _truth(rng, recipe)
    width_deg = truth.scale_arcsec / 3600 * side
    reach_deg = width_deg * (0.75 + 3 * recipe.pointing_off)
    density = recipe.n_stars * recipe.depth / width_deg**2
    n = rng.poisson(density * np.pi * reach_deg**2)
    radius, angle = reach_deg * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    ra, dec = to_sky(radius * np.cos(angle), radius * np.sin(angle), truth.crval)
    mag = np.sort(20 + np.log10(rng.random(n)) / 0.45)
    near = radius < ON_FRAME * width_deg  # most of a wide catalogue is far off the frame
    off, towards = recipe.pointing_off * width_deg * rng.random(), rng.uniform(0, 2 * np.pi)
    at = to_sky(np.array([off * np.cos(towards)]), np.array([off * np.sin(towards)]), truth.crval)
    return Field(
        stars=_seen(rng, recipe, truth.pixel(ra[near], dec[near]), mag[near]),
        catalogue=SkyList(ra, dec),
        pointing=Pointing(
            float(at[0][0]),
            float(at[1][0]),
            truth.scale_arcsec * (1 + rng.uniform(-0.01, 0.01)),
            width_deg * max(recipe.pointing_off, 0.05),
        ),
        truth=truth,
    )


def _truth(rng: np.random.Generator, recipe: Recipe) -> TanSip:
    scale_deg, angle = rng.uniform(0.3, 2.0) / 3600, rng.uniform(0, 2 * np.pi)
    flip, half = rng.choice([-1, 1]), recipe.side / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = recipe.distortion / half**2
    a[2, 0] = rng.normal(0, recipe.distortion / half / 5)
    dec_limit = np.sin(np.radians(recipe.dec_limit))
    dec = float(np.degrees(np.arcsin(rng.uniform(-dec_limit, dec_limit))))
    middle = (recipe.side - 1) / 2
    cd = scale_deg * turn @ np.diag([flip, 1.0])
    return TanSip((float(rng.uniform(0, 360)), dec), (middle, middle), cd, a, b)


def _seen(
    rng: np.random.Generator,
    recipe: Recipe,
    at: tuple[Floats, Floats],
    mag: Floats,
) -> StarList:
    """Return what is detected: some stars are missing, some detections no stars."""
    x, y = at
    on = (x > 0) & (y > 0) & (x < recipe.side) & (y < recipe.side)
    x, y, mag = x[on], y[on], mag[on] + rng.normal(0, recipe.mag_noise, int(on.sum()))
    bright = np.argsort(mag)[: recipe.n_stars]
    bright = bright[rng.random(len(bright)) > recipe.missing]
    n_wrong = int(recipe.spurious * len(bright))
    noise = recipe.noise_pix
    xs = np.concatenate(
        [x[bright] + rng.normal(0, noise, len(bright)), rng.uniform(0, recipe.side, n_wrong)]
    )
    ys = np.concatenate(
        [y[bright] + rng.normal(0, noise, len(bright)), rng.uniform(0, recipe.side, n_wrong)]
    )
    order = np.argsort(np.concatenate([mag[bright], rng.choice(mag[bright], n_wrong)]))
    shape = recipe.side, recipe.side
    return StarList(xs[order], ys[order], np.full(len(xs), noise), shape)


def error_pix(found: TanSip, truth: TanSip, side: int) -> float:
    """Return the median distance between two projections over a frame.

    Parameters
    ----------
    found, truth : TanSip
        What was found and what is right.
    side : int
        Of the frame, pixels.
    """
    grid = np.linspace(0.02, 0.98, 8) * side
    x, y = (values.ravel() for values in np.meshgrid(grid, grid))
    fx, fy = found.pixel(*truth.sky(x, y))
    return float(np.median(np.hypot(fx - x, fy - y)))
