"""The blocks of a night's plan: sorting its raw frames into them, and storing them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from sqlalchemy import select

from app.db import db
from app.models import Block, BlockFrame, BlockKind, Frame, User
from app.services import block_members, events
from app.services.block_members import shortcoming
from app.services.calibration_key import (
    MEMBER_KINDS,
    Tolerances,
    differences,
    group,
    key_of,
    temperature,
)
from app.services.settings import Snapshot

CALIBRATIONS: Final = (BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT)
KINDS: Final = (*CALIBRATIONS, BlockKind.SCI)


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """A block the plan would make, or one it made before."""

    kind: BlockKind
    plan_key: str
    camera_name: str
    members: tuple[Frame, ...]
    block_id: int | None = None
    new_ids: frozenset[int] = frozenset()  # members the block of before does not have
    is_thin: bool = False

    @property
    def first(self) -> Frame:
        """A member, for what they all share."""
        return self.members[0]

    @property
    def band(self) -> str | None:
        """The band of a flat or science block."""
        return self.first.band if self.kind in {BlockKind.FLAT, BlockKind.SCI} else None

    @property
    def label(self) -> str:
        """What people call it: ``3 dark of STL-1001, 60 s, -5.0 C``."""
        said = [f"{len(self.members)} {self.kind} of {self.camera_name}"]
        if self.band:
            said.append(self.band)
        if self.kind == BlockKind.DARK:
            temp_c = temperature(self.first)
            said.append(f"{self.first.exptime_s or 0:g} s")
            said.append("no temperature" if temp_c is None else f"{temp_c:.1f} C")
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class LeftAside:
    """A frame no block would take, and why."""

    frame: Frame
    reason: str


def grouped(
    found: Sequence[Frame], night: date, at: Snapshot
) -> tuple[list[PlannedBlock], list[LeftAside]]:
    """Sort a night's frames into blocks, each with the block made of them before."""
    aside = [LeftAside(f, reason) for f in found if (reason := _aside(f))]
    good = [f for f in found if not _aside(f)]
    known = _known_blocks(night)
    near = Tolerances.of(at)
    blocks: list[PlannedBlock] = []
    for kind in KINDS:
        members = [f for f in good if f.kind in MEMBER_KINDS[kind]]
        placed = _placed(kind, members, known, near)
        blocks += [_planned_again(block, members) for block, members in placed.items() if members]
        seated = {f.id for members in placed.values() for f in members}
        loose = [f for f in members if f.id not in seated]
        blocks += [_planned(kind, night, one, known) for one in group(loose, kind, near)]
    thin = at.integer("calibration.thin_frames")
    return [_judged(block, thin) for block in blocks], aside


def _judged(planned: PlannedBlock, thin: int) -> PlannedBlock:
    is_thin = planned.kind in CALIBRATIONS and len(planned.members) < thin
    return replace(planned, is_thin=is_thin)


def _placed(
    kind: BlockKind, members: Sequence[Frame], known: Sequence[Block], near: Tolerances
) -> dict[Block, list[Frame]]:
    """Return the plan's blocks of before with what is in them, or fits all that is."""
    placed: dict[Block, list[Frame]] = {block: [] for block in known if block.kind == kind}
    home = {entry.frame_id: block for block in placed for entry in block.entries}
    for frame in members:
        block = home.get(frame.id) or next(
            (block for block in placed if _fits_all(frame, block, near)), None
        )
        if block is not None:
            placed[block].append(frame)
    return placed


def _fits_all(frame: Frame, block: Block, near: Tolerances) -> bool:
    kind = BlockKind(block.kind)
    return bool(block.entries) and not any(
        differences(entry.frame, frame, kind, near) for entry in block.entries
    )


def _aside(frame: Frame) -> str:
    kinds = {kind for wanted in KINDS for kind in MEMBER_KINDS[wanted]}
    if frame.kind not in kinds:
        return f"no block takes frames of kind {frame.kind}"
    return shortcoming(frame)


def _planned(
    kind: BlockKind, night: date, members: Sequence[Frame], known: Sequence[Block]
) -> PlannedBlock:
    first = members[0]
    parts = [str(kind), night.isoformat(), key_of(first, kind).text]
    if kind == BlockKind.DARK:
        parts += [f"{first.exptime_s} s", f"{temperature(first)} C"]
    key = "/".join(parts)
    if any(block.plan_key == key for block in known):  # its frames no longer fit together
        key += f"/{first.id}"
    return PlannedBlock(
        kind=kind,
        plan_key=key,
        camera_name=_camera_name(first),
        members=tuple(members),
        new_ids=frozenset(frame.id for frame in members),
    )


def _planned_again(block: Block, members: Sequence[Frame]) -> PlannedBlock:
    return PlannedBlock(
        kind=BlockKind(block.kind),
        plan_key=str(block.plan_key),
        camera_name=_camera_name(members[0]),
        members=tuple(members),
        block_id=block.id,
        new_ids=frozenset({f.id for f in members} - {e.frame_id for e in block.entries}),
    )


def _camera_name(frame: Frame) -> str:
    return frame.camera.name if frame.camera else "unidentified"


def _known_blocks(night: date) -> Sequence[Block]:
    query = select(Block).where(Block.plan_key.is_not(None), Block.start_night == night)
    return db.session.scalars(query.order_by(Block.id)).all()


def store(planned: PlannedBlock, owner: User | None) -> Block:
    """Make a planned block, or bring the one of before up to date, in the open transaction."""
    if planned.block_id is None:
        block = Block(
            kind=planned.kind,
            start_night=planned.first.night,
            end_night=planned.first.night,
            plan_key=planned.plan_key,
            owner_id=owner and owner.id,
        )
        block_members.fill(block, planned.members)
        events.publish("block", block=block.id)
        return block
    block = db.session.get_one(Block, planned.block_id)
    if planned.new_ids:
        block.entries += [BlockFrame(frame_id=frame_id) for frame_id in sorted(planned.new_ids)]
        block.status = 0
        events.publish("block", block=block.id)
    return block
