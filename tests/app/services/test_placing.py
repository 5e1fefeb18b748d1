"""Putting files where they stay: whole, never over another, and the disk they are on."""

import errno
import os
import threading
from pathlib import Path

import pytest
from flask import Flask

from app import paths
from app.errors import ConflictError, UnavailableError
from app.services import placing


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    path = tmp_path / "staged"
    path.write_bytes(b"content")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_lies_alone_under_its_name(staged: Path, tmp_path: Path) -> None:
    path = placing.place(staged, tmp_path / "RAW" / "uploads", "a.fits")

    assert path.read_bytes() == b"content"
    assert names(path.parent) == ["a.fits"]
    assert path.stat().st_nlink == 1
    assert not staged.exists()


def test_number_goes_before_the_whole_suffix(staged: Path, tmp_path: Path) -> None:
    for taken in ("a.fits.gz", "a_1.fits.gz"):
        (tmp_path / taken).touch()

    path = placing.place(staged, tmp_path, "a.fits.gz", taken={"a_2.fits.gz"})

    assert path.name == "a_3.fits.gz"


def test_every_name_that_is_tried_is_told_before_the_file_has_it(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, bool]] = []
    link = os.link

    def link_late(source: Path, target: Path) -> None:
        if target.name == "a.fits":
            target.touch()  # somebody else was quicker
        link(source, target)

    monkeypatch.setattr(os, "link", link_late)

    placing.place(staged, tmp_path, "a.fits", before=lambda p: told.append((p.name, p.exists())))

    assert told == [("a.fits", False), ("a_1.fits", False)]


def test_link_that_leads_nowhere_is_not_written_through(staged: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.fits"
    folder = tmp_path / "RAW"
    folder.mkdir()
    (folder / "a.fits").symlink_to(outside)

    path = placing.place(staged, folder, "a.fits")

    assert path.name == "a_1.fits"
    assert not outside.exists()


def test_many_at_once_get_a_name_each(tmp_path: Path) -> None:
    folder = tmp_path / "RAW"
    sources = [tmp_path / f"s{n}" for n in range(20)]
    for source in sources:
        source.write_text(source.name)
    threads = [
        threading.Thread(target=placing.place, args=(source, folder, "a.fits"))
        for source in sources
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    contents = {path.read_text() for path in folder.iterdir()}
    assert contents == {source.name for source in sources}


def test_disk_without_links_gets_the_file_all_the_same(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)

    path = placing.place(staged, tmp_path / "RAW", "a.fits")

    assert path.read_bytes() == b"content"
    assert names(path.parent) == ["a.fits"]


def test_other_disk_gets_a_copy(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def across(source: str, target: str) -> None:
        if Path(source).name == "staged":
            raise OSError(errno.EXDEV, "another disk")
        rename(source, target)

    monkeypatch.setattr(os, "rename", across)

    path = placing.place(staged, tmp_path / "RAW", "a.fits")

    assert path.read_bytes() == b"content"
    assert names(path.parent) == ["a.fits"]


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.EROFS, ConflictError, "cannot be written to"),
        (errno.EACCES, ConflictError, "cannot be written to"),
        (errno.ENOSPC, UnavailableError, "full"),
        (errno.EDQUOT, UnavailableError, "full"),
    ],
)
def test_disk_that_refuses_is_named_and_keeps_nothing(
    staged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
    words: str,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(os, "link", refuse)

    with pytest.raises(error, match=words):
        placing.place(staged, tmp_path / "RAW", "a.fits")

    assert names(tmp_path / "RAW") == []


def test_parts_a_power_cut_left_are_swept_and_nothing_else(app: Flask) -> None:
    folder = paths.current().raw / "uploads" / "2026-11-20"
    folder.mkdir(parents=True)
    for name in (".1234.part", ".new.part", "a.fits"):
        (folder / name).touch()
    for name in (".1234.part", "a.fits"):
        os.utime(folder / name, (1e9, 1e9))

    assert placing.sweep() == 1

    assert names(folder) == [".new.part", "a.fits"]


def test_what_takes_the_place_of_another_is_on_the_disk_before_it_has_its_name(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.fits"
    target.write_bytes(b"old")
    on_disk = sync_with(monkeypatch, target)

    placing.replace(staged, target)

    assert on_disk[0] == (b"content", b"old")
    assert target.read_bytes() == b"content"


def test_copied_folder_is_on_the_disk_without_what_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.fits", "sub/b.fits", ".hidden", ".lock/c"):
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_text(name)
    on_disk = sync_with(monkeypatch)

    placing.copy_tree(tmp_path / "from", tmp_path / "to")

    assert {content for content, _ in on_disk} >= {b"a.fits", b"sub/b.fits"}
    copied = {p.relative_to(tmp_path / "to").as_posix() for p in (tmp_path / "to").rglob("*")}
    assert copied == {"a.fits", "sub", "sub/b.fits"}


def test_copy_that_does_not_fit_the_disk_says_so(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(UnavailableError, match="is full"):
        placing.copy_tree(staged.parent, tmp_path.parent / f"{tmp_path.name}-to")


def sync_with(
    monkeypatch: pytest.MonkeyPatch, beside: Path | None = None
) -> list[tuple[bytes, bytes]]:
    """Return the content of every file that is synced, and that of another file just then."""
    found: list[tuple[bytes, bytes]] = []
    fsync = os.fsync

    def looking(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}")
        if path.is_file():
            found.append((path.read_bytes(), beside.read_bytes() if beside else b""))

    monkeypatch.setattr(os, "fsync", looking)
    return found
