"""SELECT on SQLite: a child process opens the file for reading, with views made for the caller."""

import fcntl
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Select, make_url
from sqlalchemy.dialects import sqlite

from app import config, paths
from app.errors import ConflictError
from app.services import select_process
from app.services.select_views import readable_columns

AT_ONCE: Final = 2  # a SELECT may take 300 MB and a core
_PROGRAM: Final = Path(__file__).with_name("select_child.py")
# Isolated, without site-packages: it starts in 30 ms and can import nothing but the library.
_OPTIONS: Final = ("-I", "-S")


def run(order: dict[str, Any], views: Mapping[str, Select[Any]], out: IO[bytes]) -> dict[str, Any]:
    """Write the answer to `order` into `out`, when it is its turn, and return the report.

    Raises
    ------
    ConflictError
        If as many queries as may run at once are running.
    """
    path = make_url(config.current().database_url).database or ""
    order |= {
        "path": str(Path(path).resolve()),
        "views": {name: _text(view) for name, view in views.items()},
        "inner": {name: f"v{secrets.token_hex(16)}" for name in views},
        "readable": readable_columns(views),
    }
    with turn():
        report = select_process.run(_PROGRAM, _OPTIONS, order, out)
    if report.get("kind") == "query" and report["detail"].startswith("no such table"):
        report["kind"] = "unknown"
    return report


def _text(view: Select[Any]) -> str:
    options = {"literal_binds": True}
    return str(view.compile(dialect=sqlite.dialect(), compile_kwargs=options))


@contextmanager
def turn() -> Iterator[None]:
    """Wait for one of the few places; they are file locks, so that processes share them."""
    folder = paths.current().run
    end = time.monotonic() + select_process.PATIENCE_S
    while True:
        for place in range(AT_ONCE):
            with (folder / f"select-{place}.lock").open("w") as lock:
                if _is_taken(lock):
                    continue
                yield
                return
        if time.monotonic() > end:
            raise ConflictError("Other queries are running; try again in a few seconds.")
        time.sleep(0.05)


def _is_taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
