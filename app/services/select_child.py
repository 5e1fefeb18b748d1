"""The program that runs one SELECT of a user: a process of its own, under limits, then gone.

Standard library only; started as ``python -I -S`` by `app.services.queries`, never imported. It
reads one JSON object from standard input, writes CSV to standard output, which is a file, and one
JSON line, how it went, to standard error. What bounds it: the operating system's limits on memory,
time, file size and processes; SQLite's own limits; a connection that cannot write; and an
authorizer that knows the views it may read and denies everything it does not know.
"""

import csv
import json
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Any

MEMORY_BYTES = 300 << 20
LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 20_000),
    (sqlite3.SQLITE_LIMIT_COLUMN, 200),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 10),
    (sqlite3.SQLITE_LIMIT_VDBE_OP, 25_000),
    (sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 8),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100),
    (sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 50),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)
# Not here: whatever makes large values from small ones (printf, zeroblob, replace, group_concat,
# hex, quote), reads files, or tells about the program.
_FUNCTION_NAMES = """
    abs acos asin atan atan2 avg cast ceil coalesce cos count date datetime degrees dense_rank exp
    first_value floor glob ifnull iif instr julianday lag last_value lead length like ln log log10
    lower ltrim max min mod ntile nullif pi pow power radians rank round row_number rtrim sign sin
    sqrt strftime substr substring sum tan time total trim typeof unixepoch upper
"""
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
PROGRESS_STEPS = 2000
FORMULA_STARTS = frozenset("=@\t\r")
CALLS = frozenset("(|!=")  # without one of these a sign begins a number or a name

Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]


def confine(seconds: int, max_bytes: int) -> None:
    """Take from this process what a SELECT does not need, for good."""
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds + 2),
        (resource.RLIMIT_FSIZE, max_bytes + (2 << 20)),  # a closed WAL database needs some
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def connect(path: str, views: dict[str, str], inner: dict[str, str]) -> sqlite3.Connection:
    """Open the database for reading and make the caller's views.

    Each public view reads an inner one whose name is drawn anew for each query. Base tables may be
    read only in the name of an inner view: SQLite also reports the name of a WITH table as the
    reader, so a name the query's author knows would prove nothing.
    """
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(
        f"file:{escaped}?mode=ro", uri=True, timeout=5, isolation_level=None, cached_statements=0
    )
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    for pragma in ("temp_store=MEMORY", "trusted_schema=OFF", "cache_size=-8192", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}")
    for name, sql in views.items():
        connection.execute(f'CREATE TEMP VIEW "{inner[name]}" AS {sql}')
        connection.execute(f'CREATE TEMP VIEW "{name}" AS SELECT * FROM "{inner[name]}"')  # noqa: S608
    connection.execute("PRAGMA query_only=ON")
    return connection


def authorizer(order: dict[str, Any], real: set[str]) -> Authorizer:
    """Return the authorizer that allows reading the views, and nothing else.

    Of a table of which no column but its rowid is used, SQLite asks without saying in whose name.
    A view may do that; a query that spells the table's name may not, since it would count rows.
    """
    outer_views, inner_views = frozenset(order["inner"]), frozenset(order["inner"].values())
    columns = {table: frozenset(names) for table, names in order["readable"].items()}
    spelt = frozenset(table for table in columns if table.lower() in order["sql"].lower())

    def may_read(table: str, column: str, reader: str | None) -> bool:
        if table in outer_views or table in inner_views:
            return True
        if table in columns:
            if not column:
                return reader in inner_views or table not in spelt
            return reader in inner_views and column in columns[table]
        # count(*) over a WITH table or a subquery asks for no column of a table that is none
        hidden = table.lower() in real or table.lower().startswith(("sqlite_", "pragma_"))
        return not column and not hidden

    def authorize(
        action: int, first: str | None, second: str | None, _base: str | None, reader: str | None
    ) -> int:
        allowed = action in {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE}
        if action == sqlite3.SQLITE_FUNCTION:
            allowed = (second or "").lower() in FUNCTIONS or reader in inner_views
        if action == sqlite3.SQLITE_READ:
            allowed = may_read(first or "", second or "", reader)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    return authorize


def arm(connection: sqlite3.Connection, order: dict[str, Any]) -> None:
    """Set limits, authorizer and deadline; nothing after this may use the connection freely."""
    rows = connection.execute("SELECT name FROM main.sqlite_master")
    real = {name.lower() for (name,) in rows}
    real |= {row[0].lower() for row in connection.execute("PRAGMA module_list")}
    for limit, value in LIMITS:
        connection.setlimit(limit, value)
    connection.set_authorizer(authorizer(order, real))
    end = time.monotonic() + order["seconds"]
    connection.set_progress_handler(lambda: time.monotonic() > end, PROGRESS_STEPS)


def write_rows(cursor: sqlite3.Cursor, max_rows: int, max_bytes: int) -> dict[str, Any]:
    """Write the answer as CSV, up to the caps, and say how much that was."""
    out = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=False)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column[0] for column in cursor.description])
    n_rows = n_bytes = 0
    truncated = False
    for row in cursor:
        n_bytes += sum(len(cell) if isinstance(cell, str | bytes) else 8 for cell in row)
        if n_rows >= max_rows or n_bytes > max_bytes:
            truncated = True
            break
        writer.writerow(_cells(row))
        n_rows += 1
    out.flush()
    return {"rows": n_rows, "truncated": truncated}


def plain(text: str) -> str:
    """Return a text cell so that no spreadsheet takes it for a formula; numbers are none.

    What a header says may begin with an equals sign for no good reason. An apostrophe in front is
    what spreadsheets themselves write before such text.
    """
    is_formula = text[:1] in FORMULA_STARTS or (text[:1] in "+-" and not CALLS.isdisjoint(text))
    return f"'{text}" if text and is_formula else text


def _cells(row: Sequence[Any]) -> list[Any]:
    cells = [cell.hex() if isinstance(cell, bytes) else cell for cell in row]
    return [plain(cell) if isinstance(cell, str) else cell for cell in cells]


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Run the query of `order` and return how it went."""
    try:
        connection = connect(order["path"], order["views"], order["inner"])
    except sqlite3.Error as error:
        return {"kind": "setup", "detail": str(error)}
    try:
        arm(connection, order)
        cursor = connection.execute(order["sql"])
        if cursor.description is None:
            return {"kind": "refused", "detail": "not a SELECT"}
        return write_rows(cursor, order["max_rows"], order["max_bytes"])
    except MemoryError:
        return {"kind": "memory", "detail": ""}
    except (sqlite3.Error, sqlite3.Warning, ValueError, OSError) as error:
        return {"kind": _kind(error), "detail": str(error)}


def _kind(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    kinds = {
        sqlite3.SQLITE_AUTH: "refused",
        sqlite3.SQLITE_INTERRUPT: "time",
        sqlite3.SQLITE_NOMEM: "memory",
        sqlite3.SQLITE_READONLY: "refused",
    }
    return kinds.get(code, "query") if code is not None else "query"


def main() -> None:
    """Read the order, confine this process, answer."""
    order = json.load(sys.stdin)
    confine(order["seconds"], order["max_bytes"])
    report = run(order)
    json.dump(report, sys.stderr)


if __name__ == "__main__":
    main()
