"""How a file begins, where others lately began with headers that may have the same form."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from reduction.cards import FileHeaders, HduHeader
from reduction.guard import LIMITS, HduLayout, Limits, only_layout
from reduction.layouts import recent

_TO_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_UNMARKED = getattr(os, "O_NOATIME", 0)  # or the disk notes of each file when it was read

# A file's first bytes, and its status, asked before they were read.
FileStart = tuple[bytes, os.stat_result]


class _Opener:
    """Opens files so that their reading leaves no mark on the disk, where it is allowed."""

    __slots__ = ("_flags",)

    def __init__(self) -> None:
        self._flags = _TO_READ | _UNMARKED

    def open(self, path: str | Path, folder: int | None) -> int:
        try:
            return os.open(path, self._flags, dir_fd=folder)
        except PermissionError:
            descriptor = os.open(path, _TO_READ, dir_fd=folder)
        self._flags = _TO_READ  # these files are another user's, who alone may ask for that
        return descriptor


_opener = _Opener()


def read_start(path: str | Path, folder: int | None = None) -> FileStart | None:
    """Read how a file begins, as far as the headers of those read lately go.

    Nothing of it has been believed yet: `reduction.headers.Series` sees that what it promises is
    what was found right in another.

    Parameters
    ----------
    path : str or Path
        Any file; a pipe that lies there is not waited for.
    folder : int or None
        A folder's descriptor, from which a relative path is looked for.

    Returns
    -------
    FileStart or None
        None where no header was read lately.

    Raises
    ------
    OSError
        Where the file cannot be read.
    """
    if not recent.n_bytes:
        return None
    descriptor = _opener.open(path, folder)
    try:
        status = os.fstat(descriptor)  # before the reading: what changes then shows in the next
        return os.pread(descriptor, recent.n_bytes, 0), status
    finally:
        os.close(descriptor)


def start_headers(start: FileStart, limits: Limits = LIMITS) -> FileHeaders | None:
    """Return the headers of a file, None where `fitsio.read_headers` has to look at it."""
    head, status = start
    only = only_layout(head, status.st_size, limits)
    return None if only is None else file_headers([only])


def file_headers(layouts: Sequence[HduLayout]) -> FileHeaders:
    """Return the headers of a file whose HDUs lie so."""
    ended = b"".join([hdu.cards.raw_bytes + b"END" for hdu in layouts])
    return FileHeaders(
        tuple([HduHeader(i, hdu.cards, hdu.shape) for i, hdu in enumerate(layouts)]),
        hashlib.sha256(ended).hexdigest(),
    )
