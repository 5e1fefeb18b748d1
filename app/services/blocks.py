"""Blocks: making them, finding them, and what people do with them."""

from collections.abc import Sequence
from datetime import date
from typing import Final, Unpack

from sqlalchemy import delete, select

from app.db import db, transaction
from app.errors import InvalidRequestError, NotFoundError
from app.models import Block, BlockKind, Frame, Job, SuperflatLink, User
from app.services import access, audit, block_members, events, frames, processing, ready_masters
from app.services.block_members import Chosen, label
from app.wording import counted

PROCESSED: Final = 1  # MAR's status of a block
_GROUPED: Final = frozenset({BlockKind.FLAT, BlockKind.SCI})  # kinds that come in bands


def get(user: User | None, kind: BlockKind, block_id: int, *, is_group: bool) -> Block:
    """Return a block this user may see."""
    block: Block | None = db.session.scalar(
        access.visible_to(user, Block).where(
            Block.id == block_id, Block.kind == kind, Block.is_group.is_(is_group)
        )
    )
    if block is None:
        raise NotFoundError(_no_such(user, kind, block_id, is_group=is_group))
    return block


def _no_such(user: User | None, kind: BlockKind, block_id: int, *, is_group: bool) -> str:
    """Return that there is no such block, or where the block of that number is to be found."""
    found: Block | None = db.session.scalar(
        access.visible_to(user, Block).where(Block.id == block_id, Block.kind == kind)
    )
    if found is None:
        return f"there is no {kind} block {block_id}"
    singular, plural = f"{kind}byfilter", f"{kind}block"
    if is_group:
        return f"{block_id} is a block of one band: use {singular}"
    return f"{block_id} is a block of all bands: use {plural}"


def find(
    user: User | None,
    kind: BlockKind,
    *,
    is_group: bool,
    start: date | None = None,
    end: date | None = None,
    valid: bool | None = True,
) -> Sequence[Block]:
    """Return the blocks that begin in a night from `start` to `end`, both included."""
    query = access.visible_to(user, Block).where(Block.kind == kind, Block.is_group.is_(is_group))
    if start is not None:
        query = query.where(Block.start_night >= start)
    if end is not None:
        query = query.where(Block.start_night <= end)
    if valid is not None:
        query = query.where(Block.is_valid.is_(valid))
    return db.session.scalars(query.order_by(Block.start_night, Block.id)).all()


def create(
    kind: BlockKind,
    start: date,
    end: date,
    *,
    owner: User | None,
    **chosen: Unpack[Chosen],
) -> Sequence[Block]:
    """Make a block of the nights' good frames, one for each camera and setting, largest first.

    Raises
    ------
    InvalidRequestError
        If no frame will do; the message says what kept those that almost would.
    """
    if start > end:
        raise InvalidRequestError(f"the first night {start} is after the last one {end}")
    with transaction():
        found = block_members.matching(kind, start, end, owner=owner, **chosen)
        groups = block_members.groups(kind, found)
        if not groups:
            n_seen = block_members.count_seen(kind, start, end, owner=owner, **chosen)
            raise InvalidRequestError(_nothing(kind, start, end, found, n_seen))
        made = [
            block_members.fill(_new(kind, start, end, owner, chosen.get("contains", "")), members)
            for members in groups
        ]
        for block in made:
            events.publish("block", block=block.id)
    return made


def create_group(
    kind: BlockKind, start: date, end: date, *, owner: User | None, contains: str = ""
) -> Block:
    """Make a block of all bands: one block a band, camera and setting, under one."""
    if kind not in _GROUPED:
        raise InvalidRequestError(f"{kind} blocks have no bands: make a single one")
    with transaction():
        group = _new(kind, start, end, owner, contains)
        group.is_group = True
        group.children = list(create(kind, start, end, owner=owner, contains=contains))
        db.session.add(group)
        db.session.flush()
        events.publish("block", block=group.id)
    return group


def _new(kind: BlockKind, start: date, end: date, owner: User | None, contains: str = "") -> Block:
    return Block(
        kind=kind,
        start_night=start,
        end_night=end,
        contains=contains,
        owner_id=owner and owner.id,
    )


def _nothing(kind: BlockKind, start: date, end: date, found: Sequence[Frame], n_seen: int) -> str:
    nights = f"of {start}" if start == end else f"from {start} to {end}"
    if n_seen == 0:
        return f"no {kind} frames {nights} match"
    reasons = sorted({block_members.refusal(frame, kind) for frame in found})
    if n_seen > len(found):
        reasons.insert(0, "only the people of their proposal and staff may have them reduced")
    found_ones = counted(n_seen, f"{kind} frame")
    return f"none of the {found_ones} {nights} will do: {'; '.join(reasons[:3])}"


def process(block: Block, *, owner: User | None, code: str = "") -> Job:
    """Queue a block's work: all steps that exist, or those `code` names."""
    access.check_change_block(owner, block)
    return processing.process(block, owner=owner, code=code)


def register(kind: BlockKind, filepath: str, *, owner: User | None) -> Block:
    """Make a processed block of a master made elsewhere, given by its path in the data root."""
    return ready_masters.register(kind, filepath, owner=owner)


