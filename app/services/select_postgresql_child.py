"""The program that runs one SELECT of a user on PostgreSQL: a process of its own, under limits.

Started as ``python -I`` by `app.services.select_postgresql`, never imported. The role it connects
as owns nothing and may read one schema. The query goes by the extended protocol, which takes one
statement only; its time limit is armed before it starts, so that it cannot lift it; rows come one
by one, so that a long answer costs no memory; and the transaction is always rolled back.
"""

import csv
import json
import resource
import sys
from io import TextIOWrapper
from typing import Any

import psycopg
from psycopg import errors

MEMORY_BYTES = 600 << 20
FORMULA_STARTS = frozenset("=@\t\r")
CALLS = frozenset("(|!=")  # without one of these a sign begins a number or a name


def confine(seconds: int, max_bytes: int) -> None:
    """Take from this process what a SELECT does not need, for good."""
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds + 5),
        (resource.RLIMIT_FSIZE, max_bytes + (2 << 20)),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def session_options(order: dict[str, Any]) -> str:
    """Return the settings the session begins with."""
    milliseconds = order["seconds"] * 1000
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": milliseconds,
        "lock_timeout": 1000,
        "idle_in_transaction_session_timeout": milliseconds,
        "client_connection_check_interval": 500,
        "search_path": order["schema"],
        "work_mem": "8MB",
        "max_parallel_workers_per_gather": 0,
        "jit": "off",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def plain(text: str) -> str:
    """Return a text cell so that no spreadsheet takes it for a formula; numbers are none.

    What a header says may begin with an equals sign for no good reason. An apostrophe in front is
    what spreadsheets themselves write before such text.
    """
    is_formula = text[:1] in FORMULA_STARTS or (text[:1] in "+-" and not CALLS.isdisjoint(text))
    return f"'{text}" if text and is_formula else text


def _cell(value: Any) -> Any:  # noqa: ANN401 - whatever the database has
    if isinstance(value, bytes):
        return value.hex()
    return plain(value) if isinstance(value, str) else value


def write_rows(cursor: psycopg.Cursor[Any], order: dict[str, Any]) -> dict[str, Any]:
    """Write the answer as CSV, up to the caps, and say how much that was."""
    out = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
    writer = csv.writer(out, lineterminator="\n")
    n_rows = n_bytes = 0
    truncated = False
    for row in cursor.stream(order["sql"]):
        if n_rows == 0:
            writer.writerow(column.name for column in cursor.description or ())
        n_bytes += sum(len(str(cell)) for cell in row)
        if n_rows >= order["max_rows"] or n_bytes > order["max_bytes"]:
            truncated = True
            break
        writer.writerow([_cell(cell) for cell in row])
        n_rows += 1
    if n_rows == 0:
        writer.writerow(column.name for column in cursor.description or ())
    out.flush()
    return {"rows": n_rows, "truncated": truncated}


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Run the query of `order` and return how it went."""
    try:
        connection = psycopg.connect(
            order["url"], options=session_options(order), connect_timeout=5
        )
    except psycopg.Error as error:
        return {"kind": "setup", "detail": _first_line(error)}
    try:
        return write_rows(connection.cursor(), order)
    except psycopg.Error as error:
        return {"kind": _kind(error), "detail": _first_line(error)}
    finally:
        connection.cancel_safe(timeout=2)
        connection.close()


def _kind(error: psycopg.Error) -> str:
    kinds = (
        ((errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction), "refused"),
        ((errors.UndefinedTable, errors.InvalidSchemaName), "unknown"),
        ((errors.QueryCanceled, errors.LockNotAvailable), "time"),
        ((errors.OutOfMemory, errors.ProgramLimitExceeded), "memory"),
        ((errors.FeatureNotSupported,), "refused"),
    )
    return next((kind for types, kind in kinds if isinstance(error, types)), "query")


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]


def main() -> None:
    """Read the order, confine this process, answer."""
    order = json.load(sys.stdin)
    confine(order["seconds"], order["max_bytes"])
    json.dump(run(order), sys.stderr)


if __name__ == "__main__":
    main()
