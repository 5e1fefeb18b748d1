"""The watcher: looks at RAW every few seconds and takes what is new."""

import logging
from collections.abc import Callable

from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from app import config
from app.db import db
from app.errors import AppError
from app.models import Frame, Level
from app.services import ingest, plan, processes, settings

log = logging.getLogger(__name__)


class Watcher:
    """Scans RAW by itself: a job each time would bury the night's own jobs under thousands."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._said = ""
        self._newest: int | None = None
        self._planned: int | None = None

    def run(self, must_stop: Callable[[], bool]) -> None:
        """Look every `scan.interval_s` while `scan.watch` is on."""
        with self._app.app_context():
            processes.limit_memory(config.current().worker_memory_mb)
        while not must_stop():
            with self._app.app_context():
                interval_s = settings.snapshot().number("scan.interval_s")
                self.look()
            processes.sleep(interval_s, must_stop)

    def look(self) -> None:
        """Scan RAW once, and have the plan made once nothing new comes any more."""
        try:
            if settings.snapshot().flag("scan.watch"):
                _tell(ingest.scan(""))
            self._plan()
            trouble = ""
        except (AppError, OSError, OperationalError) as error:
            trouble = f"RAW was not scanned: {error}"
        if trouble != self._said:
            log.warning("%s", trouble or "RAW can be read again")
        self._said = trouble

    def _plan(self) -> None:
        """Frames come through other doors too, so what counts is the newest row."""
        before = self._newest
        self._newest = db.session.scalar(select(func.max(Frame.id)).where(Frame.level == Level.RAW))
        if self._newest == before and self._newest != self._planned:
            plan.auto()
            self._planned = self._newest


def _tell(report: ingest.ScanReport) -> None:
    """Log a scan that changed something; a look that found nothing new says nothing."""
    for change in report.quarantined:
        log.warning("%s: %s: %s", change.path, change.state, change.reason)
    if report.changes:
        log.info("%s", report.message)
