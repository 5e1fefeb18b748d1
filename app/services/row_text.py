"""Many rows of an SQLite query in one step: SQLite makes one text of them, Python reads it.

Python's driver gives up the interpreter's lock for every row it steps to, and has to wait for it
again: where other threads work, a page of a hundred rows costs three times what it does here.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Final

import orjson
from sqlalchemy import (
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Select,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.sql.expression import FromClause

from app.db import UtcDateTime

# Digits enough for every double to be read back as it was stored; "!" has SQLite print them all.
_DOUBLE: Final = "%!.18g"
_Reader = Callable[[Any], Any]
_READERS: Final[tuple[tuple[type[Any], _Reader], ...]] = (
    (Boolean, bool),
    (DateTime, datetime.fromisoformat),
    (Date, date.fromisoformat),
)


class RowText:
    """What turns the rows of queries for the same columns into a text, and the text into rows."""

    def __init__(self, columns: Sequence[Any]) -> None:
        types = [column.type for column in columns]
        if any(isinstance(kind, UtcDateTime) for kind in types):
            raise TypeError("times are read as plain ones")
        self._doubles = [i for i, kind in enumerate(types) if isinstance(kind, Float)]
        self._others = [i for i in range(len(types)) if i not in self._doubles]
        told = [*self._others, *self._doubles]
        self._order = [told.index(i) for i in range(len(types))]
        self._readers = [
            (told.index(i), read)
            for i, kind in enumerate(types)
            for of, read in _READERS
            if isinstance(kind, of)
        ]

    def query(self, rows: Select[Any]) -> Select[Any]:
        """Return the query for the text of what another would return as rows, in their order."""
        inner = rows.subquery()
        return select(func.group_concat(self._row(inner), ","))

    def _row(self, inner: FromClause) -> Any:  # noqa: ANN401 - an expression
        """Return the text of a row: the list of all but doubles, then that of the doubles.

        What is printed of a double is never NULL: a number of the first list tells which are.
        """
        columns = list(inner.c)
        doubles = [columns[i] for i in self._doubles]
        nulls: Any = literal_column("0", Integer)
        for bit, column in enumerate(doubles):
            told = literal_column(str(1 << bit), Integer)
            nulls = nulls + case((column.is_(None), told), else_=literal_column("0", Integer))
        others = func.json_array(*[columns[i] for i in self._others], nulls)
        form = ",[" + ",".join([_DOUBLE] * len(doubles)) + "]"
        return others.op("||")(func.printf(form, *doubles))

    def rows(self, text: str | None) -> list[Sequence[Any]]:
        """Return the rows of a text, each value as its column's type has it."""
        parts = orjson.loads(f"[{text or ''}]")
        others = list(zip(*parts[::2], strict=True))
        if not others:
            return []
        doubles = parts[1::2]
        nulls = others.pop()
        if any(nulls):
            doubles = [_without(*pair) for pair in zip(doubles, nulls, strict=True)]
        columns: list[Sequence[Any]] = [*others, *zip(*doubles, strict=True)]
        for i, read in self._readers:
            columns[i] = [None if value is None else read(value) for value in columns[i]]
        return list(zip(*(columns[i] for i in self._order), strict=True))


def _without(doubles: list[float | None], nulls: int) -> list[float | None]:
    """Return the doubles of a row without those that are NULL, as the bits of `nulls` tell."""
    return [None if nulls >> bit & 1 else x for bit, x in enumerate(doubles)]
