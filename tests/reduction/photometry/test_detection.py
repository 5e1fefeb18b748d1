"""Sources of simulated frames: found where they are, as wide as they are, and nothing else."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import cKDTree

from reduction.flags import PixelFlag
from reduction.image import Image
from reduction.photometry.detection import detect
from reduction.stats import robust_sigma
from tests.reduction.photometry.stars import Floats, Sky, make_sky


def nearest(sky: Sky, x: Floats, y: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    distance, index = cKDTree(np.column_stack([sky.x, sky.y])).query(np.column_stack([x, y]))
    return distance, index


def test_every_bright_star_is_found_and_nearly_nothing_else(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 60)

    sources = detect(sky.image).sources

    found = cKDTree(np.column_stack([sources.x, sources.y]))
    away, _ = found.query(np.column_stack([sky.x, sky.y]))
    assert (away < 1.0).mean() > 0.93  # a few lie on another
    strange, _ = nearest(sky, sources.x, sources.y)
    assert np.count_nonzero(strange > 2.0) <= 2


@pytest.mark.parametrize("fwhm_pix", [2.0, 3.0, 5.0, 8.0])
def test_width_of_a_star_is_known_to_a_few_per_cent(
    fwhm_pix: float, rng: np.random.Generator
) -> None:
    found = detect(make_sky(rng, 80, fwhm_pix=fwhm_pix, flux=(2e4, 4e5)).image)

    assert found.fwhm_pix == pytest.approx(fwhm_pix, rel=0.08)
    assert found.ellipticity is not None
    assert found.ellipticity < 0.05


def test_centroids_scatter_as_their_errors_say(rng: np.random.Generator) -> None:
    pulls = []
    for _ in range(4):
        sky = make_sky(rng, 60, flux=(5e3, 1e5))
        sources = detect(sky.image).sources
        away, index = nearest(sky, sources.x, sources.y)
        alone = sources.is_clean & (away < 1.0) & (sources.snr > 30)
        dx = (sources.x - sky.x[index])[alone] / sources.error_pix[alone]
        dy = (sources.y - sky.y[index])[alone] / sources.error_pix[alone]
        pulls += [dx, dy]

    scatter = 1.4826 * np.median(np.abs(np.concatenate(pulls)))
    assert scatter == pytest.approx(1.0, abs=0.25)


def test_faint_stars_are_centred_as_well_as_their_errors_say(rng: np.random.Generator) -> None:
    off, pulls = [], []
    for _ in range(4):
        sky = make_sky(rng, 150, shape=(900, 900), fwhm_pix=4.5, flux=(8e2, 1e5))
        sources = detect(sky.image).sources
        away, index = nearest(sky, sources.x, sources.y)
        faint = sources.is_clean & (away < 4.0) & (sky.flux[index] < 1.5e3)
        for here, true in ((sources.x, sky.x[index]), (sources.y, sky.y[index])):
            off.append((here - true)[faint])
            pulls.append((here - true)[faint] / sources.error_pix[faint])

    # In windows as narrow as noise makes such stars they are 0.43 pixels off, by pulls of 2.4.
    assert len(np.concatenate(off)) > 100
    assert robust_sigma(np.concatenate(off)) < 0.36
    assert robust_sigma(np.concatenate(pulls)) == pytest.approx(1.0, abs=0.3)


def test_a_galaxy_is_centred_in_a_window_of_its_own(rng: np.random.Generator) -> None:
    stars = make_sky(rng, 40, shape=(400, 400))
    wide = make_sky(rng, 1, shape=(400, 400), fwhm_pix=9.0, flux=(1e5, 1.1e5), sky=0.0)
    both = replace(stars.image, data=stars.image.data + wide.image.data)

    sources = detect(both).sources

    found = np.argmin(np.hypot(sources.x - wide.x[0], sources.y - wide.y[0]))
    assert sources.fwhm_pix[found] > 7
    assert sources.x[found] == pytest.approx(wide.x[0], abs=5 * sources.error_pix[found] + 0.05)


def test_sky_and_its_noise_are_those_of_the_frame(rng: np.random.Generator) -> None:
    found = detect(make_sky(rng, 50, sky=400.0).image)

    assert found.sky == pytest.approx(400.0, abs=2.0)
    assert found.sky_noise == pytest.approx(np.sqrt(425.0), rel=0.05)


def test_a_hot_pixel_is_no_star(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 60, flux=(2e4, 2e5))
    places = rng.integers(20, 490, (40, 2))
    sky.image.data[places[:, 0], places[:, 1]] += 30_000

    found = detect(sky.image)

    chosen = found.sources.like_stars(found.fwhm_pix)
    away, _ = nearest(sky, found.sources.x[chosen], found.sources.y[chosen])
    assert np.count_nonzero(away > 3.0) <= 2
    assert np.count_nonzero(away < 1.0) >= 50
    assert found.fwhm_pix == pytest.approx(3.0, rel=0.08)


def test_flagged_pixels_make_no_source_and_are_told_of(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 30)
    sky.image.data[100:104, 100:104] += 5e4
    sky.image.mask[98:106, 98:106] = PixelFlag.COSMIC_RAY
    x, y = int(round(sky.x[0])), int(round(sky.y[0]))
    sky.image.mask[y, x] |= np.uint16(PixelFlag.SATURATED)

    sources = detect(sky.image).sources

    assert not np.any((np.abs(sources.x - 101.5) < 4) & (np.abs(sources.y - 101.5) < 4))
    brightest = int(np.argmin(np.hypot(sources.x - sky.x[0], sources.y - sky.y[0])))
    assert sources.flags[brightest] & PixelFlag.SATURATED
    assert not sources.is_clean[brightest]


@pytest.mark.parametrize("value", [0.0, 1000.0])
def test_a_frame_without_anything_has_no_sources(value: float) -> None:
    plane = np.full((100, 120), value, np.float32)
    image = Image(plane, np.ones_like(plane), np.zeros(plane.shape, np.uint16), "adu")

    found = detect(image)

    assert len(found.sources) == 0
    assert found.fwhm_pix is None


def test_a_frame_of_bad_pixels_alone_has_no_sources() -> None:
    plane = np.ones((64, 64), np.float32)
    image = Image(plane, plane, np.full(plane.shape, PixelFlag.BAD, np.uint16), "adu")

    assert len(detect(image).sources) == 0
