"""Objects of simulated images: their light, zero points, colour terms, limits, and every option."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reduction.flags import PixelFlag
from reduction.image import Image
from reduction.oneimage.calibration import (
    Calibration,
    NotCalibratedError,
    calibrate,
    columns_told,
    magnitudes,
    scaled,
)
from reduction.oneimage.forced import forced_limits, light_at, recentred
from reduction.oneimage.objects import Extracted, NoObjectsError, extract
from reduction.oneimage.options import photometry_options
from reduction.oneimage.picture import Picture, with_noise
from reduction.oneimage.starlist import NoStarsError, StarList, star_list, without_blends
from reduction.refcat.stars import Stars
from reduction.refcat.systems import Band, System
from tests.reduction.oneimage.skies import (
    SHAPE,
    WCS,
    ZERO_POINT,
    Field,
    light_of,
    make_field,
    make_picture,
)

MESH = 100
TERM = 0.08


@pytest.fixture
def field(rng: np.random.Generator) -> Field:
    return make_field(rng, 140)


def catalogue_of(field: Field, rng: np.random.Generator, *, scatter: float = 0.003) -> Stars:
    """Return the field's stars in g and r, as a catalogue has them."""
    ra, dec = WCS.sky(field.x, field.y)
    r = rng.normal(field.mag, scatter).astype(np.float32)
    g = (r + field.colour).astype(np.float32)
    error = np.full(len(r), max(scatter, 0.002), np.float32)
    bands = (Band("g", System.SDSS, has_error=True), Band("r", System.SDSS, has_error=True))
    return Stars(ra, dec, {"g": g, "r": r}, {"g": error, "r": error}, bands, 2000.0, 1.0)


def stars_of(field: Field, rng: np.random.Generator, **more: Any) -> StarList:
    return star_list("sdss", catalogue_of(field, rng), "r", **more)


def measured(picture: Picture, config: dict[str, Any]) -> tuple[Image, Extracted]:
    options = photometry_options(config)
    image = with_noise(picture, picture.mask, gain=options.gain, mesh_pix=MESH)
    return image, extract(image, MESH, options)


def calibrated(
    picture: Picture, stars: StarList, config: dict[str, Any] | None = None
) -> tuple[Extracted, Calibration]:
    config = config or {}
    _, found = measured(picture, config)
    options = photometry_options(config)
    sn = options.detect.sn, options.detect.selection_sn
    calibration = calibrate(found, WCS, stars, options.light, sn=sn)
    return calibration.extracted, calibration


@pytest.mark.parametrize("config", [
    {},
    {"rel_aper": 1.5},
    {"rel_aper": 2.5, "sn": 10},
    {"optimal_extraction": True},
    {"initial_r0": 1.0},
    {"spatial_order": 2},
    {"bg_size": 64, "initial_aper": 4, "minarea": 8},
    {"fwhm_override": 4.0},
    {"gain": 1.0, "bg_order": 0},
])  # fmt: skip
def test_zero_point_is_of_all_of_a_stars_light_whatever_the_aperture(
    field: Field, rng: np.random.Generator, config: dict[str, Any]
) -> None:
    picture = make_picture(rng, light_of(field))

    _, found = calibrated(picture, stars_of(field, rng), config | {"use_color": False})

    zero = found.zero
    assert zero.value == pytest.approx(ZERO_POINT, abs=0.003 + 3 * zero.total_error)
    assert zero.total_error < 0.01
    assert zero.scatter_mag < 0.02
    assert zero.n_used > 40


def test_colour_terms_are_fitted_held_and_left_out(field: Field, rng: np.random.Generator) -> None:
    bluer = field.flux * 10 ** (0.4 * TERM * field.colour)  # cat = inst + zp + TERM colour
    picture = make_picture(rng, light_of(field, flux=bluer))
    stars = stars_of(field, rng)

    _, fitted = calibrated(picture, stars)
    _, held = calibrated(picture, stars, {"force_color_term": TERM})
    _, without = calibrated(picture, stars, {"use_color": False})

    assert fitted.zero.colour_term == pytest.approx(TERM, abs=0.01)
    assert fitted.zero.value == pytest.approx(ZERO_POINT, abs=0.01)
    assert held.zero.colour_term == TERM
    assert held.zero.value == pytest.approx(ZERO_POINT, abs=0.005)
    assert not without.has_colour
    assert without.zero.colour_term is None
    assert without.zero.scatter_mag > 2 * fitted.zero.scatter_mag
    assert columns_told(stars) == {
        "cat_col_mag": "rmag", "cat_col_mag_err": "e_rmag",
        "cat_col_color_mag1": "gmag", "cat_col_color_mag2": "rmag",
    }  # fmt: skip


