"""The watcher: looks at RAW every few seconds and takes what is new."""

import logging
from collections.abc import Callable

from flask import Flask
from sqlalchemy.exc import OperationalError

from app.errors import AppError
from app.services import ingest, processes, settings

log = logging.getLogger(__name__)


def run(app: Flask, must_stop: Callable[[], bool]) -> None:
    """Scan RAW every `scan.interval_s` while `scan.watch` is on.

    It scans by itself: a job each time would bury the night's own jobs under thousands.
    """
    processes.limit_memory(app.extensions["coelostat.config"].worker_memory_mb)
    said = ""
    while not must_stop():
        with app.app_context():
            snapshot = settings.snapshot()
            trouble = look() if snapshot.flag("scan.watch") else ""
        if trouble != said:
            log.warning("%s", trouble or "RAW can be read again")
        said = trouble
        processes.sleep(snapshot.number("scan.interval_s"), must_stop)


def look() -> str:
    """Scan RAW once; return why that was not possible, nothing where it was."""
    try:
        ingest.scan("")
    except (AppError, OSError, OperationalError) as error:
        return f"RAW was not scanned: {error}"
    return ""
