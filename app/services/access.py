"""Who may see what: the one rule every query for rows goes through."""

from typing import Any

from sqlalchemy import ColumnElement, Select, false, or_, select, true

from app.models import Frame, Job, Level, Proposal, User
from app.services import settings


def visible_to(user: User | None, model: type[Any] = Frame) -> Select[Any]:
    """Return the rows of `model` that `user` may see, as a SELECT to refine.

    Staff see everything. Everyone signed in sees every frame, unless the site shows frames to
    the members of their proposal only; masters and frames of no proposal are everyone's. Nobody
    else sees anything.
    """
    return select(model).where(may_see(user, model))


def may_see(user: User | None, model: type[Any] = Frame) -> ColumnElement[bool]:
    """Return the condition behind `visible_to`, for queries that select something else."""
    if user is None or not user.is_active:
        return false()
    if user.is_staff or user.is_superuser:
        return true()
    if model is Job:
        return Job.owner_id == user.id
    if model is Frame and settings.snapshot().text("access.visibility") == "members":
        return _of_own_proposals(user)
    return true()


def sees_every_frame(user: User | None) -> bool:
    """Tell whether no frame is hidden from `user`; None is the house itself."""
    if user is None or user.is_staff or user.is_superuser:
        return True
    return settings.snapshot().text("access.visibility") != "members"


def _of_own_proposals(user: User) -> ColumnElement[bool]:
    own = select(Proposal.id).where(
        or_(Proposal.pi_id == user.id, Proposal.members.any(User.id == user.id))
    )
    return or_(Frame.level == Level.MASTER, Frame.proposal_id.is_(None), Frame.proposal_id.in_(own))
