"""Masters and reductions that somebody asks for: which frames, in which blocks, and their jobs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, or_, select

from app.db import db, transaction
from app.errors import InvalidRequestError, NotAllowedError, NotFoundError
from app.models import Block, BlockFrame, BlockKind, Camera, Frame, Job, Level, User
from app.services import access, audit, block_members, events, frames, processing
from app.services.calibration_key import MEMBER_KINDS
from app.wording import counted

CALIBRATIONS: Final = (BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT)
MOST: Final = 5000  # frames in one order
_SHOWN: Final = 3  # reasons in a sentence


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames: those of these ids, or those of these nights and values; "" is any."""

    ids: Sequence[int] = ()
    start: date | None = None
    end: date | None = None
    band: str = ""
    object_name: str = ""
    camera: str = ""
    contains: str = ""

    @property
    def is_empty(self) -> bool:
        """Tell whether it says nothing that could choose frames."""
        said = (self.start, self.end, self.object_name, self.contains)
        return not self.ids and not any(said)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that was asked for and is in no block, and why."""

    frame: Frame
    reason: str


@dataclass(slots=True)
class Ordered:
    """What was put to work: the blocks, those that were there already among them."""

    blocks: list[Block] = field(default_factory=list)
    reused: set[int] = field(default_factory=set)  # ids of blocks
    jobs: list[Job] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def make_masters(user: User, wanted: Selection, kinds: Sequence[BlockKind]) -> Ordered:
    """Make the masters of these kinds that the frames wanted allow; their jobs are queued.

    Raises
    ------
    InvalidRequestError
        If no frame will do; the message says what kept those that almost would.
    NotFoundError, NotAllowedError
        If one of the ids is of no frame `user` may see, or may use.
    """
    return _order(user, wanted, kinds)


def reduce(user: User, wanted: Selection) -> Ordered:
    """Have raw science frames reduced with the masters there are; their jobs are queued.

    Raises
    ------
    InvalidRequestError, NotFoundError, NotAllowedError
        As `make_masters` does.
    """
    return _order(user, wanted, (BlockKind.SCI,))


def find(user: User, wanted: Selection, kinds: Sequence[str] | None = None) -> Sequence[Frame]:
    """Return the raw frames wanted that `user` may change, oldest first.

    Raises
    ------
    InvalidRequestError
        If the selection says nothing, or too many are wanted.
    NotFoundError, NotAllowedError
        If one of the ids is of no frame `user` may see, or may change.
    """
    if wanted.is_empty:
        raise InvalidRequestError(
            "Say which files: ids, or date (a night), or start and end, or object."
        )
    found = _by_id(user, wanted.ids) if wanted.ids else _by_value(user, wanted, kinds)
    if len(found) > MOST:
        raise InvalidRequestError(f"More than {MOST} files: ask for fewer nights at a time.")
    return found


def _by_id(user: User, ids: Sequence[int]) -> Sequence[Frame]:
    if len(ids) > MOST:
        raise InvalidRequestError(f"More than {MOST} files: ask for fewer at a time.")
    query = access.visible_to(user, Frame).where(Frame.id.in_(ids))
    found: Sequence[Frame] = db.session.scalars(_in_time(query)).all()
    if missing := sorted(set(ids) - {frame.id for frame in found}):
        raise NotFoundError(f"There is no file {', '.join(map(str, missing[:5]))}.")
    mine = select(Frame.id).where(Frame.id.in_(ids), access.may_change(user))
    allowed = set(db.session.scalars(mine))
    for frame in found:
        if frame.id not in allowed:
            access.check_change(user, frame)
            raise NotAllowedError(f"{frame.file_name} is not yours to change.")
    return found


def _by_value(user: User, wanted: Selection, kinds: Sequence[str] | None) -> Sequence[Frame]:
    conditions = [
        Frame.level == Level.RAW,
        *frames.conditions(
            start=wanted.start,
            end=wanted.end,
            kinds=kinds,
            field=wanted.object_name or None,
            contains=wanted.contains,
            camera_id=_camera_id(wanted.camera),
        ),
        *_of_band(wanted.band),
    ]
    query = select(Frame).where(access.may_change(user), *conditions)
    return db.session.scalars(_in_time(query).limit(MOST + 1)).all()


def _in_time(query: Select[Any]) -> Select[Any]:
    return query.order_by(Frame.start_utc, Frame.id)


def _of_band(band: str) -> list[ColumnElement[bool]]:
    if not band:
        return []
    columns = (Frame.band, Frame.band_raw, Frame.extras["filter"].as_string())
    return [or_(*(func.lower(column) == band.lower() for column in columns))]


def _camera_id(text: str) -> int | None:
    """Return the camera of a number or a name."""
    if not text:
        return None
    query = select(Camera).where(func.lower(Camera.name) == text.lower())
    camera = db.session.scalar(query.order_by(Camera.id).limit(1))
    if camera is None and text.isdecimal() and len(text) < 10:
        camera = db.session.get(Camera, int(text))
    if camera is None:
        names = db.session.scalars(select(Camera.name).order_by(Camera.name).distinct().limit(20))
        known = ", ".join(names) or "none yet"
        raise InvalidRequestError(camera=f"There is no camera {text[:80]!r}; there are: {known}.")
    return camera.id


# Blocks and jobs


def _order(user: User, wanted: Selection, kinds: Sequence[BlockKind]) -> Ordered:
    with transaction():
        members = [str(kind) for block in kinds for kind in MEMBER_KINDS[block]]
        found = find(user, wanted, members)
        ordered = Ordered(left_out=list(_left_out(found, kinds)))
        for kind in kinds:
            for group in block_members.groups(kind, found):
                _add_block(user, ordered, kind, group)
        if not ordered.blocks:
            raise InvalidRequestError(_nothing(wanted, kinds, ordered.left_out))
        for block in processing.in_order(ordered.blocks):
            ordered.jobs.append(processing.process(block, owner=user))
    return ordered


def _left_out(found: Iterable[Frame], kinds: Sequence[BlockKind]) -> Iterable[LeftOut]:
    for frame in found:
        fitting = [kind for kind in kinds if frame.kind in MEMBER_KINDS[kind]]
        if reason := block_members.refusal(frame, fitting[0] if fitting else kinds[0]):
            yield LeftOut(frame, reason)


def _add_block(user: User, ordered: Ordered, kind: BlockKind, members: Sequence[Frame]) -> None:
    block = _same_block(kind, members)
    if block is not None:
        ordered.reused.add(block.id)
    else:
        nights = sorted(frame.night for frame in members if frame.night is not None)
        new = Block(
            kind=kind,
            start_night=nights[0] if nights else None,
            end_night=nights[-1] if nights else None,
            owner_id=user.id,
        )
        block = block_members.fill(new, members)
        audit.note(user, "made", block, counted(len(members), "frame"))
        events.publish("block", block=block.id)
    ordered.blocks.append(block)


def _same_block(kind: BlockKind, members: Sequence[Frame]) -> Block | None:
    """Return a block that has just these frames, so that asking twice makes no second master."""
    ids = {frame.id for frame in members}
    query = (
        select(Block)
        .join(BlockFrame, BlockFrame.block_id == Block.id)
        .where(BlockFrame.frame_id == members[0].id, Block.kind == kind)
        .where(Block.is_valid.is_(True), Block.is_group.is_(False))
        .order_by(Block.id)
    )
    holding = db.session.scalars(query).all()
    same = [block for block in holding if {entry.frame_id for entry in block.entries} == ids]
    return same[0] if same else None


def _nothing(wanted: Selection, kinds: Sequence[BlockKind], left_out: Sequence[LeftOut]) -> str:
    what = " or ".join("science" if kind == BlockKind.SCI else str(kind) for kind in kinds)
    if not left_out:
        return f"No raw {what} frames{_of_nights(wanted)} match, or none that are yours to use."
    reasons = sorted({f"{one.frame.file_name}: {one.reason}" for one in left_out})
    more = len(reasons) - _SHOWN
    shown = "; ".join(reasons[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    return f"None of these files can be used as {what} frames: {shown}."


def _of_nights(wanted: Selection) -> str:
    if wanted.start is None and wanted.end is None:
        return ""
    if wanted.start == wanted.end:
        return f" of {wanted.start}"
    first, last = wanted.start or "the first night", wanted.end or "the last"
    return f" from {first} to {last}"
