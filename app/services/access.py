"""Who may see, change and delete what: the one rule behind every page and every API.

Staff may everything. By `access.visibility` everyone signed in sees every frame, or the people of
its proposal only, until its proprietary period is over; masters and frames of no proposal are
everyone's. What is changed is noted with who did it, and a frame whose proposal has people is
changed by them alone.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true
from sqlalchemy.orm import aliased

from app.db import db, utcnow
from app.errors import NotAllowedError
from app.models import (
    AuditEntry,
    Block,
    BlockFrame,
    BlockKind,
    BrowserSession,
    Camera,
    Frame,
    Group,
    Invitation,
    Job,
    Level,
    Proposal,
    ScannedFile,
    Token,
    User,
    group_members,
    proposal_groups,
    proposal_members,
)
from app.services import settings

Rule = ColumnElement[bool]
_NOT_ALLOWED: Final = "You do not have permission to perform this action."


def visible_to(user: User | None, model: type[Any] = Frame) -> Select[Any]:
    """Return the rows of `model` that `user` may see, as a SELECT to refine."""
    return select(model).where(may_see(user, model))


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


def may_stranger_see() -> Rule:
    """Return which frames may go out without a token; "everyone" is who signed in, not they."""
    return _is_public()


def may_change(user: User | None) -> Rule:
    """Return which of the frames they see `user` may mark, comment on or reduce anew.

    Those of no proposal, or of one nobody was put on yet, are everyone's; others their people's.
    """
    if user is None or not user.is_active:
        return false()
    if is_staff(user):
        return true()
    return and_(may_see(user, Frame), or_(_may_add(user), Frame.level == Level.MASTER))


def may_delete(user: User | None) -> Rule:
    """Return which processed frames `user` may delete: their proposals', and those they made.

    Of these only where they might still add one: not once they were taken off its proposal.
    """
    if user is None or not user.is_active:
        return false()
    made = Frame.level > Level.MASTER
    if is_staff(user):
        return Frame.level > Level.RAW
    uploaded = and_(Frame.owner_id == user.id, _may_add(user))
    theirs = or_(uploaded, Frame.proposal_id.in_(own_proposals(user)))
    return and_(may_see(user, Frame), made, theirs)


def _may_add(user: User) -> Rule:
    """Return of which frames' proposals somebody is, or nobody: `may_add_to` as a condition."""
    free = or_(Frame.proposal_id.is_(None), Frame.proposal_id.not_in(_peopled()))
    return or_(free, Frame.proposal_id.in_(own_proposals(user)))


def check_change(user: User | None, frame: Frame) -> None:
    """Refuse to let `user` change a frame that is other people's; None is ourselves.

    Raises
    ------
    NotAllowedError
        With whose it is, if they may see it at all.
    """
    allowed = select(Frame.id).where(Frame.id == frame.id, may_change(user))
    if user is not None and db.session.scalar(allowed) is None:
        code = frame.proposal.code if frame.proposal else "another proposal"
        raise NotAllowedError(f"{_NOT_ALLOWED} Only the people of {code} and staff may.")


def check_change_block(user: User | None, block: Block) -> None:
    """Refuse to let `user` change a block with frames that are other people's; None is ourselves.

    Raises
    ------
    NotAllowedError
        If there is one such frame in it, or in one of its children.
    """
    if others_blocks(user, [block.id, *(child.id for child in block.children)]):
        raise NotAllowedError(f"{_NOT_ALLOWED} Some of its frames are another proposal's.")


def others_blocks(user: User | None, block_ids: Collection[int]) -> set[int]:
    """Return which of some blocks have frames that `user` may not change; None is ourselves."""
    if user is None or is_staff(user):
        return set()
    return _with_frames(block_ids, ~may_change(user))


def hiding_blocks(user: User | None, block_ids: Collection[int]) -> set[int]:
    """Return which of some blocks have frames that `user` may not see; None is ourselves."""
    if sees_every_frame(user):
        return set()
    return _with_frames(block_ids, ~may_see(user, Frame))


def _with_frames(block_ids: Collection[int], rule: Rule) -> set[int]:
    query = (
        select(BlockFrame.block_id)
        .join(Frame, Frame.id == BlockFrame.frame_id)
        .where(BlockFrame.block_id.in_(block_ids), rule)
    )
    return set(db.session.scalars(query.distinct()))


def check_staff(user: User) -> None:
    """Refuse whoever is not staff.

    Raises
    ------
    NotAllowedError
        In the words every API uses.
    """
    if not is_staff(user):
        raise NotAllowedError(_NOT_ALLOWED)


def may_manage(user: User, person: User) -> bool:
    """Tell whether `user` may change somebody's account: staff an observer's, superusers all."""
    return user.is_superuser or (user.is_staff and not is_staff(person))


def check_manage(user: User | None, person: User) -> None:
    """Refuse to let `user` change somebody's account; None is the command line, which may.

    Raises
    ------
    NotAllowedError
        For whoever is not staff, and for staff where the account is of staff.
    """
    if user is None or may_manage(user, person):
        return
    check_staff(user)
    raise NotAllowedError("Only a superuser may do this for staff.")


def check_account(user: User | None, person: User) -> None:
    """Refuse to let `user` touch somebody's tokens, browsers or password; one's own one may."""
    if user is None or user.id != person.id:
        check_manage(user, person)


