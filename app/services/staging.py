"""Files on their way in: written beside the data, limited and hashed, before anything is kept."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from app import paths
from app.errors import InvalidRequestError, UnavailableError
from app.services.settings import Snapshot

MEGABYTE: Final = 1_000_000
SUFFIXES: Final = tuple(i + p for i in (".fits", ".fit", ".fts") for p in ("", ".gz", ".fz"))
LONGEST_NAME: Final = 200  # bytes: a number and a temporary name's ending still fit in 255
ABANDONED_S: Final = 24 * 3600.0  # no upload takes as long
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOOK_EVERY: Final = 16 * MEGABYTE  # bytes between two looks at the free disk
# Letters and digits of any script, and what a shell, a web address and a FITS card take as it is.
_UNWANTED: Final = re.compile(r"[^\w.+=@,()~ -]+")
_BLANKS: Final = re.compile(r"\s+")


@dataclass(slots=True)
class Arrived:
    """One file as it came: where it waits, how large it is, and the SHA-256 of its bytes."""

    name: str  # cleaned
    path: Path
    size: int = 0
    sha256: str = ""


@dataclass(slots=True)
class Staging:
    """A folder for the files of one request, and how much more may come."""

    folder: Path
    room_bytes: int
    room_files: int
    reserve_bytes: int
    limits: str  # in words, for who sends too much
    any_name: bool = False  # else only those of FITS files
    arrived: list[Arrived] = field(default_factory=list)
    _open: list["Incoming"] = field(default_factory=list)
    _unlooked: int = 0

    def open(self, name: str) -> "Incoming":
        """Begin a file of this name, which comes from outside.

        Raises
        ------
        InvalidRequestError
            If there are too many, or its name is none of a FITS file.
        """
        if self.room_files <= len(self.arrived):
            raise InvalidRequestError(file=f"Too many files in one request: {self.limits}.")
        place = self.folder / str(len(self.arrived))
        place.mkdir()
        cleaned = plain_name(name) if self.any_name else clean_name(name)
        self.arrived.append(Arrived(cleaned, place / cleaned))
        self._open.append(Incoming(self, self.arrived[-1]))
        return self._open[-1]

    def abandon(self) -> None:
        """Let go of files that were not ended."""
        for incoming in self._open:
            incoming.abandon()

    def take(self, n_bytes: int) -> None:
        """Count bytes that are about to be written.

        Raises
        ------
        InvalidRequestError
            If more comes than a request may bring.
        UnavailableError
            If the disk would be too full with it.
        """
        self.room_bytes -= n_bytes
        if self.room_bytes < 0:
            raise InvalidRequestError(file=f"Too large: {self.limits}.")
        self._unlooked += n_bytes
        if self._unlooked >= _LOOK_EVERY:
            self._unlooked = 0
            self.check_room(0)

    def check_room(self, n_bytes: int) -> None:
        """Refuse what would leave less of the disk free than is kept free."""
        free = shutil.disk_usage(self.folder).free
        if free - n_bytes < self.reserve_bytes:
            raise UnavailableError(
                f"The disk is full: {free // MEGABYTE} MB are free and "
                f"{self.reserve_bytes // MEGABYTE} MB are kept free (setting disk.reserve_mb). "
                "Make room and send it again."
            )


class Incoming:
    """A file that is being written; the web server's parser takes it for any open file."""

    def __init__(self, staging: Staging, arrived: Arrived) -> None:
        self._staging = staging
        self._arrived = arrived
        self._digest = hashlib.sha256()
        with _room_needed():
            self._stream: IO[bytes] = arrived.path.open("xb")

    def write(self, data: bytes) -> int:
        """Write bytes, as far as the limits allow."""
        self._staging.take(len(data))
        self._digest.update(data)
        self._arrived.size += len(data)
        with _room_needed():
            return self._stream.write(data)

    def seek(self, _offset: int, _whence: int = 0) -> int:
        """End the file: the parser goes back to its start when it has come to its end."""
        self.close()
        return 0

    def close(self) -> None:
        """End the file; it is on the disk afterwards."""
        if not self._stream.closed:
            with _room_needed():
                self._stream.flush()
                os.fsync(self._stream.fileno())
                self._stream.close()
        self._arrived.sha256 = self._digest.hexdigest()

    def abandon(self) -> None:
        """Let go of the file as it is; nobody will read it."""
        with suppress(OSError):  # what is left to write may find no room
            self._stream.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a file has
        return getattr(self._stream, name)


@contextmanager
def staging(at: Snapshot, *, any_name: bool = False) -> Iterator[Staging]:
    """Open a folder for what one request brings; it is gone afterwards with what is left there.

    With `any_name` files need not be called as FITS files are.
    """
    folder = _root() / f"{secrets.token_hex(8)}"
    folder.mkdir(parents=True)
    max_mb, max_files = at.integer("uploads.max_mb"), at.integer("uploads.max_files")
    room = Staging(
        folder,
        room_bytes=max_mb * MEGABYTE,
        room_files=max_files,
        reserve_bytes=at.integer("disk.reserve_mb") * MEGABYTE,
        limits=(
            f"{max_mb} MB (setting uploads.max_mb) in {max_files} files "
            "(uploads.max_files) go in one request"
        ),
        any_name=any_name,
    )
    try:
        yield room
    finally:
        room.abandon()
        shutil.rmtree(folder, ignore_errors=True)


def sweep(older_s: float = ABANDONED_S) -> int:
    """Remove what uploads left behind that a power cut ended; return how many there were."""
    before = time.time() - older_s
    try:
        left = [entry for entry in _root().iterdir() if entry.stat().st_mtime < before]
    except FileNotFoundError:
        return 0
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return len(left)


def clean_name(name: str) -> str:
    """Return the name of a FITS file that came from outside, safe on any disk and in any list.

    Folders are dropped, whichever way they are written, and so is what cannot be seen.

    Raises
    ------
    InvalidRequestError
        If nothing is left of it, or it is not the name of a FITS file.
    """
    plain = _without_folders(name)
    suffix = next((s for s in SUFFIXES if plain.lower().endswith(s)), None)
    if suffix is None:
        raise InvalidRequestError(
            file_name=f"{plain[:80]!r} is not the name of a FITS file: it must end in "
            ".fits, .fit or .fts, or in one of these with .gz or .fz behind."
        )
    ending = plain[-len(suffix) :]
    return _shortened(plain[: -len(suffix)].rstrip(". "), LONGEST_NAME - len(suffix)) + ending


def plain_name(name: str) -> str:
    """Return the name of any file that came from outside, safe as `clean_name` makes it."""
    return _shortened(_without_folders(name), LONGEST_NAME) or "file"


def _without_folders(name: str) -> str:
    composed = unicodedata.normalize("NFKC", name.replace("\0", ""))
    last = re.split(r"[/\\]", composed.encode("utf-8", "replace").decode())[-1]
    return _UNWANTED.sub("_", _BLANKS.sub(" ", last)).strip(". ")


def _shortened(text: str, n_bytes: int) -> str:
    return text.encode()[:n_bytes].decode("utf-8", "ignore")


def _root() -> Path:
    return paths.current().data / ".incoming"


@contextmanager
def _room_needed() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UnavailableError("The disk is full: make room and send it again.") from error
