from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reduction.refcat.coverage import declared
from reduction.refcat.coverage import whole_sky as everything
from reduction.refcat.errors import BadCatalogueError, NoMagnitudeError, NotCoveredError
from reduction.refcat.geometry import moved
from reduction.refcat.pixels import n_pixels
from reduction.refcat.regions import Cone, Footprint, Region
from reduction.refcat.store import Catalogue
from tests.reduction.refcat.skies import Table, field, stored, whole_sky
from tests.reduction.refcat.test_pixels import DECS, RADII, RAS

N = 30_000
EPOCH = 2046.0


@pytest.fixture(scope="module")
def rows() -> Table:
    return whole_sky(N, motion_mas_yr=30_000.0)  # a quarter of a degree in thirty years


@pytest.fixture(scope="module")
def catalogue(rows: Table, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return stored(tmp_path_factory.mktemp("sky"), rows, coverage=everything())


def brute_force(rows: Table, region: Region, epoch: float | None) -> set[int]:
    ra, dec = rows["ra"] % 360.0, rows["dec"]
    if epoch is not None:
        ra, dec = moved(ra, dec, rows["pmra"], rows["pmdec"], epoch - 2016.0)
    return set(rows["id"][region.contains(ra, dec)].tolist())


@settings(max_examples=250, deadline=None)
@given(ra=RAS, dec=DECS, radius=RADII, epoch=st.sampled_from([None, 2016.0, EPOCH]))
def test_cone_finds_what_brute_force_finds(
    rows: Table,
    catalogue: Catalogue,
    ra: float,
    dec: float,
    radius: float,
    epoch: float | None,
) -> None:
    stars = catalogue.cone(ra, dec, radius, epoch=epoch)

    assert stars.star_id is not None
    assert len(set(stars.star_id.tolist())) == len(stars)
    assert set(stars.star_id.tolist()) == brute_force(rows, Cone(ra, dec, radius), epoch)


@settings(max_examples=200, deadline=None)
@given(row=st.integers(0, N - 1), radius=st.floats(0, 1e-4), epoch=st.sampled_from([None, EPOCH]))
def test_tiny_cone_around_a_star_finds_it(
    rows: Table, catalogue: Catalogue, row: int, radius: float, epoch: float | None
) -> None:
    ra, dec = rows["ra"][row : row + 1] % 360.0, rows["dec"][row : row + 1]
    if epoch is not None:
        pmra, pmdec = (rows[name][row : row + 1] for name in ("pmra", "pmdec"))
        ra, dec = moved(ra, dec, pmra, pmdec, epoch - 2016.0)

    stars = catalogue.cone(float(ra[0]), float(dec[0]), radius, epoch=epoch)

    assert stars.star_id is not None
    assert row in stars.star_id


@settings(max_examples=100, deadline=None)
@given(ra=RAS, dec=DECS, size=st.floats(0.01, 20), epoch=st.sampled_from([None, EPOCH]))
def test_footprint_finds_what_brute_force_finds(
    rows: Table, catalogue: Catalogue, ra: float, dec: float, size: float, epoch: float | None
) -> None:
    turns = np.array([0.1, 1.7, 3.2, 4.9])
    east, north = (np.stack([np.cos(turns), np.sin(turns)]) * size * 3.6e6).astype(np.float32)
    corners = moved(np.full(4, ra), np.full(4, dec), east, north, 1.0)

    stars = catalogue.footprint(*corners, epoch=epoch)

    assert stars.star_id is not None
    assert set(stars.star_id.tolist()) == brute_force(rows, Footprint.of(*corners), epoch)


def test_stars_have_the_values_they_were_stored_with(rows: Table, catalogue: Catalogue) -> None:
    stars = catalogue.cone(100.0, 30.0, 20.0)

    assert stars.star_id is not None
    assert np.array_equal(stars.ra_deg, rows["ra"][stars.star_id])
    for band in ("G", "BP"):
        assert np.array_equal(stars.mag[band], rows[band][stars.star_id])
    assert np.array_equal(stars.error["G"], rows["G_err"][stars.star_id])
    assert "BP" not in stars.error
    assert stars.pm_ra_mas_yr is not None
    assert np.array_equal(stars.pm_ra_mas_yr, rows["pmra"][stars.star_id])
    assert (stars.epoch, stars.coverage) == (2016.0, 1.0)


def test_only_the_bands_asked_for_are_read(catalogue: Catalogue) -> None:
    assert set(catalogue.cone(100.0, 30.0, 5.0, bands=["BP"]).mag) == {"BP"}
    assert catalogue.cone(100.0, 30.0, 5.0, bands=[]).mag == {}
    with pytest.raises(NoMagnitudeError, match="has no RP; it has G, BP"):
        catalogue.cone(100.0, 30.0, 5.0, bands=["RP"])


def test_brightest_are_brightest_first_and_blanks_are_left_out(tmp_path: Path) -> None:
    rows = dict(field(100))
    rows["G"][:50] = np.nan

    stars = stored(tmp_path, rows).cone(30.0, 20.0, 5.0)

    assert np.array_equal(stars.brightest(10, "G").mag["G"], np.sort(rows["G"])[:10])
    assert len(stars.brightest(80, "G")) == 50
    with pytest.raises(NoMagnitudeError):
        stars.brightest(1, "V")


def test_brightness_is_that_of_the_best_band_a_star_has(tmp_path: Path) -> None:
    rows = dict(field(100))
    rows["G"][:50] = np.nan
    rows["BP"][:10] = np.nan

    stars = stored(tmp_path, rows).cone(30.0, 20.0, 5.0).brightest(1000)

    expected = np.concatenate([rows["BP"][10:50], rows["G"][50:]])
    assert np.array_equal(stars.brightness(), np.sort(expected))


def test_sky_that_is_loaded_and_empty_is_not_sky_that_is_not_loaded(tmp_path: Path) -> None:
    catalogue = stored(tmp_path, field(500), coverage=declared(Cone(30.0, 20.0, 3.0)))

    empty = catalogue.cone(30.0, 22.0, 0.5)
    edge = catalogue.cone(30.0, 23.0, 0.5)

    assert (len(empty), empty.coverage) == (0, 1.0)
    assert edge.coverage == pytest.approx(0.5, abs=0.1)
    with pytest.raises(NotCoveredError, match=r"test has not been loaded .* RA 34\.0000"):
        catalogue.cone(34.0, 20.0, 0.5)


def test_loaded_sky_is_where_the_stars_are_unless_it_was_declared(tmp_path: Path) -> None:
    catalogue = stored(tmp_path, field(5000))

    assert not catalogue.coverage.is_declared
    assert catalogue.coverage.square_degrees == pytest.approx(1.0, abs=0.35)
    assert catalogue.cone(30.0, 20.0, 0.2).coverage == 1.0
    with pytest.raises(NotCoveredError):
        catalogue.cone(33.0, 20.0, 0.2)


def test_rows_with_epochs_of_their_own_move_from_those(tmp_path: Path) -> None:
    rows = dict(field(200))
    rows |= {
        "pmra": np.zeros(200, np.float32),
        "pmdec": np.full(200, 7.2e6, np.float32),  # two degrees a year
        "epoch": np.full(200, 2015.0, np.float32),
    }
    rows["epoch"][::2] = np.nan  # those have the catalogue's
    catalogue = stored(tmp_path, rows, coverage=everything())

    stars = catalogue.cone(30.0, 24.0, 0.9, epoch=2017.0)

    assert sorted(stars.mag["G"].tolist()) == sorted(rows["G"][1::2].tolist())


def test_stars_without_known_motions_stay_where_they_are(tmp_path: Path) -> None:
    catalogue = stored(tmp_path, field(300))

    later = catalogue.cone(30.0, 20.0, 1.0, epoch=2050.0)

    assert np.array_equal(later.ra_deg, catalogue.cone(30.0, 20.0, 1.0).ra_deg)
    assert later.epoch == 2050.0


def test_a_column_cut_short_is_refused(tmp_path: Path) -> None:
    catalogue = stored(tmp_path, field(300))
    path = catalogue.folder / "dec.npy"
    path.write_bytes(path.read_bytes()[:-8])

    with pytest.raises(BadCatalogueError, match="load"):
        Catalogue.newest(tmp_path)


@pytest.mark.parametrize("file", ["coverage.npy", "offset.npy"])
def test_a_table_of_another_shape_is_refused(tmp_path: Path, file: str) -> None:
    catalogue = stored(tmp_path, field(300))
    np.save(catalogue.folder / file, np.zeros((3, 4), np.int64))

    with pytest.raises(BadCatalogueError, match="load it again"):
        Catalogue.newest(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (stored(tmp_path, field(300)).folder / "ra.npy").write_bytes(b"")

    with pytest.raises(BadCatalogueError, match="load"):
        Catalogue.newest(tmp_path)


def test_offsets_are_no_larger_than_a_column_needs(catalogue: Catalogue) -> None:
    assert n_pixels(catalogue.meta.order) <= max(4 * N, n_pixels(5))


def test_there_is_nothing_newest_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Catalogue.newest(tmp_path)
