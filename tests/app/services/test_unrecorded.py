"""Uploads that a power cut ends between a file and its rows: neither is left alone for good."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.models import AuditEntry, Frame, User
from app.services import leftovers, uploaded_products, uploads
from app.services.uploaded_products import Made
from app.services.uploads import Taken
from reduction import fitsio
from tests.app.services.rawfiles import all_frames, file_of, fits_bytes, rest, scan
from tests.app.services.test_uploads import arrived, upload
from tests.factories import make_user

REDUCED = Made(level=2)


class PowerCutError(BaseException):
    """The machine stops here."""


@contextmanager
def power_cut_in(module: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop before the rows; nothing is tidied up afterwards."""
    with monkeypatch.context() as patched:

        def cut(*_: object, **__: object) -> None:
            patched.setattr(Path, "unlink", cut)
            raise PowerCutError

        patched.setattr(module, "_record", cut)
        with pytest.raises(PowerCutError):
            yield
    db.session.rollback()


def upload_product(user: User, name: str, content: bytes) -> Taken:
    with arrived((name, content)) as files:
        return uploaded_products.take(user, files, REDUCED)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def in_raw() -> list[Path]:
    return files_below(paths.current().raw)


def among_products() -> list[Path]:
    return files_below(paths.current().data / "PROCESSED")


def stones() -> list[Path]:
    return files_below(paths.current().data / ".uploaded")


def let_rest() -> None:
    """Let what lies there look as if it had been there for long."""
    for path in [*among_products(), *stones()]:
        os.utime(path, (1e9, 1e9))


# Raw frames


def test_frame_a_scan_makes_of_an_upload_cut_short_is_its_uploaders(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with power_cut_in(uploads, monkeypatch):
        upload(observer, "a.fits", fits_bytes())
    rest(in_raw()[0])

    scan()

    (frame,) = all_frames()
    assert frame.owner_id == observer.id
    acts = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "uploaded")).all()
    assert [(act.user_id, act.detail) for act in acts] == [(observer.id, frame.path)]
    assert stones() == []


def test_upload_cut_short_waits_for_the_scan_that_finds_it(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with power_cut_in(uploads, monkeypatch):
        upload(observer, "a.fits", fits_bytes())
    let_rest()

    scan()  # written to just now: not registered yet
    leftovers.sweep()
    assert len(stones()) == 1
    rest(in_raw()[0])
    scan()

    assert [frame.owner_id for frame in all_frames()] == [observer.id]
    assert stones() == []


def test_other_content_under_the_name_is_not_the_uploaders(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with power_cut_in(uploads, monkeypatch):
        upload(observer, "a.fits", fits_bytes())
    in_raw()[0].write_bytes(fits_bytes(OBJECT="another"))
    rest(in_raw()[0])

    scan()

    assert [frame.owner_id for frame in all_frames()] == [None]
    assert stones() == []


def test_lost_file_that_came_back_stays_whose_it_was(
    app: Flask, observer: User, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = paths.current().raw / "night" / "a.fits"
    path.parent.mkdir()
    path.write_bytes(fits_bytes())
    rest(path)
    scan()
    (before,) = all_frames()
    with transaction():
        file_of("night/a.fits").content_sha256 = fitsio.content_sha256(path)
    path.unlink()
    scan()

    with power_cut_in(uploads, monkeypatch):
        upload(observer, "a.fits", fits_bytes())
    rest(in_raw()[0])
    scan()

    assert [(frame.id, frame.owner_id) for frame in all_frames()] == [(before.id, None)]
    assert stones() == []


def test_upload_that_succeeds_leaves_nothing_written_down(app: Flask, observer: User) -> None:
    assert len(upload(observer, "a.fits", fits_bytes()).frames) == 1
    assert len(upload_product(observer, "p.fits", fits_bytes()).frames) == 1

    assert stones() == []


def test_what_cannot_be_read_stops_no_scan(app: Flask, observer: User) -> None:
    folder = paths.current().data / ".uploaded"
    folder.mkdir()
    for name, content in (("a", ""), ("b", "[]"), ("c", json.dumps({"path": "RAW/x"}))):
        (folder / f"{name}.json").write_text(content)

    scan()

    assert stones() == []


# Products


def test_product_a_power_cut_left_without_a_row_is_swept(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = upload_product(observer, "kept.fits", fits_bytes(OBJECT="kept")).frames[0]
    with power_cut_in(uploaded_products, monkeypatch):
        upload_product(observer, "a.fits", fits_bytes())
    assert len(among_products()) == 2

    assert leftovers.sweep() == 0  # perhaps still at work
    let_rest()
    assert leftovers.sweep() == 1

    assert among_products() == [paths.current().data / kept.path]
    assert stones() == []


@pytest.mark.parametrize("change", ["recorded", "rewritten"])
def test_product_that_is_somebodys_by_now_is_not_swept(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    with power_cut_in(uploaded_products, monkeypatch):
        upload_product(observer, "a.fits", fits_bytes())
    (path,) = among_products()
    if change == "recorded":
        frame = upload_product(observer, "b.fits", fits_bytes()).frames[0]
        os.replace(paths.current().data / frame.path, path)  # noqa: PTH105 - two paths
        with transaction():
            frame.path = paths.current().relative(path)
    else:
        path.write_bytes(b"another")
    let_rest()

    leftovers.sweep()

    assert among_products() == [path]
    assert stones() == []


@pytest.mark.parametrize("error", [SystemExit, RuntimeError])
def test_product_is_taken_away_whatever_keeps_its_rows_from_being_written(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(uploaded_products, "_link", fail)

    with pytest.raises(error):
        upload_product(observer, "a.fits", fits_bytes())

    assert (among_products(), stones()) == ([], [])
    assert db.session.scalars(select(Frame)).all() == []


def test_product_sent_several_times_at_once_is_one_frame(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id, together = make_user("sender").id, Barrier(3)
    place: Callable[..., Path] = uploaded_products._place

    def place_together(*given: object) -> Path:
        path = place(*given)
        together.wait(60)  # all have looked for the same content, and found none
        return path

    monkeypatch.setattr(uploaded_products, "_place", place_together)

    def send(_: int) -> list[str]:
        with app.app_context():
            taken = upload_product(db.session.get_one(User, user_id), "a.fits", fits_bytes())
            return [one.code for one in taken.refused]

    with ThreadPoolExecutor(3) as pool:
        refused = sorted(pool.map(send, range(3)))

    db.session.rollback()
    assert refused == [[], ["duplicate"], ["duplicate"]]
    assert len(all_frames()) == 1
    assert among_products() == [paths.current().data / all_frames()[0].path]
    assert stones() == []
