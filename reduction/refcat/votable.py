"""VOTable files: rows in XML are read as a stream, those in base64 whole where they are small.

A VOTable may say that its rows lie at an address, and astropy would open it, be it a file of
this machine. Whatever astropy is given here was looked through first.
"""

import math
import re
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final
from xml.parsers.expat import ExpatError

import numpy as np
import pyarrow as pa
from astropy.io.votable import parse_single_table
from astropy.utils.xml.iterparser import get_xml_iterator

from reduction.refcat.cells import chunk_of
from reduction.refcat.columns import RawChunk
from reduction.refcat.errors import BadCatalogueError

MAX_BINARY_BYTES: Final = 256 << 20  # of a table in base64, which is read whole
MAX_VALUES: Final = 50_000_000  # of a table that is read whole
_ELSEWHERE: Final = frozenset({"FITS", "PARQUET"})  # these are but addresses
_BROKEN: Final = (
    ExpatError, OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    RuntimeError, EOFError, NameError, MemoryError, Warning, struct.error,
)  # fmt: skip


class VOTableFile:
    """The first table of a VOTable."""

    def __init__(self, path: Path, chunk_rows: int) -> None:
        self._path, self._chunk_rows = path, chunk_rows
        names: list[str] = []
        units: dict[str, str] = {}
        self._form = ""
        for start, tag, data in self._events():
            if start and tag == "FIELD":
                name = data.get("name") or data.get("ID") or str(len(names) + 1)
                names.append(name)
                units[name] = data.get("unit", "")
            elif start and tag in ("TABLEDATA", "BINARY", "BINARY2", "FITS"):
                self._form = tag
                break
        if not names or not self._form:
            raise BadCatalogueError(f"{path.name} is a VOTable without a table of rows")
        self.names: Sequence[str] = tuple(names)
        self.units: Mapping[str, str] = units

    def chunks(self, wanted: Sequence[str], whole: frozenset[str]) -> Iterator[RawChunk]:
        """Yield the wanted columns piece by piece; those in `whole` as whole numbers."""
        if self._form != "TABLEDATA":
            yield self._all_at_once(wanted, whole)
            return
        at = [self.names.index(name) for name in wanted]
        lists: list[list[str]] = [[] for _ in wanted]
        ragged = 0
        for cells in self._rows():
            if len(cells) != len(self.names):
                ragged += 1
                continue
            for column, index in zip(lists, at, strict=True):
                column.append(cells[index])
            if len(lists[0]) == self._chunk_rows:
                yield chunk_of(_strings(wanted, lists), whole, ragged=ragged)
                lists, ragged = [[] for _ in wanted], 0
        if lists[0] or ragged:
            yield chunk_of(_strings(wanted, lists), whole, ragged=ragged, done=1.0)

    def _rows(self) -> Iterator[list[str]]:
        """Yield the cells of each row of the first table."""
        cells: list[str] = []
        for start, tag, data in self._events():
            if tag == "TR":
                if not start:
                    yield cells
                cells = []
            elif tag == "TD" and not start:
                cells.append(data or "")
            elif tag == "TABLEDATA" and not start:
                return

    def _events(self) -> Iterator[tuple[bool, str, Any]]:
        try:
            with get_xml_iterator(str(self._path)) as events:
                for start, tag, data, _place in events:
                    yield start, tag, data
        except (ExpatError, OSError, ValueError) as error:
            raise BadCatalogueError(f"{self._path.name} is broken XML: {error}") from error

    def _all_at_once(self, wanted: Sequence[str], whole: frozenset[str]) -> RawChunk:
        if self._path.stat().st_size > MAX_BINARY_BYTES:
            raise BadCatalogueError(
                f"{self._path.name} is a VOTable in base64 and too large to be read whole: "
                "ask for TABLEDATA, FITS or CSV"
            )
        table = whole_table(self._path).to_table(use_names_over_ids=True)
        cells = {
            name: pa.array(np.ma.filled(np.ma.asarray(table[name]).astype(object), None).tolist())
            for name in wanted
        }
        return chunk_of(cells, whole, done=1.0)


def whole_table(path: Path, *, max_values: int = MAX_VALUES) -> Any:  # noqa: ANN401 - astropy
    """Read the first table of a VOTable whole, if all of its rows are in the file.

    Parameters
    ----------
    path : Path
        Not compressed.
    max_values : int
        Rows by values in a row; of more it is refused.

    Returns
    -------
    astropy.io.votable.tree.TableElement

    Raises
    ------
    BadCatalogueError
        If it cannot be read, is too large, or its rows lie elsewhere.
    """
    try:
        # Looked through and read by one descriptor: the name may be another file's by then. As
        # a function, since astropy unpacks files it is given.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other programs' tables are seldom by the letter
            _look_through(file, path.name, max_values)
            file.seek(0)
            return parse_single_table(file.read, verify="ignore")
    except _BROKEN as error:
        raise BadCatalogueError(f"{path.name} is no VOTable that can be read: {error}") from error


def _look_through(file: BinaryIO, name: str, max_values: int) -> None:
    """Refuse a VOTable with an address for its rows, or with more values than are read."""
    per_row, rows, promised = 0, 0, 0
    with get_xml_iterator(file.read) as events:
        for start, tag, data, _place in events:
            if not start:
                continue
            if tag in _ELSEWHERE or (tag == "STREAM" and any(map(_is_address, data))):
                raise BadCatalogueError(
                    f"{name} has its rows in another place, which is not opened: "
                    "save the table with its rows in it"
                )
            rows += tag == "TR"
            per_row += _values(data.get("arraysize", "")) if tag == "FIELD" else 0
            if tag == "TABLE":
                promised = max(promised, int(data.get("nrows") or 0))
            if max(rows, promised) * per_row > max_values or promised > max_values:
                raise BadCatalogueError(f"{name} is too large to be read whole")


def _is_address(attribute: str) -> bool:
    return attribute.lower().endswith("href")


def _values(arraysize: str) -> int:
    """Return how many values each cell of a column takes; of those that vary, 1."""
    return 1 if "*" in arraysize else math.prod(map(int, re.findall(r"\d+", arraysize)))


def _strings(names: Sequence[str], lists: Sequence[list[str]]) -> dict[str, pa.Array]:
    return {n: pa.array(cells, pa.string()) for n, cells in zip(names, lists, strict=True)}
