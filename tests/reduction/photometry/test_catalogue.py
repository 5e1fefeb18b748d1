"""The table of a frame's sources says what was found, and of which star a catalogue knows it."""

from dataclasses import replace

import numpy as np
import pytest

from reduction.image import Image
from reduction.onsky import OnSky, put_on_sky, with_psf
from reduction.photometry.catalogue import source_table
from reduction.photometry.kinds import SourceKind
from reduction.photometry.sourcetable import HEALPIX_ORDER, NO_CELL, SourceTable
from reduction.refcat.geometry import separations_deg
from reduction.refcat.pixels import nested_of
from tests.reduction.photometry.stars import Sky, make_sky
from tests.reduction.test_onsky import (
    EXPTIME_S,
    SHAPE,
    TRUTH,
    ZERO_POINT,
    always,
    catalogue_of,
    info,
)


@pytest.fixture
def sky(rng: np.random.Generator) -> Sky:
    return make_sky(rng, 120, shape=SHAPE, flux=(5e3, 3e5))


@pytest.fixture
def found(sky: Sky, rng: np.random.Generator) -> OnSky:
    return put_on_sky(sky.image, info(), always(catalogue_of(sky, rng)))


@pytest.fixture
def table(found: OnSky, sky: Sky) -> SourceTable:
    return source_table(found, info(), sky.image)


def nearest(sky: Sky, table: SourceTable) -> tuple[np.ndarray, np.ndarray]:
    """Which star each source is, and how far away, pixels."""
    away = np.hypot(table["x_pix"][:, None] - sky.x, table["y_pix"][:, None] - sky.y)
    return away.argmin(axis=1), away.min(axis=1)


def test_every_source_is_there_once_in_the_order_of_the_sky(
    found: OnSky, table: SourceTable
) -> None:
    assert sorted(table["number"]) == list(range(len(found.detected.sources)))
    assert (np.diff(table["healpix"]) >= 0).all()
    cells = nested_of(table["ra_deg"], table["dec_deg"], HEALPIX_ORDER)
    assert np.array_equal(table["healpix"], cells)
    assert len({len(table[name]) for name in table.names}) == 1


def test_columns_are_of_the_sources_that_are_numbered_so(found: OnSky, table: SourceTable) -> None:
    sources, number = found.detected.sources, table["number"]

    assert np.array_equal(table["x_pix"], sources.x[number])
    assert np.array_equal(table["flags"], sources.flags[number])
    assert np.array_equal(table["is_clean"], sources.is_clean[number])
    for k in range(len(table.facts.radii_pix)):
        wanted = found.apertures.flux[number, k].astype(np.float32)
        assert np.array_equal(table[f"flux_ap_{k + 1}"], wanted)


def test_places_are_those_of_the_stars(sky: Sky, table: SourceTable) -> None:
    star, away = nearest(sky, table)
    kept = (away < 1.0) & table["is_clean"]
    ra, dec = TRUTH.sky(sky.x[star], sky.y[star])

    off = np.array(
        [
            separations_deg(np.array([a]), np.array([d]), a0, d0)[0] * 3600
            for a, d, a0, d0 in zip(table["ra_deg"], table["dec_deg"], ra, dec, strict=True)
        ]
    )

    assert np.count_nonzero(kept) > 80
    pulls = off[kept] / table["error_arcsec"][kept] / np.sqrt(2)
    assert np.sqrt(np.median(pulls**2) / np.log(2)) < 1.5  # of a Rayleigh distribution: 1


def test_magnitudes_are_the_stars_and_their_errors_hold(sky: Sky, table: SourceTable) -> None:
    star, away = nearest(sky, table)
    kept = (away < 1.0) & table["is_clean"]
    truth = ZERO_POINT - 2.5 * np.log10(sky.flux[star] / EXPTIME_S)

    off = (table["mag"] - truth)[kept]

    assert abs(np.median(off)) < 0.006
    assert np.median(np.abs(off) / table["mag_error"][kept]) < 1.5


def test_magnitudes_by_the_profile_of_stars_are_theirs_and_their_errors_hold(
    found: OnSky, sky: Sky
) -> None:
    table = source_table(with_psf(found, sky.image), info(), sky.image)
    star, away = nearest(sky, table)
    kept = (away < 1.0) & table["is_clean"]
    truth = ZERO_POINT - 2.5 * np.log10(sky.flux[star] / EXPTIME_S)

    off = (table["mag_psf"] - truth)[kept]

    assert abs(np.median(off)) < 0.006
    assert np.median(np.abs(off) / table["mag_psf_error"][kept]) < 1.2
    assert np.median(table["chi2_psf"][kept]) == pytest.approx(1.0, abs=0.2)
    assert (table["share_psf"][kept] > 0.5).all()
    assert (table["seen_psf"][kept] == 1).all()


def test_without_a_profile_its_columns_are_there_and_empty(found: OnSky, sky: Sky) -> None:
    with_it = source_table(with_psf(found, sky.image), info(), sky.image)
    without = source_table(found, info(), sky.image)

    assert without.names == with_it.names
    assert without["flux_psf"].dtype == with_it["flux_psf"].dtype
    for name in ("mag_psf", "mag_psf_error", "flux_psf", "flux_psf_error", "chi2_psf"):
        assert np.isnan(without[name]).all()
    assert np.array_equal(without["kind"], with_it["kind"])


