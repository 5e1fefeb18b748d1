"""The quads of a catalogue on disk: whole or not there, and the same as made in memory."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from reduction.astrometry.quads import quads_of
from reduction.refcat import quadindex
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.quadindex import QUADS_FILE, build_quads, open_quads
from tests.reduction.refcat.skies import field, stored, whole_sky


def members(folder: Path) -> set[tuple[float, ...]]:
    """Return the first stars of the quads, by place."""
    tables = open_quads(folder)
    return {tuple(np.round(tables.sky.xyz[owner], 6)) for owner in tables.quads.owner}


def test_what_is_written_is_what_is_opened(tmp_path: Path) -> None:
    catalogue = stored(tmp_path, field(4000))

    path = build_quads(catalogue)

    tables = open_quads(catalogue.folder)
    assert path == catalogue.folder / QUADS_FILE
    assert tables.n_quads > 20_000
    assert int(tables.quads.starts[-1]) == tables.n_quads
    assert np.linalg.norm(tables.sky.xyz, axis=1) == pytest.approx(1, abs=1e-6)
    assert (tables.sky.near >= -1).all()
    assert tables.sky.near.max() < len(tables.sky.xyz)


def test_the_stars_are_the_same_as_of_quads_made_in_memory(tmp_path: Path) -> None:
    rows = field(2000)
    catalogue = stored(tmp_path, rows)
    build_quads(catalogue)

    order = np.argsort(rows["G"])
    made = quads_of(rows["ra"][order], rows["dec"][order])

    own, theirs = open_quads(catalogue.folder).sky.xyz, made.sky.xyz
    assert {tuple(np.round(v, 5)) for v in own} <= {tuple(np.round(v, 5)) for v in theirs}


def test_a_catalogue_read_piece_by_piece_gives_the_same_quads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = stored(tmp_path, whole_sky(3000))
    build_quads(catalogue)
    whole = members(catalogue.folder)
    monkeypatch.setattr(quadindex, "ROWS", 700)

    build_quads(catalogue)

    again = members(catalogue.folder)
    # A cell that two pieces share gives the brightest of both parts.
    assert len(whole ^ again) < 0.05 * len(whole)


def test_the_finest_level_is_kept_to_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = stored(tmp_path, whole_sky(3000))
    monkeypatch.setattr(quadindex, "MOST_STARS", 500)

    build_quads(catalogue)

    assert 300 < len(open_quads(catalogue.folder).sky.xyz) < 900


def test_a_full_disk_is_known_before_the_file_is_mapped_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = stored(tmp_path, field(100))
    before = sorted(catalogue.folder.iterdir())

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)

    with pytest.raises(OSError, match="No space left"):
        build_quads(catalogue)

    assert sorted(catalogue.folder.iterdir()) == before


@pytest.mark.parametrize("n", [1, 5])
def test_a_catalogue_of_hardly_any_stars_has_an_index_too(tmp_path: Path, n: int) -> None:
    catalogue = stored(tmp_path, {name: values[:n] for name, values in field(10).items()})

    build_quads(catalogue)

    assert open_quads(catalogue.folder).n_quads < 10


def test_a_build_that_fails_leaves_the_index_there_was_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = stored(tmp_path, field(500))
    build_quads(catalogue)
    before = (catalogue.folder / QUADS_FILE).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        build_quads(catalogue)

    assert (catalogue.folder / QUADS_FILE).read_bytes() == before
    assert list(catalogue.folder.glob(".quads-*")) == []


def test_what_a_killed_build_left_is_swept(tmp_path: Path) -> None:
    catalogue = stored(tmp_path, field(100))
    rest = catalogue.folder / ".quads-dead"
    rest.touch()

    build_quads(catalogue)

    assert not rest.exists()


def test_no_index_and_a_damaged_one_are_told_apart(tmp_path: Path) -> None:
    catalogue = stored(tmp_path, field(100))
    with pytest.raises(FileNotFoundError):
        open_quads(catalogue.folder)

    (catalogue.folder / QUADS_FILE).write_bytes(b"\0" * 5000)

    with pytest.raises(BadCatalogueError, match="make it again"):
        open_quads(catalogue.folder)


def test_an_index_cut_short_is_damaged(tmp_path: Path) -> None:
    catalogue = stored(tmp_path, field(500))
    path = build_quads(catalogue)
    path.write_bytes(path.read_bytes()[:20_000])

    with pytest.raises(BadCatalogueError, match="damaged"):
        open_quads(catalogue.folder)
