"""Many rows into one table: the statement and the conversion of its values are made once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import chain, compress
from typing import Any

from sqlalchemy import JSON, Column, Connection, Date, Dialect, Table, insert
from sqlalchemy.exc import StatementError

from app.db import UtcDateTime

_Converter = Callable[[Any], Any]
_Pair = tuple[tuple[Any, ...], tuple[Any, ...]]  # its own values, and those it shares
_NO_ITEMS = "{}"  # most of the time
_TOGETHER = 10  # rows of one statement, where the database is told them one by one
_TWO = [f"{number:02d}" for number in range(60)]  # as digits of a clock


class Rows:
    """Rows of a table, column by column.

    Parameters
    ----------
    n_own : int
        How many columns differ between all rows.

    Attributes
    ----------
    shared : list
        A mapping for each row, by column: the same one again and again.
    own : list
        Of each of the other columns the values of all rows.
    """

    __slots__ = ("own", "shared")

    def __init__(self, n_own: int) -> None:
        self.shared: list[Mapping[str, Any]] = []
        self.own: list[list[Any]] = [[] for _ in range(n_own)]

    @classmethod
    def of(cls, rows: Sequence[tuple[Mapping[str, Any], Sequence[Any]]], n_own: int) -> "Rows":
        """Return rows that are there one by one: what each shares, and its own."""
        made = cls(n_own)
        if rows:
            made.add([shared for shared, _ in rows], zip(*[own for _, own in rows], strict=True))
        return made

    def add(self, shared: Iterable[Mapping[str, Any]], own: Iterable[Iterable[Any]]) -> None:
        """Add rows."""
        self.shared += shared
        for column, values in zip(self.own, own, strict=True):
            column += values


class BulkInsert:
    """An INSERT of rows; what rows share is converted once, a column neither names has its default.

    SQLAlchemy asks every column of every row for its type and its default, which takes longer
    than SQLite does to store a frame of sixty columns.
    """

    def __init__(self, table: Table, dialect: Dialect, own: tuple[str, ...]) -> None:
        columns = [column for column in table.columns if column.name != "id"]
        self._table, self._dialect = table, dialect
        self._own_names = own
        self._shared = [column for column in columns if column.name not in own]
        self._converters = {column.name: _converter(column, dialect) for column in columns}
        # Of JSON the same object comes again and again, and takes the longest.
        self._written_alike = {c.name for c in columns if isinstance(c.type, JSON)}
        self._fixed = self._fixed_defaults() if dialect.positional else {}
        self._texts: dict[tuple[tuple[str, ...], int], str] = {}

    def execute(self, connection: Connection, rows: Rows) -> None:
        """Insert rows.

        Raises
        ------
        StatementError
            If a value is not one of its column.
        """
        try:
            names, pairs = self._parameters(rows)
            whole = len(pairs) // _TOGETHER * _TOGETHER if self._dialect.positional else 0
            self._insert(connection, names, pairs[:whole], _TOGETHER)
            self._insert(connection, names, pairs[whole:], 1)
        except (AttributeError, TypeError, ValueError) as error:  # of a conversion, or the driver
            raise StatementError(str(error), None, None, error) from error

    def _insert(
        self, connection: Connection, names: tuple[str, ...], pairs: Sequence[_Pair], n_rows: int
    ) -> None:
        parameters: list[Any] = [
            tuple(chain.from_iterable(chain.from_iterable(pairs[i : i + n_rows])))
            for i in range(0, len(pairs), n_rows)
        ]
        if not self._dialect.positional:
            parameters = [dict(zip(names, values, strict=True)) for values in parameters]
        if parameters:
            connection.exec_driver_sql(self._text(names, n_rows), parameters)

    def _text(self, names: tuple[str, ...], n_rows: int) -> str:
        text = self._texts.get((names, n_rows))
        if text is None:
            text = self._texts[names, n_rows] = self._statement(names, n_rows)
        return text

    def _statement(self, names: Sequence[str], n_rows: int) -> str:
        """Return the INSERT of some rows; of several, one that fails leaves those before it.

        The transaction goes with them. To be able to take them back alone, SQLite would copy every
        page that they change, which takes longer than to look for the page of each row anew.
        """
        if not self._dialect.positional:
            made = insert(self._table).inline()
            return str(made.compile(dialect=self._dialect, column_keys=names))
        untold = {name: value for name, value in self._fixed.items() if name not in names}
        # SQLAlchemy would put the columns in the table's order.
        quote = self._dialect.identifier_preparer.quote
        columns = ", ".join(map(quote, (*names, *untold)))
        marks = ", ".join([*"?" * len(names), *map(_literal, untold.values())])
        several = " OR FAIL" if n_rows > 1 else ""
        values = ", ".join([f"({marks})"] * n_rows)
        return f"INSERT{several} INTO {quote(self._table.name)} ({columns}) VALUES {values}"

    def _fixed_defaults(self) -> dict[str, int | str]:
        """Return the defaults that never change, as the driver has them.

        They stand in the statement itself where all rows have them, as most columns of a new
        frame: to hand each over with each row takes as long as an index.
        """
        fixed = [c for c in self._shared if _is_fixed(c)]
        values = {c.name: self._converted(c.name, {c.name: _default(c)}) for c in fixed}
        return {name: value for name, value in values.items() if isinstance(value, int | str)}

    def _parameters(self, rows: Rows) -> tuple[tuple[str, ...], list[_Pair]]:
        """Return the columns that have to be handed over, and their values in two parts a row."""
        shared, shares = self._shares(rows.shared)
        named = zip(self._own_names, rows.own, strict=True)
        own = zip(*[self._column(name, values) for name, values in named], strict=True)
        return (*self._own_names, *shared), [*zip(own, shares, strict=True)]

    def _column(self, name: str, values: Sequence[Any]) -> Sequence[Any]:
        """Return a column's values as the driver takes them."""
        convert = self._converters[name]
        if convert is None:
            return values
        if name not in self._written_alike:
            return [*map(convert, values)]
        known = {id(value): value for value in values}
        made = {key: convert(value) for key, value in known.items()}
        return [made[id(value)] for value in values]

    def _shares(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> tuple[Iterable[str], list[tuple[Any, ...]]]:
        """Return the shared columns in which any row is not as a statement has it, and the values.

        Left out of the statement, a column is empty.
        """
        defaults = {column.name: _default(column) for column in self._shared}
        known = {id(shared): shared for shared in rows}
        shares = {key: self._share(defaults, shared) for key, shared in known.items()}
        columns = zip(defaults, zip(*shares.values(), strict=True), strict=True)
        told = [any(value != self._fixed.get(name) for value in values) for name, values in columns]
        shares = {key: tuple(compress(share, told)) for key, share in shares.items()}
        return compress(defaults, told), [shares[id(shared)] for shared in rows]

    def _share(self, defaults: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[Any, ...]:
        values = {**defaults, **shared}
        if len(values) > len(defaults):
            raise KeyError(*sorted(values.keys() - defaults.keys()))
        return tuple([self._converted(column.name, values) for column in self._shared])

    def _converted(self, name: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any type
        convert = self._converters[name]
        return values[name] if convert is None else convert(values[name])


@lru_cache(maxsize=8)
def bulk_insert(table: Table, dialect: Dialect, own: tuple[str, ...] = ()) -> BulkInsert:
    """Return the INSERT into a table, made once for a database; `own` differ between all rows."""
    return BulkInsert(table, dialect, own)


def _literal(value: int | str) -> str:
    return str(int(value)) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _is_fixed(column: Column[Any]) -> bool:
    """Tell whether a column has a default that is always the same: no time, say."""
    default: Any = column.default
    return default is not None and (default.is_scalar or isinstance(column.type, JSON))


def _default(column: Column[Any]) -> Any:  # noqa: ANN401 - of any type
    default: Any = column.default
    if default is None:
        return None
    return default.arg if default.is_scalar else default.arg(None)


def _converter(column: Column[Any], dialect: Dialect) -> _Converter | None:
    """Return what makes a value of a column one of the driver's; None where it is one."""
    if dialect.name == "sqlite" and isinstance(column.type, UtcDateTime):
        return _utc_text
    if dialect.name == "sqlite" and isinstance(column.type, Date):
        return _date_text
    usual = column.type.dialect_impl(dialect).bind_processor(dialect)
    if usual is not None and isinstance(column.type, JSON):
        return lambda value: _NO_ITEMS if value == {} else usual(value)
    return usual


def _date_text(day: date | None) -> str | None:
    """Return a date as SQLAlchemy stores it on SQLite."""
    return None if day is None else _day_text(day.toordinal())


@lru_cache(maxsize=1024)
def _day_text(ordinal: int) -> str:
    """Return a date by its number of days; most frames are of the same few nights."""
    day = date.fromordinal(ordinal)
    return f"{day.year:04d}-{day.month:02d}-{day.day:02d}"


def _utc_text(moment: datetime | None) -> str | None:
    """Return a time as SQLAlchemy stores it on SQLite, in a tenth of the time it takes."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("naive datetime")
    t = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    clock = f"{_TWO[t.hour]}:{_TWO[t.minute]}:{_TWO[t.second]}"
    fraction = f"{t.microsecond:06d}" if t.microsecond else "000000"
    return f"{_day_text(t.toordinal())} {clock}.{fraction}"
