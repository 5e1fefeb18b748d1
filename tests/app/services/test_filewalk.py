import os
import socket
from pathlib import Path

import pytest

from app.services.filewalk import Seen, Unasked, Walk, is_gone, look, shown


def walked(root: Path, folder: str = "") -> tuple[dict[str, Seen], Walk]:
    walk = Walk(root, folder)
    seen = [look(root, one.path) if isinstance(one, Unasked) else one for one in found_by(walk)]
    return {one.path: one for one in seen if one is not None}, walk


def found_by(walk: Walk) -> list[Seen | Unasked]:
    return [one for files in walk.files() for one in files]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def code(seen: Seen) -> str:
    return seen.problem.code if seen.problem else ""


@pytest.mark.parametrize(
    "name", ["a.fits", "a.FIT", "a.Fts", "a.fits.gz", "a.fit.FZ", "A.FTS.GZ", "a.fz", "a.b.fits"]
)
def test_image_suffixes_match_without_case(root: Path, name: str) -> None:
    (root / name).write_bytes(b"12")

    seen, walk = walked(root)

    assert (seen[name].size, seen[name].problem, walk.ignored) == (2, None, 0)


@pytest.mark.parametrize("name", ["a.fits.bz2", "a.FIT.Z", "a.fts.BZ2"])
def test_other_compressions_are_seen_and_named(root: Path, name: str) -> None:
    (root / name).touch()

    seen, _ = walked(root)

    assert code(seen[name]) == "compression"
    assert "compression not supported" in str(seen[name].problem)


def test_everything_else_is_counted_and_passed_by(root: Path) -> None:
    (root / "night" / ".snapshot").mkdir(parents=True)
    for name in ("log.txt", "a.fits.part", "fits", ".hidden.fits", "night/.snapshot/a.fits"):
        (root / name).touch()

    seen, walk = walked(root)

    assert (seen, walk.ignored) == ({}, 5)  # the hidden folder counts once


def test_folders_are_walked_to_any_depth_and_only_below_the_one_asked_for(root: Path) -> None:
    for name in ("a/b/c/d/1.fits", "a/2.fits", "3.fits"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()

    assert set(walked(root)[0]) == {"a/b/c/d/1.fits", "a/2.fits", "3.fits"}
    assert set(walked(root, "a/b")[0]) == {"a/b/c/d/1.fits"}


def test_link_out_of_raw_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.fits").write_bytes(b"secret")
    (tmp_path / "elsewhere").mkdir()
    (root / "file.fits").symlink_to(tmp_path / "secret.fits")
    (root / "dotted.fits").symlink_to("../secret.fits")
    (root / "night").symlink_to(tmp_path / "elsewhere")
    (root / "notes").symlink_to(tmp_path / "secret.fits")

    seen, walk = walked(root)

    assert {path: code(s) for path, s in seen.items()} == dict.fromkeys(
        ["file.fits", "dotted.fits", "night"], "outside"
    )
    assert walk.ignored == 1


def test_loops_of_links_end(root: Path) -> None:
    (root / "night").mkdir()
    (root / "night" / "a.fits").touch()
    (root / "night" / "up").symlink_to(root)
    (root / "round.fits").symlink_to(root / "round.fits")

    seen, _ = walked(root)

    assert {path: code(s) for path, s in seen.items()} == {"night/a.fits": "", "round.fits": "link"}


def test_link_inside_raw_comes_after_the_files_themselves(root: Path) -> None:
    (root / "z.fits").write_bytes(b"123")
    (root / "a.fits").symlink_to("z.fits")
    (root / "gone.fits").symlink_to("nowhere.fits")

    seen, _ = walked(root)

    assert [(path, code(s)) for path, s in seen.items()] == [
        ("z.fits", ""),
        ("a.fits", ""),
        ("gone.fits", "link"),
    ]
    assert seen["a.fits"].size == 3


def test_pipes_and_sockets_are_never_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe.fits")
    monkeypatch.chdir(root)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.fits")

    seen, _ = walked(root)

    assert [code(s) for s in seen.values()] == ["not_a_file", "not_a_file"]


def test_names_that_are_no_text_are_told_safely(root: Path) -> None:
    for name in (b"\xff\xfe.fits", b"line\nbreak.fits", "M 31 \u00e4\u2013\u03b1.fits".encode()):
        (root / os.fsdecode(name)).touch()

    seen, _ = walked(root)

    assert {path: code(s) for path, s in seen.items()} == {
        r"\xff\xfe.fits": "name",
        r"line\nbreak.fits": "name",
        "M 31 \u00e4\u2013\u03b1.fits": "",
    }
    assert all(path.encode() for path in seen)


def test_shown_leaves_ordinary_names_alone() -> None:
    assert shown("2025-11-20/M 31 \u00e9.fits") == "2025-11-20/M 31 \u00e9.fits"


def test_folder_that_cannot_be_listed_is_told_and_hides_nothing_else(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1.fits", "b/2.fits"):
        (root / name).parent.mkdir()
        (root / name).touch()
    real = os.open

    def refuse(path: Path, *more: int) -> int:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return real(path, *more)

    monkeypatch.setattr(os, "open", refuse)

    seen, walk = walked(root)

    assert set(seen) == {"b/2.fits"}
    assert walk.unread == {"a": "Permission denied"}
    assert walk.says_nothing_of("a/1.fits")
    assert not walk.says_nothing_of("ab/1.fits")


def test_no_folder_stays_open(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.fits", "b/2.fits"):
        (root / name).parent.mkdir()
        (root / name).touch()
    before = n_open()

    walked(root)
    left = Walk(root).files()
    next(left)
    monkeypatch.setattr(Walk, "_stats", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        walked(root)

    assert n_open() == before


def n_open() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_what_cannot_be_looked_at_is_not_gone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_gone(root / "nothing.fits")

    def stale(path: Path) -> os.stat_result:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "lstat", stale)

    assert not is_gone(root / "nothing.fits")


def test_file_nothing_is_known_of_is_not_asked_for_its_status(root: Path) -> None:
    for name in ("new.fits", "new.fit", "known.fits"):
        (root / name).touch()
    known = {"known.fits": (1, "known.fits", 5, 5, "registered", "")}

    found = {one.path: one for one in found_by(Walk(root, known=known))}

    assert {path: isinstance(one, Unasked) for path, one in found.items()} == {
        "new.fits": True,
        "new.fit": False,
        "known.fits": False,
    }


def test_file_whose_status_the_system_does_not_give_is_said_to_be_unreadable(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.fits").touch()

    def fail(path: Path, **_: bool) -> os.stat_result:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "stat", fail)
    seen = look(root, "a.fits")

    assert seen is not None
    assert seen.problem == ("unreadable", "It cannot be read: Input/output error.")
