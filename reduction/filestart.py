"""How a file begins, where others lately began with headers that may have the same form."""

import os
from collections.abc import Sequence
from pathlib import Path

from reduction.cards import FileHeaders, HduHeader
from reduction.guard import LIMITS, HduLayout, Limits, only_layout
from reduction.layouts import recent

_TO_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_UNMARKED = getattr(os, "O_NOATIME", 0)  # or the disk notes of each file when it was read

# A file's first bytes, and its status, asked before they were read.
FileStart = tuple[bytes, os.stat_result]


class _Opener:
    """Opens files so that their reading leaves no mark on the disk, where it is allowed."""

    __slots__ = ("_flags",)

    def __init__(self) -> None:
        self._flags = _TO_READ | _UNMARKED

    def open(self, path: str, folder: int) -> int:
        """Open a file; once that is refused and goes without, others are opened without too."""
        try:
            return os.open(path, self._flags, dir_fd=folder)
        except OSError:
            descriptor = os.open(path, _TO_READ, dir_fd=folder)
        self._flags = _TO_READ  # only a file's owner may leave no mark, and not on every disk
        return descriptor


_opener = _Opener()


def read_starts(root: str | Path, paths: Sequence[str | None]) -> list[FileStart | None]:
    """Read how files begin, as far as the headers of those read lately go.

    Nothing of it has been believed yet: `reduction.headers.Series` sees that what it promises is
    what was found right in another.

    Parameters
    ----------
    root : str or Path
        A folder.
    paths : sequence of str or None
        Any files in it; None is passed over, and a pipe that lies there is not waited for.

    Returns
    -------
    list of FileStart or None
        For each path; `read_headers` has to look at those that are None, whatever ails them.
    """
    nothing: list[FileStart | None] = [None] * len(paths)
    if not recent.n_bytes:
        return nothing
    try:
        folder = os.open(root, _FOLDER)
    except OSError:
        return nothing
    try:
        return [None if path is None else _read_start(path, folder) for path in paths]
    finally:
        os.close(folder)


def _read_start(path: str, folder: int) -> FileStart | None:
    try:
        descriptor = _opener.open(path, folder)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)  # before the reading: what changes then shows later
        return os.pread(descriptor, recent.n_bytes, 0), status
    except OSError:
        return None
    finally:
        os.close(descriptor)


def start_headers(start: FileStart, limits: Limits = LIMITS) -> FileHeaders | None:
    """Return the headers of a file, None where `fitsio.read_headers` has to look at it."""
    head, status = start
    only = only_layout(head, status.st_size, limits)
    return None if only is None else file_headers([only])


def file_headers(layouts: Sequence[HduLayout]) -> FileHeaders:
    """Return the headers of a file whose HDUs lie so."""
    return FileHeaders.of([HduHeader(i, hdu.cards, hdu.shape) for i, hdu in enumerate(layouts)])
