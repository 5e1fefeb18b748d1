"""Files that appear whole or not at all, whatever happens while they are written."""

import errno
import fcntl
import hashlib
import io
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# What file systems answer that cannot do what is asked of them, or not for these bytes.
_CANNOT = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV})


@dataclass(frozen=True, slots=True)
class Staged:
    """A file written and synced under a temporary name, beside the one it is to have.

    Attributes
    ----------
    path : Path
        The name it is to have.
    temporary : Path
        The one it has, in the same folder.
    size : int
        In bytes.
    sha256 : str
        Of its content, in hex digits; "" where it was not taken.
    header_text : str
        Of a FITS file, its headers, as of `reduction.cards.FileHeaders`.
    """

    path: Path
    temporary: Path
    size: int
    sha256: str
    header_text: str = ""

    def put(self) -> None:
        """Give the file its name, in place of any that had it, and sync the folder."""
        put_all([self])

    def discard(self) -> None:
        """Remove the file, unless it has its name by now."""
        self.temporary.unlink(missing_ok=True)


def stage(
    path: Path,
    pieces: Iterable[memoryview],
    *,
    size: int,
    digest: bool = False,
    behind: Callable[[], Iterable[tuple[int, memoryview]]] | None = None,
    direct: bool = False,
) -> Staged:
    """Write a file under a temporary name in the folder of `path` and sync it.

    Parameters
    ----------
    path : Path
        The name it is to have.
    pieces : iterable of memoryview
        Its content, in order.
    size : int
        How many bytes they are together.
    digest : bool
        Whether the SHA-256 of the content is taken on the way.
    behind : callable, optional
        Asked, when all pieces are written, for places in the file and what is to stand there
        instead: what only the content tells. Not with a digest.
    direct : bool
        Whether the bytes go to the disk from where they are, where its file system can: the
        system spends a third of the time, and what it keeps in memory stays there. For large
        files; each piece but the last is to be of whole memory pages, and begin with one.

    Returns
    -------
    Staged
        To be put in its place, or discarded.

    Raises
    ------
    OSError
        Where the disk is full, say; nothing is left behind.
    ValueError
        If a digest is to be taken of what is not final when it is written.
    """
    if digest and behind is not None:
        raise ValueError("a digest takes the bytes of a file in their order")
    sha256 = hashlib.sha256()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb", buffering=0) as file:
            reserve(file.fileno(), size)
            if direct:
                _set_direct(file, True)
            for piece in pieces:
                if digest:
                    sha256.update(piece)
                _write_all(file, piece)
            if direct:
                _set_direct(file, False)
            for at, piece in () if behind is None else behind():
                file.seek(at)
                _write_all(file, piece)
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Staged(path, temporary, size, sha256.hexdigest() if digest else "")


def put_all(files: Sequence[Staged]) -> None:
    """Give files their names, in their order, and sync each of their folders once."""
    for file in files:
        file.temporary.replace(file.path)
    for path in dict.fromkeys(file.path.parent for file in files):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def reserve(descriptor: int, size: int) -> None:
    """Take the room for a file before its first byte: a full disk is known at once.

    Of a file that is mapped it must be known: there a full disk ends the process.

    A file system that need not look for room with every block takes the bytes with a third less
    work (ext4).
    """
    if size == 0 or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def _write_all(file: io.FileIO, piece: memoryview) -> None:
    while piece:
        try:
            piece = piece[file.write(piece) :]
        except OSError as error:
            # A piece that is not of the disk's blocks, the last one say, goes through the cache.
            if error.errno not in _CANNOT or not _set_direct(file, False):
                raise


def _set_direct(file: io.FileIO, wanted: bool) -> bool:
    """Have what is written go past the system's cache, or no longer; tell whether that is new."""
    bit = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    wished = flags | bit if wanted else flags & ~bit
    try:
        if wished != flags:
            fcntl.fcntl(file, fcntl.F_SETFL, wished)
    except OSError:  # a file system that cannot
        return False
    return wished != flags
