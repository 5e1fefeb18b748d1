"""Many rows into one table: the statement and the conversion of its values are made once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import chain, compress
from typing import Any, NamedTuple

from sqlalchemy import JSON, Column, Connection, Date, Dialect, Table, insert
from sqlalchemy.exc import StatementError

from app.db import UtcDateTime

_Converter = Callable[[Any], Any]
_Pair = tuple[tuple[Any, ...], tuple[Any, ...]]  # its own values, and those it shares
_NO_ITEMS = "{}"  # most of the time
_TOGETHER = 10  # rows of one statement, where the database is told them one by one
_LARGEST, _LONGEST = 2**63 - 1, 200  # number, and characters, that stand in a statement
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
        self._texts: dict[tuple[str, ...], str] = {}

    def execute(self, connection: Connection, rows: Rows) -> None:
        """Insert rows.

        Raises
        ------
        StatementError
            If a value is not one of its column.
        """
        if not rows.shared:
            return
        try:
            told = self._told(rows)
            whole = len(told.pairs) // _TOGETHER * _TOGETHER if self._dialect.positional else 0
            self._insert(connection, told, told.pairs[:whole], _TOGETHER)
            self._insert(connection, told, told.pairs[whole:], 1)
        except (AttributeError, TypeError, ValueError) as error:  # of a conversion, or the driver
            raise StatementError(str(error), None, None, error) from error

    def _insert(
        self, connection: Connection, told: "_Told", pairs: Sequence[_Pair], n_rows: int
    ) -> None:
        parameters: list[Any] = [
            tuple(chain.from_iterable(chain.from_iterable(pairs[i : i + n_rows])))
            for i in range(0, len(pairs), n_rows)
        ]
        if not parameters:
            return
        if self._dialect.positional:
            connection.exec_driver_sql(self._statement(told, n_rows), parameters)
        else:
            named = [dict(zip(told.names, values, strict=True)) for values in parameters]
            connection.exec_driver_sql(self._compiled(told.names), named)

    def _compiled(self, names: tuple[str, ...]) -> str:
        text = self._texts.get(names)
        if text is None:
            made = insert(self._table).inline()
            text = str(made.compile(dialect=self._dialect, column_keys=names))
            self._texts[names] = text
        return text

    def _statement(self, told: "_Told", n_rows: int) -> str:
        """Return the INSERT of some rows; of several, one that fails leaves those before it.

        The transaction goes with them. To be able to take them back alone, SQLite would copy every
        page that they change, which takes longer than to look for the page of each row anew.
        """
        # SQLAlchemy would put the columns in the table's order.
        quote = self._dialect.identifier_preparer.quote
        columns = ", ".join(map(quote, (*told.names, *told.alike)))
        marks = ", ".join([*"?" * len(told.names), *map(_literal, told.alike.values())])
        several = " OR FAIL" if n_rows > 1 else ""
        values = ", ".join([f"({marks})"] * n_rows)
        return f"INSERT{several} INTO {quote(self._table.name)} ({columns}) VALUES {values}"

    def _told(self, rows: Rows) -> "_Told":
        """Return what has to be handed over of rows, and what stands in the statement itself."""
        named = zip(self._own_names, rows.own, strict=True)
        own = {name: self._column(name, values) for name, values in named}
        shares = self._shares(rows.shared)
        names = [column.name for column in self._shared]
        shared = dict(zip(names, zip(*shares.values(), strict=True), strict=True))
        is_many = self._dialect.positional and len(rows.shared) >= _TOGETHER
        columns = own | shared
        alike = {name: one[0] for name, one in columns.items() if _is_alike(one, is_many=is_many)}
        is_told = [name not in alike for name in shared]
        told = {key: tuple(compress(share, is_told)) for key, share in shares.items()}
        left = [values for name, values in own.items() if name not in alike]
        own_rows = zip(*left, strict=True) if left else [()] * len(rows.shared)
        return _Told(
            tuple([name for name in columns if name not in alike]),
            [*zip(own_rows, [told[id(one)] for one in rows.shared], strict=True)],
            {name: value for name, value in alike.items() if value is not None},
        )

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

    def _shares(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, tuple[Any, ...]]:
        """Return the values of the shared columns, by the id of the mapping that has them."""
        defaults = {column.name: _default(column) for column in self._shared}
        known = {id(shared): shared for shared in rows}
        return {key: self._share(defaults, shared) for key, shared in known.items()}

    def _share(self, defaults: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[Any, ...]:
        values = {**defaults, **shared}
        if len(values) > len(defaults):
            raise KeyError(*sorted(values.keys() - defaults.keys()))
        return tuple([self._converted(column.name, values) for column in self._shared])

    def _converted(self, name: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any type
        convert = self._converters[name]
        return values[name] if convert is None else convert(values[name])


class _Told(NamedTuple):
    """Rows as a statement takes them.

    Attributes
    ----------
    names : tuple of str
        The columns handed over.
    pairs : list
        Their values, for each row its own and those it shares.
    alike : mapping
        By column what all rows have: it stands in the statement. Handed over with each frame, the
        twenty columns that most have alike take a seventh of the time of storing it.
    """

    names: tuple[str, ...]
    pairs: list[_Pair]
    alike: Mapping[str, int | str]


@lru_cache(maxsize=8)
def bulk_insert(table: Table, dialect: Dialect, own: tuple[str, ...] = ()) -> BulkInsert:
    """Return the INSERT into a table, made once for a database; `own` differ between all rows."""
    return BulkInsert(table, dialect, own)


def _is_alike(values: Sequence[Any], *, is_many: bool) -> bool:
    """Tell whether all rows have the same, which a statement can say; of few, if it is nothing.

    A number with a fraction is handed over: SQLite might read another one.
    """
    first = values[0]
    if first is not None and not (is_many and _has_literal(first)):
        return False
    return bool(values[-1] == first) and values.count(first) == len(values)


def _has_literal(value: object) -> bool:
    if type(value) is int:
        return abs(value) <= _LARGEST
    return type(value) is str and value.isprintable() and len(value) <= _LONGEST


def _literal(value: int | str) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


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
