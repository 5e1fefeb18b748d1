"""The rows of what a block makes: masters and reduced frames, their parents, what they outdate.

The functions run inside the transaction in which a job commits its results.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any, Final

from sqlalchemy import delete, select

from app.db import db
from app.models import Block, BlockFrame, BlockKind, Frame, FrameParent, Level
from app.services import frames
from reduction.exposure import Calibrated, Master, PlaneStats
from reduction.frameinfo import FrameInfo

# What a product has from the raw frame it stands for.
_SHARED: Final = (
    "camera_id",
    "readout_key",
    "binning_x",
    "binning_y",
    "technique",
    "writer",
    "exptime_s",
    "start_utc",
    "mid_utc",
    "night",
    "gain_e_per_adu",
    "read_noise_e",
    "saturation_adu",
    "temp_c",
    "temp_set_c",
    "observer",
)
_OF_THE_SKY: Final = (
    "kind",
    "object_name",
    "ra_deg",
    "dec_deg",
    "position_role",
    "airmass",
    "proposal_code",
    "proposal_id",
)
_OF_THE_LIGHT: Final = ("band", "band_raw", "flat_source")
_SHOWN_REASONS: Final = 5


@dataclass(frozen=True, slots=True)
class Written:
    """A product as it lies on disk; paths are relative to the data root."""

    path: str
    size: int
    sha256: str
    header_text: str
    thumb: str | None
    sources: str | None = None  # the name of the file with its sources, in the same folder


@dataclass(frozen=True, slots=True)
class Made:
    """What the database must know of a product besides its pixels' numbers."""

    written: Written
    masters: Mapping[str, int]  # frame ids by role
    fingerprint: str
    counts: Mapping[str, int] = field(default_factory=dict)
    missing: Sequence[str] = ()


