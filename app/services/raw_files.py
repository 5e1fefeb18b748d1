"""What the pages show of the files of RAW: which are in trouble, and why one is not a frame."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, select

from app.db import db
from app.models import FileState, Frame, Level, ScannedFile
from app.models import User as Person
from app.paths import RAW_PREFIX
from app.services import access

PAGE: Final = 200
_TROUBLED: Final = (FileState.QUARANTINED, FileState.WAITING, FileState.DUPLICATE)
_NO_FRAMES: Final = (FileState.QUARANTINED, FileState.WAITING)
_MOST_LOOKED_AT: Final = 2000  # newest files of a state among which those of a night are sought
_DATE: Final = re.compile(r"(?<!\d)(20\d\d)([-_]?)([01]\d)\2([0-3]\d)(?!\d)", re.ASCII)
_A_DAY: Final = timedelta(days=1)


def counts(user: Person) -> dict[str, int]:
    """Return how many of the files of RAW that `user` may see are in each state."""
    mine = access.may_see(user, ScannedFile)
    query = select(ScannedFile.state, func.count()).where(mine).group_by(ScannedFile.state)
    found = {str(state): count for state, count in db.session.execute(query)}
    return {state.value: found.get(state.value, 0) for state in FileState}


def lost_count(user: Person) -> int:
    """Return how many files `user` may see are gone with the frames that were in them.

    A file that moved took its frames along; a duplicate, a link or a file in quarantine that
    somebody cleared away is no loss.
    """
    mine = access.may_see(user, ScannedFile)
    return db.session.scalar(select(func.count(ScannedFile.id)).where(mine, _is_lost())) or 0


def _is_lost() -> ColumnElement[bool]:
    return (ScannedFile.state == FileState.MISSING) & exists().where(
        Frame.file_id == ScannedFile.id
    )


def find(
    user: Person, *, state: str | None = None, contains: str = "", before_id: int | None = None
) -> Sequence[ScannedFile]:
    """Return files of RAW, newest first: those in trouble, or those whose path holds a text."""
    query: Select[Any] = access.visible_to(user, ScannedFile)
    if state is not None:
        query = query.where(ScannedFile.state == state)
    elif not contains:
        query = query.where(ScannedFile.state.in_(_TROUBLED) | _is_lost())
    if contains:
        query = query.where(ScannedFile.path.icontains(contains, autoescape=True))
    if before_id is not None:
        query = query.where(ScannedFile.id < before_id)
    return db.session.scalars(query.order_by(ScannedFile.id.desc()).limit(PAGE)).all()


def frames_of(user: Person, listed: Sequence[ScannedFile]) -> Mapping[int, Sequence[Frame]]:
    """Return the frames of files, as far as this user may see them, by file id."""
    query = access.visible_to(user, Frame).where(Frame.file_id.in_([one.id for one in listed]))
    found: dict[int, list[Frame]] = {}
    for frame in db.session.scalars(query.order_by(Frame.id)):
        found.setdefault(int(frame.file_id or 0), []).append(frame)
    return found


def beside_night(user: Person, night: date) -> Sequence[ScannedFile]:
    """Return the files that lie beside the raw frames of a night and could not become frames.

    What cannot be read tells no time: a file belongs to the night by its folder, unless its name
    has the date of another. It is sought among the newest files in quarantine, and the newest
    that wait: each apart, for the thousands that wait in a first scan hide none in quarantine.
    """
    troubled = [one for state in _NO_FRAMES for one in _newest(user, state)]
    if not troubled:
        return []
    homes = _folders_of(user, night)
    found = [one for one in troubled if _folder(one.path) in homes and _may_be_of(one.path, night)]
    return sorted(found, key=lambda one: one.path)


def _newest(user: Person, state: FileState) -> Sequence[ScannedFile]:
    query = access.visible_to(user, ScannedFile).where(ScannedFile.state == state)
    return db.session.scalars(query.order_by(ScannedFile.id.desc()).limit(_MOST_LOOKED_AT)).all()


def _folders_of(user: Person, night: date) -> set[str]:
    """Return the folders of RAW that hold raw frames of a night."""
    raw = select(Frame.path).where(Frame.night == night, Frame.level == Level.RAW)
    found = db.session.scalars(raw.where(access.may_see(user, Frame)))
    return {_folder(path.removeprefix(f"{RAW_PREFIX}/")) for path in found}


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _may_be_of(path: str, night: date) -> bool:
    """Tell whether a file's name goes with a night: it has its date, the morning's, or none."""
    named = set(_dates_in(path.rpartition("/")[2]))
    return not named or not named.isdisjoint({night, night + _A_DAY})


def _dates_in(name: str) -> Iterator[date]:
    for year, _, month, day in _DATE.findall(name):
        with suppress(ValueError):  # digits that are no date
            yield date(int(year), int(month), int(day))