def test_a_slope_over_the_image_is_taken_off(field: Field, rng: np.random.Generator) -> None:
    slope = 10 ** (-0.4 * 0.1 * (field.x - 209.5) / 209.5)
    picture = make_picture(rng, light_of(field, flux=field.flux * slope))
    stars = stars_of(field, rng)

    extracted, found = calibrated(picture, stars, {"spatial_order": 1, "use_color": False})

    sources, light = extracted.objects.sources, extracted.objects.light
    mags = magnitudes(found.zero, light.flux, light.error, scaled(sources.x, sources.y, SHAPE))
    known = stars.mag[found.matched.stars]
    bright = known < 14.5
    off = mags.calibrated[found.matched.objects][bright] - known[bright]
    assert found.zero.spatial[0] == pytest.approx(-0.1, abs=0.01)
    assert abs(np.median(off)) < 0.005
    assert np.corrcoef(off, sources.x[found.matched.objects][bright])[0, 1] < 0.5


def test_errors_of_magnitudes_are_true_and_the_limit_is_where_it_is_said(
    field: Field, rng: np.random.Generator
) -> None:
    stars = stars_of(field, rng, limit=None)
    pulls: list[float] = []
    for _ in range(6):
        picture = make_picture(rng, light_of(field), gain=1.6)
        extracted, found = calibrated(picture, stars, {"gain": 1.6, "use_color": False})
        light = extracted.objects.light
        true = field.flux[np.argsort(field.mag)][found.matched.stars]
        # Of bright stars the growth curve's doubt, which all share, is more than their own errors.
        good = (extracted.objects.flags[found.matched.objects] == 0) & (true < 2e4)
        here = found.matched.objects[good]
        pulls += list((light.flux[here] - true[good]) / light.error[here])

    assert np.median(np.abs(pulls)) * 1.4826 == pytest.approx(1.0, abs=0.15)
    assert found.limit_mag is not None
    five_sigma = 5 * np.sqrt((300 * 1.6 + 16) / 1.6**2 * np.pi * extracted.measurer.radius_pix**2)
    rough = ZERO_POINT - 2.5 * np.log10(five_sigma / extracted.growth)
    assert found.limit_mag == pytest.approx(rough, abs=0.15)


def test_ranges_and_blends_choose_the_stars(field: Field, rng: np.random.Generator) -> None:
    picture = make_picture(rng, light_of(field))
    stars = stars_of(field, rng)

    _, found = calibrated(picture, stars, {"cat_mag_lower": 13.0, "cat_mag_upper": 15.5})

    known = stars.mag[found.tried.stars]
    assert known.min() >= 13.0
    assert known.max() <= 15.5
    twins = replace(stars, ra_deg=stars.ra_deg.copy(), dec_deg=stars.dec_deg.copy())
    twins.ra_deg[1], twins.dec_deg[1] = twins.ra_deg[0] + 1e-4, twins.dec_deg[0]
    alone = without_blends(twins, 2 * 3.2 * WCS.scale_arcsec / 3600)
    assert not alone[0]
    assert not alone[1]
    assert alone[2:].all()
    assert len(stars_of(field, rng, limit=14.0)) == np.count_nonzero(stars.mag <= 14.0)


