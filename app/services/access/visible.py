"""The one question behind every list: which rows of a table somebody may see."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, false, select, true

from app.db import db
from app.models import (
    AuditEntry,
    Block,
    BrowserSession,
    Camera,
    Frame,
    Group,
    Invitation,
    Job,
    Preset,
    Proposal,
    ScannedFile,
    Task,
    Token,
    User,
    group_members,
)
from app.services.access.frames import sees_block, sees_file, sees_frame
from app.services.access.people import is_open_site, is_staff
from app.services.access.proposals import own_proposals
from app.services.access.tasks import owns_job, sees_task

Rule = ColumnElement[bool]


def visible_to(user: User | None, model: type[Any] = Frame) -> Select[Any]:
    """Return the rows of `model` that `user` may see, as a SELECT to refine."""
    return select(model).where(may_see(user, model))


def seen_among(user: User | None, model: type[Any], ids: Collection[int | None]) -> set[int]:
    """Return which of some rows of `model` `user` may see, by their ids."""
    return set(db.session.scalars(select(model.id).where(model.id.in_(ids), may_see(user, model))))


def may_see(user: User | None, model: type[Any] = Frame) -> Rule:
    """Return the condition behind `visible_to`, for queries that select something else."""
    if model not in _ALWAYS_OWN and model not in _OF_MEMBERS and model not in _EVERYONES:
        raise TypeError(f"app.services.access says of no one that they see {model.__name__}")
    if user is None or not user.is_active:
        return false()
    if is_staff(user):
        return true()
    if model in _ALWAYS_OWN:
        return _ALWAYS_OWN[model](user)
    if is_open_site():
        return true()
    return _OF_MEMBERS[model](user) if model in _OF_MEMBERS else true()


_ALWAYS_OWN: Final[Mapping[type[Any], Callable[[User], Rule]]] = {
    Job: owns_job,
    Task: sees_task,
    Token: lambda user: Token.user_id == user.id,
    BrowserSession: lambda user: BrowserSession.user_id == user.id,
    Group: lambda user: Group.id.in_(
        select(group_members.c.group_id).where(group_members.c.user_id == user.id)
    ),
    User: lambda user: User.id == user.id,
    AuditEntry: lambda _: false(),
    Invitation: lambda _: false(),
}
_OF_MEMBERS: Final[Mapping[type[Any], Callable[[User], Rule]]] = {
    Frame: sees_frame,
    Block: sees_block,
    ScannedFile: sees_file,
    Proposal: lambda user: Proposal.id.in_(own_proposals(user)),
}
_EVERYONES: Final = frozenset({Camera, Preset})
