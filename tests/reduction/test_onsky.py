"""Frames put on the sky: place, zero point and depth of simulated ones, causes of the others."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from reduction import fitsio
from reduction.astrometry.placing import Elsewhere
from reduction.astrometry.quads import quads_of
from reduction.astrometry.wcs import TanSip
from reduction.flags import PixelFlag
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers.sky import sky_cards
from reduction.image import Image
from reduction.onsky import put_on_sky
from reduction.refcat.geometry import separations_deg
from reduction.reference import AskCatalogue, Reference
from tests.reduction.photometry.stars import Sky, make_sky

SHAPE = (600, 600)
SCALE_DEG = 0.8 / 3600
ZERO_POINT, EXPTIME_S = 24.0, 60.0
TRUTH = TanSip((120.0, 35.0), (299.5, 299.5), SCALE_DEG * np.array([[-1.0, 0.1], [0.1, 1.0]]))


def info(**values: object) -> FrameInfo:
    known: dict[str, object] = {
        "kind": FrameKind.SCIENCE,
        "writer": "test",
        "nx": SHAPE[1],
        "ny": SHAPE[0],
        "exptime_s": EXPTIME_S,
        "band": "r",
        "ra_deg": 120.05,
        "dec_deg": 34.97,
        "pixel_scale_arcsec": 0.8,
        "start_utc": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return FrameInfo(**(known | values))  # type: ignore[arg-type]


@pytest.fixture
def sky(rng: np.random.Generator) -> Sky:
    return make_sky(rng, 120, shape=SHAPE, flux=(5e3, 3e5))


def catalogue_of(sky: Sky, rng: np.random.Generator, *, band: str | None = "r") -> Reference:
    """Return a catalogue of the frame's stars and of some around it."""
    x = np.concatenate([sky.x, rng.uniform(-600, 1200, 400)])
    y = np.concatenate([sky.y, rng.uniform(-600, 1200, 400)])
    around = (x < 0) | (y < 0) | (x > SHAPE[1]) | (y > SHAPE[0])
    kept = np.concatenate([np.ones(len(sky.x), bool), around[len(sky.x) :]])
    flux = np.concatenate([sky.flux, np.exp(rng.uniform(np.log(5e3), np.log(3e5), 400))])
    mag = ZERO_POINT - 2.5 * np.log10(flux / EXPTIME_S)
    ra, dec = TRUTH.sky(x, y)
    order = np.flatnonzero(kept)[np.argsort(mag[kept])]
    return Reference(
        "simulated", band, ra[order], dec[order], mag[order], np.full(len(order), 0.005)
    )


def always(*references: Reference) -> AskCatalogue:
    return lambda _ra, _dec, _radius: references


def test_a_frame_gets_its_place_its_zero_point_and_its_depth(
    sky: Sky, rng: np.random.Generator
) -> None:
    found = put_on_sky(sky.image, info(), always(catalogue_of(sky, rng)))

    assert found.solution is not None
    grid = np.linspace(10, 590, 8)
    x, y = (v.ravel() for v in np.meshgrid(grid, grid))
    fx, fy = found.solution.wcs.pixel(*TRUTH.sky(x, y))
    assert np.median(np.hypot(fx - x, fy - y)) < 0.05
    assert found.zero_point is not None
    assert found.zero_point.value == pytest.approx(
        ZERO_POINT, abs=0.005 + 3 * found.zero_point.error
    )
    assert found.limit_mag is not None
    assert 20 < found.limit_mag < 23
    assert found.cause == found.message == ""