def test_a_match_radius_that_is_given_is_kept_and_a_wrong_place_is_told(
    field: Field, rng: np.random.Generator
) -> None:
    picture = make_picture(rng, light_of(field))
    stars = stars_of(field, rng)
    beside = replace(stars, ra_deg=stars.ra_deg + 0.004)

    _, found = calibrated(picture, stars, {"sr_override": 2.5})

    assert found.matched.radius_arcsec == pytest.approx(2.5)
    with pytest.raises(NotCalibratedError, match="place"):
        calibrated(picture, beside)
    with pytest.raises(NotCalibratedError, match="chance"):
        calibrated(picture, beside, {"sr_override": 30})
    with pytest.raises(NotCalibratedError, match="none of the"):
        calibrated(picture, replace(stars, dec_deg=stars.dec_deg + 5))


def test_a_band_nothing_leads_to_is_told(field: Field, rng: np.random.Generator) -> None:
    with pytest.raises(NoStarsError, match="cannot calibrate J"):
        star_list("sdss", catalogue_of(field, rng), "J")


def test_an_empty_sky_has_no_objects(rng: np.random.Generator) -> None:
    with pytest.raises(NoObjectsError, match="clouds"):
        measured(make_picture(rng, np.zeros(SHAPE)), {})


def test_odd_shapes_and_masked_pixels_are_flagged(field: Field, rng: np.random.Generator) -> None:
    light = light_of(field)
    light[200:203, 100:180] += 800  # a satellite's trail
    picture = make_picture(rng, light)
    star = int(np.argmax((field.x > 100) & (field.y > 240) & (field.flux > 2e4)))
    row, column = round(field.y[star]), round(field.x[star])
    picture.mask[row, column] |= np.uint16(PixelFlag.SATURATED)

    _, found = measured(picture, {})

    sources, flags = found.objects.sources, found.objects.flags
    own = int(np.argmin(np.hypot(sources.x - field.x[star], sources.y - field.y[star])))
    on_trail = (np.abs(sources.y - 201) < 3) & (sources.x > 105) & (sources.x < 175)
    assert flags[own] & 0x4
    assert on_trail.any()
    assert (flags[on_trail] & 0x800 != 0).mean() > 0.5
    assert (flags & 0x800 != 0).mean() < 0.15
    _, unfiltered = measured(picture, {"prefilter_detections": False})
    assert not (unfiltered.objects.flags & 0x800).any()


def test_segments_and_columns_of_objects_fit_together(
    field: Field, rng: np.random.Generator
) -> None:
    _, found = measured(make_picture(rng, light_of(field)), {})

    objects, labels = found.objects, found.segments.labels
    bright = objects.light.flux > 2e4
    rows = np.rint(objects.sources.y).astype(int)
    columns = np.rint(objects.sources.x).astype(int)
    assert (labels[rows, columns][bright] == np.flatnonzero(bright) + 1).all()
    assert (objects.area_pix[bright] > 10).all()
    assert labels.max() <= len(objects)
    clean = bright & (objects.flags == 0)
    assert np.median(objects.half_light_pix[clean]) == pytest.approx(3.2 / 2, rel=0.1)
    assert np.median(objects.auto_flux[clean] / objects.light.flux[clean]) == pytest.approx(
        1.0, abs=0.05
    )


def test_targets_are_measured_where_nothing_shines_and_centred_where_something_does(
    field: Field, rng: np.random.Generator
) -> None:
    picture = make_picture(rng, light_of(field))
    image, _ = measured(picture, {})
    extracted, found = calibrated(picture, stars_of(field, rng), {"use_color": False})
    bright = 5
    apart = np.hypot(field.x[:, None] - 30.0, field.y[:, None] - np.arange(20, 380))
    empty_y = 20.0 + float(np.argmax(apart.min(axis=0)))
    x, y = np.array([field.x[bright] + 0.8, 30.0]), np.array([field.y[bright] - 0.7, empty_y])

    new_x, new_y = recentred(extracted, x, y)
    light = light_at(extracted, image.mask, new_x, new_y)
    at = scaled(new_x, new_y, SHAPE)
    limits = forced_limits(extracted, found.zero, light, at, 5.0)

    assert np.hypot(new_x[0] - field.x[bright], new_y[0] - field.y[bright]) < 0.05
    assert light.flux[0] == pytest.approx(field.flux[bright], rel=0.02)
    assert abs(light.flux[1]) < 5 * light.error[1]
    assert limits[1] == pytest.approx(found.limit_mag or 0, abs=0.2)
