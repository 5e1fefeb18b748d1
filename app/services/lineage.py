"""What frames and blocks stand in relation to, fetched for many of them at once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app.db import db
from app.models import Block, BlockFrame, Frame, FrameParent, Level, SuperflatLink, User
from app.services import access

_AT_ONCE: Final = 500  # ids in one query
_RAW: Final = "raw"


@dataclass(frozen=True, slots=True)
class MasterUsed:
    """A master a reduced frame was made with, and the block that made the master."""

    path: str
    block_id: int | None


@dataclass(frozen=True, slots=True)
class Superflat:
    """The super-flat a frame is linked to."""

    block_id: int
    path: str | None
    thumb: str | None


@dataclass(slots=True)
class Lineage:
    """What the frames of one answer came from and became, by frame id."""

    raw_of: dict[int, int] = field(default_factory=dict)
    product_of: dict[int, int] = field(default_factory=dict)
    superflat_of: dict[int, Superflat] = field(default_factory=dict)
    masters_of: dict[int, dict[str, MasterUsed]] = field(default_factory=dict)  # by product


@dataclass(frozen=True, slots=True)
class Members:
    """The frames of a block a user may see, and what was made of them."""

    raws: list[Frame] = field(default_factory=list)
    products: list[Frame] = field(default_factory=list)


def of_frames(user: User, frames: Iterable[Frame]) -> Lineage:
    """Return where frames came from and what became of them, as far as `user` may see that."""
    found = Lineage()
    ids = sorted({frame.id for frame in frames})
    for some in _batches(ids):
        _add_products(found, user, some)
        _add_superflats(found, user, some)
    for some in _batches(sorted(set(found.product_of.values()))):
        _add_masters(found, some)
    return found


def of_blocks(user: User, blocks: Iterable[Block]) -> dict[int, Members]:
    """Return the members of blocks that `user` may see, oldest frame first, by block id."""
    ids = [block.id for block in blocks]
    found = {block_id: Members() for block_id in ids}
    for some in _batches(ids):
        entries = _entries(user, some)
        seen = _seen(user, [entry.product_id for entry in entries if entry.product_id])
        for entry in entries:
            found[entry.block_id].raws.append(entry.frame)
            if entry.product is not None and entry.product_id in seen:
                found[entry.block_id].products.append(entry.product)
    return found


def _seen(user: User, frame_ids: Sequence[int]) -> set[int]:
    """Return which of some frames `user` may see."""
    if access.sees_every_frame(user):
        return set(frame_ids)
    mine = select(Frame.id).where(access.may_see(user, Frame))
    return {
        frame_id
        for some in _batches(frame_ids)
        for frame_id in db.session.scalars(mine.where(Frame.id.in_(some)))
    }


def _entries(user: User, block_ids: Sequence[int]) -> Sequence[BlockFrame]:
    query = (
        select(BlockFrame)
        .join(Frame, Frame.id == BlockFrame.frame_id)
        .where(BlockFrame.block_id.in_(block_ids), access.may_see(user, Frame))
        .options(joinedload(BlockFrame.frame), joinedload(BlockFrame.product))
        .order_by(BlockFrame.block_id, Frame.start_utc, Frame.id)
    )
    return db.session.scalars(query).all()


def _add_products(found: Lineage, user: User, ids: Sequence[int]) -> None:
    edges = (
        select(FrameParent.parent_id, FrameParent.child_id)
        .join(Frame, Frame.id == FrameParent.child_id)
        .where(FrameParent.role == _RAW, Frame.level == Level.REDUCED)
        .order_by(FrameParent.child_id)
    )
    either = FrameParent.parent_id.in_(ids) | FrameParent.child_id.in_(ids)
    pairs = db.session.execute(edges.where(either)).all()
    seen = _seen(user, sorted({frame_id for pair in pairs for frame_id in pair}))
    for raw_id, product_id in pairs:
        if raw_id in seen and product_id in seen:
            found.product_of[raw_id] = product_id
            found.raw_of[product_id] = raw_id


def _add_superflats(found: Lineage, user: User, ids: Sequence[int]) -> None:
    links = (
        select(SuperflatLink.frame_id, Block.id, Frame.path, Frame.thumb)
        .join(Block, Block.id == SuperflatLink.block_id)
        .outerjoin(Frame, Frame.id == Block.master_id)
        .where(SuperflatLink.frame_id.in_(ids), access.may_see(user, Block))
    )
    for frame_id, block_id, path, thumb in db.session.execute(links):
        found.superflat_of[frame_id] = Superflat(block_id, path, thumb)


def _add_masters(found: Lineage, product_ids: Sequence[int]) -> None:
    used = (
        select(FrameParent.child_id, FrameParent.role, Frame.path, Block.id)
        .join(Frame, Frame.id == FrameParent.parent_id)
        .outerjoin(Block, Block.master_id == Frame.id)
        .where(FrameParent.child_id.in_(product_ids), Frame.level == Level.MASTER)
        .order_by(Block.id)
    )
    for product_id, role, path, block_id in db.session.execute(used):
        found.masters_of.setdefault(product_id, {})[role] = MasterUsed(path, block_id)


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(ids), _AT_ONCE):
        yield ids[first : first + _AT_ONCE]
