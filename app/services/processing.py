"""Putting blocks to work: which steps a code names, and the order in which blocks must run."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import delete, or_, select

from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError
from app.models import (
    OPEN_STATES,
    Block,
    BlockFrame,
    BlockKind,
    Job,
    JobNeed,
    JobState,
    User,
)
from app.services import access, audit, events, jobs
from app.services.block_members import label

PROCESS_BLOCK: Final = "blocks.process_block"
FINISH_GROUP: Final = "blocks.finish_group"

# The letters of MAR's execution codes, in the order in which the steps run.
STEPS: Final = {
    "ov": "overscan, trim, bias, dark and flat",
    "sf": "super-flat",
    "mc": "masks",
    "am": "astrometry, sources and zero point",
    "co": "co-add",
}
EXISTING: Final = ("ov", "mc", "am")
_SEPARATORS: Final = re.compile(r"[\s,;+]+")
_ORDER: Final = (BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT, BlockKind.FRINGE, BlockKind.SCI)


def steps_of(code: str) -> tuple[str, ...]:
    """Return the steps an execution code asks for; an empty one means all there are.

    Raises
    ------
    InvalidRequestError
        If it names a step that is unknown, or one that does not exist yet.
    """
    typed = _SEPARATORS.sub("", code)
    if not typed:
        return EXISTING
    as_typed = [typed[i : i + 2] for i in range(0, len(typed), 2)]
    if unknown := [letters for letters in as_typed if letters.lower() not in STEPS]:
        named_so = ", ".join(repr(letters) for letters in unknown)
        raise InvalidRequestError(f"there is no step {named_so}; the steps are {', '.join(STEPS)}")
    named = [letters.lower() for letters in as_typed]
    for letters in named:
        if letters not in EXISTING:
            raise InvalidRequestError(
                f"the step {letters!r} ({STEPS[letters]}) does not exist yet; "
                f"the steps that do are {' and '.join(EXISTING)}"
            )
    return tuple(step for step in EXISTING if step in named or step == "ov")


def process(block: Block, *, owner: User | None, code: str = "") -> Job:
    """Queue a block's work, a block of all bands with everything in it; return its job.

    It waits for whatever of its camera is being made and would calibrate it.
    """
    steps = steps_of(code)
    with transaction():
        audit.note(owner, "processed", block, code)
        if not block.is_group:
            return _queue(block, owner, steps)
        workable = [child for child in block.children if is_workable(child)]
        if not workable:
            raise ConflictError(f"{label(block)} has no blocks in it that could be processed")
        parts = [_queue(child, owner, steps) for child in workable]
        return jobs.enqueue(
            FINISH_GROUP,
            {"block_id": block.id},
            label=label(block),
            owner=owner,
            needs=parts,
            dedupe_key=f"group-{block.id}",
        )


def is_workable(block: Block) -> bool:
    """Tell whether a block has frames and is valid: a registered master has none."""
    return bool(block.entries) and block.is_valid


def in_order(blocks: Iterable[Block]) -> list[Block]:
    """Return blocks in the order in which they depend on each other."""
    return sorted(blocks, key=lambda block: (_ORDER.index(BlockKind(block.kind)), block.id))


def _queue(block: Block, owner: User | None, steps: Sequence[str]) -> Job:
    if not block.entries:
        raise ConflictError(
            f"{label(block)} holds a master made elsewhere: there is nothing to combine"
            if block.master_id
            else f"{label(block)} has no frames"
        )
    job = jobs.enqueue(
        PROCESS_BLOCK,
        {"block_id": block.id, "code": "".join(steps), "frames": len(block.entries)},
        label=label(block),
        # whose log names frames must see them all
        owner=None if access.hiding_blocks(owner, [block.id]) else owner,
        needs=_under_way_before(block),
        dedupe_key=dedupe_key(block),
    )
    events.publish("block", block=block.id)
    return job


def dedupe_key(block: Block) -> str:
    """Return the key under which a block has one open job."""
    return f"block-{block.id}"


def has_failed(block: Block) -> bool:
    """Tell whether the last run of a block failed and it has got no frames since."""
    query = select(Job).where(Job.dedupe_key == dedupe_key(block)).order_by(Job.id.desc())
    last = db.session.scalar(query.limit(1))
    return (
        last is not None
        and last.state == JobState.FAILED
        and last.arguments.get("frames") == len(block.entries)
    )


def release_waiting(job_id: int) -> None:
    """Let the blocks that wait for a failing one go on without it, in the open transaction.

    A night whose bias is spoilt is reduced without one, and says so.
    """
    waiting = select(Job.id).where(Job.function == PROCESS_BLOCK)
    db.session.execute(
        delete(JobNeed).where(JobNeed.needs_id == job_id, JobNeed.job_id.in_(waiting))
    )


def _under_way_before(block: Block) -> list[Job]:
    """Return the open jobs whose results this block may need, or whose files it would write."""
    query = select(Job).where(Job.function == PROCESS_BLOCK, Job.state.in_(OPEN_STATES))
    by_block = {int(job.arguments["block_id"]): job for job in db.session.scalars(query)}
    by_block.pop(block.id, None)
    if not by_block:
        return []
    earlier = _ORDER[: _ORDER.index(BlockKind(block.kind))]
    shared = select(BlockFrame.block_id).where(
        BlockFrame.frame_id.in_([entry.frame_id for entry in block.entries])
    )
    calibrates = Block.camera_id.is_not_distinct_from(block.camera_id) & Block.kind.in_(earlier)
    waited_for = select(Block.id).where(
        Block.id.in_(by_block), or_(calibrates, Block.id.in_(shared))
    )
    return [by_block[block_id] for block_id in db.session.scalars(waited_for)]
