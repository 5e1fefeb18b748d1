"""Frames, blocks and jobs as this API's records; what is not measured is null, never NaN."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from app.models import Block, BlockKind, Frame, Job, JobState, Level, User
from app.services.lineage import Lineage, Members

Record = dict[str, Any]

_FILE_TYPES: Final = {"science": "SCI"}
_MEMBER_KEY: Final = {
    BlockKind.BIAS: "bias",
    BlockKind.DARK: "dark",
    BlockKind.FLAT: "flats",
    BlockKind.SCI: "scies",
    BlockKind.FRINGE: "files",
}


def render_user(user: User) -> Record:
    """Render a user."""
    return {
        "id": user.id,
        "username": user.username,
        "first_name": user.first_name,
        "email": user.email,
    }


def render_frame(frame: Frame, lineage: Lineage) -> Record:
    """Render a raw or reduced frame as a record of the single files."""
    is_reduced = frame.level == Level.REDUCED
    product_id = frame.id if is_reduced else lineage.product_of.get(frame.id)
    record = {
        "id": frame.id,
        "obsDate": render_time(frame.start_utc),
        "field": frame.object_name and frame.object_name.replace(" ", "-"),
        "file_type": _file_type(frame),
        "exptime": _finite(frame.exptime_s),
        "band": frame.band,
        "file_name": frame.file_name,
        "file_path": frame.path,
        "ovfile": None,
        "ovthumb": None,
        "thumb": frame.thumb,
        **_statistics(frame),
        "moonmean": None,
        "bpmask": None,
        "processedDate": render_time(frame.created_at) if is_reduced else None,
        "comments": frame.comment,
        "status": frame.status,
        "isvalid": int(frame.is_valid),
        "raw_sci_id": lineage.raw_of.get(frame.id),
        "processed_id": None if is_reduced else product_id,
        "sci_id": product_id,
        "crval1": _finite(frame.ra_deg),
        "crval2": _finite(frame.dec_deg),
    }
    record |= _superflat(frame, lineage)
    if product_id is not None and not is_reduced:
        record["sci"] = [_reduction(frame.id, product_id, lineage)]
    return record


def _file_type(frame: Frame) -> str:
    if frame.level == Level.REDUCED:
        return "PROCESSED"
    return _FILE_TYPES.get(frame.kind, frame.kind.upper())


def _superflat(frame: Frame, lineage: Lineage) -> Record:
    linked = lineage.superflat_of.get(frame.id)
    if linked is None:
        return {"superflat_id": None}
    return {
        "superflat_id": linked.block_id,
        "superFlatId": linked.block_id,
        "superFlatPath": linked.path,
        "superFlatThumb": linked.thumb,
    }


def _reduction(raw_id: int, product_id: int, lineage: Lineage) -> Record:
    used = lineage.masters_of.get(product_id, {})
    bias, flat = used.get("bias"), used.get("flat")
    return {
        "id": product_id,
        "individual_catalog": None,
        "masterFlatUsed_id": flat and flat.block_id,
        "masterBiasUsed_id": bias and bias.block_id,
        "sciraw_id": raw_id,
        "masterBiasUsed": bias and bias.path,
        "masterFlatUsed": flat and flat.path,
        "sextractorOut": [],
        "scampOut": [],
        "swarpOut": [],
    }


def render_block(block: Block, members: Members, lineage: Lineage) -> Record:
    """Render a block of one kind and setting with its frames."""
    kind = BlockKind(block.kind)
    record = {"id": block.id, **_dates(block), **_state(block)}
    record[_MEMBER_KEY[kind]] = [render_frame(raw, lineage) for raw in members.raws]
    if kind is not BlockKind.BIAS and kind is not BlockKind.DARK:
        record["band"] = block.band
    if kind is BlockKind.FRINGE:
        master = block.master
        record["superFlatPath"] = master and master.path
        record["superFlatThumb"] = master and master.thumb
    elif kind is BlockKind.SCI:
        record["processed"] = [render_frame(product, lineage) for product in members.products]
        record["finaltiles"] = []
    else:
        record |= _master(block)
    return record


def render_group(
    group: Block, members: Mapping[int, Members], lineage: Lineage, *, parts: Sequence[Block]
) -> Record:
    """Render a block of all bands with its blocks by band."""
    key = "sciByFilter" if group.kind == BlockKind.SCI else "flatsByFilter"
    rendered = [render_block(part, members[part.id], lineage) for part in parts]
    return {"id": group.id, **_dates(group), **_state(group), key: rendered}


def render_queued(job: Job) -> Record:
    """Render a job that has not ended as an entry of the queue."""
    return {
        "id": job.id,
        "function": job.function,
        "block": job.arguments.get("block_id"),
        "code": job.arguments.get("code", ""),
    }


def render_operation(job: Job, log_path: str) -> Record:
    """Render a job that has ended as an entry of the history."""
    outcome = "" if job.state == JobState.DONE else f" ({job.state}: {job.error or 'no reason'})"
    return {
        "id": job.id,
        "endDate": render_time(job.finished_at),
        "logPath": log_path,
        "operation": f"{job.label or job.function}{outcome}",
    }


def render_time(time: datetime | None) -> str | None:
    """Render a moment in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


def _dates(block: Block) -> Record:
    start, end = block.start_night, block.end_night
    return {
        "blockStartDate": start and start.isoformat(),
        # as the original keeps it: the day after the last night
        "blockEndDate": end and (end + timedelta(days=1)).isoformat(),
    }


def _state(block: Block) -> Record:
    return {"comments": block.comment, "status": block.status, "isvalid": int(block.is_valid)}


def _master(block: Block) -> Record:
    master = block.master
    return {
        "masterPath": master and master.path,
        "masterThumb": master and master.thumb,
        "maskPath": block.mask_path or None,
        "maskThumb": None,
        **_statistics(master),
    }


def _statistics(frame: Frame | None) -> Record:
    return {
        "modeavg": _finite(frame.mode if frame else None),
        "medianavg": _finite(frame.median if frame else None),
        "noiseavg": _finite(frame.noise if frame else None),
        "medianrms": None,  # the original's scatter between boxes of a chip; not measured here
        "noiserms": None,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
