"""The read-only SQL door: one SELECT of a user over their views, its answer a CSV file."""

import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from app import paths
from app.db import db, utcnow
from app.errors import InvalidRequestError, NotFoundError
from app.models import User
from app.services import select_postgresql, select_sqlite, settings
from app.services.select_views import views_for

NEWEST: Final = "query_result.csv"  # the fixed name under TMP/: the caller's newest
MAX_BYTES: Final = 64 << 20
PARTIAL_KEPT_S: Final = 86_400.0
KEPT_RESULTS: Final = 5  # of each user
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
    statement = _one_select(sql)
    _sweep_partial_results()
    stamp = f"{utcnow():%Y%m%dT%H%M%S%f}"
    name = f"query_u{user.id}_{stamp}_{secrets.token_hex(4)}.csv"
    path = paths.current().tmp_results / name
    partial = path.with_name(f".{name}")
    try:
        with partial.open("xb") as out:
            report = _answer(user, statement, out)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    _forget_old_results(user)
    return QueryResult(name, report["rows"], report["truncated"])


def _answer(user: User, statement: str, out: IO[bytes]) -> dict[str, Any]:
    views = views_for(user)
    values = settings.snapshot()
    seconds = max(1, values.integer("query.timeout_s"))
    order = {
        "sql": statement,
        "seconds": seconds,
        "max_rows": max(1, values.integer("query.max_rows")),
        "max_bytes": MAX_BYTES,
    }
    is_postgresql = db.engine.dialect.name == "postgresql"
    db.session.rollback()  # holds no connection while the query runs
    ask = select_postgresql.run if is_postgresql else select_sqlite.run
    report = ask(order, views, out)
    if "kind" in report:
        raise InvalidRequestError(_sentence(report, seconds, list(views)))
    return report


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
        raise NotFoundError("no such file")  # in the words of every other file
    return paths.safe_join(folder, name)


def _one_select(sql: str) -> str:
    """Return the query without what comes before it; what runs it takes one statement only."""
    leading = _LEADING.match(sql)
    statement = sql[leading.end() if leading else 0 :]
    if not re.match(r"(?i)(?:select|with)\b", statement):
        raise InvalidRequestError("Only one SELECT (or WITH ... SELECT) may be run here.")
    if "\0" in statement:
        raise InvalidRequestError("The query contains a NUL character.")
    return statement


def _sentence(report: dict[str, Any], seconds: int, tables: Sequence[str]) -> str:
    """Return in a sentence why the query was not answered, and what to do about it."""
    detail, there_are = str(report["detail"]), ", ".join(tables)
    return {
        "refused": f"The query uses what is closed here ({detail}). It may read: {there_are}.",
        "unknown": f"{detail}. The tables are: {there_are}.",
        "time": f"The query took longer than {seconds} s and was stopped; narrow it.",
        "memory": "The query needs more memory than one may take; narrow it or add LIMIT.",
        "killed": "The query went over its limits of time or memory and was stopped; narrow it.",
        "query": f"{detail}.",
    }.get(report["kind"], f"The database could not be opened for reading: {detail}.")


def _results_of(user: User) -> list[Path]:
    """Return the results kept for `user`, oldest first: their names begin with the moment."""
    return sorted(paths.current().tmp_results.glob(f"query_u{user.id}_*.csv"))


def _forget_old_results(user: User) -> None:
    for path in _results_of(user)[:-KEPT_RESULTS]:
        path.unlink(missing_ok=True)


def _sweep_partial_results() -> None:
    """Remove answers that nobody writes any more: a process that is killed leaves its own."""
    for path in paths.current().tmp_results.glob(".query_*.csv"):
        with suppress(FileNotFoundError):  # finished or swept by another just now
            if time.time() - path.stat().st_mtime > PARTIAL_KEPT_S:
                path.unlink()
