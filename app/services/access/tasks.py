"""Tasks and jobs: one's own, those shared with one's groups, and what rests on hidden frames."""

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from app.errors import NotAllowedError
from app.models import Frame, Job, Task, User, group_members, task_groups
from app.services.access.frames import hiding, sees_frame
from app.services.access.people import NOT_ALLOWED, is_open_site, is_staff

Rule = ColumnElement[bool]


def sees_task(user: User) -> Rule:
    """Return which tasks are one's own or one's groups', but for copies of hidden frames."""
    shared = (
        select(task_groups.c.task_id)
        .join(group_members, group_members.c.group_id == task_groups.c.group_id)
        .where(group_members.c.user_id == user.id)
        .correlate(None)
    )
    theirs = or_(Task.owner_id == user.id, Task.id.in_(shared))
    if is_open_site():
        return theirs
    hidden = select(Frame.path).where(~sees_frame(user)).correlate(None)
    return and_(theirs, or_(Task.source == "", Task.source.not_in(hidden)))


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
    return and_(theirs, block_id.not_in(hiding(user)), task_id.not_in(_hidden_tasks(user)))


def _hidden_tasks(user: User) -> Select[int]:
    """Return the ids of the tasks made of a frame that is not seen."""
    hidden = select(Frame.path).where(~sees_frame(user))
    return select(Task.id).where(Task.source.in_(hidden)).correlate(None)


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
