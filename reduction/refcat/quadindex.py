"""The quads of a catalogue, in one file beside its columns: built, and opened for a blind search.

The file begins with a line of JSON that tells its arrays; they follow, each from a multiple of 64
bytes, and are mapped, not read. It has its name when it is whole, in place of one before.
"""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from reduction.astrometry.quads import (
    A_CELL,
    COARSEST,
    QuadTables,
    brightest_of_cells,
    levels_of,
    tables_of,
)
from reduction.kernels.quads import Quads, Sky
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.geometry import vectors
from reduction.refcat.pixels import nested_of
from reduction.refcat.store import Catalogue
from reduction.wholefiles import reserve

Indices = npt.NDArray[np.int64]
QUADS_FILE: Final = "quads.index"
FORMAT: Final = 1  # of the file; one of another format is not read
FINEST: Final = 13  # HEALPix order of the narrowest cells, of 26 arcseconds
ENOUGH: Final = 0.9  # share of a catalogue that the finest level holds; finer ones add little
MOST_STARS: Final = 2_000_000  # of the finest level: about 300 bytes of the file each
ROWS: Final = 1 << 20  # looked at together
HEAD_BYTES: Final = 4096
ALIGNED: Final = 64
_BUILDING: Final = ".quads-"
_QUAD_ARRAYS: Final = ("starts", "owner", "slots", "rest")


@dataclass(frozen=True, slots=True)
class _Bright:
    """The stars of the finest level: rows of the catalogue, their cells and magnitudes."""

    rows: Indices
    cells: Indices
    brightness: npt.NDArray[np.float32]


