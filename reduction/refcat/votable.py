"""VOTable files: rows in XML are read as a stream, those in base64 whole where they are small."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

import numpy as np
import pyarrow as pa
from astropy.io.votable import parse_single_table
from astropy.utils.xml.iterparser import get_xml_iterator

from reduction.refcat.cells import chunk_of
from reduction.refcat.columns import RawChunk
from reduction.refcat.errors import BadCatalogueError

MAX_BINARY_BYTES: Final = 256 << 20  # of a table in base64, which is read whole


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
        table = parse_single_table(self._path, verify="ignore").to_table(use_names_over_ids=True)
        cells = {
            name: pa.array(np.ma.filled(np.ma.asarray(table[name]).astype(object), None).tolist())
            for name in wanted
        }
        return chunk_of(cells, whole, done=1.0)


def _strings(names: Sequence[str], lists: Sequence[list[str]]) -> dict[str, pa.Array]:
    return {n: pa.array(cells, pa.string()) for n, cells in zip(names, lists, strict=True)}
