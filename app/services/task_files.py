"""The folder of a task: what lies in it, what is put there, and who may work in it."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select

from app import paths
from app.db import db
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import Task
from app.paths import safe_join
from app.services import placing, settings
from app.services.staging import ABANDONED_S, MEGABYTE, Arrived
from reduction import fitsio
from reduction.errors import BadFileError

IMAGE: Final = "image.fits"
BUSY: Final = "Task is already being processed"
_LOCK: Final = ".lock"
_POLL_S: Final = 0.2
_FITS: Final = re.compile(r"\.(fits?|fts)(\.(gz|fz))?$", re.IGNORECASE)
_MISSING: Final = "File not found"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder, as lists have it; `path` is relative to what is listed."""

    name: str
    path: str
    size: int
    modified: datetime
    is_dir: bool


def folder(task: Task) -> Path:
    """Return the folder of a task, made where it is not there."""
    found = _place(task.id)
    if not found.is_dir():
        found.mkdir(parents=True, exist_ok=True)
        placing.sync(found.parent)
    return found


def listing(task: Task) -> Sequence[Entry]:
    """Return what lies in a task's folder, and in the folders there, by name."""
    root = _place(task.id)
    found: list[Entry] = []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = (name for name in [*folders, *names] if not name.startswith("."))
        found += [entry for name in shown if (entry := entry_of(Path(place) / name, root))]
    return sorted(found, key=lambda entry: entry.path)


def entry_of(path: Path, root: Path) -> Entry | None:
    """Return the entry of a file or folder below `root`, None where it has just gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    is_dir = path.is_dir()
    return Entry(path.name, path.relative_to(root).as_posix(), status.st_size, modified, is_dir)


def locate(task: Task, name: str) -> Path:
    """Return one file of a task.

    Raises
    ------
    NotFoundError
        If there is none of this name, or it is a folder, is hidden or outside.
    """
    path = _inside(task, name)
    if not path.is_file():
        raise NotFoundError(_MISSING)
    return path


def store(task: Task, name: str, arrived: Arrived) -> Path:
    """Put a file that came into a task's folder, in place of any of this name.

    Raises
    ------
    InvalidRequestError
        If it is to be an image and is none, or cannot be called so.
    ConflictError
        If the task is at work.
    UnavailableError
        If the disk is full.
    """
    try:
        path = _inside(task, name)
    except NotFoundError as error:
        raise InvalidRequestError(file=f"A file cannot be called {name[:80]!r} here.") from error
    if path == _place(task.id).resolve() or path.is_dir():
        raise InvalidRequestError(file=f"{name[:80]!r} is a folder: give the file a name in it.")
    above = path.relative_to(_place(task.id).resolve()).parents
    if any((_place(task.id) / parent).is_file() for parent in above):
        raise InvalidRequestError(file=f"{name[:80]!r} would lie in a file, which is no folder.")
    if _FITS.search(path.name):
        check_image(arrived)
    with working(task):
        put(path, arrived)
    return path


def put(path: Path, arrived: Arrived) -> None:
    """Move a file that came to where it stays, if the disk has room.

    Raises
    ------
    UnavailableError
        If it has none.
    """
    _check_room(path.parent, arrived.size)
    placing.replace(arrived.path, path)


def remove(task: Task, name: str) -> None:
    """Remove a file or a folder with all in it.

    Raises
    ------
    NotFoundError
        If there is none of this name.
    ConflictError
        If the task is at work.
    """
    path = _inside(task, name)
    if not path.exists() or path == _place(task.id).resolve():
        raise NotFoundError(_MISSING)
    with working(task):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def check_image(arrived: Arrived) -> None:
    """Refuse what is no FITS image, by the guard's look at its headers.

    Raises
    ------
    InvalidRequestError
        With what is wrong and what to do.
    """
    if arrived.size == 0:
        raise InvalidRequestError(file="The submitted file is empty.")
    try:
        headers = fitsio.read_headers(arrived.path)
    except BadFileError as error:
        raise InvalidRequestError(file=f"{arrived.name} cannot be used: {error}") from error
    if not any(len(hdu.shape) > 1 for hdu in headers.hdus):
        raise InvalidRequestError(
            file=f"{arrived.name} holds no image: send a FITS file that has one."
        )


@contextmanager
def working(task: Task, *, wait_s: float = 0.0) -> Iterator[Path]:
    """Have a task's folder for oneself, and give it; a job that still ends there is waited for.

    Raises
    ------
    ConflictError
        If somebody else works in it for longer than `wait_s` seconds.
    """
    place = folder(task)
    with (place / _LOCK).open("w") as lock:
        until = time.monotonic() + wait_s
        while not _locked(lock.fileno()):
            if time.monotonic() >= until:
                raise ConflictError(BUSY)
            time.sleep(_POLL_S)
        yield place


def copy(source: Task, target: Task) -> None:
    """Copy all of one task's folder into that of another."""
    with working(source) as place:
        _check_room(place, sum(f.stat().st_size for f in place.rglob("*") if f.is_file()))
        placing.copy_tree(place, folder(target))


def discard(task_id: int) -> None:
    """Remove the folder of a task that is no more; what still works there is left to the sweep."""
    place = _place(task_id)
    if not place.is_dir():
        return
    with (place / _LOCK).open("w") as lock:
        if _locked(lock.fileno()):
            shutil.rmtree(place, ignore_errors=True)


def sweep(older_s: float = ABANDONED_S) -> int:
    """Remove the folders of tasks that are no more; return how many there were."""
    before = time.time() - older_s
    ids = {int(p.name) for p in paths.current().tasks.glob("*") if _is_left(p, before)}
    db.session.rollback()  # rows as they are now: one read before knows no task made meanwhile
    left = ids - set(db.session.scalars(select(Task.id)))
    for task_id in left:
        discard(task_id)
    return len(left)


def _is_left(place: Path, before: float) -> bool:
    """Tell whether a folder is a task's, and nothing was put there lately."""
    try:
        return place.name.isdecimal() and place.stat().st_mtime < before
    except OSError:  # it went just now
        return False


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _place(task_id: int) -> Path:
    return paths.current().tasks / str(task_id)


def _inside(task: Task, name: str) -> Path:
    """Return the path of a name from outside; what is hidden or elsewhere does not exist."""
    place = _place(task.id)
    try:
        path = safe_join(place, name)
    except NotFoundError as error:
        raise NotFoundError(_MISSING) from error
    parts = path.relative_to(place.resolve()).parts
    if any(part.startswith(".") for part in parts):
        raise NotFoundError(_MISSING)
    return path


def _check_room(place: Path, n_bytes: int) -> None:
    reserve = settings.snapshot().integer("disk.reserve_mb") * MEGABYTE
    placing.check_room(place, n_bytes, reserve)
