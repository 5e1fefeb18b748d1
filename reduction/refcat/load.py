"""Files into a catalogue: read, cleaned, counted, built."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from reduction.refcat.build import Progress, Spec, build
from reduction.refcat.columns import ERROR, Chunk, Cleaner, ColumnMap, Counts, columns_of
from reduction.refcat.coverage import Coverage, joined
from reduction.refcat.errors import BadCatalogueError
from reduction.refcat.meta import Meta, Source
from reduction.refcat.readers import CatalogueFile, open_file
from reduction.refcat.store import Catalogue


@dataclass(frozen=True, slots=True)
class Loading:
    """What is known of files before they are read.

    Attributes
    ----------
    name, title : str
        What the catalogue is called, and what it is.
    epoch : float
        Julian year of the positions.
    columns : ColumnMap
        Which columns are what.
    coverage : Coverage or None
        The sky the files are of, None where that is to be seen from their stars.
    """

    name: str
    title: str
    epoch: float
    columns: ColumnMap
    coverage: Coverage | None = None


def load(
    folder: Path,
    files: Sequence[Path],
    what: Loading,
    progress: Progress,
    *,
    kept: Catalogue | None = None,
) -> Meta:
    """Make a catalogue of files, in place of the one in its folder.

    Parameters
    ----------
    folder : Path
        Of the catalogue.
    files : sequence of Path
        CSV, FITS tables, VOTables or Parquet, with the same columns.
    what : Loading
        What they are.
    progress : callable
        Told a stage and how much of it is done.
    kept : Catalogue, optional
        Whose stars and sky go in too, those of the folder as it is; a star that is in both is
        taken as it was.

    Returns
    -------
    Meta
        Of what has been loaded; `Meta.left_out` says in words what was not.

    Raises
    ------
    BadCatalogueError
        If a file is none, or lacks a column, or holds no star, or has other columns than what is
        kept; the old catalogue stays.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        reading = _Reading(files, what.columns, progress)
        hashes = [pool.submit(_sha256, path) for path in files]
        spec = Spec(
            what.name,
            what.title,
            what.epoch,
            what.columns.bands_of(reading.found),
            what.coverage,
            lambda: reading.sources(hashes),
            reading.left_out,
        )
        if kept is None:
            return build(folder, reading.chunks(), spec, progress)
        _check_alike(kept, reading.found)
        chunks = chain(_completed(kept.chunks(), reading.found), reading.chunks())
        return build(folder, chunks, _with(kept, spec), progress)


def _check_alike(kept: Catalogue, found: dict[str, str]) -> None:
    unlike = kept.meta.columns.keys() ^ found.keys()
    if not all(role in found and role.endswith(ERROR) for role in unlike):
        only = ", ".join(sorted(unlike))
        raise BadCatalogueError(
            f"the catalogue {kept.meta.name} and what is to be added to it do not have the same "
            f"columns: {only}"
        )


def _completed(chunks: Iterator[Chunk], found: dict[str, str]) -> Iterator[Chunk]:
    """Yield stars that were kept when nobody took errors of their magnitudes: unknown ones."""
    for chunk in chunks:
        unknown = np.full(chunk["ra"].size, np.nan, np.float32)
        yield {role: chunk.get(role, unknown) for role in found}


def _with(kept: Catalogue, spec: Spec) -> Spec:
    """Return what a catalogue says of itself that has the stars of another too."""
    known = kept.coverage
    coverage = known if spec.coverage is None else joined([known, spec.coverage])
    sources = spec.sources
    return replace(spec, coverage=coverage, sources=lambda: [*kept.meta.sources, *sources()])


class _Reading:
    """The rows of several files, one after the other."""

    def __init__(self, files: Sequence[Path], columns: ColumnMap, progress: Progress) -> None:
        if not files:
            raise BadCatalogueError("no file to load")
        self._files, self._columns, self._progress = files, columns, progress
        self._opened = [open_file(path) for path in files]
        self._found = [
            columns.found_in(opened.names, path.name)
            for opened, path in zip(self._opened, files, strict=True)
        ]
        self._counts: list[Counts] = []
        for path, found in zip(files, self._found, strict=True):
            if found.keys() != self.found.keys():
                only = ", ".join(sorted(found.keys() ^ self.found.keys()))
                raise BadCatalogueError(
                    f"{path.name} and {files[0].name} do not have the same columns: {only}"
                )

    @property
    def found(self) -> dict[str, str]:
        """By role, the columns of the first file."""
        return self._found[0]

    def chunks(self) -> Iterator[Chunk]:
        """Yield the stars of all files."""
        whole = zip(self._files, self._opened, self._found, strict=True)
        for number, (path, opened, found) in enumerate(whole):
            yield from self._stars(number, path, opened, found)

    def sources(self, hashes: Sequence[Future[str]]) -> list[Source]:
        """Return what was read."""
        return [
            Source(path.name, sha256.result(), counts.read)
            for path, sha256, counts in zip(self._files, hashes, self._counts, strict=True)
        ]

    def left_out(self, duplicates: int) -> list[str]:
        """Return what was not taken, in words."""
        total = Counts(duplicates=duplicates)
        for counts in self._counts:
            for name in ("ragged", "no_position", "text_position", "off_sky", "odd_magnitudes"):
                setattr(total, name, getattr(total, name) + getattr(counts, name))
            total.example = total.example or counts.example
        return total.sentences()

    def _stars(
        self, number: int, path: Path, opened: CatalogueFile, found: dict[str, str]
    ) -> Iterator[Chunk]:
        cleaner = Cleaner(self._columns, found, opened.units, path.name)
        whole = frozenset({found["id"]} if "id" in found else ())
        for raw in opened.chunks(columns_of(found.values(), opened.names), whole):
            yield cleaner.clean(raw)
            self._progress("reading", (number + raw.done) / len(self._files))
        self._counts.append(cleaner.finish())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
