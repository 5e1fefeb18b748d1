"""Light by the point spread function: that of the stars, alone and in a crowd, errors true."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import cKDTree
from scipy.special import erf

from reduction.image import Image
from reduction.normal import MAD_TO_SIGMA
from reduction.photometry.apertures import measure
from reduction.photometry.detection import Detected, detect
from reduction.photometry.psf import PsfFluxes, PsfModel, fit_psf, psf_fluxes
from tests.reduction.photometry.stars import make_sky

Floats = npt.NDArray[np.float64]
SKY, READ_NOISE = 200.0, 5.0


@dataclass(frozen=True)
class Stars:
    x: Floats
    y: Floats
    flux: Floats


def a_frame(
    rng: np.random.Generator, n: int, *, side: int = 700, fwhm: float = 3.0, varies: float = 0.0
) -> tuple[Image, Stars]:
    """Return a frame of Gaussian stars as the pixels sum them, the wider the farther right."""
    x, y = rng.uniform(12, side - 13, n), rng.uniform(12, side - 13, n)
    flux = np.sort(np.exp(rng.uniform(np.log(2e3), np.log(3e5), n)))[::-1]
    light = np.full((side, side), SKY)
    for x0, y0, f in zip(x, y, flux, strict=True):
        root = np.sqrt(2) * fwhm / 2.35482 * (1 + varies * (x0 / side - 0.5))
        i = np.arange(max(0, int(x0) - 20), min(side, int(x0) + 21))
        j = np.arange(max(0, int(y0) - 20), min(side, int(y0) + 21))
        along = (0.5 * np.diff(erf((np.append(k, k[-1] + 1) - 0.5 - c) / root))
                 for k, c in ((j, y0), (i, x0)))  # fmt: skip
        light[np.ix_(j, i)] += f * np.outer(*along)
    data = rng.poisson(light) + rng.normal(0, READ_NOISE, light.shape)
    variance = np.maximum(data, 0) + READ_NOISE**2  # as a camera's frames know it
    image = Image(
        data.astype(np.float32),
        variance.astype(np.float32),
        np.zeros(light.shape, np.uint16),
        "electron",
    )
    return image, Stars(x, y, flux)


def measured(image: Image) -> tuple[Detected, PsfModel, PsfFluxes]:
    found = detect(image)
    apertures = measure(image, found)
    model = fit_psf(image, found, apertures)
    assert model is not None
    return found, model, psf_fluxes(image, found, apertures, model)


def compared(
    rng: np.random.Generator, n: int, frames: int, *, apart: float, **how: float
) -> tuple[Floats, Floats, Floats]:
    """Return ratios to the truth of stars of more than 50 times their noise, and all pulls."""
    ratios, pulls, places = [], [], []
    for _ in range(frames):
        image, stars = a_frame(rng, n, **how)  # type: ignore[arg-type]
        found, _, fluxes = measured(image)
        tree = cKDTree(np.column_stack([stars.x, stars.y]))
        away, which = tree.query(np.column_stack([fluxes.x, fluxes.y]))
        other, _ = tree.query(np.column_stack([stars.x, stars.y]), k=2)
        kept = (away < 1) & (other[which, 1] > apart) & ~found.sources.is_truncated
        true = stars.flux[which]
        bright = kept & (fluxes.flux > 50 * fluxes.error)
        ratios.append((fluxes.flux / true)[bright])
        pulls.append(((fluxes.flux - true) / fluxes.error)[kept])
        known = kept & (fluxes.x_error > 0)
        places.append(((fluxes.x - stars.x[which]) / np.where(known, fluxes.x_error, 1))[known])
    return np.concatenate(ratios), np.concatenate(pulls), np.concatenate(places)


def spread(pulls: Floats) -> float:
    return float(MAD_TO_SIGMA * np.median(np.abs(pulls - np.median(pulls))))


@pytest.mark.parametrize(
    ("n", "frames", "apart"),
    [(150, 5, 12.0), (1089, 2, 3.6)],
    ids=["isolated", "one star in 50 squares of the FWHM"],
)
def test_fluxes_are_those_of_the_stars_and_scatter_as_said(
    n: int, frames: int, apart: float, rng: np.random.Generator
) -> None:
    ratios, pulls, places = compared(rng, n, frames, apart=apart)

    chance = 1.17 / np.sqrt(len(pulls))  # of the spread of so many numbers told by their median
    assert np.median(ratios) == pytest.approx(1.0, abs=0.002)
    assert spread(pulls) == pytest.approx(1.0, abs=0.05 + 2 * chance)
    assert spread(places) == pytest.approx(1.0, abs=0.1 + 2 * chance)


def test_a_width_that_varies_over_the_frame_does_no_harm(rng: np.random.Generator) -> None:
    ratios, pulls, _ = compared(rng, 150, 4, apart=12.0, varies=0.15)

    chance = 1.17 / np.sqrt(len(pulls))
    assert np.median(ratios) == pytest.approx(1.0, abs=0.002)
    assert spread(pulls) == pytest.approx(1.0, abs=0.05 + 2 * chance)  # taken for one: 2.5


def test_profile_is_that_of_the_stars(rng: np.random.Generator) -> None:
    image, _ = a_frame(rng, 150)
    _, model, _ = measured(image)
    dx, dy = np.meshgrid(np.arange(-10, 11.0), np.arange(-10, 11.0))

    profile = model.at(350.0, 350.0, dx, dy)

    root = np.sqrt(2) * 3.0 / 2.35482
    along = 0.5 * (erf((dx[0] + 0.5) / root) - erf((dx[0] - 0.5) / root))
    assert np.abs(profile - np.outer(along, along)).max() < 0.02 * along.max() ** 2
    assert profile.sum() == pytest.approx(1.0, abs=0.003)


def test_without_stars_there_is_no_profile(rng: np.random.Generator) -> None:
    image = make_sky(rng, 3).image
    found = detect(image)

    assert fit_psf(image, found, measure(image, found)) is None


def test_saturated_pixels_are_not_fitted(rng: np.random.Generator) -> None:
    image, stars = a_frame(rng, 120)
    x, y = round(float(stars.x[0])), round(float(stars.y[0]))
    image.data[y, x] *= 0.5  # as if it had been full
    image.mask[y, x] = 2

    _, _, fluxes = measured(image)

    k = int(np.argmin(np.hypot(fluxes.x - stars.x[0], fluxes.y - stars.y[0])))
    assert fluxes.flux[k] == pytest.approx(stars.flux[0], rel=0.02)


def test_what_is_on_no_good_pixel_has_no_flux_and_what_is_cut_says_so(
    rng: np.random.Generator,
) -> None:
    image, stars = a_frame(rng, 120)
    columns, rows = np.rint(stars.x).astype(int), np.rint(stars.y).astype(int)
    image.mask[rows[0] - 5 : rows[0] + 6, columns[0] - 5 : columns[0] + 6] = 2
    image.mask[rows[1], columns[1]] = 2
    sources, _, fluxes = measured(image)

    def of(k: int) -> int:
        x, y = sources.sources.x - stars.x[k], sources.sources.y - stars.y[k]
        return int(np.argmin(np.hypot(x, y)))

    gone, touched = of(0), of(1)
    assert np.isnan([fluxes.flux[gone], fluxes.error[gone], fluxes.chi2[gone]]).all()
    assert fluxes.seen[gone] < 0.3
    assert 0.7 < fluxes.seen[touched] < 0.98
    assert fluxes.flux[touched] == pytest.approx(stars.flux[1], rel=0.02)
    whole = sources.sources.is_clean
    assert np.median(fluxes.seen[whole]) == 1.0


def test_a_star_cut_by_the_edge_is_measured_by_what_is_seen_of_it(
    rng: np.random.Generator,
) -> None:
    image, stars = a_frame(rng, 150)
    k = int(np.argmax(stars.x < 500))  # a bright one
    left = int(stars.x[k]) - 1
    cut = Image(image.data[:, left:], image.variance[:, left:], image.mask[:, left:], "electron")

    found, _, fluxes = measured(cut)

    at = int(np.argmin(np.hypot(found.sources.x - stars.x[k] + left, found.sources.y - stars.y[k])))
    assert found.sources.is_truncated[at]
    assert 0.5 < fluxes.seen[at] < 0.9
    assert fluxes.flux[at] == pytest.approx(stars.flux[k], rel=0.02)


@pytest.mark.parametrize("fwhm", [1.5, 8.0])
def test_sharp_and_wide_stars_are_measured_as_well(fwhm: float, rng: np.random.Generator) -> None:
    n, side = (250, 700) if fwhm < 3 else (200, 1400)

    ratios, pulls, _ = compared(rng, n, 2, apart=4 * fwhm, fwhm=fwhm, side=side)

    chance = 1.17 / np.sqrt(len(pulls))
    doubt = 1.2533 * spread(ratios) / np.sqrt(len(ratios))
    assert np.median(ratios) == pytest.approx(1.0, abs=0.002 + 2 * doubt)
    assert spread(pulls) == pytest.approx(1.0, abs=0.05 + 2 * chance)
