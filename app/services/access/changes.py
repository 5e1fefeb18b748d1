"""Who may change, mark, delete or put into use what they see."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, false, or_, select, true

from app.db import db
from app.errors import NotAllowedError
from app.models import Block, BlockFrame, Frame, Level, User
from app.services.access.people import NOT_ALLOWED, is_open_site, is_staff, sees_every_frame
from app.services.access.proposals import own_proposals, peopled
from app.services.access.visible import may_see

Rule = ColumnElement[bool]


def may_change(user: User | None) -> Rule:
    """Return which of the frames they see `user` may mark, comment on or reduce anew.

    Those of no proposal, or of one nobody was put on yet, are everyone's; others their people's.
    A master is in use for everybody: it is everyone's where everyone sees all, else staff's.
    """
    if user is None or not user.is_active:
        return false()
    if is_staff(user):
        return true()
    is_master = Frame.level == Level.MASTER
    theirs = and_(~is_master, _may_add(user))
    return and_(may_see(user, Frame), or_(theirs, is_master) if is_open_site() else theirs)


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
    free = or_(Frame.proposal_id.is_(None), Frame.proposal_id.not_in(peopled()))
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
        if frame.level == Level.MASTER:
            raise NotAllowedError(f"{NOT_ALLOWED} Masters are used for all: only staff may.")
        code = frame.proposal.code if frame.proposal else "another proposal"
        raise NotAllowedError(f"{NOT_ALLOWED} Only the people of {code} and staff may.")


def check_change_block(user: User | None, block: Block) -> None:
    """Refuse to let `user` change a block with frames that are other people's; None is ourselves.

    Raises
    ------
    NotAllowedError
        If there is one such frame in it, or in one of its children.
    """
    if others_blocks(user, [block.id, *(child.id for child in block.children)]):
        raise NotAllowedError(
            f"{NOT_ALLOWED} A block is processed whole, and some of its frames are another "
            "proposal's. Have your own reduced one by one, with the button on the page of each, or "
            "ask staff to process the block."
        )


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


def check_validate(user: User | None, frame: Frame) -> None:
    """Refuse to let anybody but staff put an uploaded file into use as a master.

    Raises
    ------
    NotAllowedError
        With why; a master is used for everybody's frames.
    """
    if user is not None and frame.owner_id is not None and not is_staff(user):
        raise NotAllowedError(
            f"{NOT_ALLOWED} {frame.file_name} was uploaded: it is used as a master once staff "
            "have looked at it."
        )
