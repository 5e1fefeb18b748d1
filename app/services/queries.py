"""The read-only SQL door: one SELECT of a user over their views, its answer a CSV file."""

import fcntl
import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import make_url
from sqlalchemy.dialects import sqlite

from app import config, paths
from app.db import db, utcnow
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import User
from app.services import settings
from app.services.select_views import readable_columns, views_for

NEWEST: Final = "query_result.csv"  # the fixed name under TMP/: the caller's newest
MAX_BYTES: Final = 64 << 20
AT_ONCE: Final = 2  # a SELECT may take 300 MB and a core
KEPT_RESULTS: Final = 5  # of each user
_PATIENCE_S: Final = 5.0
_CHILD: Final = Path(__file__).with_name("select_child.py")
_LEADING: Final = re.compile(r"(?:\s|;|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_OWN_RESULT: Final = re.compile(r"query_u(\d+)_\w+\.csv")


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to a SELECT: a file below TMP/, and whether it is all there was."""

    file_name: str
    n_rows: int
    is_truncated: bool


def run(user: User, sql: str) -> QueryResult:
    """Run one SELECT as `user` and keep its answer as a file only they can fetch.

    Raises
    ------
    InvalidRequestError
        If it is no SELECT, reads what it may not, or is more than one query may cost.
    ConflictError
        If as many queries as may run at once are running.
    """
    _refuse_what_is_no_select(sql)
    order = _order(user, sql)
    stamp = f"{utcnow():%Y%m%dT%H%M%S%f}"
    name = f"query_u{user.id}_{stamp}_{secrets.token_hex(4)}.csv"
    path = paths.current().tmp_results / name
    partial = path.with_name(f".{name}")
    db.session.rollback()  # holds no connection while the child runs
    try:
        with _turn(), partial.open("xb") as out:
            report = _run_child(order, out)
        if "kind" in report:
            raise InvalidRequestError(_sentence(report, order))
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    _forget_old_results(user)
    return QueryResult(name, report["rows"], report["truncated"])


def result_file(user: User, name: str) -> Path:
    """Return the file of a result below TMP/ that `user` may fetch.

    Raises
    ------
    NotFoundError
        If there is none, or it is the answer to someone else.
    """
    folder = paths.current().tmp_results
    if name == NEWEST:
        own = _results_of(user)
        if not own:
            raise NotFoundError("you have no query result yet")
        return own[-1]
    owned = _OWN_RESULT.fullmatch(name)
    is_own = owned is not None and int(owned[1]) == user.id
    if not is_own and not user.is_staff and not user.is_superuser:
        raise NotFoundError("no such result")
    return paths.safe_join(folder, name)


def _refuse_what_is_no_select(sql: str) -> None:
    leading = _LEADING.match(sql)
    rest = sql[leading.end() if leading else 0 :]
    if not re.match(r"(?i)(?:select|with)\b", rest):
        raise InvalidRequestError("Only one SELECT (or WITH ... SELECT) may be run here.")
    if "\0" in sql:
        raise InvalidRequestError("The query contains a NUL character.")


def _order(user: User, sql: str) -> dict[str, Any]:
    """Return what the child needs to know, and nothing else."""
    url = make_url(config.current().database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise InvalidRequestError(
            "SELECT is not available here yet: this site's database is PostgreSQL, which needs a"
            " role of its own that can only read, and this version does not set one up."
        )
    views = views_for(user)
    values = settings.snapshot()
    return {
        "path": str(Path(url.database).resolve()),
        "sql": sql,
        "views": {name: _text(view) for name, view in views.items()},
        "inner": {name: f"v{secrets.token_hex(16)}" for name in views},
        "readable": readable_columns(views),
        "seconds": max(1, values.integer("query.timeout_s")),
        "max_rows": max(1, values.integer("query.max_rows")),
        "max_bytes": MAX_BYTES,
    }


def _text(view: Any) -> str:  # noqa: ANN401 - a Select of any columns
    compiled = view.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    return str(compiled)


def _run_child(order: dict[str, Any], out: IO[bytes]) -> dict[str, Any]:
    child = subprocess.Popen(  # noqa: S603 - our own program, its input is data
        [sys.executable, "-I", "-S", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        start_new_session=True,
    )
    try:
        _, said = child.communicate(json.dumps(order).encode(), timeout=order["seconds"] + 10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return {"kind": "time", "detail": ""}
    return _report(child.returncode, said)


def _report(code: int, said: bytes) -> dict[str, Any]:
    """Return what the child said; one that died without a word was over its limits."""
    try:
        report = json.loads(said)
    except ValueError:
        report = None
    if code == 0 and isinstance(report, dict):
        return report
    return {"kind": "memory" if b"MemoryError" in said else "killed", "detail": f"exit {code}"}


def _sentence(report: dict[str, Any], order: dict[str, Any]) -> str:
    """Return in a sentence why the query was not answered, and what to do about it."""
    detail = str(report["detail"])
    tables = ", ".join(order["inner"])
    if report["kind"] == "query" and detail.startswith("no such table"):
        return f"{detail}. The tables are: {tables}."
    return {
        "refused": f"The query uses what is closed here ({detail}). It may read: {tables}.",
        "time": f"The query took longer than {order['seconds']} s and was stopped; narrow it.",
        "memory": "The query needs more memory than one may take; narrow it or add LIMIT.",
        "killed": "The query went over its limits of time or memory and was stopped; narrow it.",
        "query": f"{detail}.",
    }.get(report["kind"], f"The database could not be opened for reading: {detail}.")


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for one of the few places; they are file locks, so that processes share them."""
    folder = paths.current().run
    end = time.monotonic() + _PATIENCE_S
    while True:
        for place in range(AT_ONCE):
            with (folder / f"select-{place}.lock").open("w") as lock:
                if _taken(lock):
                    continue
                yield
                return
        if time.monotonic() > end:
            raise ConflictError("Other queries are running; try again in a few seconds.")
        time.sleep(0.05)


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _results_of(user: User) -> list[Path]:
    """Return the results kept for `user`, oldest first: their names begin with the moment."""
    return sorted(paths.current().tmp_results.glob(f"query_u{user.id}_*.csv"))


def _forget_old_results(user: User) -> None:
    for path in _results_of(user)[:-KEPT_RESULTS]:
        path.unlink(missing_ok=True)
