"""Tasks as the pages list them, and the frame of the archive one was made of."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement
from sqlalchemy.orm import selectinload

from app.db import db
from app.models import Frame, Task, User
from app.services import access, tasks

# States that belong together, and what people call them.
KINDS: Final[Mapping[str, str]] = {
    "under_way": "under way",
    "any_done": "done",
    "any_failed": "failed",
}
_IS_OF: Final[Mapping[str, ColumnElement[bool]]] = {
    "under_way": Task.job_id.is_not(None),
    "any_done": Task.state.endswith("_done", autoescape=True),
    "any_failed": Task.state.endswith("failed"),
}


def page(
    user: User, *, query: str, state: str, is_own: bool, before: int | None, count: int
) -> Sequence[Task]:
    """Return the tasks `user` may see that fit, the newest first, those before a number.

    `state` is one of the states there are, or of `KINDS`.
    """
    username = user.username if is_own else ""
    exactly = "" if state in KINDS else state
    found = tasks.find(user, query=query, state=exactly, username=username)
    if state in KINDS:
        found = found.where(_IS_OF[state])
    if before is not None:
        found = found.where(Task.id < before)
    found = found.options(selectinload(Task.groups)).limit(count)
    return db.session.scalars(found).unique().all()


def source_frame(user: User, task: Task) -> Frame | None:
    """Return the frame a task's image was copied from, None where there is none to be seen."""
    if not task.source:
        return None
    of_path = access.visible_to(user, Frame).where(Frame.path == task.source)
    found: Frame | None = db.session.scalar(of_path.order_by(Frame.part).limit(1))
    return found
