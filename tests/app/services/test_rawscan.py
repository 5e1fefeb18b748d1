"""Whole scans: what is not opened, what is missing, and what an unmounted disk must not do."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError

from app.db import db
from app.errors import UnavailableError
from app.models import Frame, ScannedFile
from app.services import rawscan, scanned_files
from reduction import fitsio
from tests.app.services.rawfiles import (
    all_frames,
    file_of,
    fits_bytes,
    frame_of,
    rest,
    scan,
    state_of,
    store,
)


def fill(raw: Path, n_files: int, folder: str = "night") -> list[Path]:
    return [
        store(raw / folder / f"{i:03}.fits", fits_bytes(OBJECT=f"{folder} {i}"))
        for i in range(n_files)
    ]


def states() -> dict[str, int]:
    query = select(ScannedFile.state, func.count()).group_by(ScannedFile.state)
    return dict(db.session.execute(query).all())


# What has not changed


def test_unchanged_tree_is_neither_opened_nor_asked_for_file_by_file(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(raw, 12)
    store(raw / "bad.fits", b"text" * 1000)
    store(raw / "copy.fits", (raw / "night" / "000.fits").read_bytes())
    first = scan()
    monkeypatch.setattr(fitsio, "read_starts", lambda _, paths: pytest.fail(f"{paths} were opened"))
    statements: list[str] = []
    event.listen(
        db.engine, "before_cursor_execute", lambda _c, _u, text, *_: statements.append(text)
    )

    again = scan()

    assert again.changes == []
    assert again.counts == first.counts == {"registered": 12, "quarantined": 1, "duplicate": 1}
    assert len([text for text in statements if "scanned_files" in text]) == 3
    assert not [text for text in statements if text.startswith(("INSERT", "UPDATE"))]


def test_only_what_is_new_is_read(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(raw, 5)
    scan()
    opened: list[str] = []
    real = fitsio.read_starts

    def note(root: Path, paths: list[str]) -> object:
        opened.extend(Path(path).name for path in paths)
        return real(root, paths)

    monkeypatch.setattr(fitsio, "read_starts", note)

    store(raw / "night" / "new.fits", fits_bytes(OBJECT="new"))
    report = scan()

    assert opened == ["new.fits"]
    assert [change.path for change in report.changes] == ["night/new.fits"]


def test_again_reads_everything_and_changes_nothing(raw: Path) -> None:
    fill(raw, 3)
    scan()
    before = [(f.id, f.path, f.notes) for f in all_frames()]

    report = scan(again=True)

    assert len(report.changes) == 3
    assert [(f.id, f.path, f.notes) for f in all_frames()] == before


def test_many_files_are_stored_in_batches(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rawscan, "BATCH", 4)
    fill(raw, 10)
    heard: list[tuple[float, str]] = []

    scan(progress=lambda fraction, step: heard.append((fraction, step)))

    assert [round(fraction, 1) for fraction, _ in heard] == [0.0, 0.4, 0.8, 1.0]
    assert heard[-1][1] == "10 of 10 files"
    assert len(all_frames()) == 10


def test_scan_that_is_stopped_keeps_what_it_stored_and_goes_on_next_time(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(Exception):
        pass

    def stop(fraction: float, _step: str) -> None:
        if fraction > 0.5:
            raise StoppedError

    monkeypatch.setattr(rawscan, "BATCH", 2)
    fill(raw, 6)

    with pytest.raises(StoppedError):
        scan(progress=stop)

    assert states() == {"registered": 4}
    assert scan().counts == {"registered": 6}
    assert len(all_frames()) == 6


def test_check_is_called_and_may_stop_the_scan(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CancelledError(Exception):
        pass

    def cancel() -> None:
        raise CancelledError

    monkeypatch.setattr(rawscan, "_PULSE_S", 0.0)
    fill(raw, 2)

    with pytest.raises(CancelledError):
        scan(check=cancel)
    assert scan().counts == {"registered": 2}  # the lock was given up


def test_full_disk_under_the_database_fails_the_scan_and_blames_no_file(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(raw, 3)

    def full(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with monkeypatch.context() as disk:
        disk.setattr(scanned_files, "_write_files", full)
        with pytest.raises(OperationalError):
            scan()

    assert states() == {}
    assert scan().counts == {"registered": 3}


# What is gone


def test_vanished_file_is_missing_and_comes_back(raw: Path) -> None:
    first, _ = fill(raw, 2)
    scan()
    frame_id = frame_of("night/000.fits").id
    content = first.read_bytes()

    first.unlink()
    report = scan()

    assert report.counts == {"registered": 1, "missing": 1}
    assert [(c.path, c.state) for c in report.changes] == [("night/000.fits", "missing")]
    assert "no longer in RAW" in (frame_of("night/000.fits").unusable or "")
    assert scan().changes == []

    store(first, content)
    scan()
    frame = frame_of("night/000.fits")
    assert state_of("night/000.fits") == ("registered", "")
    assert (frame.id, frame.unusable) == (frame_id, None)


def test_vanished_folder_is_missing_file_by_file(raw: Path) -> None:
    for path in fill(raw, 3, "gone"):
        path.unlink()
    fill(raw, 2, "stays")
    scan()
    fill(raw, 3, "gone")
    scan()

    for path in (raw / "gone").iterdir():
        path.unlink()
    (raw / "gone").rmdir()

    assert scan().counts == {"registered": 2, "missing": 3}


def test_scan_of_a_folder_says_nothing_of_others(raw: Path) -> None:
    inside = fill(raw, 2, "n1")
    outside = fill(raw, 2, "n10") + fill(raw, 1, "N1")
    scan()
    for path in [inside[0], *outside]:
        path.unlink()

    report = scan("n1")

    assert report.counts == {"registered": 1, "missing": 1}
    assert states() == {"registered": 4, "missing": 1}


def test_scan_of_some_names_says_nothing_of_others(raw: Path) -> None:
    store(raw / "bias_1.fits", fits_bytes(OBJECT="b"))
    store(raw / "flat_1.fits", fits_bytes(OBJECT="f"))
    store(raw / "science_1.fits", fits_bytes(OBJECT="s"))

    report = scan(contains="bias, flat")
    assert report.counts == {"registered": 2}

    scan()
    (raw / "science_1.fits").unlink()
    assert scan(contains="bias").counts == {"registered": 1}
    assert state_of("science_1.fits") == ("registered", "")


def test_unreadable_folder_makes_nothing_missing(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(raw, 2, "locked")
    fill(raw, 1, "open")
    scan()
    real = os.open

    def refuse(path: Any, *more: int, **options: Any) -> int:
        if Path(path).name == "locked":
            raise OSError(5, "Input/output error")
        return real(path, *more, **options)

    monkeypatch.setattr(os, "open", refuse)

    report = scan()

    assert report.counts == {"registered": 3}
    assert report.troubles == ["RAW/locked could not be read: Input/output error"]
    assert "Input/output error" in report.message


# The disk drops


def unmount(raw: Path) -> None:
    """What an unmounted disk leaves behind: the empty folder it was mounted on."""
    raw.rename(raw.with_name("disk"))
    raw.mkdir()


def vanish(raw: Path) -> None:
    raw.rename(raw.with_name("disk"))


def remount(raw: Path) -> None:
    if raw.exists():
        raw.rmdir()
    raw.with_name("disk").rename(raw)


@pytest.mark.parametrize("drop", [unmount, vanish])
def test_dropped_mount_fails_the_scan_and_loses_nothing(
    raw: Path, drop: Callable[[Path], None]
) -> None:
    fill(raw, 3)
    scan()

    drop(raw)
    with pytest.raises(UnavailableError, match="mounted"):
        scan()
    assert states() == {"registered": 3}

    remount(raw)
    assert scan().changes == []


@pytest.mark.parametrize("drop", [unmount, vanish])
def test_mount_that_drops_in_mid_scan_loses_nothing(
    raw: Path, drop: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rawscan, "BATCH", 2)
    fill(raw, 3, "old")
    scan()
    fill(raw, 6, "new")

    def drop_after_the_first_batch(fraction: float, _step: str) -> None:
        if 0 < fraction < 0.5:
            drop(raw)

    with pytest.raises(UnavailableError, match="RAW"):
        scan(progress=drop_after_the_first_batch)
    assert states() == {"registered": 5}

    remount(raw)
    assert scan().counts == {"registered": 9}
    assert len(all_frames()) == 9


def test_mount_that_drops_during_the_walk_makes_nothing_missing(raw: Path) -> None:
    fill(raw, 2, "a")
    fill(raw, 2, "b")
    scan()

    with pytest.raises(UnavailableError):
        scan(progress=lambda _fraction, _step: unmount(raw))

    assert states() == {"registered": 4}


def test_other_disk_mounted_in_mid_scan_makes_nothing_missing(raw: Path) -> None:
    fill(raw, 3)
    scan()

    def exchange(_fraction: float, _step: str) -> None:
        unmount(raw)
        store(raw / "other.fits", fits_bytes(OBJECT="other disk"))

    with pytest.raises(UnavailableError, match="scan again"):
        scan(progress=exchange)

    assert states()["registered"] >= 3
    assert "missing" not in states()


def test_empty_raw_of_a_new_installation_is_no_fault(raw: Path) -> None:
    report = scan()

    assert report.message.startswith("RAW: no image files; 0 new or changed")


# All at once


def test_links_and_odd_names_each_end_in_their_state(raw: Path, tmp_path: Path) -> None:
    store(tmp_path / "outside.fits", fits_bytes())
    (raw / "out.fits").symlink_to(tmp_path / "outside.fits")
    (raw / "nowhere.fits").symlink_to("nothing.fits")
    store(raw / os.fsdecode(b"\xff.fits"), fits_bytes(OBJECT="odd"))
    store(raw / "a.fits.bz2", b"BZh9")

    report = scan()

    assert report.counts == {"quarantined": 4}
    assert {c.path: file_of(c.path).code for c in report.changes} == {
        "out.fits": "outside",
        "nowhere.fits": "link",
        r"\xff.fits": "name",
        "a.fits.bz2": "compression",
    }
    assert scan().changes == []
    assert all_frames() == []

    store(raw / "nothing.fits", fits_bytes())
    scan()
    assert state_of("nothing.fits") == ("registered", "")
    assert state_of("nowhere.fits") == ("duplicate", "duplicate")


def test_two_files_whose_names_are_shown_alike_stop_nothing(raw: Path) -> None:
    store(raw / os.fsdecode(b"\xff.fits"), fits_bytes(OBJECT="one"))
    store(raw / r"\xff.fits", fits_bytes(OBJECT="two"))
    store(raw / "z.fits", fits_bytes(OBJECT="three"))

    report = scan()

    assert state_of("z.fits") == ("registered", "")
    assert state_of(r"\xff.fits") == ("registered", "")
    assert len(report.troubles) == 1
    assert scan().counts["registered"] == 2


def test_ignored_files_are_counted(raw: Path) -> None:
    store(raw / "log.txt", b"seeing 1.2")
    store(raw / "a.fits", fits_bytes())

    report = scan()

    assert report.ignored == 1
    assert "1 other file ignored" in report.message
    assert report.as_result()["counts"] == {"registered": 1}


def test_touched_and_new_and_gone_are_told_in_one_report(raw: Path) -> None:
    keep, touch, drop = fill(raw, 3)
    scan()

    rest(touch, 5000)
    drop.unlink()
    store(raw / "new.fits", fits_bytes(OBJECT="new"))
    report = scan()

    assert sorted((c.path, c.state) for c in report.changes) == [
        ("new.fits", "registered"),
        ("night/001.fits", "registered"),
        ("night/002.fits", "missing"),
    ]
    assert report.counts == {"registered": 3, "missing": 1}
    assert db.session.scalar(select(func.count()).select_from(Frame)) == 4
