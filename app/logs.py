"""Log files: the main log every process writes to, and one log a job.

A line reads ``21/11/2026 02:10:44 - PID 7 - MainThread - INFO - blocks.py - process() - text``,
times in UTC. Levels are DEBUG, INFO, TIME, WARNING and CRITICAL: what Python calls an error is
CRITICAL here, and TIME says how long something took.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Final

TIME: Final = 25  # between INFO and WARNING
LARGEST: Final = 10 << 20  # bytes of the main log before it is set aside
KEPT: Final = 5  # older main logs

_LINE: Final = (
    "%(asctime)s - PID %(process)d - %(threadName)s - %(levelname)s"
    " - %(filename)s - %(funcName)s() - %(message)s"
)


class LineFormatter(logging.Formatter):
    """One log line in the form the S-PLUS page colours."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(_LINE, datefmt="%d/%m/%Y %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the level has one of the five names that page knows."""
        named = logging.makeLogRecord(record.__dict__)
        if record.levelno == TIME:
            named.levelname = "TIME"
        elif record.levelno >= logging.ERROR:
            named.levelname = "CRITICAL"
        return super().format(named)


def set_up(main_log: Path) -> None:
    """Send this process's records to the main log.

    The file is reopened when the runner has set it aside, so any number of processes can write.
    """
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(_handler(WatchedFileHandler(main_log, delay=True, encoding="utf-8")))
    logging.captureWarnings(capture=True)
    for noisy in ("alembic", "rq", "numba", "matplotlib", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _handler(handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(LineFormatter())
    return handler


@contextmanager
def job_log(path: Path) -> Iterator[logging.Logger]:
    """Send everything this process logs to a job's own file as well; it does one job at a time."""
    handler = _handler(logging.FileHandler(path, encoding="utf-8"))
    logger = logging.getLogger("app.jobs")
    before = logger.level
    logger.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        yield logger
    finally:
        logging.getLogger().removeHandler(handler)
        logger.setLevel(before)
        handler.close()


def set_aside(main_log: Path, *, largest: int = LARGEST) -> bool:
    """Start a new main log where it has grown too large; only the runner calls this."""
    try:
        if main_log.stat().st_size < largest:
            return False
    except FileNotFoundError:
        return False
    for number in range(KEPT - 1, 0, -1):
        older = main_log.with_name(f"{main_log.name}.{number}")
        if older.exists():
            older.replace(main_log.with_name(f"{main_log.name}.{number + 1}"))
    main_log.replace(main_log.with_name(f"{main_log.name}.1"))
    return True
