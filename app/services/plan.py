"""The nightly plan: the blocks a night would make, and what each science frame would get."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from sqlalchemy import ColumnElement, select, true

from app.db import db, transaction
from app.models import Block, BlockFrame, BlockKind, Frame, Job, Level, User
from app.services import access, jobs, processing, settings
from app.services.calibration_key import MEMBER_KINDS
from app.services.calibrations import CalibrationChoice
from app.services.plan_blocks import CALIBRATIONS, KINDS, LeftAside, PlannedBlock, grouped, store
from app.services.plan_shelf import Shelf, loose
from app.services.settings import Snapshot

PLAN_NIGHTS: Final = "blocks.plan_nights"


@dataclass(frozen=True, slots=True)
class PlannedScience:
    """A science frame and what it would be calibrated with."""

    frame: Frame
    plan_key: str
    choice: CalibrationChoice


@dataclass(frozen=True, slots=True)
class Plan:
    """What the night's frames would become; nothing of it is stored."""

    night: date
    blocks: tuple[PlannedBlock, ...]
    science: tuple[PlannedScience, ...]
    aside: tuple[LeftAside, ...]
    warnings: tuple[str, ...] = ()
    borrowed: tuple[PlannedBlock, ...] = ()  # of other nights, for what this one lacks


def preview(night: date, *, user: User | None) -> Plan:
    """Return the plan of a night as far as this user may see its frames."""
    query = access.visible_to(user, Frame).where(Frame.night == night, Frame.level == Level.RAW)
    found = db.session.scalars(query.order_by(Frame.start_utc, Frame.id)).all()
    at = settings.snapshot()
    grouped_ones, aside = grouped(found, night, at)
    blocks = _seen(grouped_ones, user)
    science, borrowed = _calibrated(blocks, Shelf(blocks, at, access.may_see(user, Frame)))
    warnings = tuple(_warnings(blocks, science))
    return Plan(night, tuple(blocks), science, tuple(aside), warnings, borrowed)


def apply(night: date, *, owner: User | None) -> Sequence[Block]:
    """Make the blocks of a night, and those of near nights that it borrows masters from.

    Done again, it adds only what has come since. Frames its owner may not have reduced, and
    blocks with such frames, are left to those who may.
    """
    with transaction():
        at = settings.snapshot()
        _hold_loose(night, at)
        rule = true() if owner is None else access.may_change(owner)
        planned, _ = grouped(_raw_frames(night, rule), night, at)
        _, borrowed = _calibrated(planned, Shelf(planned, at, rule))
        return [store(block, owner) for block in _changeable((*planned, *borrowed), owner)]


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
    kinds = [kind for wanted in KINDS for kind in MEMBER_KINDS[wanted]]
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


def _raw_frames(night: date, rule: ColumnElement[bool]) -> Sequence[Frame]:
    """Return a night's raw frames, locked: two plans of one night are made one after the other."""
    query = select(Frame).where(Frame.night == night, Frame.level == Level.RAW, rule)
    ordered = query.order_by(Frame.start_utc, Frame.id)
    return db.session.scalars(ordered.with_for_update(of=Frame)).all()


def _changeable(blocks: Sequence[PlannedBlock], owner: User | None) -> list[PlannedBlock]:
    """Return the planned blocks without those made before that are other people's too."""
    ids = [block.block_id for block in blocks if block.block_id is not None]
    others = access.others_blocks(owner, ids)
    return [block for block in blocks if block.block_id not in others]


def _seen(blocks: Sequence[PlannedBlock], user: User | None) -> list[PlannedBlock]:
    """Return the planned blocks without the numbers of those made before that are not seen."""
    if access.sees_every_frame(user):
        return list(blocks)
    ids = [block.block_id for block in blocks if block.block_id is not None]
    seen = set(
        db.session.scalars(select(Block.id).where(Block.id.in_(ids), access.may_see(user, Block)))
    )
    return [
        block if block.block_id is None or block.block_id in seen else replace(block, block_id=None)
        for block in blocks
    ]


def _hold_loose(night: date, at: Snapshot) -> None:
    """Lock the calibrations a plan may borrow: two plans that do are made one after the other."""
    if db.engine.dialect.name == "sqlite":  # has one writer at a time
        return
    days = [at.integer(f"calibration.max_age_days_{kind}") for kind in CALIBRATIONS]
    reach = timedelta(days=2 * max(days))  # a borrowed flat borrows its bias in turn
    query = select(Frame.id).where(
        *loose(CALIBRATIONS), Frame.night.between(night - reach, night + reach)
    )
    db.session.execute(query.order_by(Frame.night, Frame.id).with_for_update(of=Frame)).all()


# What a science frame would get


def _calibrated(
    blocks: Sequence[PlannedBlock], shelf: Shelf
) -> tuple[tuple[PlannedScience, ...], tuple[PlannedBlock, ...]]:
    """Return what each science frame would get, and the blocks of other nights it takes."""
    science = tuple(
        PlannedScience(frame, block.plan_key, shelf.choose(frame))
        for block in blocks
        if block.kind == BlockKind.SCI
        for frame in block.members
    )
    return science, shelf.borrowed(one.choice for one in science)


def _warnings(blocks: Sequence[PlannedBlock], science: Sequence[PlannedScience]) -> Iterable[str]:
    for block in blocks:
        if block.is_thin:
            yield f"{block.label}: a thin master, of {len(block.members)} only"
    without: dict[tuple[str, str], int] = defaultdict(int)
    labels = {block.plan_key: block.label for block in blocks}
    for planned in science:
        for choice in (planned.choice.bias, planned.choice.flat):
            if choice.is_lacking:
                without[labels[planned.plan_key], choice.reason] += 1
    for (label, reason), count in without.items():
        yield f"{label}: {reason} ({count} frame{'s' if count > 1 else ''})"


# Doing it


def _process_due(blocks: Sequence[Block], owner: User | None) -> list[Job]:
    """Queue the blocks that are due, and the science that waited for what they make."""
    due = [block for block in blocks if _is_due(block)]
    cameras = {block.camera_id for block in due if block.kind in CALIBRATIONS}
    again = [b for b in blocks if b.kind == BlockKind.SCI and b.camera_id in cameras]
    again += _waiting_elsewhere(cameras, blocks)
    others = access.others_blocks(owner, [block.id for block in again])
    again = [block for block in again if block.id not in others]
    wanted = {block.id: block for block in [*due, *again] if block.is_valid}
    if owner is None:  # who asks by hand may try again what failed before
        wanted = {n: block for n, block in wanted.items() if not processing.has_failed(block)}
    return [
        processing.process(block, owner=owner) for block in processing.in_order(wanted.values())
    ]


def _is_due(block: Block) -> bool:
    made = [block.master, *(entry.product for entry in block.entries)]
    return block.status == 0 or any(frame is not None and frame.outdated for frame in made)


def _waiting_elsewhere(cameras: set[int | None], blocks: Sequence[Block]) -> list[Block]:
    """Return the plan's other science blocks of near nights whose frames lack a calibration."""
    known = [block.start_night for block in blocks if block.start_night is not None]
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
        Block.id.not_in([block.id for block in blocks]),
    )
    return [
        block
        for block in db.session.scalars(query)
        if any(entry.product is not None and entry.product.missing for entry in block.entries)
    ]


__all__ = [
    "CALIBRATIONS",
    "LeftAside",
    "Plan",
    "PlannedBlock",
    "PlannedScience",
    "after_scan",
    "apply",
    "auto",
    "preview",
    "process",
    "process_nights",
]
