"""Catalogues as text: CSV, VizieR's tables, columns apart by blanks; packed by gzip or not."""

import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

import pyarrow as pa
from pyarrow import csv

from reduction.refcat.cells import NULLS, chunk_of
from reduction.refcat.columns import RawChunk
from reduction.refcat.errors import BadCatalogueError

BLOCK_BYTES: Final = 8 << 20
_HEAD_BYTES: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_DELIMITERS: Final = (b",", b"\t", b";", b"|")
_DASHES: Final = re.compile(rb"[-\s,;|+]+")
_BLANKS: Final = re.compile(rb"[ \t]+")
_COMMENTS: Final = re.compile(rb"^[ \t]*#.*\n?|^[ \t]*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a text file is written: its columns, what parts them, where the rows begin."""

    names: tuple[str, ...]
    delimiter: bytes  # empty: any number of blanks
    start: int


class TextFile:
    """A text file with a line of column names, or numbers alone (columns ``1``, ``2``, ...)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as packed, _unpacked(packed) as file:
                head = file.read(_HEAD_BYTES)
        except (OSError, EOFError) as error:
            raise BadCatalogueError(f"{path.name} cannot be unpacked: {error}") from error
        if b"\0" in head:
            raise BadCatalogueError(
                f"{path.name}: only text may be packed with gzip; unpack it first"
            )
        self._layout = _layout_of(head, path.name)
        self.names: Sequence[str] = self._layout.names
        self.units: Mapping[str, str] = {}

    def chunks(self, wanted: Sequence[str], whole: frozenset[str]) -> Iterator[RawChunk]:
        """Yield the wanted columns piece by piece; those in `whole` as whole numbers."""
        size = self._path.stat().st_size
        with self._path.open("rb") as packed, _unpacked(packed) as file:
            file.seek(self._layout.start)
            for block in _blocks(file):
                chunk = self._parse(block, wanted, whole, min(1.0, packed.tell() / size))
                if chunk is not None:
                    yield chunk

    def _parse(
        self, block: bytes, wanted: Sequence[str], whole: frozenset[str], done: float
    ) -> RawChunk | None:
        """Return the rows of a block: as numbers at once, or cell by cell where some are text."""
        if b"#" in block or block.startswith(b"\n") or b"\n\n" in block:
            block = _COMMENTS.sub(b"", block)
        if not self._layout.delimiter:
            block = b"\n".join(_BLANKS.sub(b"\t", line.strip()) for line in block.splitlines())
        if not block or block.isspace():
            return None
        types = {name: pa.int64() if name in whole else pa.float64() for name in wanted}
        try:
            table, ragged = self._read(block, types)
        except pa.ArrowInvalid:
            table, ragged = self._read(block, dict.fromkeys(wanted, pa.string()))
        cells = {name: table.column(name) for name in wanted}
        return chunk_of(cells, whole, ragged=ragged, done=done)

    def _read(self, block: bytes, types: Mapping[str, pa.DataType]) -> tuple[pa.Table, int]:
        ragged = 0

        def skip(_row: csv.InvalidRow) -> str:
            nonlocal ragged
            ragged += 1
            return "skip"

        table = csv.read_csv(
            io.BytesIO(block),
            read_options=csv.ReadOptions(
                column_names=list(self._layout.names), block_size=len(block) + 1, use_threads=True
            ),
            parse_options=csv.ParseOptions(
                delimiter=(self._layout.delimiter or b"\t").decode(), invalid_row_handler=skip
            ),
            convert_options=csv.ConvertOptions(
                include_columns=list(types),
                column_types=types,
                null_values=list(NULLS),
                strings_can_be_null=False,
            ),
        )
        return table, ragged


@contextmanager
def _unpacked(packed: BinaryIO) -> Iterator[IO[bytes]]:
    is_packed = packed.read(2) == _GZIP
    packed.seek(0)
    if not is_packed:
        yield packed
        return
    with gzip.GzipFile(fileobj=packed) as file:
        yield cast("IO[bytes]", file)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield whole lines, about `BLOCK_BYTES` of them at a time."""
    rest = b""
    while piece := file.read(BLOCK_BYTES):
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
    if rest:
        yield rest + b"\n"


def _layout_of(head: bytes, name: str) -> _Layout:
    """Find the line of column names: the first without a comment sign, or a comment before it."""
    at, comment = 0, b""
    while at < len(head):
        line, end = _line(head, at)
        if line.strip() and not line.lstrip().startswith(b"#"):
            break
        comment = line.strip().lstrip(b"#") or comment
        at = end
    else:
        raise BadCatalogueError(f"{name} has no line that is not a comment")
    delimiter = max(_DELIMITERS, key=line.count)
    delimiter = delimiter if delimiter in line else b""
    cells = _split(line, delimiter)
    if not all(_is_number(cell) for cell in cells):
        return _Layout(_distinct(cells), delimiter, _after_dashes(head, end))
    named = _split(comment, delimiter)
    if len(named) != len(cells) or all(_is_number(cell) for cell in named):
        named = [str(number + 1).encode() for number in range(len(cells))]
    return _Layout(_distinct(named), delimiter, at)


def _line(head: bytes, at: int) -> tuple[bytes, int]:
    end = head.find(b"\n", at) + 1 or len(head)
    return head[at:end].rstrip(b"\r\n"), end


def _after_dashes(head: bytes, at: int) -> int:
    """Skip what VizieR writes below the names: a line of units and one of dashes."""
    end = at
    for _ in range(2):
        line, end = _line(head, end)
        if b"--" in line and _DASHES.fullmatch(line):
            return end
    return at


def _split(line: bytes, delimiter: bytes) -> list[bytes]:
    return [cell.strip().strip(b'"') for cell in line.split(delimiter or None)]


def _is_number(cell: bytes) -> bool:
    if cell.decode("latin-1") in NULLS:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _distinct(cells: Sequence[bytes]) -> tuple[str, ...]:
    """Return column names that differ: the second of a name is never meant."""
    names: list[str] = []
    for number, cell in enumerate(cells):
        name = cell.decode("utf-8", "replace")
        names.append(name if name and name not in names else f"{name}#{number + 1}")
    return tuple(names)
