"""A store made of rows that come piece by piece, in bounded memory, and swapped in whole."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reduction.refcat.columns import Chunk
from reduction.refcat.coverage import Coverage, of_stars
from reduction.refcat.damage import SUMS_FILE, sums_of
from reduction.refcat.meta import META_FILE, ColumnFact, Meta, Source
from reduction.refcat.pixels import KEY_ORDER, MAX_ORDER, Pixels, n_pixels
from reduction.refcat.runs import KEY, Records, Runs, count_cells, distinct, firsts
from reduction.refcat.store import COVERED, GENERATION, OFFSETS, newest_generation
from reduction.refcat.systems import Band

Progress = Callable[[str, float], None]

COARSEST: Final = 5  # order of the offsets of a small catalogue
ROWS_A_CELL: Final = 3  # at least, on average over the sky: the offsets stay smaller than a column
STARS_A_CELL: Final = 6  # of the map of loaded sky: few loaded cells are empty by chance
COARSEST_COVER: Final = 3
FINEST_COVER: Final = 11  # 1.7 arcminutes
MOST_COVER_CELLS: Final = 2_000_000
_BUILDING: Final = ".building-"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a catalogue is to say of itself.

    Attributes
    ----------
    name, title : str
        What it is called, and what it is.
    epoch : float
        Julian year of the positions.
    bands : tuple of Band
        The magnitudes in the rows; one with errors has a column ``<band>_err``.
    coverage : Coverage or None
        The sky it is loaded for, None where that is to be seen from its stars.
    sources, left_out : callable
        Asked when the last row has come: the files it was made of, and what was left out of them.
    """

    name: str
    title: str
    epoch: float
    bands: tuple[Band, ...]
    coverage: Coverage | None = None
    sources: Callable[[], Sequence[Source]] = tuple
    left_out: Callable[[int], Sequence[str]] = field(default=lambda _duplicates: ())


def build(
    folder: Path, chunks: Iterable[Chunk], spec: Spec, progress: Progress | None = None
) -> Meta:
    """Make a new generation of a catalogue in its folder and remove the ones before it.

    Rows are sorted in runs on disk and merged by pieces of sky, so that memory does not grow with
    their number; disk holds them twice for a while. Readers see the old generation until the new
    one is renamed into place, and one that has the old one open keeps it.

    Parameters
    ----------
    folder : Path
        Of the catalogue, made if it is not there.
    chunks : iterable of mapping of str to array
        Columns ``ra``, ``dec`` (degrees, float64), optionally ``id`` (int64), ``pmra``, ``pmdec``
        (mas a year), ``epoch`` (Julian year), and the bands with their errors (float32); the same
        in each. A chunk that cannot be had raises, and nothing has changed.
    spec : Spec
        What it is.
    progress : callable, optional
        Told a stage and how much of it is done.

    Returns
    -------
    Meta
        Of the new generation.

    Raises
    ------
    BadCatalogueError
        If there was no star.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    workshop = folder / f"{_BUILDING}{secrets.token_hex(4)}"
    workshop.mkdir()
    try:
        runs = Runs(workshop)
        runs.take(chunks)
        meta = _Writer(workshop, runs, spec).write(progress or _silent)
        runs.remove()
        _sync(workshop)
        _publish(workshop, folder)
    except BaseException:
        shutil.rmtree(workshop, ignore_errors=True)
        raise
    return meta


class _ColumnFile:
    """A ``.npy`` file that grows; its header is written again when its length is known."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype, self._hash, self._rows = dtype, sha256(), 0
        self._file = path.open("wb")
        self._header()

    def add(self, values: npt.NDArray[Any]) -> None:
        """Append values."""
        data = np.ascontiguousarray(values, self._dtype).data
        self._hash.update(data)
        self._file.write(data)
        self._rows += values.size

    def close(self) -> ColumnFact:
        """Write the length and bring all of it to the disk."""
        self._file.seek(0)
        self._header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return ColumnFact(self._dtype.str, self._hash.hexdigest())

    def _header(self) -> None:
        """Write the header; numpy leaves room in it for any length."""
        head = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._rows,)}
        np.lib.format.write_array_header_1_0(self._file, head)


