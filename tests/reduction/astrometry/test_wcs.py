"""A projection with distortion: applied, undone, written, and fitted."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from reduction.astrometry.wcs import Floats, TanSip, fit_tan_sip
from reduction.headers.sky import wcs_cards

SHAPE = (800, 1024)
Pixels = tuple[Floats, Floats]


@pytest.fixture
def bent() -> TanSip:
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[2, 0], a[3, 0], b[1, 2], b[0, 2] = 1e-6, 2e-9, 3e-9, -2e-6
    cd = np.array([[-1.5e-4, 2e-5], [2e-5, 1.5e-4]])
    return TanSip((83.2, -60.3), (511.5, 399.5), cd, a, b)


@pytest.fixture
def pixels(rng: np.random.Generator) -> Pixels:
    return rng.uniform(0, SHAPE[1], 200), rng.uniform(0, SHAPE[0], 200)


def header_of(wcs: TanSip) -> fits.Header:
    header = fits.Header()
    for keyword, value, comment in wcs_cards(wcs, SHAPE):
        header[keyword] = (value, comment)
    return header


def test_astropy_reads_the_cards_as_we_mean_them(bent: TanSip, pixels: Pixels) -> None:
    theirs = WCS(header_of(bent))

    ra, dec = bent.sky(*pixels)

    their_ra, their_dec = theirs.all_pix2world(*pixels, 0)
    assert np.allclose(ra, their_ra, atol=1e-9)
    assert np.allclose(dec, their_dec, atol=1e-9)


def test_inverse_polynomials_of_the_header_are_good_to_a_hundredth_of_a_pixel(
    bent: TanSip, pixels: Pixels
) -> None:
    theirs = WCS(header_of(bent))
    far_x, far_y = theirs.sip_pix2foc(*pixels, 0)

    x, y = theirs.sip_foc2pix(far_x, far_y, 0)

    assert np.allclose(x, pixels[0], atol=0.01)
    assert np.allclose(y, pixels[1], atol=0.01)


def test_pixel_undoes_sky(bent: TanSip, pixels: Pixels) -> None:
    x, y = bent.pixel(*bent.sky(*pixels))

    assert np.allclose(x, pixels[0], atol=1e-7)
    assert np.allclose(y, pixels[1], atol=1e-7)


def test_fit_recovers_a_projection_from_its_stars(bent: TanSip, pixels: Pixels) -> None:
    start = TanSip((83.4, -60.1), bent.crpix, np.eye(2))

    found = fit_tan_sip(pixels, bent.sky(*pixels), np.ones(200), start=start, order=3)

    assert found.crval == pytest.approx(bent.crval, abs=1e-9)
    assert np.allclose(found.cd, bent.cd, rtol=1e-8)
    assert np.allclose(found.a, bent.a, atol=1e-14)
    assert np.allclose(found.b, bent.b, atol=1e-14)


def test_a_star_of_no_weight_does_not_pull(bent: TanSip, pixels: Pixels) -> None:
    ra, dec = bent.sky(*pixels)
    weights = np.ones(200)
    ra[7] += 0.01
    weights[7] = 1e-12

    found = fit_tan_sip(pixels, (ra, dec), weights, start=bent, order=3)

    assert np.allclose(found.cd, bent.cd, rtol=1e-6)


@pytest.mark.parametrize(("cd", "rotation_deg", "is_flipped"), [
    ([[-1, 0], [0, 1]], 0.0, False),
    ([[1, 0], [0, 1]], 0.0, True),
    ([[1, 0], [0, -1]], 180.0, False),
    ([[0, 1], [1, 0]], -90.0, False),
])  # fmt: skip
def test_scale_rotation_and_parity_are_told(
    cd: list[list[float]], rotation_deg: float, is_flipped: bool
) -> None:
    wcs = TanSip((0.0, 0.0), (0.0, 0.0), np.array(cd) / 3600)

    assert wcs.scale_arcsec == pytest.approx(1.0)
    assert abs(wcs.rotation_deg) == pytest.approx(abs(rotation_deg))
    assert wcs.is_flipped is is_flipped


def test_places_far_off_the_frame_have_no_pixel_rather_than_a_wrong_one(bent: TanSip) -> None:
    ra, dec = np.linspace(0, 359, 90), np.linspace(-89, 89, 90)

    x, y = bent.pixel(ra, dec)

    known = np.isfinite(x) & np.isfinite(y)
    assert not known.all()
    back = bent.sky(x[known], y[known])
    assert np.allclose(back[0], ra[known], atol=1e-4)
    assert np.allclose(back[1], dec[known], atol=1e-4)
