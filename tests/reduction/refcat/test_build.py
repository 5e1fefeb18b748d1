import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reduction.refcat import runs
from reduction.refcat.build import Spec, build
from reduction.refcat.columns import Chunk
from reduction.refcat.coverage import whole_sky as everything
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.pixels import KEY_ORDER, nested_of
from reduction.refcat.store import Catalogue, newest_generation
from tests.reduction.refcat.skies import BANDS, field, pieces, stored, whole_sky

SPEC = Spec("test", "a test", 2016.0, BANDS, everything())


def test_rows_are_sorted_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "BLOCK_ROWS", 500)  # many blocks
    rows = whole_sky(20_000)

    stars = stored(tmp_path, rows, coverage=everything(), piece=777).cone(0, 0, 180)

    assert stars.star_id is not None
    assert np.array_equal(np.sort(stars.star_id), rows["id"])
    assert (np.diff(nested_of(stars.ra_deg, stars.dec_deg, KEY_ORDER)) >= 0).all()


@pytest.mark.parametrize("piece", [1, 999, 5000])
def test_columns_do_not_depend_on_the_pieces_they_came_in(tmp_path: Path, piece: int) -> None:
    rows = whole_sky(3000) if piece > 1 else whole_sky(60)
    whole = stored(tmp_path / "a", rows, coverage=everything(), piece=10_000)

    cut = stored(tmp_path / "b", rows, coverage=everything(), piece=piece)

    assert cut.meta.columns == whole.meta.columns


def test_repeated_rows_are_kept_once(tmp_path: Path) -> None:
    rows = whole_sky(2000)
    twice = {name: np.concatenate([column, column[:500]]) for name, column in rows.items()}

    catalogue = stored(tmp_path, twice, coverage=everything(), piece=300)

    stars = catalogue.cone(0, 0, 180)
    assert stars.star_id is not None
    assert np.array_equal(np.sort(stars.star_id), rows["id"])


def test_two_stars_of_one_place_are_kept_where_their_identifiers_differ(tmp_path: Path) -> None:
    rows = {name: np.repeat(column[:1], 3) for name, column in whole_sky(100).items()}
    rows["id"] = np.array([7, 8, 7])

    stars = stored(tmp_path, rows, coverage=everything()).cone(0, 0, 180)

    assert stars.star_id is not None
    assert sorted(stars.star_id.tolist()) == [7, 8]


def test_rows_without_identifiers_repeat_where_their_places_do(tmp_path: Path) -> None:
    rows = {name: np.tile(column, 2) for name, column in field(400).items()}

    assert stored(tmp_path, rows, piece=150).meta.rows == 400


def test_new_generation_replaces_the_old_which_stays_whole_for_who_has_it(tmp_path: Path) -> None:
    old = stored(tmp_path, field(300))
    before = old.cone(30, 20, 5)

    new = stored(tmp_path, field(500))

    assert (len(old.cone(30, 20, 5)), len(new.cone(30, 20, 5))) == (300, 500)
    assert np.array_equal(old.cone(30, 20, 5).ra_deg, before.ra_deg)
    assert [path.name for path in tmp_path.iterdir()] == [new.folder.name]


def test_reading_that_fails_changes_nothing(tmp_path: Path) -> None:
    old = stored(tmp_path, field(300))

    def broken() -> Iterator[Chunk]:
        yield from pieces(field(900), 100)
        raise BadCatalogueError("the file is cut short")

    with pytest.raises(BadCatalogueError, match="cut short"):
        build(tmp_path, broken(), SPEC)

    assert newest_generation(tmp_path) == old.folder.name
    assert [path.name for path in tmp_path.iterdir()] == [old.folder.name]


def test_catalogue_of_no_star_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCatalogueError):
        build(tmp_path, [], SPEC)

    assert newest_generation(tmp_path) is None


def test_what_a_killed_build_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".building-dead").mkdir()
    (tmp_path / ".building-dead" / "rows-000000.npy").touch()

    catalogue = stored(tmp_path, field(300))

    assert [path.name for path in tmp_path.iterdir()] == [catalogue.folder.name]


@pytest.mark.parametrize("readers", [2])
def test_readers_during_reloads_never_see_half_of_one(tmp_path: Path, readers: int) -> None:
    sizes = (300, 500)
    stored(tmp_path, field(sizes[0]))
    stop, seen, wrong = threading.Event(), [], []

    def read() -> None:
        while not stop.is_set():
            try:
                stars = Catalogue.newest(tmp_path).cone(30, 20, 5)
            except Exception as error:  # noqa: BLE001 - any is a failure of this test
                wrong.append(error)
                return
            seen.append((len(stars), stars.mag["G"].size, stars.error["G"].size))

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for turn in range(25):
        stored(tmp_path, field(sizes[turn % 2]))
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert set(seen) <= {(n, n, n) for n in sizes}


def test_progress_tells_each_stage_to_its_end(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []

    build(tmp_path, pieces(field(900), 100), SPEC, lambda stage, done: told.append((stage, done)))

    assert told[-1] == ("sorting", 1.0)


def test_facts_say_what_the_catalogue_is(tmp_path: Path) -> None:
    meta = stored(tmp_path, whole_sky(500, motion_mas_yr=10.0)).meta

    assert (meta.name, meta.rows, meta.epoch, meta.bands) == ("test", 500, 2016.0, BANDS)
    assert meta.has_motions
    assert meta.has_ids
    assert 20 < meta.max_motion_mas_yr < 70
    assert all(len(fact.sha256) == 64 for fact in meta.columns.values())
