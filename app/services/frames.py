"""Frames: finding them, and what people say of them."""

from collections.abc import Sequence
from datetime import date
from typing import Final, TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, func, or_, select

from app.db import db, transaction
from app.errors import InvalidRequestError, NotFoundError
from app.models import Block, BlockFrame, BlockKind, Frame, FrameParent, Level, User
from app.services import access, audit, events

MAX_STATUS: Final = 5
OVERSCAN_BIAS_FLAT: Final = 1  # MAR's first step
_MASTER_KINDS: Final = (BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT)


class FrameFilters(TypedDict, total=False):
    """What `find` may be told; None is "anything". Dates are nights, both ends included."""

    start: date | None
    end: date | None
    contains: str
    kinds: Sequence[str] | None
    kind: str | None
    level: int | None
    band: str | None
    technique: str | None
    camera_id: int | None
    field: str | None
    valid: bool | None


def get(user: User | None, frame_id: int) -> Frame:
    """Return a frame this user may see."""
    frame: Frame | None = db.session.scalar(
        access.visible_to(user, Frame).where(Frame.id == frame_id)
    )
    if frame is None:
        raise NotFoundError(f"there is no frame {frame_id}")
    return frame


def find(
    user: User | None,
    *,
    before_id: int | None = None,
    limit: int | None = None,
    **filters: Unpack[FrameFilters],
) -> Sequence[Frame]:
    """Return the frames this user may see, newest rows first; `before_id` continues a page."""
    query = access.visible_to(user, Frame).where(*conditions(**filters))
    if before_id is not None:
        query = query.where(Frame.id < before_id)
    query = query.order_by(Frame.id.desc()).limit(limit)
    return db.session.scalars(query).all()


def conditions(**filters: Unpack[FrameFilters]) -> list[ColumnElement[bool]]:
    """Return the conditions behind `find`, for queries that select something else."""
    found: list[ColumnElement[bool]] = []
    for name in ("kind", "level", "band", "technique", "camera_id"):
        value = filters.get(name)
        if value is not None:
            found.append(getattr(Frame, name) == value)
    if kinds := filters.get("kinds"):
        found.append(Frame.kind.in_(list(kinds)))
    if (valid := filters.get("valid")) is not None:
        found.append(Frame.is_valid.is_(valid))
    if (field := filters.get("field")) is not None:
        found.append(is_field(field))
    return (
        found
        + between(filters.get("start"), filters.get("end"))
        + named_like(filters.get("contains", ""))
    )


def between(start: date | None, end: date | None) -> list[ColumnElement[bool]]:
    """Return the condition on the night, both ends included."""
    found: list[ColumnElement[bool]] = []
    if start is not None:
        found.append(Frame.night >= start)
    if end is not None:
        found.append(Frame.night <= end)
    return found


def named_like(contains: str) -> list[ColumnElement[bool]]:
    """Return the condition that a file name holds any of a comma list; blanks do not count."""
    parts = [part for part in contains.replace(" ", "").split(",") if part]
    if not parts:
        return []
    return [or_(*(Frame.file_name.icontains(part, autoescape=True) for part in parts))]


def is_field(field: str) -> ColumnElement[bool]:
    """Return the condition that a frame shows a field; MAR writes its blanks as hyphens."""
    stored = func.lower(func.replace(Frame.object_name, " ", "-"))
    return stored == field.strip().replace(" ", "-").lower()


def toggle_valid(frame: Frame, *, by: User | None = None) -> Frame:
    """Turn a frame's validity round; what was or is to be made with it is due again."""
    with transaction():
        access.check_change(by, frame)
        if frame.level == Level.MASTER and not frame.is_valid:
            access.check_validate(by, frame)
        frame.is_valid = not frame.is_valid
        audit.note(by, "set valid" if frame.is_valid else "set invalid", frame)
        if frame.level == Level.RAW:
            _make_masters_due(frame)
        elif frame.level == Level.MASTER:
            word = "valid" if frame.is_valid else "invalid"
            flag_outdated(frame, f"{frame.kind} master {frame.id} was set {word}")
        changed(frame)
    return frame


