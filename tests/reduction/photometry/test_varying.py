"""Growth that varies over a frame: what stars around and own rings tell, and what they do not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy.spatial import cKDTree

from reduction.image import Image
from reduction.photometry.apertures import BEST, Apertures, measure
from reduction.photometry.detection import detect
from reduction.photometry.psf import fit_psf, psf_fluxes
from reduction.photometry.varying import Told, Varying, varying_of
from reduction.stats import robust_sigma
from tests.realdata import needs_shared, shared
from tests.reduction.photometry.stars import make_sky

Floats = npt.NDArray[np.float64]
SIDE = 500  # of a piece of the mosaic
WIDTHS = ((3.0, 4.2), (4.0, 2.9))  # FWHM of its pieces


def stars_of(rng: np.random.Generator, n: int, noise: float, jump: float) -> Told:
    """Return stars of two halves, whose rings differ by a jump, the far ones by twice that."""
    places = rng.uniform(0, 1000, (n, 2))
    more = np.where(places[:, 0] < 500, 0.0, jump)
    near = more + rng.normal(0, noise, n)
    far = 2 * more + (near - more) + rng.normal(0, noise, n)
    return Told(places, near, np.full(n, noise), far, np.full(n, noise * np.sqrt(2)))


def test_stars_that_are_alike_vary_nowhere(rng: np.random.Generator) -> None:
    assert varying_of(stars_of(rng, 100, 0.01, 0.0), 0.004) is None


def test_few_stars_tell_nothing_of_places(rng: np.random.Generator) -> None:
    assert varying_of(stars_of(rng, 12, 0.01, 0.3), 0.15) is None


def test_stars_around_tell_of_a_jump(rng: np.random.Generator) -> None:
    vary = varying_of(stars_of(rng, 200, 0.01, 0.3), 0.15)
    assert vary is not None
    at = np.array([[250.0, 500.0], [750.0, 500.0]])

    more, doubt = vary.beyond(at, np.full(2, np.nan), np.full(2, np.inf))

    assert vary.n_nearest > 0
    assert more == pytest.approx([0.0, 0.6], abs=0.03)
    assert vary.ring(at) == pytest.approx([0.0, 0.3], abs=0.02)
    assert (doubt < 0.1).all()


def test_a_bright_star_is_told_by_its_own_ring_and_a_faint_one_is_not(
    rng: np.random.Generator,
) -> None:
    vary = Varying(stars_of(rng, 100, 0.01, 0.0), 0, scatter=0.1, slope=2.0, rest=0.01)
    at, near = np.full((3, 2), 500.0), np.array([0.2, 0.2, 5.0])

    more, doubt = vary.beyond(at, near, np.array([0.001, 10.0, 0.001]))

    assert more == pytest.approx([0.4, 0.0, 0.0], abs=0.02)  # the last holds something else
    assert doubt == pytest.approx([0.01, 0.2, 0.2], abs=0.01)


@dataclass(frozen=True)
class Mosaic:
    """A frame of pieces of other widths, and the truth of its stars."""

    image: Image
    places: Floats
    flux: Floats


def mosaic(rng: np.random.Generator, widths: tuple[tuple[float, float], ...]) -> Mosaic:
    planes, places, flux = [], [], []
    for j, row in enumerate(widths):
        parts = [make_sky(rng, 45, shape=(SIDE, SIDE), fwhm_pix=fwhm, flux=(1e4, 2e5))
                 for fwhm in row]  # fmt: skip
        planes.append([part.image for part in parts])
        for i, part in enumerate(parts):
            places.append(np.column_stack([part.x + i * SIDE, part.y + j * SIDE]))
            flux.append(part.flux)
    data, variance = (
        np.block([[getattr(image, name) for image in row] for row in planes])
        for name in ("data", "variance")
    )
    whole = Image(data, variance, np.zeros(data.shape, np.uint16), "electron")
    return Mosaic(whole, np.concatenate(places), np.concatenate(flux))


@dataclass(frozen=True)
class Seen:
    """Of stars that have their light for themselves: how far off, how far said to be."""

    off: Floats
    error: Floats


def seen(made: Mosaic) -> tuple[Apertures, Seen, Seen, Floats]:
    found = detect(made.image)
    fluxes = measure(made.image, found)
    model = fit_psf(made.image, found, fluxes)
    assert model is not None
    by_psf = psf_fluxes(made.image, found, fluxes, model)
    tree = cKDTree(made.places)
    away, which = tree.query(np.column_stack([found.sources.x, found.sources.y]))
    alone = (away < 1) & (tree.query(made.places, k=2)[0][which, 1] > 35)
    truth = made.flux[which]
    by_circle = Seen(*((one[alone] / truth[alone]) for one in (
        fluxes.total - truth, fluxes.total_error)))  # fmt: skip
    by_profile = Seen(*((one[alone] / truth[alone]) for one in (
        by_psf.flux - truth, by_psf.error)))  # fmt: skip
    one_growth = fluxes.flux[alone, BEST] / fluxes.growth[BEST] / truth[alone] - 1
    return fluxes, by_circle, by_profile, one_growth


def test_widths_that_jump_over_a_mosaic_are_followed(rng: np.random.Generator) -> None:
    fluxes, by_circle, by_profile, one_growth = seen(mosaic(rng, WIDTHS))

    assert fluxes.near is not None
    assert robust_sigma(one_growth) > 0.08  # what one growth curve would leave
    assert robust_sigma(by_circle.off) < 0.025
    assert robust_sigma(by_profile.off) < 0.05
    for one in (by_circle, by_profile):
        pulls = (one.off - np.median(one.off)) / one.error
        assert 0.4 < robust_sigma(pulls) < 1.3


def test_a_frame_of_one_width_is_measured_by_one_growth_curve(rng: np.random.Generator) -> None:
    fluxes, by_circle, _, one_growth = seen(mosaic(rng, ((3.0, 3.0), (3.0, 3.0))))

    assert fluxes.near is None
    assert not fluxes.varies.any()
    assert robust_sigma(by_circle.off) == pytest.approx(robust_sigma(one_growth), rel=0.2)


@needs_shared
def test_stars_of_a_real_mosaic_shine_as_sdss_has_them() -> None:
    field = shared("data", "reference_fields", "SN2015bn_SDSS_r")
    with fits.open(field / "SN2015bn_SDSS_r_wcs.fits.fz") as hdus:
        data, wcs = hdus[1].data.astype(np.float32), WCS(hdus[1].header)
    light = np.maximum(data - np.median(data), 0) / 900  # about so many electrons a nanomaggy
    variance = (robust_sigma(data) ** 2 + light).astype(np.float32)
    image = Image(data, variance, np.zeros(data.shape, np.uint16), "adu")
    ra, dec, mag, _ = np.loadtxt(field / "SN2015bn_SDSS_r_SDSS_r.cat").T

    found = detect(image)
    fluxes = measure(image, found)

    places = np.column_stack([found.sources.x, found.sources.y])
    tree = cKDTree(places)
    away, which = tree.query(np.column_stack(wcs.all_world2pix(ra, dec, 0)))
    chosen = (away < 3) & (mag > 16) & (mag < 19.5) & found.sources.is_clean[which]
    chosen &= tree.query(places, k=2)[0][which, 1] > 12
    which, mag = which[chosen], mag[chosen]
    by_place = mag + 2.5 * np.log10(fluxes.total[which])
    by_one_curve = mag + 2.5 * np.log10(fluxes.flux[which, BEST])
    assert len(mag) > 60
    assert robust_sigma(by_one_curve) > 0.12
    assert robust_sigma(by_place) < 0.06
