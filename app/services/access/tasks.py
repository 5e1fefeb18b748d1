"""Tasks and jobs: one's own, those shared with one's groups, and what rests on hidden frames."""

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, func, or_, select

from app.errors import NotAllowedError
from app.models import Frame, Job, Task, User, group_members, task_frames, task_groups
from app.services.access.frames import hiding, sees_frame
from app.services.access.people import NOT_ALLOWED, is_open_site, is_staff

Rule = ColumnElement[bool]


def sees_task(user: User) -> Rule:
    """Return which tasks are one's own or one's groups', but for those made of hidden frames."""
    shared = (
        select(task_groups.c.task_id)
        .join(group_members, group_members.c.group_id == task_groups.c.group_id)
        .where(group_members.c.user_id == user.id)
        .correlate(None)
    )
    theirs = or_(Task.owner_id == user.id, Task.id.in_(shared))
    if is_open_site():
        return theirs
    of_gone = (
        select(task_frames.c.task_id)
        .where(task_frames.c.frame_id.not_in(select(Frame.id).correlate(None)))
        .correlate(None)
    )
    # Nobody can tell any more who might see a frame that is gone.
    is_told = or_(Task.owner_id == user.id, Task.id.not_in(of_gone))
    return and_(theirs, is_told, ~_rests_on_hidden(user, Task.id))


def owns_job(user: User) -> Rule:
    """Return which jobs are one's own, or work on a task one sees.

    Not those whose log names frames that are not seen.
    """
    at_work = select(Task.job_id).where(Task.job_id.is_not(None), sees_task(user)).correlate(None)
    theirs = or_(Job.owner_id == user.id, Job.id.in_(at_work))
    if is_open_site():
        return theirs
    block_id = func.coalesce(Job.arguments["block_id"].as_integer(), 0)
    task_id = func.coalesce(Job.arguments["task_id"].as_integer(), 0)
    return and_(theirs, block_id.not_in(hiding(user)), ~_rests_on_hidden(user, task_id))


def _rests_on_hidden(user: User, task_id: SQLColumnExpression[int]) -> Rule:
    """Return whether the task of an id was made of a frame that is not seen.

    By its frames, wherever they lie now, and by the path of one that was no frame yet.
    """
    linked = (
        select(task_frames.c.task_id)
        .join(Frame, Frame.id == task_frames.c.frame_id)
        .where(~sees_frame(user))
        .correlate(None)
    )
    hidden = select(Frame.path).where(~sees_frame(user)).correlate(None)
    copies = select(Task.id).where(Task.source.in_(hidden)).correlate(None)
    return or_(task_id.in_(linked), task_id.in_(copies))


def may_delete_task(user: User, task: Task) -> bool:
    """Tell whether `user` may delete a task they see: its owner and staff."""
    return is_staff(user) or task.owner_id == user.id


def check_delete_task(user: User, task: Task) -> None:
    """Refuse to let members of its groups delete a task.

    Raises
    ------
    NotAllowedError
        With who may.
    """
    if not may_delete_task(user, task):
        raise NotAllowedError(f"{NOT_ALLOWED} Only its owner and staff may delete a task.")
