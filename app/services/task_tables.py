"""Tables among a task's files, read to be shown: a part of their rows, in some order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import InvalidRequestError
from reduction.refcat.errors import BadCatalogueError

SUFFIXES: Final = (".parquet", ".vot")
LARGEST: Final = 200 << 20  # bytes of a table that is shown, packed or not
MOST_VALUES: Final = 10_000_000  # of a table that is shown
_PER_TEXT: Final = 8  # values that take the room of one that is no number

_UNREADABLE: Final = (OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """How a column is shown; `digits` formats its numbers."""

    name: str
    label: str
    unit: str = ""
    digits: str = ""
    is_number: bool = True
    help: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A part of a table."""

    name: str
    total: int
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    first: int = 0
    order: str = ""
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows are wanted: `order` is a column, with - before it from the greatest down."""

    order: str = ""
    first: int = 0
    count: int = 100


_FLAGS: Final = (
    "sum of: 1 neighbours, 2 blended, 4 saturated, 8 at the edge, 256 masked pixels in it, "
    "512 in its aperture, 1024 in its sky, 2048 shaped unlike a star"
)
KNOWN: Final[Mapping[str, Column]] = {
    column.name: column
    for column in (
        Column("NUMBER", "№", digits="%d"),
        Column("ra", "RA", "°", "%.6f"),
        Column("dec", "Dec", "°", "%+.6f"),
        Column("x", "x", "px", "%.2f"),
        Column("y", "y", "px", "%.2f"),
        Column("xerr", "x error", "px", "%.3f"),
        Column("yerr", "y error", "px", "%.3f"),
        Column("mag_calib", "Magnitude", "mag", "%.3f"),
        Column("mag_calib_err", "±", "mag", "%.3f", help="error of the magnitude"),
        Column("mag", "Instrumental", "mag", "%.3f"),
        Column("magerr", "±", "mag", "%.3f", help="error of the instrumental magnitude"),
        Column("mag_limit", "Limit", "mag", "%.2f"),
        Column("flux", "Flux", "ADU", "%.1f"),
        Column("fluxerr", "±", "ADU", "%.1f", help="error of the flux"),
        Column("fwhm", "FWHM", "px", "%.2f"),
        Column("a", "a", "px", "%.2f"),
        Column("b", "b", "px", "%.2f"),
        Column("theta", "Angle", "°", "%.0f"),
        Column("bg", "Sky", "ADU", "%.1f"),
        Column("flags", "Flags", digits="%d", help=_FLAGS),
        Column("ISOAREA_IMAGE", "Pixels", digits="%d"),
    )
}
BRIEF: Final = (
    *("NUMBER", "ra", "dec", "x", "y", "mag_calib", "mag_calib_err", "mag", "magerr"),
    *("fwhm", "flags"),
)


def shown(path: Path, part: Part, *, names: Sequence[str] = ()) -> Shown:
    """Return some rows of a table, of all columns or of those of `names` that it has.

    Of all columns those of `BRIEF` come first.

    Raises
    ------
    InvalidRequestError
        If it cannot be read, is too large, or has no such column to go by.
    """
    return part_of(path.name, read(path), part, names=names)


def part_of(title: str, columns: Columns, part: Part, *, names: Sequence[str] = ()) -> Shown:
    """Return some rows of a table that was read, as `shown` does.

    Raises
    ------
    InvalidRequestError
        If it has no such column to go by.
    """
    wanted = [name for name in names if name in columns] or _brief_first(columns)
    name, is_descending = part.order.removeprefix("-"), part.order.startswith("-")
    total = len(next(iter(columns.values()), ()))
    chosen = _order(columns, name, is_descending=is_descending)[part.first :][: part.count]
    plain = [_plain(columns[one][chosen]) for one in wanted]
    return Shown(
        name=title,
        total=total,
        columns=[_column(one, columns[one]) for one in wanted],
        rows=list(zip(*plain, strict=True)),
        first=part.first,
        order=name,
        is_descending=is_descending,
    )


def _brief_first(columns: Columns) -> list[str]:
    first = [name for name in BRIEF if name in columns]
    return [*first, *(name for name in columns if name not in BRIEF)]


def read(path: Path, *, names: Sequence[str] = ()) -> Columns:
    """Return the columns of a table that hold one value a row, or those of `names` among them.

    Raises
    ------
    InvalidRequestError
        If it cannot be read, or is too large to be shown.
    """
    if path.stat().st_size > LARGEST:
        raise _too_large(path)
    try:
        found = _of_parquet(path, names) if path.suffix == ".parquet" else _of_votable(path)
    except (pa.ArrowException, BadCatalogueError, *_UNREADABLE) as error:
        raise InvalidRequestError(f"{path.name} cannot be read as a table: {error}") from error
    return {name: found[name] for name in found if not names or name in names}


def _too_large(path: Path) -> InvalidRequestError:
    return InvalidRequestError(f"{path.name} is too large to be shown; download it.")


def _of_parquet(path: Path, names: Sequence[str]) -> Columns:
    """Return columns of a Parquet file, if what they unpack to is no more than can be shown."""
    with path.open("rb") as stream:
        file = pq.ParquetFile(stream)
        plain = [field for field in file.schema_arrow if _is_plain(field.type)]
        wanted = [field for field in plain if not names or field.name in names]
        texts = [field.name for field in wanted if not _is_number(field.type)]
        n_values = file.metadata.num_rows * (len(wanted) + (_PER_TEXT - 1) * len(texts))
        if n_values > MOST_VALUES or _unpacked_bytes(file.metadata) > LARGEST:
            raise _too_large(path)
        # A text that stands in every row takes its room once, as it does in the file.
        file = pq.ParquetFile(stream, read_dictionary=texts)
        table = file.read(columns=[field.name for field in wanted])
    return {name: _values(table.column(i)) for i, name in enumerate(table.schema.names)}


def _is_plain(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_fixed_size_binary(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if not pa.types.is_dictionary(column.type) or not column.num_chunks:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    parts = []
    for chunk in column.chunks:
        words = chunk.dictionary.to_numpy(zero_copy_only=False)
        words = np.array([*words, None], dtype=object)  # the last of those without a value
        at = chunk.indices.cast(pa.int64()).fill_null(-1).to_numpy()
        parts.append(words[at])
    return np.concatenate(parts)


def _unpacked_bytes(metadata: pq.FileMetaData) -> int:
    groups = range(metadata.num_row_groups)
    return sum(metadata.row_group(i).total_byte_size for i in groups)


def _of_votable(path: Path) -> Columns:
    # Imported here: it takes astropy, which nothing else that is shown needs.
    from reduction.refcat.votable import whole_table

    array = whole_table(path, max_values=MOST_VALUES).array
    return {
        name: np.ma.filled(array[name], np.nan) if array[name].dtype.kind == "f" else array[name]
        for name in array.dtype.names or ()
        if array[name].ndim == 1
    }


def _order(columns: Columns, name: str, *, is_descending: bool) -> npt.NDArray[np.intp]:
    """Return the rows in order; those without a value come last either way."""
    total = len(next(iter(columns.values()), ()))
    if not name:
        return np.arange(total)
    if name not in columns:
        raise InvalidRequestError(order=f"there is no column {name!r}")
    values = columns[name]
    if values.dtype.kind not in "biuf":
        ranks = np.argsort([str(value) for value in values], kind="stable")
        return ranks[::-1] if is_descending else ranks
    numbers = values.astype(np.float64)
    return np.argsort(-numbers if is_descending else numbers, kind="stable")


def _column(name: str, values: npt.NDArray[Any]) -> Column:
    if name in KNOWN:
        return KNOWN[name]
    return Column(name, name, is_number=values.dtype.kind in "iuf")


def _plain(values: npt.NDArray[Any]) -> list[Any]:
    """Return values as templates show them: nothing where there is none."""
    return [None if _is_missing(value) else value for value in values.tolist()]


def _is_missing(value: object) -> bool:
    return value is None or value is np.ma.masked or (isinstance(value, float) and value != value)
