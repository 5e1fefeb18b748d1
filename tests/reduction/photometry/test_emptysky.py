"""Uneven sky: told from noise, in the errors, and taken off where rings show it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from reduction.image import Image
from reduction.photometry.apertures import BEST, measure
from reduction.photometry.detection import Detected, detect, light_of
from reduction.photometry.emptysky import RING, unevenness
from reduction.photometry.psf import fit_psf, psf_fluxes
from reduction.stats import robust_sigma
from tests.reduction.photometry.stars import Sky, make_sky

Floats = npt.NDArray[np.float64]
RADII = np.array([2.1, 3.0, 4.5, 6.0, 9.0, 12.0])
WAVES_PIX = 6.0  # of the blur of uneven sky: too short for the mesh of the background


def waves(rng: np.random.Generator, shape: tuple[int, int], rms: float) -> Floats:
    smooth = gaussian_filter(rng.normal(size=shape), WAVES_PIX)
    return np.asarray(smooth * rms / smooth.std())


def with_waves(sky: Sky, rng: np.random.Generator, rms: float) -> Image:
    """Return the frame on uneven sky, whose pixels' variance does not know of it."""
    return replace(
        sky.image, data=(sky.image.data + waves(rng, sky.image.shape, rms)).astype(np.float32)
    )


def places_of(found: Detected) -> Floats:
    return np.column_stack([found.sources.x, found.sources.y])


def off_and_error(sky: Sky, found: Detected, flux: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Return by how much the fluxes of bright lone stars are off, and their errors."""
    stars = cKDTree(np.column_stack([sky.x, sky.y]))
    away, which = stars.query(places_of(found))
    lone = stars.query(stars.data, k=2)[0][which, 1] > 30
    chosen = (away < 1) & lone & np.isfinite(flux)
    return (flux - sky.flux[which])[chosen], error[chosen]


def test_even_sky_adds_nothing(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 150, shape=(800, 800))
    found = detect(sky.image)

    told = unevenness(light_of(sky.image, found.background), places_of(found), RADII)
    fluxes = measure(sky.image, found)

    assert not told.circles.any()
    assert not told.rings.any()
    assert not told.shared.any()
    assert not fluxes.uneven.any()
    assert not fluxes.sky.any()


def test_unevenness_is_what_circles_of_sky_scatter_by(rng: np.random.Generator) -> None:
    shape, rms = (900, 900), 6.0
    bumps = waves(rng, shape, rms)
    noisy = Image((500 + bumps + rng.normal(0, 20, shape)).astype(np.float32),
                  np.full(shape, 400, np.float32), np.zeros(shape, np.uint16), "adu")  # fmt: skip
    light = light_of(noisy, np.full(shape, 500, np.float32))

    told = unevenness(light, np.empty((0, 2)), RADII)

    yy, xx = np.mgrid[-3:4, -3:4]
    inner = np.hypot(xx, yy) <= RADII[BEST]
    alone = [
        bumps[y - 3 : y + 4, x - 3 : x + 4][inner].sum()
        for y, x in rng.integers(20, 880, (2000, 2))
    ]
    circle = np.std(alone) * np.pi * RADII[BEST] ** 2 / inner.sum()
    assert told.circles[BEST] == pytest.approx(circle, rel=0.15)
    assert 0 < told.shared[BEST] < told.circles[BEST] * told.rings[RING]


def test_crowds_and_bad_pixels_leave_it_unsaid(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 20, shape=(200, 200))
    light = light_of(sky.image, np.full((200, 200), 200, np.float32))
    y, x = np.mgrid[0:200:5, 0:200:5]

    crowded = unevenness(light, np.column_stack([x.ravel(), y.ravel()]).astype(float), RADII)
    masked = unevenness(
        light._replace(mask=np.full((200, 200), light.bits, np.uint16)), np.empty((0, 2)), RADII
    )

    assert not crowded.circles.any()
    assert not masked.circles.any()


@dataclass(frozen=True)
class Measured:
    """What fluxes of stars on uneven sky are off by, and their errors."""

    as_was: tuple[Floats, Floats]
    circle: tuple[Floats, Floats]
    profile: tuple[Floats, Floats]


def measured(rng: np.random.Generator, rms: float) -> Measured:
    sky = make_sky(rng, 120, shape=(1000, 1000), fwhm_pix=3.0, flux=(5e3, 5e4))
    image = with_waves(sky, rng, rms)
    found = detect(image)
    fluxes = measure(image, found)
    model = fit_psf(image, found, fluxes)
    assert model is not None
    by_psf = psf_fluxes(image, found, fluxes, model)
    as_was = (fluxes.flux[:, BEST] - fluxes.others) / fluxes.caught
    pixels = np.sqrt(fluxes.error[:, BEST] ** 2 - fluxes.uneven[BEST] ** 2) / fluxes.caught
    return Measured(
        off_and_error(sky, found, as_was, pixels),
        off_and_error(sky, found, fluxes.total, fluxes.total_error),
        off_and_error(sky, found, by_psf.flux, by_psf.error),
    )


def pulls(parts: list[tuple[Floats, Floats]]) -> Floats:
    return np.concatenate([(off - np.median(off)) / error for off, error in parts])


def test_errors_on_uneven_sky_are_true_and_less_than_it_would_make_them(
    rng: np.random.Generator,
) -> None:
    frames = [measured(rng, 6.0) for _ in range(3)]

    assert robust_sigma(pulls([one.as_was for one in frames])) > 1.4
    assert robust_sigma(pulls([one.circle for one in frames])) == pytest.approx(1.0, abs=0.2)
    assert robust_sigma(pulls([one.profile for one in frames])) == pytest.approx(1.0, abs=0.2)
    before, after = (
        robust_sigma(np.concatenate([getattr(one, way)[0] for one in frames]))
        for way in ("as_was", "circle")
    )
    assert after < 0.9 * before
