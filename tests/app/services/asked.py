"""What is asked of the database, and how SQLite goes about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from app.db import db


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database inside."""
    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, text: str, values: Any, _x: Any, _many: bool) -> None:
        found.append((text, values))

    event.listen(db.engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine, "before_cursor_execute", note)


def plan_of(found: list[tuple[str, Any]], part: str) -> list[str]:
    """Return the steps of the first statement that has a text in it."""
    text, values = next(statement for statement in found if part in statement[0])
    plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
    return [row.detail for row in plan]
