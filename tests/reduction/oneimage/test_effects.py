"""Every parameter of photometry does what its name says: nothing is accepted and left aside."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reduction.oneimage.calibration import Calibration, calibrate
from reduction.oneimage.objects import Extracted, extract, found_on
from reduction.oneimage.options import photometry_options
from reduction.oneimage.picture import Picture, with_noise
from reduction.oneimage.prefilter import SHAPE_OUTLIER
from reduction.oneimage.starlist import StarList, star_list
from reduction.refcat.stars import Stars
from reduction.refcat.systems import Band, System
from tests.reduction.oneimage.skies import SHAPE, WCS, Field, light_of, make_field, make_picture

MESH = 100
BENT = 0.02  # magnitudes a magnitude that the detector is not linear by
SKY_TILT = 4.0  # counts a pixel, from side to side, that no background takes off


@pytest.fixture
def field(rng: np.random.Generator) -> Field:
    return make_field(rng, 140)


@pytest.fixture
def picture(field: Field, rng: np.random.Generator) -> Picture:
    """Stars down to the noise; some hits of single pixels."""
    faint = replace(field, flux=field.flux * np.geomspace(1, 0.05, len(field.flux)))
    made = make_picture(rng, light_of(faint))
    data = made.data.copy()
    data[40::60, 30::70] += 3000
    return replace(made, data=data)


def stars_of(field: Field, *, bent: float = 0.0, limit: float | None = None) -> StarList:
    ra, dec = WCS.sky(field.x, field.y)
    r = (field.mag + bent * (field.mag - np.median(field.mag))).astype(np.float32)
    g = (r + field.colour).astype(np.float32)
    error = np.full(len(r), 0.003, np.float32)
    bands = tuple(Band(name, System.SDSS, has_error=True) for name in "gr")
    stars = Stars(ra, dec, {"g": g, "r": r}, {"g": error, "r": error}, bands, 2000.0, 1.0)
    return star_list("sdss", stars, "r", limit=limit)


def extracted(picture: Picture, **config: Any) -> Extracted:
    options = photometry_options(config)
    image = with_noise(picture, picture.mask, gain=options.gain, mesh_pix=MESH)
    return extract(image, MESH, options)


def calibrated(picture: Picture, stars: StarList, **config: Any) -> Calibration:
    options = photometry_options({"use_color": False, **config})
    found = extracted(picture, **config)
    sn = options.detect.sn, options.detect.selection_sn
    return calibrate(found, WCS, stars, options.light, sn=sn)


def test_signal_to_noise_chooses_objects_and_sets_the_limit(
    picture: Picture, field: Field, rng: np.random.Generator
) -> None:
    few, many = extracted(picture, sn=20), extracted(picture, sn=5)
    whole = make_picture(rng, light_of(field))

    assert len(few.objects) < len(many.objects)
    assert few.objects.signal.min() >= 20 * 0.99
    shallow, deep = (calibrated(whole, stars_of(field), sn=sn).limit_mag for sn in (20, 5))
    assert shallow is not None
    assert deep is not None
    assert 1.0 < deep - shallow < 2.0


def test_least_area_and_first_aperture_choose_what_is_found(picture: Picture) -> None:
    usual = extracted(picture, sn=3, minarea=3)

    assert len(extracted(picture, sn=3, minarea=30).objects) < len(usual.objects)
    assert len(extracted(picture, sn=3, minarea=3, initial_aper=12).objects) != len(usual.objects)


def test_smoothing_finds_fainter_stars_and_keeps_their_width(picture: Picture) -> None:
    image = with_noise(picture, picture.mask, gain=1.0, mesh_pix=MESH)
    plain, smoothed = (
        found_on(image, MESH, photometry_options({"initial_r0": r0, "minarea": 5}).detect)
        for r0 in (0, 1.4)
    )

    assert len(smoothed.sources) != len(plain.sources)
    assert smoothed.fwhm_pix == pytest.approx(plain.fwhm_pix, rel=0.1)


def test_a_width_that_is_given_takes_the_place_of_the_images_own(picture: Picture) -> None:
    given = extracted(picture, fwhm_override=5.0)

    assert given.fwhm_pix == 5.0
    assert given.measurer.radius_pix == 5.0
    assert extracted(picture, fwhm_override=5.0, rel_aper=1.5).measurer.radius_pix == 7.5


def test_the_filter_of_shapes_flags_hits_and_leaves_off_where_it_is_not_wanted(
    picture: Picture,
) -> None:
    on = extracted(picture, prefilter_detections=True).objects
    off = extracted(picture, prefilter_detections=False).objects

    assert np.count_nonzero(on.flags & SHAPE_OUTLIER) >= 5
    assert not np.any(off.flags & SHAPE_OUTLIER)
    assert len(on) == len(off)


def test_the_ring_of_the_sky_is_where_it_is_asked_for(picture: Picture) -> None:
    narrow = extracted(picture, rel_bg1=5, rel_bg2=5.5).objects.light
    wide = extracted(picture, rel_bg1=3, rel_bg2=9).objects.light

    assert np.median(wide.sky_error) < np.median(narrow.sky_error)
    assert not np.allclose(narrow.sky[:20], wide.sky[:20])


def test_weighting_by_shape_makes_faint_stars_more_certain(picture: Picture) -> None:
    summed, weighted = (
        extracted(picture, rel_aper=1.5, optimal_extraction=on) for on in (False, True)
    )

    assert np.median(weighted.objects.signal) > 1.1 * np.median(summed.objects.signal)


def test_the_gain_sets_the_noise_of_bright_stars(picture: Picture) -> None:
    low, high = (extracted(picture, gain=gain).objects.light for gain in (0.5, 4.0))

    assert low.error[0] / low.flux[0] > 1.5 * high.error[0] / high.flux[0]


def test_terms_of_the_zero_point_are_fitted_where_they_are_wanted(
    field: Field, rng: np.random.Generator
) -> None:
    picture = make_picture(rng, light_of(field))
    tilt = SKY_TILT * (np.arange(SHAPE[1]) / SHAPE[1] - 0.5)
    tilted = replace(picture, data=(picture.data + tilt).astype(np.float32))

    plain = calibrated(picture, stars_of(field)).zero
    bent = calibrated(picture, stars_of(field, bent=BENT), nonlin=True).zero
    flat = calibrated(picture, stars_of(field), spatial_order=2).zero
    skewed = calibrated(tilted, stars_of(field), bg_order=1).zero

    assert (plain.nonlinearity, len(plain.spatial), len(plain.background)) == (0.0, 0, 0)
    assert bent.nonlinearity == pytest.approx(BENT, abs=0.004)
    assert len(flat.spatial) == 5
    assert len(skewed.background) == 3


def test_the_faintest_of_the_catalogue_and_its_blends_are_left_out(
    field: Field, rng: np.random.Generator
) -> None:
    picture = make_picture(rng, light_of(field))
    twins = stars_of(field)
    ra, mag = twins.ra_deg.copy(), twins.mag.copy()
    ra[1::2] = ra[0::2] + 0.5 / 3600  # each at the side of another, as bright
    dec = twins.dec_deg.copy()
    dec[1::2] = dec[0::2]
    blended = replace(twins, ra_deg=ra, dec_deg=dec, mag=mag)

    with pytest.raises(Exception, match="stars"):  # none is left that stands alone
        calibrated(picture, blended, filter_blends=True)
    kept = calibrated(picture, blended, filter_blends=False)

    assert len(kept.tried) > 10
    assert len(stars_of(field, limit=14.0)) < len(stars_of(field))
