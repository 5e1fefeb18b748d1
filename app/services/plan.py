"""The nightly plan: the blocks a night would make, and what each science frame would get."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from sqlalchemy import select

from app.db import db, transaction
from app.models import Block, BlockFrame, BlockKind, Frame, Job, Level, User
from app.services import access, block_members, calibrations, events, jobs, processing, settings
from app.services.block_members import shortcoming
from app.services.calibration_key import (
    MEMBER_KINDS,
    Tolerances,
    differences,
    group,
    key_of,
    temperature,
)
from app.services.calibrations import CalibrationChoice, Candidate
from app.services.settings import Snapshot

PLAN_NIGHTS: Final = "blocks.plan_nights"
CALIBRATIONS: Final = (BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT)
_KINDS: Final = (*CALIBRATIONS, BlockKind.SCI)


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
class PlannedScience:
    """A science frame and what it would be calibrated with."""

    frame: Frame
    plan_key: str
    choice: CalibrationChoice


@dataclass(frozen=True, slots=True)
class LeftAside:
    """A frame no block would take, and why."""

    frame: Frame
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the night's frames would become; nothing of it is stored."""

    night: date
    blocks: tuple[PlannedBlock, ...]
    science: tuple[PlannedScience, ...]
    aside: tuple[LeftAside, ...]
    warnings: tuple[str, ...] = field(default=())


def preview(night: date, *, user: User | None) -> Plan:
    """Return the plan of a night as far as this user may see its frames."""
    query = access.visible_to(user, Frame).where(Frame.night == night, Frame.level == Level.RAW)
    found = db.session.scalars(query.order_by(Frame.start_utc, Frame.id)).all()
    return _plan(night, found, settings.snapshot())


def apply(night: date, *, owner: User | None) -> Sequence[Block]:
    """Make the blocks of a night; done again, it adds only what has come since."""
    with transaction():
        planned, _ = _grouped(_raw_frames(night), night, settings.snapshot())
        return [_store(block, night, owner) for block in planned]


def process(night: date, owner: User | None) -> Sequence[Job]:
    """Queue what is due of a night's plan: its calibrations first, its science after them."""
    with transaction():
        return _process_due(apply(night, owner=owner), owner)


def process_nights(nights: Iterable[date], owner: User | None) -> Sequence[Job]:
    """Queue what is due of several nights, every calibration before any science."""
    with transaction():
        blocks = [block for night in sorted(set(nights)) for block in apply(night, owner=owner)]
        return _process_due(blocks, owner)


def after_scan(nights: set[date]) -> Job | None:
    """Have the plan of nights that got new frames made, where the site wants that."""
    if not nights or not settings.snapshot().flag("plan.automatic"):
        return None
    named = sorted(night.isoformat() for night in nights)
    return jobs.enqueue(
        PLAN_NIGHTS,
        {"nights": named},
        label=f"plan of {named[0]}" + (f" to {named[-1]}" if len(named) > 1 else ""),
        owner=None,
    )


def auto() -> Job | None:
    """Have the plan of every night made that has frames in no block, where the site wants that."""
    if not settings.snapshot().flag("plan.automatic"):
        return None
    kinds = [kind for wanted in _KINDS for kind in MEMBER_KINDS[wanted]]
    loose = select(Frame.night).where(
        Frame.level == Level.RAW,
        Frame.night.is_not(None),
        Frame.kind.in_(kinds),
        Frame.kind_doubt.is_(None),
        Frame.unusable.is_(None),
        Frame.is_valid.is_(True),
        Frame.id.not_in(select(BlockFrame.frame_id)),
    )
    nights = db.session.scalars(loose.distinct())
    return after_scan({night for night in nights if night is not None})


# Grouping


def _raw_frames(night: date) -> Sequence[Frame]:
    """Return a night's raw frames, locked: two plans of one night are made one after the other."""
    query = select(Frame).where(Frame.night == night, Frame.level == Level.RAW)
    ordered = query.order_by(Frame.start_utc, Frame.id)
    return db.session.scalars(ordered.with_for_update(of=Frame)).all()


def _plan(night: date, found: Sequence[Frame], at: Snapshot) -> Plan:
    blocks, aside = _grouped(found, night, at)
    science = tuple(_science(blocks, at))
    return Plan(night, tuple(blocks), science, tuple(aside), tuple(_warnings(blocks, science)))


def _grouped(
    found: Sequence[Frame], night: date, at: Snapshot
) -> tuple[list[PlannedBlock], list[LeftAside]]:
    """Sort a night's frames into blocks, each with the block made of them before."""
    aside = [LeftAside(f, reason) for f in found if (reason := _aside(f))]
    good = [f for f in found if not _aside(f)]
    known = _known_blocks(night)
    near = Tolerances.of(at)
    blocks: list[PlannedBlock] = []
    for kind in _KINDS:
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
    kinds = {kind for wanted in _KINDS for kind in MEMBER_KINDS[wanted]}
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