def build_quads(catalogue: Catalogue) -> Path:
    """Make the quads of a catalogue in its own folder, in place of those before.

    Parameters
    ----------
    catalogue : Catalogue
        Opened; it may be in use.

    Returns
    -------
    Path
        Of the file.

    References
    ----------
    Lang et al. (2010), AJ 139, 1782.
    """
    _sweep(catalogue.folder)
    order = _finest_order(catalogue)
    bright = _brightest(catalogue, order)
    vectors_of = _vectors(catalogue, bright.rows)
    levels = [vectors_of[level] for level in levels_of(bright.cells, bright.brightness, order)]
    part = catalogue.folder / f"{_BUILDING}{secrets.token_hex(4)}"
    target = catalogue.folder / QUADS_FILE
    try:
        with _Writer(part) as file:
            tables = tables_of(levels, file.give)
            file.finish({"n_axis": tables.quads.n_axis, "rows": catalogue.meta.rows})
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def open_quads(folder: Path) -> QuadTables:
    """Map the quads of a catalogue.

    Parameters
    ----------
    folder : Path
        Of a generation of the catalogue.

    Raises
    ------
    FileNotFoundError
        If none were made.
    BadCatalogueError
        If the file is damaged, or was made by another version.
    """
    path = folder / QUADS_FILE
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        told = json.loads(head.rstrip(b"\0 \n"))
        if told["format"] != FORMAT:
            raise BadCatalogueError(f"{path} was made by another version: make it again")
        arrays = {name: _mapped(path, fact) for name, fact in told["arrays"].items()}
        sky = Sky(arrays["xyz"], arrays["near"])
        starts, owner, slots, rest = (arrays[name] for name in _QUAD_ARRAYS)
        quads = Quads(starts, owner, slots, rest, int(told["n_axis"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadCatalogueError(f"{path} is damaged: make it again") from error
    return QuadTables(sky, quads)


def sums_of_quads(folder: Path) -> dict[str, tuple[str, str]]:
    """Return of each array of a catalogue's quads the SHA-256 that was stored, and that it has now.

    Parameters
    ----------
    folder : Path
        Of a generation of the catalogue.

    Returns
    -------
    mapping of str to pair of str
        By the name of the array; without those stored by a version that kept no sums.

    Raises
    ------
    FileNotFoundError
        If none were made.
    BadCatalogueError
        If the file is damaged.
    """
    path = folder / QUADS_FILE
    with path.open("rb") as file:
        try:
            arrays = json.loads(file.read(HEAD_BYTES).rstrip(b"\0 \n"))["arrays"]
            kept = {name: fact for name, fact in arrays.items() if "sha256" in fact}
            return {name: (fact["sha256"], _sum_in(file, fact)) for name, fact in kept.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadCatalogueError(f"{path} is damaged: make it again") from error


def quads_stamp(folder: Path) -> int:
    """Return a number that is another when the quads of a catalogue were made anew.

    Raises
    ------
    FileNotFoundError
        If none were made.
    """
    return (folder / QUADS_FILE).stat().st_mtime_ns


class _Writer:
    """A file of arrays that are given out to be filled."""

    def __init__(self, path: Path) -> None:
        self._path, self._end = path, HEAD_BYTES
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._facts: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "_Writer":
        self._path.touch()
        return self

    def __exit__(self, *_: object) -> None:
        self._arrays.clear()

    def give(self, name: str, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:  # noqa: ANN401
        """Return an array of the file, all zero."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        fact = {"offset": self._end, "shape": list(shape), "dtype": kind.str}
        with self._path.open("r+b") as file:
            file.truncate(self._end + max(size, 1))
            reserve(file.fileno(), self._end + max(size, 1))
        self._end += -(-max(size, 1) // ALIGNED) * ALIGNED
        self._facts[name] = fact
        self._arrays[name] = _mapped(self._path, fact, "r+")
        return self._arrays[name]

    def finish(self, facts: dict[str, Any]) -> None:
        """Write what the file holds, and bring all of it to the disk."""
        for array in self._arrays.values():
            if isinstance(array.base, np.memmap):
                array.base.flush()
        for name, array in self._arrays.items():
            self._facts[name]["sha256"] = sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
        head = json.dumps({"format": FORMAT, "arrays": self._facts} | facts).encode()
        with self._path.open("r+b") as file:
            file.write(head.ljust(HEAD_BYTES, b"\0"))
            file.flush()
            os.fsync(file.fileno())


def _mapped(path: Path, fact: dict[str, Any], mode: Any = "r") -> npt.NDArray[Any]:  # noqa: ANN401
    shape = tuple(fact["shape"])
    if not int(np.prod(shape)):
        return np.empty(shape, fact["dtype"])
    return np.memmap(path, fact["dtype"], mode, fact["offset"], shape).view(np.ndarray)


def _sum_in(file: BinaryIO, fact: dict[str, Any]) -> str:
    """Return the SHA-256 of an array in an open file; it is read, not mapped."""
    left = int(np.prod(fact["shape"])) * np.dtype(fact["dtype"]).itemsize
    file.seek(fact["offset"])
    found = sha256()
    while left > 0 and (piece := file.read(min(left, ROWS))):
        found.update(piece)
        left -= len(piece)
    return found.hexdigest()


def _pieces(catalogue: Catalogue) -> Iterator[tuple[int, int]]:
    for first in range(0, catalogue.meta.rows, ROWS):
        yield first, min(first + ROWS, catalogue.meta.rows)


def _finest_order(catalogue: Catalogue) -> int:
    """Return the order whose cells' brightest stars are most of all, not too many of them."""
    chosen = np.zeros(FINEST + 1, np.int64)
    for first, last in _pieces(catalogue):
        stars = catalogue.numbered(slice(first, last), bands=())
        cells = nested_of(stars.ra_deg, stars.dec_deg, FINEST)
        for order in range(COARSEST, FINEST + 1):
            at = cells >> 2 * (FINEST - order)
            begins = np.flatnonzero(np.diff(at, prepend=-1))
            chosen[order] += np.minimum(np.diff(begins, append=len(at)), A_CELL).sum()
    order = COARSEST
    while order < FINEST and chosen[order] < ENOUGH * catalogue.meta.rows:
        if chosen[order + 1] > MOST_STARS:
            break
        order += 1
    return order


def _brightest(catalogue: Catalogue, order: int) -> _Bright:
    """Return the brightest of each cell; of one that two pieces share, those of both."""
    parts: list[_Bright] = []
    for first, last in _pieces(catalogue):
        stars = catalogue.numbered(slice(first, last))
        cells = nested_of(stars.ra_deg, stars.dec_deg, order)
        brightness = stars.brightness()
        kept = brightest_of_cells(cells, brightness)
        parts.append(_Bright(kept + first, cells[kept], brightness[kept]))
    return _Bright(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.cells for part in parts]),
        np.concatenate([part.brightness for part in parts]),
    )


def _vectors(catalogue: Catalogue, rows: Indices) -> npt.NDArray[np.float64]:
    stars = catalogue.numbered(rows, bands=())
    return vectors(stars.ra_deg, stars.dec_deg).T


def _sweep(folder: Path) -> None:
    """Remove what builds left that were killed; one at a time builds."""
    for path in folder.glob(f"{_BUILDING}*"):
        path.unlink(missing_ok=True)
