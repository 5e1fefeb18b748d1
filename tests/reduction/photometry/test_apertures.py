"""Fluxes in circles: those of the stars, with errors that are true."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from reduction.photometry.apertures import measure
from reduction.photometry.detection import detect
from tests.reduction.photometry.stars import make_sky


@pytest.mark.parametrize("fwhm_pix", [2.5, 3.5, 6.0])
def test_fluxes_are_those_of_the_stars_and_scatter_as_said(
    fwhm_pix: float, rng: np.random.Generator
) -> None:
    ratios, pulls = [], []
    for _ in range(4):
        sky = make_sky(rng, 40, fwhm_pix=fwhm_pix, flux=(1e4, 3e5), shape=(900, 900))
        found = detect(sky.image)
        fluxes = measure(sky.image, found)
        away, index = cKDTree(np.column_stack([sky.x, sky.y])).query(
            np.column_stack([found.sources.x, found.sources.y])
        )
        others, _ = cKDTree(np.column_stack([sky.x, sky.y])).query(
            np.column_stack([sky.x, sky.y]), k=2
        )
        alone = others[index, 1] > 10 * fwhm_pix
        chosen = (away < 1) & alone & (found.sources.snr > 50)
        true = sky.flux[index[chosen]]
        ratios.append(fluxes.total[chosen] / true)
        pulls.append((fluxes.total[chosen] - true) / fluxes.total_error[chosen])
    ratio, pull = np.concatenate(ratios), np.concatenate(pulls)

    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.25)


def test_growth_curve_is_that_of_a_gaussian(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 25, fwhm_pix=3.0, flux=(5e4, 5e5))
    fluxes = measure(sky.image, detect(sky.image))

    expected = 1 - np.exp(-(fluxes.radii_pix**2) / (2 * sky.sigma_pix**2))

    assert np.allclose(fluxes.growth, expected, atol=0.02)
    assert (np.diff(fluxes.growth) > -0.005).all()


def test_without_bright_stars_no_light_is_made_up(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 5, flux=(1e3, 1.5e3))

    fluxes = measure(sky.image, detect(sky.image))

    assert (fluxes.growth == 1).all()
    assert (fluxes.growth_error == 0).all()
