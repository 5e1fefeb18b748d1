"""Images for tasks from below the data root: found by the access rule, copied, never changed."""

import posixpath
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import delete, insert, select

from app import paths
from app.db import db, transaction
from app.errors import InvalidRequestError, NotFoundError
from app.models import Task, User, task_frames
from app.paths import RAW_PREFIX
from app.services import media, placing, settings, task_files
from app.services.staging import MEGABYTE, Arrived
from reduction import fitsio
from reduction.errors import BadFileError
from reduction.imagewrite import write_image

NOT_THERE: Final = "File not found in data directory"
OUTSIDE: Final = "Invalid path"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file below the data root, ``RAW/`` included, and one extension of it if that is wanted."""

    path: str
    ext: int | None = None


def tidy(path: str) -> str:
    """Return a path below the data root as frames have it; of a file of RAW, with ``RAW/``."""
    plain = posixpath.normpath(path.strip().strip("/")) if path.strip("/ ") else ""
    if not plain or plain.startswith(f"{RAW_PREFIX}/") or (paths.current().data / plain).exists():
        return plain
    is_raw = (paths.current().raw / plain).exists()
    return f"{RAW_PREFIX}/{plain}" if is_raw else plain


def find(user: User, path: str) -> Path:
    """Return the file of a path as people give it: below the data root, or below RAW.

    Raises
    ------
    InvalidRequestError
        If it would lead out of there.
    NotFoundError
        If there is no such file, or none `user` may see.
    """
    plain = _plain(path)
    try:
        found = media.find(user, _tidy_or_none(plain))
    except NotFoundError as error:
        raise NotFoundError(NOT_THERE) from error
    if not found.is_file():
        raise NotFoundError(NOT_THERE)
    return found


def take(task: Task, user: User, path: str) -> Path:
    """Find a file as `find` does, and write down that the task is made of its frames.

    From then on the task is hidden from those who may not see one of them.
    """
    found = find(user, path)
    frame_ids = media.frames_of(_tidy_or_none(_plain(path)))
    with transaction():
        _link(task, frame_ids)
    return found


def take_as(source: Task, made: Task) -> None:
    """Write down in the open transaction that a task is made of what another is."""
    _link(made, _linked(source))


def forget(task: Task) -> None:
    """Forget in the open transaction what a task was made of; it goes."""
    db.session.execute(delete(task_frames).where(task_frames.c.task_id == task.id))


def _link(task: Task, frame_ids: Sequence[int]) -> None:
    new = set(frame_ids) - set(_linked(task))
    if new:
        rows = [{"task_id": task.id, "frame_id": frame_id} for frame_id in sorted(new)]
        db.session.execute(insert(task_frames), rows)


def _linked(task: Task) -> Sequence[int]:
    query = select(task_frames.c.frame_id).where(task_frames.c.task_id == task.id)
    return db.session.scalars(query).all()


def _plain(path: str) -> str:
    plain = posixpath.normpath(path.strip().lstrip("/") or ".")
    if "\0" in path or plain.startswith(".."):
        raise InvalidRequestError(OUTSIDE)
    return plain


def _tidy_or_none(plain: str) -> str:
    try:
        return tidy(plain)
    except (OSError, ValueError) as error:  # a name no file can have
        raise NotFoundError(NOT_THERE) from error


def check(user: User, source: LocalFile) -> None:
    """Refuse a file of the site that cannot become a task's image.

    Raises
    ------
    InvalidRequestError
        With what is wrong, under ``local_file`` or ``ext``.
    """
    path = _found(user, source)
    if source.ext is not None:
        _check_extension(path, source)
    else:
        arrived = Arrived(path.name, path, path.stat().st_size)
        try:
            task_files.check_image(arrived)
        except InvalidRequestError as error:
            raise InvalidRequestError(local_file=error.fields["file"]) from error


def _found(user: User, source: LocalFile) -> Path:
    try:
        return find(user, source.path)
    except InvalidRequestError as error:
        raise InvalidRequestError(local_file=str(error)) from error
    except NotFoundError as error:
        raise InvalidRequestError(local_file=NOT_THERE) from error


def _check_extension(path: Path, source: LocalFile) -> None:
    try:
        hdus = list(fitsio.read_headers(path).hdus)
        shape = hdus[source.ext or 0].shape
    except (BadFileError, IndexError) as error:
        raise _no_extension(source, str(error)) from error
    if len(shape) < 2:
        raise _no_extension(source, "it holds no image")


def _no_extension(source: LocalFile, why: str) -> InvalidRequestError:
    path = source.path.strip()
    return InvalidRequestError(ext=f"Cannot read extension {source.ext} from {path}: {why}")


def bring(task: Task, user: User, source: LocalFile, target: Path) -> None:
    """Copy a file of the site, or one extension of it, to be a task's image."""
    path = take(task, user, source.path)
    reserve = settings.snapshot().integer("disk.reserve_mb") * MEGABYTE
    placing.check_room(target.parent, path.stat().st_size, reserve)
    if source.ext is not None:
        image = fitsio.read_image(path, source.ext)
        write_image(target, image.data, image.cards)
        return
    copied = target.with_name(f".{target.name}.copied")
    try:
        shutil.copyfile(path, copied)
        placing.replace(copied, target)
    finally:
        copied.unlink(missing_ok=True)