def test_stars_are_told_to_be_stars(table: SourceTable) -> None:
    kinds = table["kind"][table["is_clean"] & (table["snr"] > 50)]

    assert np.mean(kinds == SourceKind.STAR) > 0.85


def test_a_column_that_an_older_table_lacks_is_empty(table: SourceTable) -> None:
    assert np.isnan(table.column("not there yet")).all()
    assert len(table.column("not there yet")) == len(table)
    assert table.column("mag") is table["mag"]


def test_kron_holds_most_of_a_stars_light(sky: Sky, table: SourceTable) -> None:
    star, away = nearest(sky, table)
    kept = (away < 1.0) & table["is_clean"] & (table["snr"] > 50)

    share = table["flux_kron"][kept] / sky.flux[star][kept]

    assert np.median(share) == pytest.approx(1.0, abs=0.06)
    assert (table["flux_kron_error"][kept] > 0).all()


def test_stars_of_the_catalogue_are_matched_each_once(sky: Sky, table: SourceTable) -> None:
    known = np.isfinite(table["cat_ra_deg"])
    places = list(zip(table["cat_ra_deg"][known], table["cat_dec_deg"][known], strict=True))

    assert len(places) == len(set(places)) > 80
    star, away = nearest(sky, table)
    ra, dec = TRUTH.sky(sky.x[star], sky.y[star])
    right = known & (away < 1.0)
    assert np.allclose(table["cat_ra_deg"][right], ra[right], atol=1e-9)
    assert np.allclose(table["cat_dec_deg"][right], dec[right], atol=1e-9)


def test_residuals_are_of_the_stars_the_zero_point_was_tried_with(
    found: OnSky, table: SourceTable
) -> None:
    assert found.zero_point is not None
    tried = np.isfinite(table["zp_residual_mag"])

    assert table["is_zp_star"].sum() == found.zero_point.n_used
    assert not (table["is_zp_star"] & ~tried).any()
    difference = table["cat_mag"][tried] - table["mag"][tried]
    assert np.allclose(table["zp_residual_mag"][tried], difference, atol=1e-4)


def test_stars_the_place_rests_on_are_marked(found: OnSky, table: SourceTable) -> None:
    assert found.solution is not None

    marked = set(table["number"][table["is_wcs_star"]].tolist())

    assert marked == set(found.solution.stars.tolist())
    assert np.isfinite(table["cat_ra_deg"][table["is_wcs_star"]]).all()


def test_a_zero_point_that_varies_over_the_frame_is_taken_at_each_place(
    found: OnSky, table: SourceTable, sky: Sky
) -> None:
    assert found.zero_point is not None
    tilted = replace(found, zero_point=replace(found.zero_point, spatial=(0.1, 0.0)))

    change = source_table(tilted, info(), sky.image)["mag"] - table["mag"]

    x = 2 * table["x_pix"] / (SHAPE[1] - 1) - 1
    assert np.allclose(change, 0.1 * x, atol=1e-5)


def test_a_frame_without_a_place_keeps_its_sources_the_brightest_first(sky: Sky) -> None:
    found = put_on_sky(sky.image, info(), always())

    table = source_table(found, info(), sky.image)

    assert np.array_equal(table["number"], np.arange(len(table)))
    assert (table["healpix"] == NO_CELL).all()
    for name in ("ra_deg", "dec_deg", "mag", "cat_ra_deg", "cat_mag", "zp_residual_mag"):
        assert np.isnan(table[name]).all(), name
    assert np.isfinite(table["flux"]).all()
    assert not table["is_zp_star"].any()


def test_a_frame_without_an_exposure_time_has_no_magnitudes(
    sky: Sky, rng: np.random.Generator
) -> None:
    found = put_on_sky(sky.image, info(exptime_s=None), always(catalogue_of(sky, rng)))

    table = source_table(found, info(exptime_s=None), sky.image)

    assert np.isnan(table["mag"]).all()
    assert np.isfinite(table["ra_deg"]).all()


def test_a_frame_without_sources_has_an_empty_table_with_the_same_columns(
    table: SourceTable, rng: np.random.Generator
) -> None:
    blank = Image(
        rng.normal(100, 5, SHAPE).astype(np.float32),
        np.full(SHAPE, 25, np.float32),
        np.zeros(SHAPE, np.uint16),
        "electron",
    )

    empty = source_table(put_on_sky(blank, info(), always()), info(), blank)

    assert len(empty) < 5
    assert {name: empty[name].dtype for name in empty.names} == {
        name: table[name].dtype for name in table.names
    }


def test_facts_are_the_frames(found: OnSky, table: SourceTable, sky: Sky) -> None:
    facts = table.facts

    assert facts.radii_pix == tuple(found.apertures.radii_pix)
    assert (facts.exptime_s, facts.band, facts.unit) == (EXPTIME_S, "r", sky.image.unit)
    assert facts.catalogue == facts.light_catalogue == "simulated"
    assert facts.zero_point_mag == pytest.approx(ZERO_POINT, abs=0.02)
    assert facts.scale_arcsec == pytest.approx(0.8, rel=0.01)
