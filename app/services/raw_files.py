"""What the pages show of the files of RAW: which are in trouble, and why one is not a frame."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, select

from app.db import db
from app.models import FileState, Frame, ScannedFile
from app.models import User as Person
from app.services import access

PAGE: Final = 200
_TROUBLED: Final = (FileState.QUARANTINED, FileState.WAITING, FileState.DUPLICATE)


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
