"""What a worker does with blocks: one block, the end of a block of all bands, a night's plan."""

from datetime import date

from app.db import db
from app.errors import ConflictError, NotFoundError
from app.jobs import masters, science, storing
from app.jobs.runner import JobContext
from app.models import Block, BlockKind, User
from app.services import events, plan, processing
from app.services.block_members import label
from app.wording import counted
from reduction.errors import ReductionError

_MASTERS = frozenset({BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT})


def process_block(context: JobContext) -> None:
    """Make a block's master, or reduce its science frames; what waits for it may go on anyway."""
    block = _block(context)
    storing.check_room(context)
    try:
        _process(context, block)
    except (ReductionError, ConflictError):
        with context.checkpoint():
            processing.release_waiting(context.job_id)
        raise


def _process(context: JobContext, block: Block) -> None:
    if block.kind in _MASTERS:
        masters.make(context, block)
    elif block.kind == BlockKind.SCI:
        science.reduce(context, block)
    else:
        raise ConflictError(f"{label(block)}: super-flats are registered, not made, for now")


def finish_group(context: JobContext) -> None:
    """Mark a block of all bands as processed, now that its blocks are."""
    block = _block(context)
    workable = [child for child in block.children if processing.is_workable(child)]
    undone = [label(child) for child in workable if child.status == 0]
    if undone:
        raise ConflictError(f"{label(block)} is not complete: {', '.join(undone)} did not end well")
    with context.finish({"blocks": len(block.children)}):
        block.status = 1
        events.publish("block", block=block.id)


def plan_nights(context: JobContext) -> None:
    """Make the blocks of the nights named and queue what is due."""
    nights = [date.fromisoformat(text) for text in context.arguments["nights"]]
    owner = db.session.get(User, context.owner_id) if context.owner_id is not None else None
    with context.finish():
        queued = plan.process_nights(nights, owner)
    planned, put = counted(len(nights), "night"), counted(len(queued), "job")
    context.log.info("%s planned, %s queued", planned, put)


def _block(context: JobContext) -> Block:
    block_id = int(context.arguments["block_id"])
    block = db.session.get(Block, block_id)
    if block is None:
        raise NotFoundError(f"block {block_id} is no longer there")
    return block
