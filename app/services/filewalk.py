"""Walking the RAW tree: which files are there, told by one stat each at most, none is opened."""

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from app.models import FileState

_IMAGES: Final = (".fits", ".fit", ".fts")
_PACKED_WELL: Final = ("", ".gz", ".fz")
_PACKED_OTHERWISE: Final = {".bz2": "bzip2", ".z": "Unix compress"}
_TAKEN: Final = (*(image + packed for image in _IMAGES for packed in _PACKED_WELL), ".fz")
_REFUSED: Final = tuple(image + packed for image in _IMAGES for packed in _PACKED_OTHERWISE)
_SUFFIXES: Final = _TAKEN + _REFUSED
_COMMONEST: Final = ".fits"  # asked first, for that is quick
# Characters that would break a log line, a CSV or the database: controls, line ends, and the
# surrogates that stand for bytes which are no UTF-8.
_UNSAFE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What is stored of a file: id, path, size, mtime_ns, state and code.
KnownRow = tuple[int, str, int, int, str, str]
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_REGISTERED: Final = str(FileState.REGISTERED)  # asked once a file, where an enum is slow


class Problem(NamedTuple):
    """Why a file is not opened: a stable short name, and a sentence."""

    code: str
    reason: str


class Seen(NamedTuple):
    """One image file as the walk saw it; `path` is relative to RAW, with forward slashes."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    problem: Problem | None = None


class Unasked(NamedTuple):
    """A regular file of which nothing is known: its status is asked once it is opened."""

    path: str
    inode: int  # as its folder has it


@dataclass(slots=True)
class Walk:
    """One walk over a part of the RAW tree, and what it passed by.

    `ignored` counts what is no image file by its name, hidden files and folders among it (a
    network disk's ``.snapshot`` holds every file again); `unread` maps folders that could not
    be listed to the reason: nothing can be said of the files below them. Registered files that
    have not been touched since are only counted, and taken out of `known`: an archive is walked
    again and again, and hardly ever anything in it has changed.
    """

    root: Path
    folder: str = ""
    known: dict[str, KnownRow] = field(default_factory=dict)
    untouched: int = 0
    ignored: int = 0
    unread: dict[str, str] = field(default_factory=dict)

    def files(self) -> Iterator[list[Seen | Unasked]]:
        """Yield the files to look at, a folder at a time by name; links after the files.

        Nights follow each other so, and rows of what is alike come to lie beside each other.
        """
        links: list[Seen | Unasked] = []
        folders = [self.folder]
        while folders:
            here = folders.pop()
            below = f"{here}/" if here else ""
            images: list[os.DirEntry[str]] = []
            new: list[os.DirEntry[str]] = []
            inner: list[str] = []
            with self._listing(here) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith("."):
                        self.ignored += 1
                    elif name.endswith(_COMMONEST) and entry.is_file(follow_symlinks=False):
                        (new if self._is_new(below + name) else images).append(entry)
                    elif entry.is_dir(follow_symlinks=False):
                        inner.append(below + name)
                    elif entry.is_symlink():
                        links += self._linked(below + name)
                    elif name.lower().endswith(_SUFFIXES):
                        images.append(entry)
                    else:
                        self.ignored += 1
                found = self._stats(below, images)
            folders += sorted(inner, reverse=True)
            asked = [(below + entry.name, entry.inode()) for entry in new]
            yield [*map(Unasked._make, asked), *found]
        yield sorted(links, key=attrgetter("path"))

    def _is_new(self, path: str) -> bool:
        return path not in self.known and path.isprintable()  # others are shown by other names

    def says_nothing_of(self, path: str) -> bool:
        """Tell whether `path`, or a folder above it, could not be looked at."""
        return any(f"{path}/".startswith(f"{folder}/" if folder else "") for folder in self.unread)

    def look(self, path: str) -> Seen | None:
        """Return one file as a walk would see it, None where it is no longer to be had."""
        try:
            status = (self.root / path).stat()
        except OSError:
            return None
        return seen_as(path, status) if holds(self.root, path) else None

    @contextmanager
    def _listing(self, folder: str) -> Iterator[list[os.DirEntry[str]]]:
        """List a folder, and keep it open while its entries are asked for their status.

        They are found in it then: to walk down its path for each takes a quarter of the time.
        """
        descriptor: int | None = None
        entries: list[os.DirEntry[str]] = []
        try:
            descriptor = os.open(self.root / folder, _FOLDER)
            with os.scandir(descriptor) as found:
                entries = [*found]
        except (FileNotFoundError, NotADirectoryError):  # went away since its parent was listed
            pass
        except OSError as error:
            self.unread[folder] = error.strerror or "cannot be read"
        try:
            yield entries
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _stats(self, below: str, entries: Iterable[os.DirEntry[str]]) -> list[Seen]:
        """Return the files that are new or touched, or were no frames when last seen."""
        found: list[Seen] = []
        known = self.known
        for entry in entries:
            path = below + entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.unread[path] = error.strerror or "cannot be read"
                continue
            row = known.get(path)
            if (
                row is not None
                and row[2] == status.st_size
                and row[3] == status.st_mtime_ns
                and row[4] == _REGISTERED
            ):
                del known[path]
                self.untouched += 1
            else:
                found.append(seen_as(path, status))
        return found

    def _linked(self, path: str) -> Iterator[Seen]:
        """Yield a link that matters: to an image file, or out of RAW.

        A link to a folder inside RAW is not followed: its files are seen where they lie, and a
        loop of links ends before it begins.
        """
        target = self.root / path
        is_image = is_image_name(path)
        try:
            own = target.lstat()
            status = target.stat()
        except FileNotFoundError:
            status = None
        except OSError:  # a loop of links, or a target on a disk that does not answer
            status = None
        if is_gone(target):
            return
        is_folder = status is not None and stat.S_ISDIR(status.st_mode)
        if (is_image or is_folder) and status is not None and not holds(self.root, path):
            yield seen_as(path, own, _LEADS_OUT)
        elif is_image and status is None:
            yield seen_as(path, own, _LEADS_NOWHERE)
        elif is_image and status is not None and not is_folder:
            yield seen_as(path, status)
        else:
            self.ignored += 1


_LEADS_OUT: Final = Problem(
    "outside", "It is a link that leads out of the RAW folder: copy the files themselves."
)
_LEADS_NOWHERE: Final = Problem("link", "It is a link that leads nowhere.")
_NO_FILE: Final = Problem("not_a_file", "It is not a regular file but a pipe, socket or device.")
_NO_TEXT: Final = Problem(
    "name", "Its name or folder holds bytes that are no printable text: rename it."
)


def is_image_name(name: str) -> bool:
    """Tell whether a file's name is that of an image, packed or not; case does not count."""
    return name.lower().endswith(_SUFFIXES)


def is_gone(path: Path) -> bool:
    """Tell whether nothing lies at `path`; what cannot be looked at is not gone."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def shown(path: str) -> str:
    """Return a path that can be stored and printed: unsafe characters are escaped."""
    if path.isprintable():
        return path
    return "".join(
        character.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if unicodedata.category(character) == "Cs"
        else character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNSAFE
        else character
        for character in path
    )


def look(root: Path, path: str) -> Seen | None:
    """Return a file that was no link a moment ago, None where there is none any more."""
    try:
        status = (root / path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Seen(path, 0, 0, 0, Problem("unreadable", cannot_be_read(error)))
    return seen_as(path, status, None if holds(root, path) else _LEADS_OUT)


def holds(root: Path, path: str) -> bool:
    """Tell whether what lies at a path is in a folder, whatever links lead there."""
    real_root = os.path.realpath(root)
    real = os.path.realpath(root / path)
    return real == real_root or real.startswith(real_root + os.sep)


def cannot_be_read(error: OSError) -> str:
    """Return what is said of a file the system does not give out."""
    return f"It cannot be read: {error.strerror or error}."


def seen_as(path: str, status: os.stat_result, problem: Problem | None = None) -> Seen:
    """Return a file by its path relative to RAW, and its status."""
    if problem is None and not path.endswith(_COMMONEST) and not path.lower().endswith(_TAKEN):
        problem = _badly_packed(path)
    if problem is None and not stat.S_ISREG(status.st_mode):
        problem = _NO_FILE
    if not path.isprintable() and (safe := shown(path)) != path:
        path, problem = safe, _NO_TEXT
    return Seen(path, status.st_size, status.st_mtime_ns, status.st_ino, problem)


def _badly_packed(path: str) -> Problem | None:
    kind = _PACKED_OTHERWISE.get("." + path.lower().rpartition(".")[2])
    if kind is None:
        return None
    return Problem(
        "compression", f"{kind} compression not supported: unpack it, or use gzip or fpack."
    )