def check_validate(user: User | None, frame: Frame) -> None:
    """Refuse to let anybody but staff put an uploaded file into use as a master.

    Raises
    ------
    NotAllowedError
        With why; a master is used for everybody's frames.
    """
    if user is not None and frame.owner_id is not None and not is_staff(user):
        raise NotAllowedError(
            f"{_NOT_ALLOWED} {frame.file_name} was uploaded: it is used as a master once staff "
            "have looked at it."
        )


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
        raise NotAllowedError(f"{_NOT_ALLOWED} Only its principal investigator and staff may.")


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
        raise NotAllowedError(f"{_NOT_ALLOWED} Only staff may make a new link for this person.")


def may_add_to(user: User, proposal: Proposal | None) -> bool:
    """Tell whether `user` may add files to a proposal: its people, and all where it has none."""
    if proposal is None or is_staff(user):
        return True
    known = select(Proposal.id).where(Proposal.id == proposal.id)
    theirs = or_(Proposal.id.in_(own_proposals(user)), Proposal.id.not_in(_peopled()))
    return db.session.scalar(known.where(theirs)) is not None


def is_staff(user: User) -> bool:
    """Tell whether `user` is staff; a superuser is."""
    return user.is_staff or user.is_superuser


def is_open_site() -> bool:
    """Tell whether everyone signed in sees every frame."""
    return settings.snapshot().text("access.visibility") != "members"


def sees_every_frame(user: User | None) -> bool:
    """Tell whether no frame is hidden from `user`; None is the house itself."""
    return user is None or is_staff(user) or is_open_site()


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


def _peopled() -> Select[int]:
    """Return the ids of the proposals somebody was put on."""
    somebody = or_(
        Proposal.pi_id.is_not(None),
        Proposal.id.in_(select(proposal_members.c.proposal_id)),
        Proposal.id.in_(select(proposal_groups.c.proposal_id)),
    )
    return select(Proposal.id).where(somebody).correlate(None)


def _is_public() -> Rule:
    return or_(Frame.level == Level.MASTER, Frame.proposal_id.is_(None), _is_released())


def _is_released() -> Rule:
    """Return which frames are past the proprietary period of their proposal.

    There are few different periods: a comparison for each keeps date arithmetic out of SQL,
    where the two databases differ. A frame of no known night is never released.
    """
    periods = db.session.scalars(select(Proposal.proprietary_days).distinct()).all()
    usual = settings.snapshot().integer("access.proprietary_days")
    return or_(false(), *(_is_past(days, usual) for days in periods))


def _is_past(days: int | None, usual: int) -> Rule:
    last_night = utcnow().date() - timedelta(usual if days is None else days)
    own = Proposal.proprietary_days
    same = own.is_(None) if days is None else own == days
    of_period = select(Proposal.id).where(same).correlate(None)
    is_past = and_(Frame.night.is_not(None), Frame.night <= last_night)
    return and_(Frame.proposal_id.in_(of_period), is_past)


def _sees_frame(user: User) -> Rule:
    # Never NULL, or "not seen" would be NULL too, and find nothing.
    is_own = func.coalesce(Frame.owner_id, 0) == user.id
    return or_(_is_public(), Frame.proposal_id.in_(own_proposals(user)), is_own)


def _sees_block(user: User) -> Rule:
    """Return which blocks are seen: one tells what was observed, as each of its frames does."""
    child = aliased(Block)
    seen = (
        select(BlockFrame.block_id)
        .join(Frame, Frame.id == BlockFrame.frame_id)
        .where(_sees_frame(user))
        .correlate(None)
    )
    group_of_seen = select(child.parent_id).where(child.id.in_(seen)).correlate(None)
    return or_(
        Block.kind.not_in((BlockKind.SCI, BlockKind.FRINGE)),
        and_(Block.kind == BlockKind.FRINGE, Block.master_id.is_not(None)),
        and_(Block.owner_id == user.id, ~_hides(user)),
        Block.id.in_(seen),
        Block.id.in_(group_of_seen),
    )


def _hides(user: User) -> Rule:
    """Return which blocks have a frame that is not seen, or a child that has."""
    child, hiding = aliased(Block), _hiding(user)
    groups = select(func.coalesce(child.parent_id, 0)).where(child.id.in_(hiding))
    return or_(Block.id.in_(hiding), Block.id.in_(groups.correlate(None)))


def _hiding(user: User) -> Select[int]:
    """Return the ids of the blocks with a frame that is not seen."""
    return (
        select(BlockFrame.block_id)
        .join(Frame, Frame.id == BlockFrame.frame_id)
        .where(~_sees_frame(user))
        .correlate(None)
    )


def _owns_job(user: User) -> Rule:
    """Return which jobs are one's own; not those whose log names frames that are not seen."""
    if is_open_site():
        return Job.owner_id == user.id
    about = func.coalesce(Job.arguments["block_id"].as_integer(), 0)
    return and_(Job.owner_id == user.id, about.not_in(_hiding(user)))


def _sees_file(user: User) -> Rule:
    """Return which files are seen: those of frames, or duplicates of one, that are."""
    seen = select(Frame.file_id).where(_sees_frame(user)).correlate(None)
    return func.coalesce(ScannedFile.duplicate_of_id, ScannedFile.id).in_(seen)


_ALWAYS_OWN: Final[Mapping[type[Any], Callable[[User], Rule]]] = {
    Job: lambda user: _owns_job(user),
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
    Frame: _sees_frame,
    Block: _sees_block,
    ScannedFile: _sees_file,
    Proposal: lambda user: Proposal.id.in_(own_proposals(user)),
}
_EVERYONES: Final = frozenset({Camera})