def fingerprint(recipe_hash: str, inputs: Iterable[str], masters: Mapping[str, Frame]) -> str:
    """Return what two results share only if recipe and every input are the same.

    A master counts by its own fingerprint: made again of the same frames, it changes nothing.
    """
    parts = [recipe_hash, *sorted(inputs)]
    parts += [f"{role}={identity(master)}" for role, master in sorted(masters.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def content(raw: Frame, sha256: str) -> str:
    """Return what a raw frame's pixels hang on: its file, and its part of that."""
    return f"{sha256}[{raw.part}]"


def identity(frame: Frame) -> str:
    """Return what a frame's content hangs on: how it was made, or else its bytes."""
    return frame.fingerprint or frame.content_sha256 or f"{frame.path} {frame.size}"


def store_master(block: Block, master: Master, made: Made, used: Sequence[Frame]) -> Frame:
    """Store the master of a block in the place of the one before, and flag what that was used for.

    The frame in the middle of those that were used stands for all of them, but for when.
    """
    middle = used[len(used) // 2]
    columns = _of(middle, _SHARED) | _of_product(made, master.stats)
    if block.kind == BlockKind.FLAT:
        columns |= _of(middle, _OF_THE_LIGHT)
    if master.exptime_s is not None:
        columns["exptime_s"] = master.exptime_s
    if master.temp_c is not None:
        columns["temp_c"] = master.temp_c
    columns["start_utc"], columns["mid_utc"] = span_utc(used)
    columns |= {
        "level": Level.MASTER,
        "kind": block.kind,
        "ncombine": len(master.used),
        "is_thin": master.thin,
        "notes": [*master.notes, *_left_out(master)],
        "steps_done": ["bias"] if "bias" in made.masters else [],
        "extras": dict(middle.extras),
    }
    before = block.master
    has_changed = before is not None and before.fingerprint != made.fingerprint
    frame = _put(before, columns, master.image.shape, master.image.unit)
    _set_parents(frame, {"member": used}, made.masters)
    block.master = frame
    if has_changed:
        frames.flag_outdated(frame, f"{block.kind} master {frame.id} was made anew")
    return frame


def span_utc(used: Sequence[Frame | FrameInfo]) -> tuple[datetime | None, datetime | None]:
    """Return when the first of some exposures began, and the mean of their middles."""
    starts = [one.start_utc for one in used if one.start_utc is not None]
    middles = [one.mid_utc for one in used if one.mid_utc is not None]
    after_first = [(middle - middles[0]).total_seconds() for middle in middles]
    mean = middles[0] + timedelta(seconds=fmean(after_first)) if middles else None
    return min(starts, default=None), mean


def _left_out(master: Master) -> list[str]:
    some = [f"{left.name} left out: {left.reason}" for left in master.left_out[:_SHOWN_REASONS]]
    more = len(master.left_out) - len(some)
    return [*some, f"{more} more left out"] if more else some


def store_reduced(entry: BlockFrame, result: Calibrated, made: Made, status: int) -> Frame:
    """Store the reduced frame of a raw one, in the place of the one before."""
    raw = entry.frame
    columns = _of(raw, (*_SHARED, *_OF_THE_SKY, *_OF_THE_LIGHT)) | _of_product(made, result.stats)
    columns |= {
        "level": Level.REDUCED,
        "status": status,
        "notes": list(result.notes),
        "steps_done": list(result.done),
        "extras": dict(raw.extras),
    }
    before = entry.product or next(iter(frames.products_of(raw)), None)
    frame = _put(before, columns, result.image.shape, result.image.unit)
    _set_parents(frame, {"raw": [raw]}, made.masters)
    raw.status = status
    entry.product = frame
    take_in(entry)
    frames.changed(frame)
    return frame


def leave_out(entry: BlockFrame, reason: str) -> None:
    """Note why a frame of a block was left out of it, on its place there and on the frame."""
    entry.left_out = reason
    if entry.block.kind == BlockKind.SCI:
        entry.frame.notes = [*_other_notes(entry.frame), f"{_NOT_REDUCED}{reason}"]
    frames.changed(entry.frame)


def take_in(entry: BlockFrame) -> None:
    """Take back that a frame of a block was left out of it."""
    entry.left_out = ""
    if entry.block.kind == BlockKind.SCI:
        entry.frame.notes = _other_notes(entry.frame)


_NOT_REDUCED: Final = "not reduced: "


def _other_notes(frame: Frame) -> list[str]:
    return [note for note in frame.notes if not note.startswith(_NOT_REDUCED)]


def _of(frame: Frame, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(frame, name) for name in names}


def _of_product(made: Made, stats: PlaneStats) -> dict[str, Any]:
    return {
        "path": made.written.path,
        "file_name": made.written.path.rpartition("/")[2],
        "size": made.written.size,
        "content_sha256": made.written.sha256,
        "header_text": made.written.header_text,
        "thumb": made.written.thumb,
        "fingerprint": made.fingerprint,
        "outdated": None,
        "missing": list(made.missing),
        "counts": dict(made.counts),
        "mode": stats.mode,
        "median": stats.median,
        "noise": stats.noise,
        "status": frames.OVERSCAN_BIAS_FLAT,
    }


def _put(
    before: Frame | None, columns: Mapping[str, Any], shape: tuple[int, int], unit: str
) -> Frame:
    """Bring a row up to date, or make it; what people said of the one before stays."""
    known = select(Frame).where(Frame.path == columns["path"], Frame.part == 0)
    frame = before or db.session.scalar(known) or Frame()
    for name, value in columns.items():
        setattr(frame, name, value)
    frame.ny, frame.nx = shape
    frame.unit = unit
    db.session.add(frame)
    db.session.flush()
    return frame


def _set_parents(
    frame: Frame, inputs: Mapping[str, Sequence[Frame]], masters: Mapping[str, int]
) -> None:
    db.session.execute(delete(FrameParent).where(FrameParent.child_id == frame.id))
    edges = [(parent.id, role) for role, parents in inputs.items() for parent in parents]
    edges += [(master_id, role) for role, master_id in masters.items()]
    db.session.add_all(
        FrameParent(child_id=frame.id, parent_id=parent_id, role=role) for parent_id, role in edges
    )
    db.session.flush()
    db.session.expire(frame, ["parents"])
