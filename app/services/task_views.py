"""Tasks as the pages list them, and the frame of the archive one was made of."""

from collections.abc import Sequence

from sqlalchemy.orm import selectinload

from app.db import db
from app.models import Frame, Task, User
from app.services import access, tasks


def page(
    user: User, *, query: str, state: str, is_own: bool, before: int | None, count: int
) -> Sequence[Task]:
    """Return the tasks `user` may see that fit, the newest first, those before a number."""
    username = user.username if is_own else ""
    found = tasks.find(user, query=query, state=state, username=username)
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
