"""What the pages show of the files of RAW: which are in trouble, and why one is not a frame."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, or_, select

from app.db import db
from app.models import FileState, Frame, ScannedFile
from app.models import User as Person
from app.services import access

PAGE: Final = 200
_TROUBLED: Final = (FileState.QUARANTINED, FileState.WAITING, FileState.DUPLICATE)


def counts() -> dict[str, int]:
    """Return how many files of RAW are in each state."""
    query = select(ScannedFile.state, func.count()).group_by(ScannedFile.state)
    found = {str(state): count for state, count in db.session.execute(query)}
    return {state.value: found.get(state.value, 0) for state in FileState}


def lost_count() -> int:
    """Return how many files are gone with the frames that were in them.

    A file that moved took its frames along; a duplicate, a link or a file in quarantine that
    somebody cleared away is no loss.
    """
    return db.session.scalar(select(func.count(ScannedFile.id)).where(_is_lost())) or 0


def _is_lost() -> ColumnElement[bool]:
    return (ScannedFile.state == FileState.MISSING) & exists().where(
        Frame.file_id == ScannedFile.id
    )


def find(
    user: Person, *, state: str | None = None, contains: str = "", before_id: int | None = None
) -> Sequence[ScannedFile]:
    """Return files of RAW, newest first: those in trouble, or those whose path holds a text."""
    # A file is as private as the frames in it, or in the one it is a duplicate of.
    holder = func.coalesce(ScannedFile.duplicate_of_id, ScannedFile.id)
    held = exists().where(Frame.file_id == holder)
    seen = held.where(access.may_see(user, Frame))
    query: Select[Any] = access.visible_to(user, ScannedFile).where(
        or_(seen, ~held & (ScannedFile.state != FileState.REGISTERED))
    )
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