def _store(planned: PlannedBlock, night: date, owner: User | None) -> Block:
    """Make a planned block, or bring the one of before up to date, in the open transaction."""
    if planned.block_id is None:
        block = Block(
            kind=planned.kind,
            start_night=night,
            end_night=night,
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


# What a science frame would get


def _science(blocks: Sequence[PlannedBlock], at: Snapshot) -> Iterable[PlannedScience]:
    shelf = _Shelf(blocks, Tolerances.of(at))
    for block in blocks:
        if block.kind == BlockKind.SCI:
            for frame in block.members:
                choice = calibrations.choose(frame, at, planned=shelf)
                yield PlannedScience(frame, block.plan_key, choice)


class _Shelf:
    """Masters the night's own blocks would make; one that is made already is no promise."""

    def __init__(self, blocks: Sequence[PlannedBlock], near: Tolerances) -> None:
        self._near = near
        self._blocks: dict[BlockKind, list[PlannedBlock]] = defaultdict(list)
        settled = _settled({block.block_id for block in blocks if block.block_id is not None})
        for block in blocks:
            if block.block_id not in settled:
                self._blocks[block.kind].append(block)

    def __call__(self, kind: BlockKind, frame: Frame) -> list[Candidate]:
        fitting = (
            block
            for block in self._blocks[kind]
            if calibrations.fits(block.first, frame, kind, self._near)
        )
        return [self._candidate(block) for block in fitting]

    def _candidate(self, block: PlannedBlock) -> Candidate:
        first = block.first
        return Candidate(
            night=first.night,  # type: ignore[arg-type]  # a plan is of one night
            block_id=block.block_id,
            plan_key=block.plan_key,
            exptime_s=first.exptime_s,
            scales=True,
            light=first.flat_source or "",
            is_thin=block.is_thin,
        )


def _settled(block_ids: set[int]) -> set[int]:
    """Return those blocks that will make no new master: they have one, or are invalid."""
    has_master = Block.master_id.is_not(None) & (Block.status > 0)
    query = select(Block.id).where(Block.id.in_(block_ids), has_master | Block.is_valid.is_(False))
    return set(db.session.scalars(query))


def _warnings(blocks: Sequence[PlannedBlock], science: Sequence[PlannedScience]) -> Iterable[str]:
    for block in blocks:
        if block.is_thin:
            yield f"{block.label}: a thin master, of {len(block.members)} only"
    without: dict[tuple[str, str], int] = defaultdict(int)
    labels = {block.plan_key: block.label for block in blocks}
    for planned in science:
        for choice in (planned.choice.bias, planned.choice.flat):
            if choice.reason.startswith("no ") and "needed" not in choice.reason:
                without[labels[planned.plan_key], choice.reason] += 1
    for (label, reason), count in without.items():
        yield f"{label}: {reason} ({count} frame{'s' if count > 1 else ''})"


# Doing it


def _process_due(blocks: Sequence[Block], owner: User | None) -> list[Job]:
    """Queue the blocks that are due, and the science that waited for what they make."""
    due = [block for block in blocks if _is_due(block)]
    cameras = {block.camera_id for block in due if block.kind in CALIBRATIONS}
    again = [b for b in blocks if b.kind == BlockKind.SCI and b.camera_id in cameras]
    again += _waiting_elsewhere(cameras, {block.start_night for block in blocks})
    wanted = {block.id: block for block in [*due, *again] if block.is_valid}
    if owner is None:  # who asks by hand may try again what failed before
        wanted = {n: block for n, block in wanted.items() if not processing.has_failed(block)}
    return [
        processing.process(block, owner=owner) for block in processing.in_order(wanted.values())
    ]


def _is_due(block: Block) -> bool:
    made = [block.master, *(entry.product for entry in block.entries)]
    return block.status == 0 or any(frame is not None and frame.outdated for frame in made)


def _waiting_elsewhere(cameras: set[int | None], nights: set[date | None]) -> list[Block]:
    """Return the plan's science blocks of near nights whose frames lack a calibration."""
    known = [night for night in nights if night is not None]
    if not cameras or not known:
        return []
    at = settings.snapshot()
    reach = timedelta(
        days=max(at.integer(f"calibration.max_age_days_{kind}") for kind in CALIBRATIONS)
    )
    query = select(Block).where(
        Block.kind == BlockKind.SCI,
        Block.plan_key.is_not(None),
        Block.camera_id.in_([camera for camera in cameras if camera is not None]),
        Block.start_night.between(min(known) - reach, max(known) + reach),
        Block.start_night.not_in(known),
    )
    return [
        block
        for block in db.session.scalars(query)
        if any(entry.product is not None and entry.product.missing for entry in block.entries)
    ]
