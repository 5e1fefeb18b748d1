"""Sorting more rows than fit into memory: sorted runs on disk, merged block by block of sky."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reduction import npyfile
from reduction.refcat.columns import Chunk
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.pixels import KEY_ORDER, MAX_ORDER, Pixels, n_pixels, nested_of

Records = npt.NDArray[np.void]

BLOCK_ROWS: Final = 1 << 18  # merged at a time: 20 MB of a catalogue of eight columns
KEY: Final = "key"
_SHIFT: Final = 2 * (KEY_ORDER - MAX_ORDER)


class Runs:
    """Rows on disk, in runs that are each sorted by HEALPix."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dtype: np.dtype[np.void] | None = None
        self._sizes: list[int] = []
        self.counts = np.zeros(n_pixels(MAX_ORDER), np.int64)  # rows by cell of `MAX_ORDER`

    @property
    def rows(self) -> int:
        """How many rows have been added."""
        return sum(self._sizes)

    @property
    def columns(self) -> dict[str, np.dtype[Any]]:
        """The columns of the rows, in their order, with their types."""
        if self._dtype is None:
            return {}
        return {name: self._dtype[name] for name in self._dtype.names or () if name != KEY}

    def take(self, chunks: Iterable[Chunk]) -> None:
        """Add all rows there are.

        Raises
        ------
        BadCatalogueError
            If there is none.
        """
        for chunk in chunks:
            self.add(chunk)
        if not self.rows:
            raise BadCatalogueError("a catalogue needs a star at least")

    def add(self, chunk: Chunk) -> None:
        """Write rows, sorted, as a run of their own."""
        if not chunk["ra"].size:
            return
        if self._dtype is None:
            types = [(name, column.dtype) for name, column in chunk.items()]
            self._dtype = np.dtype([(KEY, np.int64), *types])
        key = nested_of(np.asarray(chunk["ra"]), np.asarray(chunk["dec"]), KEY_ORDER)
        order = np.argsort(key, kind="stable")
        records = np.empty(key.size, self._dtype)
        records[KEY] = key[order]
        for name, column in chunk.items():
            records[name] = column[order]
        count_cells(self.counts, records[KEY])
        records.tofile(self._path("rows", len(self._sizes)))
        np.save(self._path("keys", len(self._sizes)), records[KEY])
        self._sizes.append(key.size)

    def blocks(self) -> Iterator[Records]:
        """Yield all rows in order, each once: rows of the same place are in one block."""
        keys = [
            npyfile.mapped(self._path("keys", i)).view(np.ndarray) for i in range(len(self._sizes))
        ]
        borders = self._borders()
        places = [np.searchsorted(key, borders) for key in keys]
        for block in range(borders.size - 1):
            parts = [
                self._part(run, int(at[block]), int(at[block + 1]))
                for run, at in enumerate(places)
                if at[block + 1] > at[block]
            ]
            if parts:
                yield _merged(parts)

    def remove(self) -> None:
        """Delete the runs."""
        for path in (*self._folder.glob("rows-*"), *self._folder.glob("keys-*")):
            path.unlink()

    def _path(self, what: str, run: int) -> Path:
        return self._folder / f"{what}-{run:06d}.npy"

    def _part(self, run: int, first: int, last: int) -> Records:
        assert self._dtype is not None  # noqa: S101 - there is a run
        return np.fromfile(
            self._path("rows", run),
            self._dtype,
            count=last - first,
            offset=first * self._dtype.itemsize,
        )

    def _borders(self) -> Pixels:
        """Return keys between which lie about `BLOCK_ROWS` rows, or one cell of sky."""
        block = (np.cumsum(self.counts) - self.counts) // BLOCK_ROWS
        first = np.flatnonzero(np.diff(block, prepend=-1))
        return np.append(first, self.counts.size).astype(np.int64) << _SHIFT


def _merged(parts: list[Records]) -> Records:
    """Return rows of several runs in one order; equal places in the order of the runs."""
    records = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return records[np.argsort(records[KEY], kind="stable")] if len(parts) > 1 else records


def count_cells(counts: Pixels, key: Pixels) -> None:
    """Add rows of sorted keys to the counts by cell of `MAX_ORDER`."""
    cell = key >> _SHIFT
    first = firsts(cell)
    counts[cell[first]] += np.diff(first, append=cell.size)


def firsts(values: Pixels) -> Pixels:
    """Return where in sorted values each new one begins."""
    return np.flatnonzero(np.diff(values, prepend=values[0] - 1))


def distinct(records: Records) -> Records:
    """Return sorted rows without those that repeat another: its place, and its identifier.

    The first of them in the order read is kept.
    """
    key = records[KEY]
    same = key[1:] == key[:-1]
    crowd = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    if not crowd.size:
        return records
    close = records[crowd]
    names = ("ra", "dec", "id") if "id" in (records.dtype.names or ()) else ("ra", "dec")
    order = np.lexsort([close[name] for name in reversed(names)])  # stable: the first stays first
    close = close[order]
    repeats = np.ones(close.size - 1, np.bool_)
    for name in names:
        repeats &= close[name][1:] == close[name][:-1]
    keep = np.ones(records.size, np.bool_)
    keep[crowd[order[1:][repeats]]] = False
    return records[keep]
