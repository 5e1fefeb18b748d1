"""Looking through the files below the data root, RAW included: folders and what is seen in them."""

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import func, or_, select

from app import paths
from app.db import db
from app.errors import NotFoundError
from app.models import Frame, User
from app.paths import RAW_PREFIX
from app.services import access, media, task_sources
from app.services.task_files import Entry, entry_of

NOT_THERE: Final = "Path not found"
OUTSIDE: Final = "Invalid path"
_MASTERS: Final = "MASTERS"
# Results, logs and settings are not images, and whose they are is asked elsewhere.
_LEFT_OUT: Final = frozenset({"TMP", "LOGS", "CONFIG", "CATALOGUES"})


def find(user: User, path: str) -> Path | Sequence[Entry]:
    """Return the file of a path, or what `user` may see in the folder of it, folders first.

    Raises
    ------
    NotFoundError
        If there is no such path, none they may see, or it would lead out of the data root.
    """
    plain = _plain(path)
    folder = _folder_of(plain)
    if folder is None:
        return _file(user, plain)
    found = _seen(user, list(_entries(plain, folder)))
    if not found and plain and not _may_be_empty(user, plain):
        raise NotFoundError(NOT_THERE)
    return sorted(found, key=lambda entry: (not entry.is_dir, entry.name))


def _plain(path: str) -> str:
    plain = posixpath.normpath(path.strip("/") or ".")
    if "\0" in path or plain == ".." or plain.startswith("../"):
        raise NotFoundError(OUTSIDE)
    plain = "" if plain == "." else plain
    parts = plain.split("/")
    if any(part.startswith(".") for part in parts) or parts[0] in _LEFT_OUT:
        raise NotFoundError(NOT_THERE)
    try:
        return task_sources.tidy(plain)
    except (OSError, ValueError) as error:  # a name no file can have
        raise NotFoundError(NOT_THERE) from error


def _folder_of(plain: str) -> Path | None:
    """Return the folder of a path, None where it is a file; of none at all, or outside, raise."""
    try:
        path = paths.current().locate(plain)
        if path.is_dir():
            return path
        is_file = path.is_file()
    except (NotFoundError, OSError) as error:
        raise NotFoundError(NOT_THERE) from error
    if not is_file:
        raise NotFoundError(NOT_THERE)
    return None


def _file(user: User, plain: str) -> Path:
    try:
        return media.find(user, plain)
    except NotFoundError as error:
        raise NotFoundError(NOT_THERE) from error


def _entries(plain: str, folder: Path) -> Iterator[Entry]:
    """Yield what lies in a folder, under its path below the data root."""
    try:
        inside = list(folder.iterdir())
    except OSError as error:
        raise NotFoundError(NOT_THERE) from error
    if not plain:
        inside = [one for one in inside if one.name not in _LEFT_OUT | {RAW_PREFIX}]
        yield from _shown(paths.current().raw, RAW_PREFIX)
    for one in inside:
        yield from _shown(one, f"{plain}/{one.name}" if plain else one.name)


def _shown(path: Path, name: str) -> Iterator[Entry]:
    found = entry_of(path, path.parent)
    if found is not None and not path.name.startswith("."):
        shown = name.rpartition("/")[2]
        yield Entry(shown, name, found.size, found.modified, found.is_dir)


def _seen(user: User, entries: Sequence[Entry]) -> list[Entry]:
    """Return what of a folder is shown: its files are looked up together."""
    if access.sees_every_frame(user):
        return list(entries)
    files = media.seen(user, [entry.path for entry in entries if not entry.is_dir])
    return [
        entry
        for entry in entries
        if (_may_be_empty(user, entry.path) if entry.is_dir else entry.path in files)
    ]


def _may_be_empty(user: User, folder: str) -> bool:
    """Tell whether a folder is shown, whatever is in it: one that holds frames they see."""
    if access.sees_every_frame(user) or folder.split("/")[0] == _MASTERS or folder == RAW_PREFIX:
        return True
    inside = f"{folder}/"
    holds = or_(
        Frame.path.startswith(inside, autoescape=True),
        Frame.thumb.startswith(inside, autoescape=True),
    )
    query = select(func.count()).select_from(
        select(Frame.id).where(holds, access.may_see(user, Frame)).limit(1).subquery()
    )
    return bool(db.session.scalar(query))