def toggle_valid(block: Block, *, by: User | None = None) -> Block:
    """Turn a block's validity round; its blocks by band follow it. Invalid masters rest unused."""
    with transaction():
        access.check_change_block(by, block)
        block.is_valid = not block.is_valid
        audit.note(by, "set valid" if block.is_valid else "set invalid", block)
        for part in [block, *block.children]:
            part.is_valid = block.is_valid
            if part.master is not None:
                word = "valid" if block.is_valid else "invalid"
                frames.flag_outdated(part.master, f"{label(part)} was set {word}")
            events.publish("block", block=part.id)
    return block


def set_status(block: Block, status: int, *, by: User | None = None) -> Block:
    """Set a block's status; a lower one makes the next run redo it, and what is in it.

    1 says that a block is processed, and nothing of how far its frames are.
    """
    frames.check_status(status)
    with transaction():
        access.check_change_block(by, block)
        audit.note(by, "set the status", block, str(status))
        for part in [block, *block.children]:
            part.status = status
            for product in _products(part):
                if status == 0 or PROCESSED < status < product.status:
                    frames.lower(product, min(product.status, status))
            events.publish("block", block=part.id)
    return block


def set_substatus(block: Block, status: int, *, by: User | None = None) -> Block:
    """Set the status of a block's raw frames and of what was made of them."""
    frames.check_status(status)
    with transaction():
        access.check_change_block(by, block)
        audit.note(by, "set the status of its frames", block, str(status))
        for part in [block, *block.children]:
            for frame in [*(entry.frame for entry in part.entries), *_products(part)]:
                frames.lower(frame, status)
                frames.changed(frame)
            events.publish("block", block=part.id)
    return block


def _products(block: Block) -> list[Frame]:
    return [entry.product for entry in block.entries if entry.product is not None]


def set_comment(block: Block, text: str, *, by: User | None = None) -> Block:
    """Replace what is remarked on a block."""
    with transaction():
        access.check_change_block(by, block)
        block.comment = text
        audit.note(by, "commented", block, text)
        events.publish("block", block=block.id)
    return block


def set_superflat(block: Block, superflat_id: int | None, *, by: User | None = None) -> Block:
    """Say which super-flat a block's frames are to be corrected with; none clears it.

    Raises
    ------
    NotFoundError
        If there is no such super-flat, or none `by` may see.
    InvalidRequestError
        If it is of a band no frame of the block is of.
    """
    with transaction():
        access.check_change_block(by, block)
        audit.note(by, "set the super-flat", block, str(superflat_id or "none"))
        parts = block.children if block.is_group else [block]
        if superflat_id is None or superflat_id < 0:
            _unlink(parts)
        else:
            superflat = block_members.seen_block(superflat_id, by)
            if superflat is None or superflat.kind != BlockKind.FRINGE:
                raise NotFoundError("No superflat found")
            _link(parts, superflat)
        events.publish("block", block=block.id)
    return block


def _raw_ids(parts: Sequence[Block]) -> list[int]:
    return [entry.frame_id for part in parts for entry in part.entries]


def _unlink(parts: Sequence[Block]) -> None:
    db.session.execute(delete(SuperflatLink).where(SuperflatLink.frame_id.in_(_raw_ids(parts))))


def _link(parts: Sequence[Block], superflat: Block) -> None:
    same_band = [part for part in parts if part.band == superflat.band]
    if not same_band:
        raise InvalidRequestError("Superflat not found for this band.")
    for frame_id in _raw_ids(same_band):
        db.session.merge(SuperflatLink(frame_id=frame_id, block_id=superflat.id))


def superflat_of(block: Block) -> int | None:
    """Return the super-flat that a block's frames are linked to, the newest of several."""
    linked = select(SuperflatLink.block_id).where(SuperflatLink.frame_id.in_(_raw_ids([block])))
    return db.session.scalar(linked.order_by(SuperflatLink.block_id.desc()).limit(1))


def add(block: Block, object_id: int, *, by: User | None = None) -> Block:
    """Add a frame `by` may see to a block, or a block of one band to one of all bands.

    Raises
    ------
    ConflictError
        If the frame would make the block a mixture; the message names what differs.
    """
    with transaction():
        access.check_change_block(by, block)
        audit.note(by, "added", block, str(object_id))
        if block.is_group:
            block_members.add_child(block, object_id, by)
        else:
            block_members.add_frame(block, object_id, by)
        events.publish("block", block=block.id)
    return block


def remove(block: Block, object_id: int, *, by: User | None = None) -> Block:
    """Take a frame out of a block, or a block of one band out of one of all bands."""
    with transaction():
        access.check_change_block(by, block)
        audit.note(by, "removed", block, str(object_id))
        if block.is_group:
            block_members.remove_child(block, object_id)
        else:
            block_members.remove_frame(block, object_id)
        events.publish("block", block=block.id)
    return block


__all__ = [
    "Chosen",
    "add",
    "create",
    "create_group",
    "find",
    "get",
    "label",
    "process",
    "register",
    "remove",
    "set_comment",
    "set_status",
    "set_substatus",
    "set_superflat",
    "superflat_of",
    "toggle_valid",
]
