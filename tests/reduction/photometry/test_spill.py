"""Light of neighbours in the circles of stars: how much, and that it is taken off."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import dblquad
from scipy.spatial import cKDTree

from reduction.image import Image
from reduction.photometry.apertures import BEST, RADII_FWHM, measure
from reduction.photometry.detection import detect
from reduction.photometry.spill import Curve, light_of_neighbours, shed_shares
from reduction.simulate.sky import Moffat

SIGMA = 1.3
PROFILE, FAINT = Moffat(3.0, 2.5), 1e4
RADII = np.array(RADII_FWHM) * 2.3548 * SIGMA
CURVE = Curve(RADII, 1 - np.exp(-(RADII**2) / (2 * SIGMA**2)))


@pytest.mark.parametrize("apart", [0.5, 2.0, 4.0, 6.0])
def test_share_in_a_circle_beside_a_star_is_the_integral_over_it(apart: float) -> None:
    radius = float(RADII[BEST])

    def half(x: float) -> float:
        return float(np.sqrt(max(0.0, radius**2 - (x - apart) ** 2)))

    true, _ = dblquad(
        lambda y, x: np.exp(-(x * x + y * y) / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2),
        apart - radius, apart + radius, lambda x: -half(x), half,
    )  # fmt: skip
    distances, shares = CURVE.shares(BEST)

    assert np.interp(apart, distances, shares) == pytest.approx(true, abs=0.006)


def test_light_of_two_stars_is_parted_between_them() -> None:
    places = np.array([[50.0, 50.0], [53.5, 50.0], [90.0, 90.0]])
    true = np.array([1000.0, 5000.0, 300.0])
    shed = shed_shares(places, np.arange(3), CURVE, BEST)
    held = true * CURVE.growth[BEST] + shed @ true

    others, noise = light_of_neighbours(shed, held, np.full(3, 10.0), CURVE.growth[BEST])

    assert (held - others) / CURVE.growth[BEST] == pytest.approx(true, rel=0.01)
    assert others[2] == 0
    assert noise[2] == 0
    assert 0 < noise[0] < 10


def test_zero_light_and_nan_shed_nothing() -> None:
    places = np.array([[50.0, 50.0], [52.0, 50.0]])
    shed = shed_shares(places, np.arange(2), CURVE, BEST)

    others, noise = light_of_neighbours(
        shed, np.array([np.nan, -3.0]), np.array([np.nan, 1.0]), CURVE.growth[BEST]
    )

    assert (others == 0).all()
    assert np.isfinite(noise).all()


def pairs_of_stars(rng: np.random.Generator) -> tuple[Image, npt.NDArray[np.float64]]:
    """Return stars with wide wings, each beside one four times as bright; places of the fainter."""
    along = np.arange(40.0, 680.0, 64.0)
    x, y = (values.ravel() + rng.uniform(-0.5, 0.5, 100) for values in np.meshgrid(along, along))
    light = np.full((700, 700), 200.0)
    rows, columns = np.mgrid[:700, :700]
    for x0, y0 in zip(x, y, strict=True):
        for at, flux in ((x0, FAINT), (x0 + 6 * PROFILE.fwhm_pix, 4 * FAINT)):
            near = np.s_[max(0, int(y0) - 31) : int(y0) + 32, max(0, int(at) - 31) : int(at) + 32]
            r2 = (columns[near] - at) ** 2 + (rows[near] - y0) ** 2
            light[near] += flux * PROFILE.density(r2)
    data = rng.poisson(light).astype(np.float32)
    no_flags = np.zeros(light.shape, np.uint16)
    return Image(data, light.astype(np.float32), no_flags, "electron"), np.column_stack([x, y])


def test_growth_curve_is_without_the_light_of_bright_neighbours(rng: np.random.Generator) -> None:
    image, faint = pairs_of_stars(rng)
    found = detect(image)

    fluxes = measure(image, found)

    away, which = cKDTree(np.column_stack([found.sources.x, found.sources.y])).query(faint)
    stars = which[away < 1]
    true = PROFILE.enclosed(fluxes.radii_pix[BEST]) / PROFILE.enclosed(fluxes.radii_pix[-1])
    with_neighbours = np.median(fluxes.flux[stars, BEST] / fluxes.flux[stars, -1])
    assert len(stars) > 90
    assert with_neighbours < true - 0.012
    assert fluxes.growth[BEST] == pytest.approx(true, abs=0.010)  # half of it a pixel's own width
    assert fluxes.growth[BEST] > with_neighbours + 0.006