def test_other_programs_read_where_the_product_says_it_is(
    sky: Sky, rng: np.random.Generator, tmp_path: Path
) -> None:
    found = put_on_sky(sky.image, info(), always(catalogue_of(sky, rng)))
    path = tmp_path / "product.fits"

    fitsio.write_product(path, sky.image, [], sci_cards=sky_cards(found, SHAPE))

    with fits.open(path, checksum=True) as hdus:
        header = hdus["SCI"].header
        ra, dec = WCS(header).all_pix2world([100.0], [400.0], 0)
        assert header["WCSSOLVE"] is True
        assert header["ZP"] == pytest.approx(ZERO_POINT, abs=0.02)
        assert header["FWHM"] == pytest.approx(3.0, rel=0.1)
    true_ra, true_dec = TRUTH.sky(np.array([100.0]), np.array([400.0]))
    assert ra[0] == pytest.approx(true_ra[0], abs=2e-5)
    assert dec[0] == pytest.approx(true_dec[0], abs=2e-5)


def only_near(reference: Reference) -> AskCatalogue:
    """Return what knows the stars around a place, and none where it has none."""

    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> list[Reference]:
        away = separations_deg(reference.ra_deg, reference.dec_deg, ra_deg, dec_deg)
        near = np.flatnonzero(away < radius_deg)
        rows = {
            name: getattr(reference, name)[near]
            for name in ("ra_deg", "dec_deg", "mag", "mag_error")
        }
        return [replace(reference, **rows)] if len(near) else []

    return ask


def quads_of_catalogue(reference: Reference) -> Elsewhere:
    made = quads_of(reference.ra_deg, reference.dec_deg)
    return Elsewhere(lambda: [made])


NOTHING_KNOWN = {"ra_deg": None, "dec_deg": None, "pixel_scale_arcsec": None}


@pytest.mark.parametrize("values", [
    NOTHING_KNOWN,
    {"ra_deg": 10.0, "dec_deg": -60.0},
    {"pixel_scale_arcsec": 2.9},
    {"pixel_scale_arcsec": None},
], ids=["nothing", "elsewhere", "wrong scale", "no scale"])  # fmt: skip
def test_a_frame_that_says_nothing_or_lies_is_recognised_by_its_stars(
    sky: Sky, rng: np.random.Generator, values: dict[str, object]
) -> None:
    known = catalogue_of(sky, rng)

    found = put_on_sky(sky.image, info(**values), only_near(known), quads_of_catalogue(known))

    assert found.solution is not None, found.message
    assert found.found_by == "quads"
    middle = found.solution.wcs.sky(np.array([299.5]), np.array([299.5]))
    assert separations_deg(*middle, 120.0, 35.0)[0] < 0.1 / 3600
    assert found.zero_point is not None
    assert found.zero_point.value == pytest.approx(ZERO_POINT, abs=0.02)


def test_without_a_scale_the_stars_around_the_pointing_are_enough(
    sky: Sky, rng: np.random.Generator
) -> None:
    known = catalogue_of(sky, rng)

    found = put_on_sky(sky.image, info(pixel_scale_arcsec=None), only_near(known))

    assert found.solution is not None
    assert found.solution.wcs.scale_arcsec == pytest.approx(TRUTH.scale_arcsec, rel=1e-4)


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_a_mirrored_frame_is_recognised_as_one(
    flip: float, sky: Sky, rng: np.random.Generator
) -> None:
    known = catalogue_of(sky, rng)
    planes = {name: getattr(sky.image, name)[:, :: int(flip)] for name in ("data", "variance")}
    image = replace(sky.image, **planes)

    found = put_on_sky(image, info(**NOTHING_KNOWN), only_near(known), quads_of_catalogue(known))

    assert found.solution is not None
    assert found.solution.wcs.is_flipped is (flip < 0)


@pytest.mark.parametrize(("values", "cause"), [
    ({"ra_deg": None}, "no_pointing"),
    ({"pixel_scale_arcsec": None}, "no_scale"),
    ({}, "no_match"),
    ({"ra_deg": 10.0}, "not_covered"),
    ({"pixel_scale_arcsec": 0.05}, "wrong_scale"),
])  # fmt: skip
def test_what_is_missing_or_wrong_is_named(
    sky: Sky, rng: np.random.Generator, values: dict[str, object], cause: str
) -> None:
    other = catalogue_of(make_sky(rng, 150, shape=SHAPE, flux=(5e3, 3e5)), rng)

    found = put_on_sky(sky.image, info(**values), only_near(other), quads_of_catalogue(other))

    assert found.solution is None
    assert found.zero_point is None
    assert found.message
    assert found.cause == cause
    assert {k: v for k, v, _ in sky_cards(found, SHAPE)}["WCSSOLVE"] is False