class _Writer:
    """Writes the files of one generation."""

    def __init__(self, folder: Path, runs: Runs, spec: Spec) -> None:
        self._folder, self._runs, self._spec = folder, runs, spec
        self._cover_order = _cover_order(runs.counts)
        self._covered: list[Pixels] = []
        self._counts = np.zeros(n_pixels(MAX_ORDER), np.int64)
        self._motion = 0.0
        self._epochs = [spec.epoch, spec.epoch]

    def write(self, progress: Progress) -> Meta:
        """Write columns, offsets, coverage and facts."""
        files = {
            name: _ColumnFile(self._folder / f"{name}.npy", dtype.newbyteorder("<"))
            for name, dtype in self._runs.columns.items()
        }
        seen = kept = 0
        for block in self._runs.blocks():
            seen += block.size
            rows = distinct(block)
            kept += rows.size
            self._note(rows)
            for name, file in files.items():
                file.add(rows[name])
            progress("sorting", seen / self._runs.rows)
        facts = {name: file.close() for name, file in files.items()}
        order = _offset_order(kept)
        self._save(OFFSETS, _offsets(self._counts, order))
        coverage = self._spec.coverage or of_stars(
            np.unique(np.concatenate(self._covered)), self._cover_order
        )
        self._save(COVERED, np.stack([coverage.ranges.start, coverage.ranges.stop]))
        meta = self._meta(facts, kept, order, coverage)
        meta = replace(meta, left_out=tuple(self._spec.left_out(seen - kept)))
        (self._folder / META_FILE).write_text(meta.text(), encoding="utf-8")
        (self._folder / SUMS_FILE).write_text(sums_of(self._folder), encoding="ascii")
        return meta

    def _note(self, rows: Records) -> None:
        """Count rows by cell, and remember what the facts will tell of them."""
        key = np.ascontiguousarray(rows[KEY])
        count_cells(self._counts, key)
        covered = key >> 2 * (KEY_ORDER - self._cover_order)
        self._covered.append(covered[firsts(covered)])
        names = rows.dtype.names or ()
        if "pmra" in names and "pmdec" in names:
            motion = np.hypot(rows["pmra"], rows["pmdec"])
            self._motion = max(self._motion, float(np.nanmax(motion, initial=0.0)))
        if "epoch" in names and np.isfinite(rows["epoch"]).any():
            self._epochs = [
                min(self._epochs[0], float(np.nanmin(rows["epoch"]))),
                max(self._epochs[1], float(np.nanmax(rows["epoch"]))),
            ]

    def _meta(
        self, facts: dict[str, ColumnFact], rows: int, order: int, coverage: Coverage
    ) -> Meta:
        return Meta(
            name=self._spec.name,
            title=self._spec.title,
            epoch=self._spec.epoch,
            bands=self._spec.bands,
            rows=rows,
            order=order,
            cover_order=coverage.ranges.order,
            is_declared=coverage.is_declared,
            max_motion_mas_yr=self._motion,
            first_epoch=self._epochs[0],
            last_epoch=self._epochs[1],
            columns=facts,
            sources=tuple(self._spec.sources()),
            built_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _save(self, name: str, values: npt.NDArray[Any]) -> None:
        np.save(self._folder / f"{name}.npy", values)


def _offset_order(rows: int) -> int:
    """Return the finest order whose cells are not many more than the rows."""
    cells = max(rows / ROWS_A_CELL, 1.0)
    return int(np.clip(np.floor(np.log2(cells / 12.0) / 2.0 + 1.0), COARSEST, MAX_ORDER))


def _cover_order(counts: Pixels) -> int:
    """Return the finest order at which cells of loaded sky, poor ones too, hold some stars."""
    order, occupied = MAX_ORDER, counts[counts > 0]
    while (poor := float(np.percentile(occupied, 25))) < STARS_A_CELL and order > COARSEST_COVER:
        counts, order = counts.reshape(-1, 4).sum(axis=1), order - 1
        occupied = counts[counts > 0]
    if order < MAX_ORDER:
        return order
    by_stars = np.log2(poor / STARS_A_CELL) / 2.0
    by_cells = np.log2(MOST_COVER_CELLS / occupied.size) / 2.0
    return int(np.clip(order + np.floor(min(by_stars, by_cells)), COARSEST_COVER, FINEST_COVER))


def _offsets(counts: Pixels, order: int) -> npt.NDArray[Any]:
    """Return the row at which each cell of an order begins, and the end."""
    cells = counts.reshape(n_pixels(order), -1).sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(cells)])
    return offsets.astype(np.uint32 if offsets[-1] < 1 << 32 else np.uint64)


def _publish(workshop: Path, folder: Path) -> None:
    """Give the new generation its name, which is the swap, then remove those before it."""
    before = newest_generation(folder)
    number = int(before[1:7]) + 1 if before else 1
    new = folder / f"g{number:06d}-{secrets.token_hex(4)}"
    workshop.rename(new)
    _sync_folder(folder)
    for path in folder.glob(GENERATION):
        if path.name < new.name:
            shutil.rmtree(path, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what builds left that were killed; one catalogue is built by one at a time."""
    for path in folder.glob(f"{_BUILDING}*"):
        shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _silent(_stage: str, _done: float) -> None:
    """Tell nobody."""
