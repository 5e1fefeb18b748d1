"""Stars that nobody sees beside others: their light is in the errors, and not in those of stars."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import cKDTree

from reduction.image import Image
from reduction.photometry.apertures import BEST, RADII_FWHM, measure
from reduction.photometry.detection import detect
from reduction.photometry.hidden import Rings, hidden_light
from reduction.photometry.spill import Curve
from reduction.simulate.sky import Moffat

Floats = npt.NDArray[np.float64]
FWHM = 3.0
PROFILE, ALL = Moffat(FWHM, 3.0), 4.0 * FWHM
RADII = np.array(RADII_FWHM) * FWHM
CURVE = Curve(RADII, np.array([PROFILE.enclosed(r) for r in RADII]) / PROFILE.enclosed(ALL))
ARRAYS = ("circle", "circle_error", "ring", "ring_error", "usual")
USUAL = CURVE.growth[BEST + 1] / CURVE.growth[BEST] - 1


def around(flux: float, apart_fwhm: float) -> tuple[float, float]:
    """Return what another star has in a star's best circle, and in the ring beyond."""
    inner, outer = (np.interp(apart_fwhm * FWHM, *CURVE.shares(k)) for k in (BEST, BEST + 1))
    return flux * float(inner), flux * float(outer - inner)


def seen(
    flux: float, other: tuple[float, float], noise: float = 1.0, scatter: float = 0.0
) -> Rings:
    """Return what is around one star of some flux with another in it."""
    circle = flux * CURVE.growth[BEST] + other[0]
    ring = flux * (CURVE.growth[BEST + 1] - CURVE.growth[BEST]) + other[1]
    one = np.ones(1)
    return Rings(circle * one, noise * one, ring * one, noise * one, USUAL * one, scatter)


def test_a_star_alone_hides_nothing() -> None:
    found = hidden_light(
        seen(1000.0, (0.0, 0.0)), np.array([[50.0, 50.0]]), CURVE, (np.array([1000.0]), np.ones(1))
    )

    assert found.tolist() == [0.0]


@pytest.mark.parametrize("apart", [0.6, 0.9, 1.1])
def test_light_of_a_star_within_the_ring_is_as_much_as_the_error_says(apart: float) -> None:
    other = around(200.0, apart)

    found = hidden_light(
        seen(1000.0, other), np.array([[50.0, 50.0]]), CURVE, (np.array([1200.0]), np.ones(1))
    )

    assert 0.25 * other[0] < found[0] < 4 * other[0]


def test_light_of_a_known_neighbour_is_not_a_hidden_ones() -> None:
    places = np.array([[50.0, 50.0], [50.0 + 1.8 * FWHM, 50.0]])
    other = around(800.0, 1.8)
    one = seen(1000.0, other)
    none = seen(800.0, around(1000.0, 1.8))
    arrays = {n: np.concatenate([getattr(one, n), getattr(none, n)]) for n in ARRAYS}
    both = Rings(**arrays, scatter=0.0)
    assert (both.excess > 10 * both.excess_error).all()

    found = hidden_light(both, places, CURVE, (np.array([1000.0, 800.0]), np.ones(2)))

    assert found.tolist() == [0.0, 0.0]


def test_noise_uneven_stars_and_places_without_pixels_hide_nothing() -> None:
    one = seen(1000.0, (5.0, 5.0), noise=4.0)
    uneven = seen(1000.0, (5.0, 5.0), scatter=0.01)
    nothing = Rings(**dict.fromkeys(ARRAYS, np.full(1, np.nan)), scatter=0.0)

    for rings in (one, uneven, nothing):
        found = hidden_light(rings, np.array([[50.0, 50.0]]), CURVE, (np.array([1e3]), np.ones(1)))
        assert found.tolist() == [0.0]


def stars_in_pairs(
    rng: np.random.Generator,
) -> tuple[Image, Floats, Floats, npt.NDArray[np.bool_]]:
    """Return stars on a grid, each fifth with a fainter one in it; places, fluxes, which."""
    along = np.arange(40.0, 860.0, 45.0)
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(along, along))
    flux = np.exp(rng.uniform(np.log(1e4), np.log(2e5), len(x)))
    angle = rng.uniform(0, 2 * np.pi, len(x))
    with_other = np.arange(len(x)) % 5 == 0
    other = with_other * flux * rng.uniform(0.05, 0.4, len(x))
    apart = FWHM * rng.uniform(0.7, 1.1, len(x))
    beside = x + apart * np.cos(angle), y + apart * np.sin(angle)
    light = np.full((900, 900), 400.0)
    rows, columns = np.mgrid[:900, :900]
    for px, py, pf in ((x, y, flux), (*beside, other)):
        for x0, y0, f0 in zip(px, py, pf, strict=True):
            near = np.s_[max(0, int(y0) - 20) : int(y0) + 21, max(0, int(x0) - 20) : int(x0) + 21]
            r2 = (columns[near] - x0) ** 2 + (rows[near] - y0) ** 2
            light[near] += f0 / PROFILE.enclosed(ALL) * PROFILE.density(r2)
    data = rng.poisson(light)
    variance = np.maximum(data, 1)
    image = Image(data.astype(np.float32), variance.astype(np.float32),
                  np.zeros(light.shape, np.uint16), "electron")  # fmt: skip
    return image, np.column_stack([x, y]), flux, with_other


def test_fluxes_of_stars_with_another_in_them_are_within_their_errors(
    rng: np.random.Generator,
) -> None:
    image, places, fluxes, with_other = stars_in_pairs(rng)
    found = detect(image)

    apertures = measure(image, found)

    away, star = cKDTree(places).query(np.column_stack([found.sources.x, found.sources.y]))
    shared, alone = (away < FWHM / 2) & with_other[star], (away < FWHM / 2) & ~with_other[star]
    off = apertures.total - fluxes[star]
    by_noise = off * apertures.caught / apertures.error[:, BEST]
    pulls = off / apertures.total_error
    assert np.count_nonzero(shared) > 50
    assert np.sqrt(np.mean(by_noise[shared] ** 2)) > 8
    assert np.sqrt(np.mean(pulls[shared] ** 2)) < 2
    assert np.std(pulls[alone]) == pytest.approx(1, abs=4 / np.sqrt(2 * np.count_nonzero(alone)))
    assert np.mean(apertures.hidden[alone] > 0) < 0.02
