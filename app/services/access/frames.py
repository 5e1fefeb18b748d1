"""Which frames, blocks and files are seen where a site shows them to their people only."""

from datetime import timedelta

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.orm import aliased

from app.db import db, utcnow
from app.models import (
    Block,
    BlockFrame,
    BlockKind,
    Frame,
    Level,
    Proposal,
    ScannedFile,
    User,
)
from app.services import settings
from app.services.access.proposals import own_proposals

Rule = ColumnElement[bool]


def may_stranger_see() -> Rule:
    """Return which frames may go out without a token; "everyone" is who signed in, not they."""
    return is_public()


def sees_frame(user: User) -> Rule:
    """Return which frames the people of their proposals, and who uploaded them, see."""
    # Never NULL, or "not seen" would be NULL too, and find nothing.
    is_own = func.coalesce(Frame.owner_id, 0) == user.id
    return or_(is_public(), Frame.proposal_id.in_(own_proposals(user)), is_own)


def is_public() -> Rule:
    """Return which frames are everyone's: masters, those of no proposal, and released ones."""
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


def sees_block(user: User) -> Rule:
    """Return which blocks are seen: one tells what was observed, as each of its frames does."""
    child = aliased(Block)
    seen = (
        select(BlockFrame.block_id)
        .join(Frame, Frame.id == BlockFrame.frame_id)
        .where(sees_frame(user))
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
    child, theirs = aliased(Block), hiding(user)
    groups = select(func.coalesce(child.parent_id, 0)).where(child.id.in_(theirs))
    return or_(Block.id.in_(theirs), Block.id.in_(groups.correlate(None)))


def hiding(user: User) -> Select[int]:
    """Return the ids of the blocks with a frame that is not seen."""
    return (
        select(BlockFrame.block_id)
        .join(Frame, Frame.id == BlockFrame.frame_id)
        .where(~sees_frame(user))
        .correlate(None)
    )


def sees_file(user: User) -> Rule:
    """Return which files are seen: those of frames, or duplicates of one, that are."""
    seen = select(Frame.file_id).where(sees_frame(user)).correlate(None)
    return func.coalesce(ScannedFile.duplicate_of_id, ScannedFile.id).in_(seen)