def set_status(frame: Frame, status: int, *, by: User | None = None) -> Frame:
    """Set how far a frame counts as reduced; the next run redoes what is above."""
    check_status(status)
    with transaction():
        access.check_change(by, frame)
        lower(frame, status)
        audit.note(by, "set the status", frame, str(status))
        changed(frame)
    return frame


def lower(frame: Frame, status: int) -> None:
    """Set a status in the open transaction; a lower one forgets what makes a run skip the frame."""
    is_lower = status < frame.status
    frame.status = status
    if status >= OVERSCAN_BIAS_FLAT and not is_lower:
        return
    for product in [frame, *products_of(frame)]:
        product.fingerprint = "" if product.level == Level.REDUCED else product.fingerprint


def set_comment(frame: Frame, text: str, *, by: User | None = None) -> Frame:
    """Replace what is remarked on a frame."""
    with transaction():
        access.check_change(by, frame)
        frame.comment = text
        audit.note(by, "commented", frame, text)
        changed(frame)
    return frame


def check_status(status: int) -> None:
    """Refuse a status no frame can have."""
    if not 0 <= status <= MAX_STATUS:
        raise InvalidRequestError(status=f"must be from 0 to {MAX_STATUS}, not {status}")


def products_of(raw: Frame) -> Sequence[Frame]:
    """Return what was reduced from a raw frame."""
    return db.session.scalars(_children(raw, "raw").where(Frame.level == Level.REDUCED)).all()


def made_with(master: Frame) -> Sequence[Frame]:
    """Return every frame that was calibrated with a master, masters included."""
    return db.session.scalars(_children(master, "bias", "dark", "flat", "fringe")).all()


def _children(frame: Frame, *roles: str) -> Select[Frame]:
    made = select(FrameParent.child_id).where(
        FrameParent.parent_id == frame.id, FrameParent.role.in_(roles)
    )
    return select(Frame).where(Frame.id.in_(made)).order_by(Frame.id)


def flag_outdated(frame: Frame, reason: str) -> int:
    """Flag everything that was made with a frame, and with that; return how many rows."""
    seen: set[int] = {frame.id}
    front = [frame]
    while front:
        found = [child for parent in front for child in made_with(parent)]
        front = [child for child in found if child.id not in seen]
        for child in front:
            seen.add(child.id)
            child.outdated = reason
            changed(child)
    _make_due(seen - {frame.id})
    return len(seen) - 1


def outdate(made: Sequence[Frame], reason: str) -> None:
    """Flag frames in the open transaction, and have the blocks that made them make them again."""
    for frame in made:
        frame.outdated = reason
        if frame.level == Level.REDUCED:
            frame.fingerprint = ""  # even where its raw file has the size it had
        changed(frame)
    _make_due({frame.id for frame in made})


def _make_due(frame_ids: set[int]) -> None:
    """Set back the status of the blocks that made these frames."""
    if not frame_ids:
        return
    of_products = select(BlockFrame.block_id).where(BlockFrame.product_id.in_(frame_ids))
    blocks = select(Block).where(Block.master_id.in_(frame_ids) | Block.id.in_(of_products))
    for block in db.session.scalars(blocks):
        block.status = 0
        events.publish("block", block=block.id)


def changed(frame: Frame) -> None:
    """Tell open pages, in the open transaction, that a frame changed."""
    events.publish("frames", frame=frame.id, night=frame.night.isoformat() if frame.night else None)


def _make_masters_due(frame: Frame) -> None:
    holding = (
        select(Block)
        .join(BlockFrame, BlockFrame.block_id == Block.id)
        .where(BlockFrame.frame_id == frame.id, Block.kind.in_(_MASTER_KINDS))
    )
    for block in db.session.scalars(holding):
        block.status = 0
        events.publish("block", block=block.id)
