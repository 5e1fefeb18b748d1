"""Many rows into one table: the statement and the conversion of its values are made once."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Table, insert
from sqlalchemy.exc import StatementError

Row = Mapping[str, Any]


class BulkInsert:
    """An INSERT of rows that all name the same columns; the others get their defaults.

    SQLAlchemy asks every column of every row for its type and its default, which takes longer
    than SQLite does to store a frame of sixty columns.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self._columns = [column for column in table.columns if column.name != "id"]
        names = [column.name for column in self._columns]
        compiled = insert(table).inline().compile(dialect=dialect, column_keys=names)
        self._text = str(compiled)
        self._is_positional = compiled.positional
        self._ordered = itemgetter(*names)
        self._converters = {
            column.name: convert
            for column in self._columns
            if (convert := column.type.dialect_impl(dialect).bind_processor(dialect))
        }

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert rows.

        Raises
        ------
        StatementError
            If a value is not one of its column.
        """
        try:
            whole = self._whole(rows)
            parameters: Any = [*map(self._ordered, whole)] if self._is_positional else whole
            connection.exec_driver_sql(self._text, parameters)
        except (TypeError, ValueError) as error:  # of a conversion, ours or the driver's
            raise StatementError(str(error), self._text, None, error) from error

    def _whole(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        given = rows[0].keys()
        defaults = {c.name: _default(c) for c in self._columns if c.name not in given}
        self._convert(defaults, self._converters.keys() - given)
        whole = [{**defaults, **row} for row in rows]
        named = self._converters.keys() & given
        for values in whole:
            self._convert(values, named)
        return whole

    def _convert(self, values: dict[str, Any], names: Iterable[str]) -> None:
        for name in names:
            values[name] = self._converters[name](values[name])


@lru_cache(maxsize=8)
def bulk_insert(table: Table, dialect: Dialect) -> BulkInsert:
    """Return the INSERT into a table, made once for a database."""
    return BulkInsert(table, dialect)


def _default(column: Column[Any]) -> Any:  # noqa: ANN401 - of any type
    default: Any = column.default
    if default is None:
        return None
    return default.arg if default.is_scalar else default.arg(None)
