import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask

from app import paths
from app.jobs import ingest as job
from app.jobs.runner import JobContext
from app.models import User
from app.services import ingest, settings, turns
from app.services.jobs import JobCancelledError
from tests.app.services.rawfiles import all_frames, fits_bytes, store


@dataclass
class Context:
    """What the scan uses of a job's context."""

    arguments: dict[str, Any]
    owner_id: int | None = None
    result: dict[str, Any] | None = None
    heard: list[tuple[float, str]] = field(default_factory=list)
    is_cancelled: bool = False
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("tests.scan"))

    def progress(self, fraction: float, step: str = "") -> None:
        self.heard.append((fraction, step))

    def check(self) -> None:
        if self.is_cancelled:
            raise JobCancelledError

    @contextmanager
    def finish(self, result: dict[str, Any] | None = None) -> Iterator[None]:
        yield
        self.result = result


def run(context: Context) -> None:
    job.scan_folder(cast(JobContext, context))


@pytest.fixture
def raw(app: Flask) -> Path:
    return paths.current().raw


def test_scan_registers_and_says_what_was_bad(raw: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store(raw / "night" / "a.fits", fits_bytes())
    store(raw / "night" / "bad.fits", b"text" * 1000)
    store(raw / "elsewhere" / "b.fits", fits_bytes(OBJECT="Other"))
    context = Context({"folder": "night"})

    run(context)

    assert [frame.path for frame in all_frames()] == ["RAW/night/a.fits"]
    assert context.result is not None
    assert context.result["counts"] == {"registered": 1, "quarantined": 1}
    assert context.heard[-1] == (1.0, "2 of 2 files")
    lines = [record.getMessage() for record in caplog.records if record.name == "tests.scan"]
    assert lines[0].startswith("night/bad.fits: quarantined: ")
    assert lines[-1].startswith("RAW/night: 1 registered, 1 quarantined; 2 new or changed")


def test_name_filter_and_again_reach_the_scan(raw: Path) -> None:
    store(raw / "bias.fits", fits_bytes())
    store(raw / "flat.fits", fits_bytes(OBJECT="Other"))
    run(Context({"folder": "", "contains": "bias"}))
    assert len(all_frames()) == 1

    again = Context({"folder": "", "contains": "bias", "again": True})
    run(again)

    assert again.result is not None
    assert again.result["changed"] == 1


def test_cancelled_scan_stops(raw: Path) -> None:
    store(raw / "a.fits", fits_bytes())
    context = Context({"folder": ""}, is_cancelled=True)

    with pytest.raises(JobCancelledError):
        run(context)

    assert context.result is None


def test_requested_scan_names_this_function(raw: Path, observer: User) -> None:
    requested = ingest.request_scan("", owner=observer)

    assert requested.function == f"ingest.{job.scan_folder.__name__}"
    assert [open_job.id for open_job in turns.open_jobs()] == [requested.id]


@pytest.mark.parametrize("visibility", ["everyone", "members"])
def test_log_names_and_counts_no_files_where_its_reader_may_not_see_every_frame(
    raw: Path, observer: User, staff: User, visibility: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings.change("access", "visibility", visibility, by=staff)
    store(raw / "secret.fits", b"text" * 1000)

    context = Context({}, owner_id=observer.id)
    run(context)

    assert ("counts" in (context.result or {})) is (visibility == "everyone")
    assert ("secret.fits" in caplog.text) is (visibility == "everyone")
    assert ("1 quarantined" in caplog.text) is (visibility == "everyone")
