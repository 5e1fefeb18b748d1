"""The frames of a block: which may enter, which are in, and why one does not count."""

from collections.abc import Sequence
from datetime import date
from typing import TypedDict, Unpack

from sqlalchemy import ColumnElement, func, select

from app.db import db
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import Block, BlockFrame, BlockKind, Camera, Frame, Level, User
from app.services import access, frames, settings
from app.services.calibration_key import MEMBER_KINDS, Tolerances, differences, group


class Chosen(TypedDict, total=False):
    """Which frames of the nights a block is made of; None or "" is "any"."""

    band: str | None
    contains: str
    field: str | None
    camera: Camera | None


def matching(
    kind: BlockKind, start: date, end: date, *, owner: User | None, **chosen: Unpack[Chosen]
) -> Sequence[Frame]:
    """Return the raw frames a block of these nights could take, good or not, oldest first.

    Only frames its owner may reduce are taken; a block of the house's own takes any.
    """
    rules = [] if owner is None else [access.may_change(owner)]
    query = select(Frame).where(*_wanted(kind, start, end, **chosen), *rules)
    return db.session.scalars(query.order_by(Frame.start_utc, Frame.id)).all()


def count_seen(
    kind: BlockKind, start: date, end: date, *, owner: User | None, **chosen: Unpack[Chosen]
) -> int:
    """Return how many frames there are that `matching` could take, were they its owner's."""
    rules = [] if owner is None else [access.may_see(owner, Frame)]
    query = select(func.count(Frame.id)).where(*_wanted(kind, start, end, **chosen), *rules)
    return db.session.scalar(query) or 0


def _wanted(
    kind: BlockKind, start: date, end: date, **chosen: Unpack[Chosen]
) -> list[ColumnElement[bool]]:
    camera = chosen.get("camera")
    return frames.conditions(
        start=start,
        end=end,
        kinds=MEMBER_KINDS[kind],
        level=Level.RAW,
        band=chosen.get("band"),
        contains=chosen.get("contains", ""),
        field=chosen.get("field"),
        camera_id=camera.id if camera else None,
    )


def refusal(frame: Frame, kind: BlockKind) -> str:
    """Return why a frame cannot enter a block of `kind`; empty where it can."""
    if frame.level != Level.RAW:
        return "it is not a raw frame"
    if frame.kind not in MEMBER_KINDS[kind]:
        return f"its kind is {frame.kind}"
    return shortcoming(frame)


def shortcoming(frame: Frame) -> str:
    """Return what is wrong with a frame that would otherwise do; empty where nothing is."""
    if not frame.is_valid:
        return "it was set invalid"
    if frame.unusable:
        return frame.unusable
    if frame.kind_doubt:
        return f"its kind is doubtful: {frame.kind_doubt}"
    if frame.kind in frame.steps_done:
        return f"its own {frame.kind} was taken out of it before the file was written"
    return ""


def groups(kind: BlockKind, found: Sequence[Frame]) -> list[list[Frame]]:
    """Sort the good ones of the frames into one group a block, the largest first."""
    good = [frame for frame in found if not refusal(frame, kind)]
    return group(good, kind, Tolerances.of(settings.snapshot()))


def fill(block: Block, members: Sequence[Frame]) -> Block:
    """Put frames of one group into a new block, in the open transaction."""
    block.camera_id = members[0].camera_id
    block.band = members[0].band if block.kind in {BlockKind.FLAT, BlockKind.SCI} else None
    block.entries = [BlockFrame(frame_id=frame.id) for frame in members]
    db.session.add(block)
    db.session.flush()
    return block


def check_may_join(block: Block, frame: Frame) -> None:
    """Refuse a frame that would make the block a mixture, saying what differs."""
    kind = BlockKind(block.kind)
    if reason := refusal(frame, kind):
        raise ConflictError(f"{frame.file_name} cannot enter {label(block)}: {reason}")
    entry = next(iter(block.entries), None)
    if entry is None:
        return
    found = differences(entry.frame, frame, kind, Tolerances.of(settings.snapshot()))
    if found:
        raise ConflictError(f"{frame.file_name} cannot enter {label(block)}: {', '.join(found)}")


def add_frame(block: Block, frame_id: int, by: User | None) -> None:
    """Add a raw frame to a block in the open transaction; the block is due again."""
    frame = db.session.get(Frame, frame_id) if by is None else frames.get(by, frame_id)
    if frame is None:
        raise NotFoundError(f"there is no frame {frame_id}")
    access.check_change(by, frame)
    if any(entry.frame_id == frame_id for entry in block.entries):
        return
    if _is_registered(block):  # a run would replace its file
        raise ConflictError(f"{label(block)} holds a master made elsewhere: make a new block")
    check_may_join(block, frame)
    if not block.entries:
        block.camera_id = frame.camera_id
    block.entries.append(BlockFrame(frame_id=frame.id))
    block.status = 0


def _is_registered(block: Block) -> bool:
    """Tell whether the block only stands for a master that was made elsewhere, of no frames."""
    return block.master is not None and not block.entries and not block.master.parents


def remove_frame(block: Block, frame_id: int) -> None:
    """Take a frame out of a block in the open transaction; the block is due again."""
    entry = next((e for e in block.entries if e.frame_id == frame_id), None)
    if entry is None:
        raise NotFoundError(f"frame {frame_id} is not in {label(block)}")
    block.entries.remove(entry)
    block.status = 0


def seen_block(block_id: int, user: User | None) -> Block | None:
    """Return a block of any kind that `user` may see; None, ourselves, sees all."""
    query = select(Block) if user is None else access.visible_to(user, Block)
    found: Block | None = db.session.scalar(query.where(Block.id == block_id))
    return found


def add_child(block: Block, child_id: int, by: User | None) -> None:
    """Put a block of one band into a block of all bands, in the open transaction."""
    child = seen_block(child_id, by)
    if child is None:
        raise NotFoundError(f"there is no block {child_id}")
    access.check_change_block(by, child)
    if child.is_group or child.kind != block.kind:
        raise InvalidRequestError(f"{label(child)} cannot be part of {label(block)}")
    child.parent_id = block.id
    block.status = 0


def remove_child(block: Block, child_id: int) -> None:
    """Take a block out of a block of all bands, in the open transaction."""
    child = db.session.get(Block, child_id)
    if child is None or child.parent_id != block.id:
        raise NotFoundError(f"block {child_id} is not in {label(block)}")
    child.parent_id = None


def label(block: Block) -> str:
    """Return what people call a block: ``flat block 12 (V)``."""
    what = "all-band " if block.is_group else ""
    band = f" ({block.band})" if block.band else ""
    return f"{what}{block.kind} block {block.id}{band}"