def test_a_trailed_frame_is_told_apart(rng: np.random.Generator) -> None:
    sky = make_sky(rng, 60, shape=SHAPE, flux=(2e4, 3e5))
    trail = np.mean([np.roll(sky.image.data, k, axis=1) for k in range(25)], axis=0)
    other = catalogue_of(make_sky(rng, 150, shape=SHAPE), rng)

    found = put_on_sky(replace(sky.image, data=trail), info(), only_near(other))

    assert (found.cause, "tracked" in found.message or "track" in found.message) == (
        "trailed",
        True,
    )


def test_a_frame_full_of_light_is_saturated_not_without_stars(
    sky: Sky, rng: np.random.Generator
) -> None:
    mask = np.full(SHAPE, PixelFlag.SATURATED, np.uint16)
    full = replace(sky.image, data=np.full(SHAPE, 65535, np.float32), mask=mask)

    found = put_on_sky(full, info(), only_near(catalogue_of(sky, rng)))

    assert found.cause == "saturated"


def test_sky_no_catalogue_covers_is_told_apart(sky: Sky) -> None:
    found = put_on_sky(sky.image, info(), always())

    assert found.cause == "not_covered"
    assert len(found.detected.sources) > 80


def test_a_catalogue_without_the_band_still_tells_the_place(
    sky: Sky, rng: np.random.Generator
) -> None:
    found = put_on_sky(sky.image, info(), always(catalogue_of(sky, rng, band=None)))

    assert found.solution is not None
    assert found.zero_point is None
    assert "has a band for r" in found.no_zero_point


def test_an_empty_frame_is_unsolved_and_says_so() -> None:
    plane = np.zeros(SHAPE, np.float32)
    image = Image(plane, np.ones_like(plane), np.zeros(SHAPE, np.uint16), "electron")
    some = np.arange(20.0)
    reference = Reference("none", "r", some, some, some, some)

    found = put_on_sky(image, info(), always(reference))

    assert found.cause == "no_stars"


def test_place_and_light_may_come_from_two_catalogues(sky: Sky, rng: np.random.Generator) -> None:
    whole = catalogue_of(sky, rng)
    x, y = TRUTH.pixel(whole.ra_deg, whole.dec_deg)
    on = np.flatnonzero((x > 20) & (y > 20) & (x < 580) & (y < 580))[10:15]
    sparse = Reference(
        "few", "r", whole.ra_deg[on], whole.dec_deg[on], whole.mag[on], whole.mag_error[on]
    )
    places = replace(whole, name="places", band=None)
    bright = replace(whole, name="bright")

    found = put_on_sky(sky.image, info(), always(sparse, places))
    assert found.reference is places
    assert found.light is sparse
    assert found.zero_point is not None
    assert found.zero_point.value == pytest.approx(ZERO_POINT, abs=0.05)
    assert put_on_sky(sky.image, info(), always(bright, places)).reference is bright


def test_hot_pixels_do_not_tell_the_width_of_a_star(sky: Sky, rng: np.random.Generator) -> None:
    reference = catalogue_of(sky, rng)
    places = rng.integers(5, 595, (600, 2))
    sky.image.data[places[:, 0], places[:, 1]] += rng.uniform(2e3, 4e4, 600).astype(np.float32)

    found = put_on_sky(sky.image, info(), always(reference))

    assert found.detected.fwhm_pix == pytest.approx(3.0, rel=0.08)
    assert found.zero_point is not None
    assert found.zero_point.value == pytest.approx(ZERO_POINT, abs=0.02)
