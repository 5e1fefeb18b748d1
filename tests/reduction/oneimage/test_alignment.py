"""Images laid onto each other: stars end on the same pixels, with the light they had."""

from dataclasses import replace

import numpy as np
import pytest
import sep

from reduction.image import FloatPlane
from reduction.oneimage.alignment import NotAlignedError, Seat, lay, resampled
from reduction.oneimage.picture import Picture, with_noise
from reduction.photometry.detection import detect
from tests.reduction.oneimage.skies import (
    SHAPE,
    WCS,
    Field,
    light_of,
    make_field,
    make_picture,
    moved,
    turned,
)


def seat(picture: Picture, name: str = "other.fits") -> Seat:
    image = with_noise(picture, picture.mask, gain=1.0, mesh_pix=100)
    return Seat(name, detect(image), SHAPE, picture.wcs)


@pytest.fixture
def field(rng: np.random.Generator) -> Field:
    return make_field(rng)


@pytest.mark.parametrize(
    ("degrees", "shift"), [(0.0, (3.4, -5.7)), (2.0, (20.0, 8.0)), (178.0, (1, 2))]
)
def test_star_patterns_alone_lay_an_image(
    field: Field, rng: np.random.Generator, degrees: float, shift: tuple[float, float]
) -> None:
    first = make_picture(rng, light_of(field), wcs=None)
    matrix = turned(degrees)
    other = make_picture(rng, light_of(field, matrix=matrix, shift=shift), wcs=None)

    laid = lay(seat(first, "first.fits"), seat(other))

    x, y = laid.places(field.x, field.y)
    true_x, true_y = moved(field, matrix, shift)
    inside = (true_x > 10) & (true_y > 10) & (true_x < SHAPE[1] - 10) & (true_y < SHAPE[0] - 10)
    assert laid.how == "stars"
    assert np.hypot(x - true_x, y - true_y)[inside].max() < 0.15
    assert laid.n_stars > 40


def test_a_place_on_the_sky_that_is_a_little_off_is_mended_by_the_stars(
    field: Field, rng: np.random.Generator
) -> None:
    first = make_picture(rng, light_of(field))
    shift = (30.3, -12.6)
    beside = replace(WCS, crpix=(WCS.crpix[0] + 30.3 + 2.5, WCS.crpix[1] - 12.6 - 1.5))
    other = make_picture(rng, light_of(field, shift=shift), wcs=beside)

    laid = lay(seat(first), seat(other))

    x, y = laid.places(field.x, field.y)
    assert laid.how == "sky"
    assert np.median(np.hypot(x - field.x - shift[0], y - field.y - shift[1])) < 0.05


def test_a_place_on_the_sky_that_is_wrong_is_not_believed_against_the_stars(
    field: Field, rng: np.random.Generator
) -> None:
    first = make_picture(rng, light_of(field))
    wrong = replace(WCS, crpix=(WCS.crpix[0] + 55.0, WCS.crpix[1]))
    other = make_picture(rng, light_of(field, shift=(12.0, 0.0)), wcs=wrong)

    laid = lay(seat(first), seat(other))

    x, y = laid.places(field.x, field.y)
    assert laid.how == "stars"
    assert np.median(np.hypot(x - field.x - 12.0, y - field.y)) < 0.05


def test_images_whose_stars_are_not_where_their_headers_say_are_refused(
    rng: np.random.Generator,
) -> None:
    first = make_picture(rng, light_of(make_field(rng)))
    other = make_picture(rng, light_of(make_field(rng)))

    with pytest.raises(NotAlignedError, match="do not lie where their headers place them"):
        lay(seat(first, "first.fits"), seat(other))


def test_images_with_too_few_stars_are_laid_by_the_sky_alone(rng: np.random.Generator) -> None:
    first = make_picture(rng, light_of(make_field(rng, 3)))
    beside = replace(WCS, crpix=(WCS.crpix[0] + 7.0, WCS.crpix[1]))
    other = make_picture(rng, light_of(make_field(rng, 3)), wcs=beside)

    laid = lay(seat(first), seat(other))

    x, _ = laid.places(np.array([200.0]), np.array([200.0]))
    assert (laid.how, laid.n_stars) == ("sky", 0)
    assert x[0] == pytest.approx(207.0, abs=0.01)


def test_light_is_conserved_on_larger_pixels(field: Field, rng: np.random.Generator) -> None:
    first = make_picture(rng, light_of(field), wcs=None)
    matrix = turned(5.0, 1.015)
    other = make_picture(rng, light_of(field, matrix=matrix), wcs=None)
    laid = lay(seat(first), seat(other))
    out: FloatPlane = np.empty(SHAPE, np.float32)

    resampled(other.data - np.float32(300), np.zeros(SHAPE, bool), laid, SHAPE, out)

    inside = (field.x > 60) & (field.x < 360) & (field.y > 60) & (field.y < 340)
    bright = np.flatnonzero(inside)[:25]
    found, _, _ = sep.sum_circle(
        np.nan_to_num(out), field.x[bright], field.y[bright], 8.0, subpix=0
    )
    assert np.median(found / field.flux[bright]) == pytest.approx(1.0, abs=0.01)


def test_masked_pixels_and_what_lies_outside_have_no_value(
    field: Field, rng: np.random.Generator
) -> None:
    first = make_picture(rng, light_of(field))
    shift = (40.0, 0.0)
    beside = replace(WCS, crpix=(WCS.crpix[0] + 40.0, WCS.crpix[1]))
    other = make_picture(rng, light_of(field, shift=shift), wcs=beside)
    masked = np.zeros(SHAPE, bool)
    masked[100:110, 200:210] = True
    out: FloatPlane = np.empty(SHAPE, np.float32)

    resampled(other.data, masked, lay(seat(first), seat(other)), SHAPE, out)

    assert np.isnan(out[102:108, 162:168]).all()
    assert np.isnan(out[:, 385:]).all()
    assert np.isfinite(out[:, :379]).mean() > 0.99


def test_images_of_two_fields_are_refused_by_name(rng: np.random.Generator) -> None:
    first = make_picture(rng, light_of(make_field(rng)), wcs=None)
    other = make_picture(rng, light_of(make_field(rng)), wcs=None)

    with pytest.raises(NotAlignedError, match=r"elsewhere\.fits cannot be laid onto first\.fits"):
        lay(seat(first, "first.fits"), seat(other, "elsewhere.fits"))
