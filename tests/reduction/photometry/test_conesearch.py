"""A cone over the files of many frames finds what looking at every source would find."""

from pathlib import Path

import numpy as np
import pytest

from reduction.astrometry.wcs import TanSip
from reduction.photometry import parquet
from reduction.photometry.conesearch import SEPARATION, joined, search
from reduction.photometry.sourcetable import SourceTable
from reduction.refcat.regions import Cone
from tests.reduction.photometry.sourcefiles import SHAPE, frame_at, table_of, write

PLACES = [(10.0, 20.0), (0.0, 0.0), (359.9, 0.1), (123.0, 90.0), (77.0, -90.0), (45.0, 41.81)]
COLUMNS = ("number", "ra_deg", "dec_deg", "mag")


def apart_arcsec(table: SourceTable, cone: Cone) -> np.ndarray:
    """Separations by Vincenty's formula, which the search does not use."""
    ra, dec = np.radians(table["ra_deg"] - cone.ra_deg), np.radians(table["dec_deg"])
    dec0 = np.radians(cone.dec_deg)
    across = np.hypot(
        np.cos(dec) * np.sin(ra),
        np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra),
    )
    along = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra)
    return np.asarray(np.degrees(np.arctan2(across, along)) * 3600)


def many_frames(
    tmp_path: Path, place: tuple[float, float], rng: np.random.Generator
) -> list[tuple[Path, SourceTable]]:
    frames = []
    for number in range(12):
        wcs = frame_at(
            (
                place[0] + rng.uniform(-0.2, 0.2),
                np.clip(place[1] + rng.uniform(-0.2, 0.2), -90, 90),
            ),
            angle_deg=float(rng.uniform(0, 360)),
            flip=1.0 if number % 2 else -1.0,
        )
        n = 400
        x, y = rng.uniform(-0.5, SHAPE[1] - 0.5, n), rng.uniform(-0.5, SHAPE[0] - 0.5, n)
        x[:20], y[20:40] = -0.5, SHAPE[0] - 0.5  # on the edges
        table = table_of(wcs, x, y)
        frames.append((write(tmp_path / f"{number}.sources.parquet", table), table))
    return frames


@pytest.mark.parametrize("place", PLACES)
def test_a_cone_finds_exactly_what_looking_at_every_source_finds(
    tmp_path: Path, place: tuple[float, float], rng: np.random.Generator
) -> None:
    frames = many_frames(tmp_path, place, rng)
    paths = [path for path, _ in frames]
    n_found = 0

    for radius_arcsec in (1.0, 30.0, 600.0, 3600.0):
        ra, dec = place[0] + rng.uniform(-0.1, 0.1), place[1] - np.sign(place[1]) * 0.05
        cone = Cone(ra % 360, dec, radius_arcsec / 3600)
        for (_, table), found in zip(frames, search(paths, cone, COLUMNS), strict=True):
            assert found is not None
            away = apart_arcsec(table, cone)
            inside = away <= radius_arcsec
            assert set(found["number"]) == set(table["number"][inside])
            assert np.allclose(found[SEPARATION], np.sort(away[inside]), atol=1e-6)
            n_found += len(found)

    assert n_found > 1000


@pytest.mark.parametrize("place", PLACES)
def test_a_cone_around_a_source_finds_it_and_a_radius_just_short_of_one_does_not(
    tmp_path: Path, place: tuple[float, float], rng: np.random.Generator
) -> None:
    path, table = many_frames(tmp_path, place, rng)[0]
    for row in range(0, len(table), 7):
        ra, dec = float(table["ra_deg"][row]), float(table["dec_deg"][row])

        (on_it,) = search([path], Cone(ra, dec, 0.0), COLUMNS)
        assert on_it is not None
        assert table["number"][row] in on_it["number"]

        beside = Cone(ra, max(-90.0, dec - 2 / 3600), 3 / 3600)
        away = float(apart_arcsec(table.select(np.array([row])), beside)[0])
        (wide,) = search([path], Cone(ra, beside.dec_deg, (away + 1e-5) / 3600), COLUMNS)
        (short,) = search([path], Cone(ra, beside.dec_deg, (away - 1e-5) / 3600), COLUMNS)
        assert wide is not None
        assert table["number"][row] in wide["number"]
        assert short is not None
        assert table["number"][row] not in short["number"]


def test_sources_of_a_frame_without_a_place_are_in_no_cone(tmp_path: Path) -> None:
    table = table_of(frame_at((10.0, 20.0)), np.array([5.0]), np.array([5.0]))
    nowhere = {"ra_deg": np.array([np.nan]), "dec_deg": np.array([np.nan])}
    lost = SourceTable({**table.columns, **nowhere, "healpix": np.array([-1])})

    (found,) = search([write(tmp_path / "a.sources.parquet", lost)], Cone(10.0, 20.0, 1.0), COLUMNS)

    assert found is not None
    assert len(found) == 0


def test_files_that_are_gone_or_damaged_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    wcs: TanSip = frame_at((10.0, 20.0))
    x, y = wcs.pixel(np.array([10.0]), np.array([20.0]))
    good = write(tmp_path / "good.sources.parquet", table_of(wcs, x, y))
    bad = tmp_path / "bad.sources.parquet"
    bad.write_bytes(b"PAR1 and no more PAR1")

    found = list(search([tmp_path / "gone", bad, good], Cone(10.0, 20.0, 0.01), COLUMNS))

    assert found[:2] == [None, None]
    assert found[2] is not None
    assert len(found[2]) == 1


def test_tables_are_joined_and_a_column_one_has_not_is_unknown(tmp_path: Path) -> None:
    wcs = frame_at((10.0, 20.0))
    first = table_of(wcs, np.array([5.0]), np.array([5.0]))
    bare = SourceTable({name: c for name, c in first.columns.items() if name != "mag"})

    columns = joined([first, bare], ("number", "mag"))

    assert columns["number"].tolist() == [0, 0]
    assert columns["mag"][0] == 18.0
    assert np.isnan(columns["mag"][1])
    assert all(len(column) == 0 for column in joined([], ("number", "mag")).values())


def test_more_files_than_are_read_at_once_come_in_their_order(tmp_path: Path) -> None:
    wcs = frame_at((10.0, 20.0))
    x, y = wcs.pixel(np.array([10.0]), np.array([20.0]))
    paths = []
    for number in range(150):
        table = table_of(wcs, x, y, mags=np.array([float(number)]))
        paths.append(write(tmp_path / f"{number}.sources.parquet", table))

    found = search(paths, Cone(10.0, 20.0, 1 / 3600), COLUMNS)

    assert [float(table["mag"][0]) for table in found if table is not None] == list(range(150))


def test_a_search_does_not_need_the_columns_it_is_not_asked_for(tmp_path: Path) -> None:
    wcs = frame_at((10.0, 20.0))
    x, y = wcs.pixel(np.array([10.0]), np.array([20.0]))
    path = write(tmp_path / "a.sources.parquet", table_of(wcs, x, y))

    (found,) = search([path], Cone(10.0, 20.0, 1 / 3600), ("mag",))

    assert found is not None
    assert found.names == ["mag", SEPARATION]
    assert parquet.read(path).facts == found.facts
