"""The watcher: takes what lies in RAW, and has the plan made once the night is quiet."""

import logging
from datetime import date

import pytest
from flask import Flask

from app import paths
from app.db import db
from app.jobs.watcher import Watcher
from app.models import Job, ScannedFile, User
from app.services import settings
from tests.app.services.rawfiles import fits_bytes, store
from tests.factories import make_frame


@pytest.fixture
def watcher(app: Flask) -> Watcher:
    return Watcher(app)


def plans() -> list[Job]:
    return db.session.query(Job).filter_by(function="blocks.plan_nights").all()


def test_new_files_are_taken(watcher: Watcher) -> None:
    (paths.current().raw / "notes.fits").write_text("not an image")

    watcher.look()

    assert [row.state for row in db.session.query(ScannedFile)] != []


def test_what_a_look_took_in_is_logged_once_and_each_quarantined_file(
    watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.jobs.watcher")
    watcher.look()
    assert caplog.records == []
    store(paths.current().raw / "good.fits", fits_bytes())
    store(paths.current().raw / "notes.fits", b"text" * 1000)

    for _ in range(2):
        watcher.look()

    said = [record.getMessage() for record in caplog.records if record.name == "app.jobs.watcher"]
    assert len(said) == 2
    assert said[0].startswith("notes.fits: quarantined: ")
    assert said[1].startswith("RAW: 1 registered, 1 quarantined; 2 new or changed")


def test_nothing_is_taken_where_watching_is_off(watcher: Watcher, staff: User) -> None:
    settings.change("scan", "watch", False, by=staff)
    (paths.current().raw / "notes.fits").write_text("not an image")

    watcher.look()

    assert db.session.query(ScannedFile).count() == 0


def test_raw_that_is_away_is_told_once_and_its_return_too(
    watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    raw = paths.current().raw
    raw.rename(raw.with_name("unmounted"))
    with caplog.at_level(logging.WARNING, "app.jobs.watcher"):
        for _ in range(3):
            watcher.look()
        raw.with_name("unmounted").rename(raw)
        watcher.look()

    said = [record.getMessage() for record in caplog.records if record.name == "app.jobs.watcher"]
    assert len(said) == 2
    assert said[0].startswith("RAW was not scanned: ")
    assert said[1] == "RAW can be read again"


def test_plan_is_made_once_frames_stop_coming(watcher: Watcher, staff: User) -> None:
    settings.change("scan", "watch", False, by=staff)  # the frames come through another door
    settings.change("plan", "automatic", True, by=staff)
    counts = []

    for frames in (3, 2, 0, 0, 0):
        for _ in range(frames):
            make_frame("bias", night=date(2026, 11, 20))
        watcher.look()
        counts.append(len(plans()))

    assert counts == [0, 0, 1, 1, 1]
    assert plans()[0].arguments == {"nights": ["2026-11-20"]}


def test_plan_is_left_to_people_where_the_site_wants_that(watcher: Watcher) -> None:
    make_frame("bias")

    for _ in range(3):
        watcher.look()

    assert plans() == []
