"""Tables of sources as Parquet files, sorted so that a cone reads a small part of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reduction.errors import ReductionError
from reduction.photometry.sourcetable import SourceFacts, SourceTable
from reduction.refcat.pixels import Ranges

GROUP_ROWS: Final = 4096  # read together: a cone of arcseconds is in one such run, or in two
FORMAT: Final = 1  # raised whenever older files could be misread
SUFFIX: Final = ".sources.parquet"
_FACTS: Final = b"coelostat"
_HEALPIX: Final = "healpix"
_KNOWN: Final = frozenset(field.name for field in fields(SourceFacts))
_TUPLES: Final = ("radii_pix", "growth")


class BadSourceFileError(ReductionError):
    """A file is no table of sources, or is damaged."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path.name} cannot be read as a table of sources ({why})")


def packed(table: SourceTable) -> memoryview:
    """Return a table as the content of a Parquet file.

    Parameters
    ----------
    table : SourceTable
        Sorted by HEALPix.

    Returns
    -------
    memoryview
        Its bytes. The facts of the frame are in the file's own metadata, as JSON.
    """
    said = json.dumps({"format": FORMAT} | asdict(table.facts)).encode()
    arrow = pa.table(dict(table.columns)).replace_schema_metadata({_FACTS: said})
    stream = pa.BufferOutputStream()
    pq.write_table(
        arrow,
        stream,
        row_group_size=GROUP_ROWS,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_statistics=[_HEALPIX],
        use_byte_stream_split=[n for n, c in table.columns.items() if c.dtype.kind == "f"],
    )
    return memoryview(stream.getvalue())


def read(
    path: Path, *, columns: Sequence[str] | None = None, cells: Ranges | None = None
) -> SourceTable:
    """Read a table of sources, or a part of it.

    Parameters
    ----------
    path : Path
        Of the file.
    columns : sequence of str or None
        Those wanted, None for all; unknown ones are left away.
    cells : Ranges or None
        Of `HEALPIX_ORDER`: sources of other cells are left away. Needs ``healpix`` among the
        columns.

    Returns
    -------
    SourceTable
        In the order of the file.

    Raises
    ------
    BadSourceFileError
        If it is no such file.
    FileNotFoundError
        If it is not there.
    """
    try:
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=False) as file:
            schema = file.schema_arrow
            facts = _facts(schema, path)
            names = _names(schema.names, columns)
            groups = _groups(file, schema.get_field_index(_HEALPIX), cells)
            arrow = file.read_row_groups(groups, columns=names, use_threads=False)
            found = {name: _column(arrow[name]) for name in names}
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, ValueError, KeyError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise BadSourceFileError(path, str(error)) from error
    table = SourceTable(found, facts)
    return table if cells is None else table.select(_within(found[_HEALPIX], cells))


def _facts(schema: Any, path: Path) -> SourceFacts:  # noqa: ANN401 - pyarrow has no types
    said = (schema.metadata or {}).get(_FACTS)
    if said is None:
        raise BadSourceFileError(path, "it does not say that it is one")
    values = json.loads(said)
    if values.pop("format", None) != FORMAT:
        raise BadSourceFileError(path, "another version of the program wrote it")
    kept = {name: value for name, value in values.items() if name in _KNOWN}
    return SourceFacts(**kept | {name: tuple(kept.get(name, ())) for name in _TUPLES})


def _names(there: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    return list(there) if wanted is None else [name for name in wanted if name in there]


def _groups(file: Any, at: int, cells: Ranges | None) -> list[int]:  # noqa: ANN401
    """Return the runs of rows that may hold sources of some cells."""
    metadata = file.metadata
    every = list(range(metadata.num_row_groups))
    if cells is None:
        return every
    found = [metadata.row_group(group).column(at).statistics for group in every]
    return [group for group, said in zip(every, found, strict=True) if _may_hold(said, cells)]


def _may_hold(said: Any, cells: Ranges) -> bool:  # noqa: ANN401
    """Tell whether a run of rows of these statistics may hold sources of some cells."""
    if said is None or not said.has_min_max:  # a run without rows has none
        return True
    first = int(np.searchsorted(cells.stop, said.min, side="right"))
    return first < len(cells.start) and bool(cells.start[first] <= said.max)


def _within(healpix: np.ndarray[Any, Any], cells: Ranges) -> Any:  # noqa: ANN401
    run = np.searchsorted(cells.stop, healpix, side="right")
    inside = run < len(cells.start)
    inside[inside] = cells.start[run[inside]] <= healpix[inside]
    return np.flatnonzero(inside)


def _column(chunked: Any) -> Any:  # noqa: ANN401
    return chunked.to_numpy()
