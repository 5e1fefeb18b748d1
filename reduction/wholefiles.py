"""Files that appear whole or not at all, whatever happens while they are written."""

import errno
import hashlib
import io
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_NO_RESERVING = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV})


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
        self.temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

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
            for piece in pieces:
                if digest:
                    sha256.update(piece)
                _write_all(file, piece)
            for at, piece in () if behind is None else behind():
                file.seek(at)
                _write_all(file, piece)
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Staged(path, temporary, size, sha256.hexdigest() if digest else "")


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
        if error.errno not in _NO_RESERVING:
            raise


def _write_all(file: io.FileIO, piece: memoryview) -> None:
    while piece:
        piece = piece[file.write(piece) :]
