"""Catalogue files, read in pieces: FITS tables, Parquet, VOTable, and text (`textfile`).

No file is ever held whole: a piece is at most `CHUNK_ROWS` rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from reduction.refcat.cells import chunk_of
from reduction.refcat.columns import NO_ID, RawChunk
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.textfile import TextFile
from reduction.refcat.votable import VOTableFile

CHUNK_ROWS: Final = 1 << 18
_GZIP: Final = b"\x1f\x8b"


class CatalogueFile(Protocol):
    """A file of rows with named columns."""

    names: Sequence[str]
    units: Mapping[str, str]

    def chunks(self, wanted: Sequence[str], whole: frozenset[str]) -> Iterator[RawChunk]:
        """Yield the wanted columns piece by piece; those in `whole` as whole numbers."""


class FitsTable:
    """The first table of a FITS file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with fits.open(path, memmap=True) as hdus:
                tables = [i for i, hdu in enumerate(hdus) if _is_table(hdu)]
                if not tables:
                    raise BadCatalogueError(f"{path.name} is a FITS file without a table")
                self._hdu = tables[0]
                columns = hdus[self._hdu].columns
                self.names: Sequence[str] = tuple(columns.names)
                self.units: Mapping[str, str] = {c.name: c.unit or "" for c in columns}
        except OSError as error:
            raise BadCatalogueError(f"{path.name} cannot be read as FITS: {error}") from error

    def chunks(self, wanted: Sequence[str], whole: frozenset[str]) -> Iterator[RawChunk]:
        """Yield the wanted columns piece by piece; those in `whole` as whole numbers."""
        with fits.open(self._path, memmap=True) as hdus:
            hdu = hdus[self._hdu]
            nulls = {column.name: column.null for column in hdu.columns}
            n_rows = int(hdu.header["NAXIS2"])
            for start in range(0, n_rows, CHUNK_ROWS):
                rows = hdu.data[start : start + CHUNK_ROWS]
                cells = {name: np.asarray(rows[name]) for name in wanted}
                raw = chunk_of(cells, whole, done=(start + len(rows)) / n_rows)
                yield _without_nulls(raw, nulls, whole)


class ParquetFile:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            schema = pq.read_schema(path)
        except (OSError, pa.ArrowException) as error:
            raise BadCatalogueError(f"{path.name} cannot be read as Parquet: {error}") from error
        self.names: Sequence[str] = tuple(schema.names)
        self.units: Mapping[str, str] = {
            field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in schema
        }

    def chunks(self, wanted: Sequence[str], whole: frozenset[str]) -> Iterator[RawChunk]:
        """Yield the wanted columns piece by piece; those in `whole` as whole numbers."""
        with pq.ParquetFile(self._path) as file:
            n_rows, read = file.metadata.num_rows, 0
            for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=list(wanted)):
                read += batch.num_rows
                cells = {name: batch.column(name) for name in wanted}
                yield chunk_of(cells, whole, done=read / n_rows)


def open_file(path: Path) -> CatalogueFile:
    """Return the reader of a file, chosen by what it holds, not by its name.

    Raises
    ------
    BadCatalogueError
        If it is not there, or is none of CSV, FITS table, VOTable and Parquet.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        why = error.strerror or error
        raise BadCatalogueError(f"{path} cannot be read: {why}") from error
    if not head:
        raise BadCatalogueError(f"{path.name} is empty")
    if head.startswith(b"PAR1"):
        return ParquetFile(path)
    if head.startswith(b"SIMPLE  ="):
        return FitsTable(path)
    if b"<VOTABLE" in head or b":VOTABLE" in head:
        return VOTableFile(path, CHUNK_ROWS)
    if b"\0" in head and not head.startswith(_GZIP):
        raise BadCatalogueError(f"{path.name} is none of CSV, FITS table, VOTable and Parquet")
    return TextFile(path)


def _is_table(hdu: Any) -> bool:  # noqa: ANN401 - astropy has no types
    return isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)) and not isinstance(
        hdu, fits.CompImageHDU
    )


def _without_nulls(
    raw: RawChunk, nulls: Mapping[str, int | None], whole: frozenset[str]
) -> RawChunk:
    """Return the rows with what the table says stands for nothing as NaN."""
    columns = dict(raw.columns)
    for name, null in nulls.items():
        if null is not None and name in columns:
            missing = NO_ID if name in whole else np.nan
            columns[name] = np.where(columns[name] == null, missing, columns[name])
    return replace(raw, columns=columns)
