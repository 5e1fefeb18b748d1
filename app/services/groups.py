"""Groups: people who are put on proposals together, as a class or a team."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from app.db import db, transaction
from app.errors import InvalidRequestError, NotFoundError
from app.models import Group, Proposal, User, proposal_groups, task_groups
from app.services import access, audit
from app.services.texts import checked, storable

MAX_NAME: Final = 100
MAX_DESCRIPTION: Final = 500
_TAKEN: Final = "There is a group of this name already."


def find(by: User) -> Sequence[Group]:
    """Return the groups `by` may see, by name: staff all of them, others those they are in."""
    return db.session.scalars(
        access.visible_to(by, Group)
        .options(selectinload(Group.members))
        .order_by(func.lower(Group.name))
    ).all()


def get(group_id: int, *, by: User) -> Group:
    """Return the group with a number, if `by` may see it."""
    query = access.visible_to(by, Group).where(Group.id == group_id)
    group: Group | None = db.session.scalar(query)
    if group is None:
        raise NotFoundError("There is no such group.")
    return group


def create(name: str, *, description: str = "", by: User) -> Group:
    """Make a group without members; staff only."""
    access.check_staff(by)
    group = Group(name=_checked_name(name), description=_checked_description(description))
    with transaction():
        _check_is_free(group.name)
        _add(group)
        audit.note(by, "group made", group, group.name)
    return group


def edit(group: Group, *, name: str, description: str, by: User) -> None:
    """Give a group another name or description; staff only."""
    access.check_staff(by)
    name, description = _checked_name(name), _checked_description(description)
    with transaction():
        if (group.name, group.description) == (name, description):
            return
        _check_is_free(name, group)
        told = f"{group.name} is now {name}" if group.name != name else name
        group.name, group.description = name, description
        _add(group)
        audit.note(by, "group changed", group, told)


def set_members(group: Group, members: Collection[User], *, by: User) -> None:
    """Put exactly these people into a group; staff only."""
    access.check_staff(by)
    with transaction():
        before, after = set(group.members), set(members)
        added, removed = _names(after - before), _names(before - after)
        if added or removed:
            group.members = sorted(after, key=lambda user: user.username)
            told = [f"added {added}"] * bool(added) + [f"removed {removed}"] * bool(removed)
            audit.note(by, "group members changed", group, "; ".join(told))


def add_member(group: Group, user: User, *, by: User) -> None:
    """Put one more into a group; staff only."""
    set_members(group, {*group.members, user}, by=by)


def remove_member(group: Group, user: User, *, by: User) -> None:
    """Take one out of a group; staff only."""
    set_members(group, set(group.members) - {user}, by=by)


def delete(group: Group, *, by: User) -> None:
    """Delete a group and take it from its proposals; its people keep their accounts. Staff only."""
    access.check_staff(by)
    with transaction():
        audit.note(by, "group deleted", group, group.name)
        db.session.execute(
            delete_rows(proposal_groups).where(proposal_groups.c.group_id == group.id)
        )
        db.session.execute(delete_rows(task_groups).where(task_groups.c.group_id == group.id))
        db.session.delete(group)


def proposals_of(groups: Iterable[Group]) -> dict[int, list[Proposal]]:
    """Return the proposals each group is on, by the group's number."""
    ids = [group.id for group in groups]
    rows = db.session.execute(
        select(proposal_groups.c.group_id, Proposal)
        .join(Proposal, Proposal.id == proposal_groups.c.proposal_id)
        .where(proposal_groups.c.group_id.in_(ids))
        .order_by(Proposal.code)
    )
    found: dict[int, list[Proposal]] = {number: [] for number in ids}
    for number, proposal in rows:
        found[number].append(proposal)
    return found


def of_person(user: User) -> Sequence[Group]:
    """Return the groups a person is in, by name."""
    return db.session.scalars(
        select(Group).where(Group.members.any(User.id == user.id)).order_by(Group.name)
    ).all()


def _names(people: Iterable[User]) -> str:
    return ", ".join(sorted(user.username for user in people))


def _checked_name(name: str) -> str:
    if not (name := checked("name", name, MAX_NAME)):
        raise InvalidRequestError(name="A group needs a name.")
    return name


def _checked_description(text: str) -> str:
    return checked("description", text, MAX_DESCRIPTION)


def _check_is_free(name: str, group: Group | None = None) -> None:
    same = select(Group.id).where(func.lower(Group.name) == storable(name).lower())
    found = db.session.scalar(same)
    if found is not None and (group is None or found != group.id):
        raise InvalidRequestError(name=_TAKEN)


def _add(group: Group) -> None:
    try:
        db.session.add(group)
        db.session.flush()
    except IntegrityError as error:  # somebody was quicker
        raise InvalidRequestError(name=_TAKEN) from error
