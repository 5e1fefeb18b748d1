"""Reading stored headers again, by the rules and camera profiles as they are now.

What people said of a frame (its validity, status, comment, and the validation of a master made
elsewhere) stays; what follows from the header is brought up to date, with what rested on it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select

from app.db import db, transaction
from app.models import Block, BlockFrame, BlockKind, Frame, Level, User
from app.services import (
    audit,
    block_members,
    calibration_key,
    events,
    frames,
    ingest,
    orders,
    proposal_code,
    registration,
    scanned_files,
    settings,
)
from app.services.calibration_key import MEMBER_KINDS, Tolerances
from app.services.cameras import CameraBook
from app.services.orders import Selection
from reduction.errors import BadFileError
from reduction.frameinfo import FrameInfo

# Columns that say how a value was found, not what it is.
_ABOUT: Final = frozenset({"origins", "doubts"})
_VALIDATED: Final = "It was validated as a master: what people said of it stays."


@dataclass(frozen=True, slots=True)
class Change:
    """A value before and after."""

    was: Any
    now: Any


@dataclass(slots=True)
class Reclassified:
    """What reading a frame's header again changed, or why it could not be read."""

    frame: Frame
    changes: dict[str, Change] = field(default_factory=dict)
    trouble: str = ""
    left_blocks: list[int] = field(default_factory=list)


def reclassify(user: User, wanted: Selection) -> list[Reclassified]:
    """Translate the headers of raw frames again and store what came out different.

    Raises
    ------
    InvalidRequestError, NotFoundError, NotAllowedError
        As `orders.find` does.
    """
    found = orders.find(user, wanted)
    read = [_read(frame) for frame in found]  # files are opened before the transaction
    with transaction():
        book = CameraBook()
        pairs = zip(found, read, strict=True)
        results = [_apply(user, frame, header, book) for frame, header in pairs]
        changed = [one for one in results if one.changes]
        left = _sort_out([one.frame for one in changed])
        for one in changed:
            one.left_blocks = left.get(one.frame.id, [])
    return results


def _read(frame: Frame) -> FrameInfo | str:
    """Return what a frame's header says now, or in a sentence why that is not asked."""
    if frame.level == Level.MASTER and frame.is_valid:
        return _VALIDATED
    if frame.file_id is None:
        return "It is no raw file: its header was written by whoever made it."
    try:
        return ingest.frame_info(frame)
    except BadFileError as error:
        return str(error)
    except OSError as error:
        return f"It cannot be read: {error.strerror or error}."


def _apply(user: User, frame: Frame, read: FrameInfo | str, book: CameraBook) -> Reclassified:
    """Bring one row up to date in the open transaction."""
    if isinstance(read, str):
        return Reclassified(frame, trouble=read)
    columns = registration.header_columns(read) | {"camera_id": book.id_of(read)}
    if read.level == Level.MASTER:
        columns |= registration.first_columns(read)
    found = Reclassified(frame, _changes(frame, columns))
    if not found.changes:
        return found
    for name, value in columns.items():
        setattr(frame, name, value)
    frame.origins = columns.get("origins", {})  # without them, whoever shows them reads them
    if "proposal_code" in found.changes:
        frame.proposal_id = _proposal_id(frame.proposal_code)
        scanned_files.pass_on_proposal(frame)
    audit.note(user, "reclassified", frame, _in_words(found.changes))
    frames.changed(frame)
    return found


def _changes(frame: Frame, columns: Mapping[str, Any]) -> dict[str, Change]:
    return {
        name: Change(registration.plain(getattr(frame, name)), registration.plain(value))
        for name, value in columns.items()
        if name not in _ABOUT and getattr(frame, name) != value
    }


def _in_words(changes: Mapping[str, Change]) -> str:
    said = [f"{name} {one.was} → {one.now}" for name, one in changes.items()]
    return "; ".join(said)[:1000]


def _proposal_id(code: str | None) -> int | None:
    return proposal_code.of_code(code).id if code else None


# What rested on it


def _sort_out(changed: Sequence[Frame]) -> dict[int, list[int]]:
    """Make due what changed frames are in, and take out of blocks those that no longer fit.

    Returns the blocks each frame had to leave, by its id.
    """
    left: dict[int, list[int]] = {}
    for frame in changed:
        for product in frames.products_of(frame):
            product.fingerprint, product.outdated = "", "the header of its raw file was read anew"
            frames.changed(product)
    for block in _blocks_of(changed):
        block.status = 0
        for frame_id in _misfits(block):
            block_members.remove_frame(block, frame_id)
            left.setdefault(frame_id, []).append(block.id)
        if block.entries and block.kind in {BlockKind.FLAT, BlockKind.SCI}:
            block.band = block.entries[0].frame.band
        if block.master is not None:
            block.master.fingerprint = ""
            block.master.outdated = "the header of one of its frames was read anew"
            frames.changed(block.master)
        events.publish("block", block=block.id)
    return left


def _blocks_of(changed: Iterable[Frame]) -> Sequence[Block]:
    ids = [frame.id for frame in changed]
    holding = select(BlockFrame.block_id).where(BlockFrame.frame_id.in_(ids))
    return db.session.scalars(select(Block).where(Block.id.in_(holding)).order_by(Block.id)).all()


def _misfits(block: Block) -> list[int]:
    """Return the frames of a block that do not belong to the most of them."""
    kind = BlockKind(block.kind)
    members = [entry.frame for entry in block.entries]
    of_kind = [frame for frame in members if frame.kind in MEMBER_KINDS[kind]]
    near = Tolerances.of(settings.snapshot())
    kept = calibration_key.group(of_kind, kind, near)[0] if of_kind else []
    return [frame.id for frame in members if frame not in kept]
