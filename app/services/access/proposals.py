"""Proposals: whose they are, who leads them, and who may add to them or invite to them."""

from sqlalchemy import Select, or_, select

from app.db import db
from app.errors import NotAllowedError
from app.models import (
    Proposal,
    Token,
    User,
    group_members,
    proposal_groups,
    proposal_members,
)
from app.services.access.people import NOT_ALLOWED, is_open_site, is_staff, may_manage


def own_proposals(user: User) -> Select[int]:
    """Return the ids of the proposals `user` is on: as investigator, by name or in a group."""
    by_name = select(proposal_members.c.proposal_id).where(proposal_members.c.user_id == user.id)
    in_group = (
        select(proposal_groups.c.proposal_id)
        .join(group_members, group_members.c.group_id == proposal_groups.c.group_id)
        .where(group_members.c.user_id == user.id)
    )
    theirs = or_(Proposal.pi_id == user.id, Proposal.id.in_(by_name), Proposal.id.in_(in_group))
    return select(Proposal.id).where(theirs).correlate(None)


def peopled() -> Select[int]:
    """Return the ids of the proposals somebody was put on."""
    somebody = or_(
        Proposal.pi_id.is_not(None),
        Proposal.id.in_(select(proposal_members.c.proposal_id)),
        Proposal.id.in_(select(proposal_groups.c.proposal_id)),
    )
    return select(Proposal.id).where(somebody).correlate(None)


def may_lead(user: User, proposal: Proposal) -> bool:
    """Tell whether `user` may say who is on a proposal: its principal investigator and staff."""
    return is_staff(user) or proposal.pi_id == user.id


def is_of(user: User, proposal: Proposal) -> bool:
    """Tell whether `user` is one of a proposal's people, or staff: who may write to the others."""
    on_it = own_proposals(user).where(Proposal.id == proposal.id)
    return is_staff(user) or db.session.scalar(on_it) is not None


def check_lead(user: User, proposal: Proposal) -> None:
    """Refuse whoever may not say who is on a proposal.

    Raises
    ------
    NotAllowedError
        In the words every API uses, with who may.
    """
    if not may_lead(user, proposal):
        raise NotAllowedError(f"{NOT_ALLOWED} Only its principal investigator and staff may.")


def may_invite(user: User, person: User) -> bool:
    """Tell whether `user` may have a link made by which `person` sets a password.

    Whoever has the link has the account: it is shown to those who may manage that. An
    investigator's goes by mail to the person, if they never signed in, hold no token and are on
    nobody else's proposal.
    """
    if may_manage(user, person):
        return True
    if is_staff(person) or not person.is_active or person.password_hash or person.last_login:
        return False
    theirs = own_proposals(person).with_only_columns(Proposal.pi_id).distinct()
    has_token = select(Token.id).where(Token.user_id == person.id).limit(1)
    led_by = set(db.session.scalars(theirs))
    return led_by == {user.id} and db.session.scalar(has_token) is None


def check_invite(user: User, person: User) -> None:
    """Refuse a link by which `person` sets a password to whoever may not have one.

    Raises
    ------
    NotAllowedError
        With who may.
    """
    if not may_invite(user, person):
        raise NotAllowedError(f"{NOT_ALLOWED} Only staff may make a new link for this person.")


def may_upload_to(user: User, proposal: Proposal | None) -> bool:
    """Tell whether `user` may send a frame whose header names a proposal, None for a new code.

    Where frames are hidden only one's own will do: any other answer would tell which codes exist.
    """
    if is_staff(user) or is_open_site():
        return may_add_to(user, proposal)
    return proposal is not None and is_of(user, proposal)


def may_add_to(user: User, proposal: Proposal | None) -> bool:
    """Tell whether `user` may add files to a proposal: its people, and all where it has none."""
    if proposal is None or is_staff(user):
        return True
    known = select(Proposal.id).where(Proposal.id == proposal.id)
    theirs = or_(Proposal.id.in_(own_proposals(user)), Proposal.id.not_in(peopled()))
    return db.session.scalar(known.where(theirs)) is not None
