"""Deleting processed frames: their rows first, then their files; raw frames are never deleted.

The files are written down before the rows go, so that a crash between the two leaves nothing for
good: `sweep` removes the files of rows that are gone, and of no others.
"""

import json
import logging
import os
import secrets
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, or_, select, update

from app import paths
from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError, NotAllowedError, NotFoundError
from app.models import (
    Block,
    BlockFrame,
    Frame,
    FrameParent,
    Job,
    Level,
    SuperflatLink,
    User,
)
from app.paths import RAW_PREFIX
from app.services import access, audit, cone, events, frames, source_files, turns
from app.services.block_members import label
from app.services.processing import PROCESS_BLOCK
from app.wording import counted

log = logging.getLogger(__name__)

MOST: Final = 1000  # files in one request
_SETTLED_S: Final = 60.0  # a deletion that is under way is not swept


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is gone, and the blocks that are due again."""

    frame_ids: list[int]
    block_ids: list[int]


@dataclass(frozen=True, slots=True)
class _File:
    """A file that goes with its row, as it was when that was decided."""

    path: str  # relative to the data root
    mtime_ns: int


def delete(user: User, frame_ids: Collection[int]) -> Deleted:
    """Delete processed frames with everything that is theirs, all of them or none.

    Raises
    ------
    InvalidRequestError
        If none or too many are named.
    NotFoundError
        If `user` may see no such frame.
    NotAllowedError
        If one is raw, or not theirs to delete.
    ConflictError
        If others were made with one, or its block is at work.
    """
    ids = sorted(set(frame_ids))
    if not 0 < len(ids) <= MOST:
        raise InvalidRequestError(id=f"Name 1 to {MOST} files by their ids.")
    files = _files(_checked(user, ids))
    stone = _write_down(ids, files)
    try:
        with transaction():
            found = _checked(user, ids)
            for frame in found:
                audit.note(user, "deleted", frame, frame.path)
            blocks = _forget(found)
    except BaseException:
        stone.unlink(missing_ok=True)
        raise
    _remove(files)
    stone.unlink(missing_ok=True)
    return Deleted(ids, blocks)


def may_delete(user: User, frame: Frame) -> bool:
    """Tell whether `user` may delete a frame, as long as nothing rests on it."""
    mine = select(Frame.id).where(Frame.id == frame.id, access.may_delete(user))
    return not _refusal(frame, is_allowed=db.session.scalar(mine) is not None)


# May it be


def _checked(user: User, ids: Sequence[int]) -> Sequence[Frame]:
    """Return the frames, locked where a transaction is open, if all of them may be deleted."""
    seen = access.visible_to(user, Frame).where(Frame.id.in_(ids)).order_by(Frame.id)
    found: Sequence[Frame] = db.session.scalars(
        seen.with_for_update(of=Frame).execution_options(populate_existing=True)
    ).all()
    if missing := [str(i) for i in ids if i not in {frame.id for frame in found}]:
        raise NotFoundError(f"There is no file {', '.join(missing[:5])}.")
    mine = select(Frame.id).where(Frame.id.in_(ids), access.may_delete(user))
    allowed = set(db.session.scalars(mine))
    for frame in found:
        if reason := _refusal(frame, is_allowed=frame.id in allowed):
            raise NotAllowedError(reason)
    _check_unused(found)
    _check_at_rest(found)
    return found


def _refusal(frame: Frame, *, is_allowed: bool) -> str:
    """Return why nobody, or not this user, may delete a frame; empty where they may."""
    if frame.level == Level.RAW:
        return f"{frame.file_name} is a raw file: raw files are never deleted."
    if frame.path.startswith(f"{RAW_PREFIX}/"):
        return (
            f"{frame.file_name} lies in the RAW folder, which is only ever read: "
            "set it invalid instead, and it is not used."
        )
    if is_allowed:
        return ""
    if frame.level == Level.MASTER:
        return f"{frame.file_name} is a master, which all may use: only staff may delete it."
    whose = f"the people of {frame.proposal.code}" if frame.proposal else "who uploaded it"
    return f"Only {whose} and staff may delete {frame.file_name}."


def _check_unused(found: Sequence[Frame]) -> None:
    """Refuse a frame that others rest on, unless they go with it."""
    ids = [frame.id for frame in found]
    query = (
        select(FrameParent.parent_id, func.count(FrameParent.child_id.distinct()))
        .where(FrameParent.parent_id.in_(ids), FrameParent.child_id.not_in(ids))
        .group_by(FrameParent.parent_id)
        .order_by(FrameParent.parent_id)
    )
    used = db.session.execute(query).first()
    if used is None:
        return
    frame = next(frame for frame in found if frame.id == used[0])
    were = f"{counted(used[1], 'file')} {'was' if used[1] == 1 else 'were'}"
    how = "with" if frame.level == Level.MASTER else "from"
    instead = ", or set it invalid so that it is not used" if how == "with" else ""
    raise ConflictError(
        f"{frame.file_name} cannot be deleted: {were} made {how} it. Delete these first{instead}."
    )


def _check_at_rest(found: Sequence[Frame]) -> None:
    """Refuse frames that a job is just replacing or, masters, perhaps reading."""
    held = select(Job).where(Job.function == PROCESS_BLOCK, Job.state.in_(turns.HELD))
    working = {int(job.arguments["block_id"]): job.id for job in db.session.scalars(held)}
    if not working:
        return
    ids = [frame.id for frame in found]
    read_by = [f.camera_id for f in found if f.level == Level.MASTER and f.camera_id is not None]
    products = select(BlockFrame.block_id).where(BlockFrame.product_id.in_(ids))
    touched = or_(Block.master_id.in_(ids), Block.id.in_(products), Block.camera_id.in_(read_by))
    block = db.session.scalar(select(Block).where(Block.id.in_(working), touched).limit(1))
    if block is not None:
        raise ConflictError(
            f"{label(block)} is being processed just now (job {working[block.id]}): "
            "wait until that is over, or cancel it, and delete then."
        )


# The rows


def _forget(found: Sequence[Frame]) -> list[int]:
    """Delete the rows in the open transaction; return the blocks that are due again."""
    ids = [frame.id for frame in found]
    blocks = [*_release_blocks(ids)]
    raws = [raw_id for frame in found for raw_id in _raws_of(frame)]
    for frame in found:
        frames.changed(frame)
    db.session.flush()
    db.session.execute(delete_rows(FrameParent).where(FrameParent.child_id.in_(ids)))
    db.session.execute(delete_rows(SuperflatLink).where(SuperflatLink.frame_id.in_(ids)))
    cone.forget(ids)
    db.session.execute(delete_rows(Frame).where(Frame.id.in_(ids)))
    _mark_unreduced(raws)
    return blocks


def _release_blocks(ids: Sequence[int]) -> Iterable[int]:
    """Take frames out of the blocks that made them, which are due again."""
    of_products = select(BlockFrame.block_id).where(BlockFrame.product_id.in_(ids))
    touched = select(Block).where(or_(Block.master_id.in_(ids), Block.id.in_(of_products)))
    for block in db.session.scalars(touched.order_by(Block.id)).all():
        events.publish("block", block=block.id)
        if block.master_id in ids and not block.entries:  # it only stood for its master
            _delete_block(block)
            continue
        if block.master_id in ids:
            block.master_id = None
        for entry in block.entries:
            if entry.product_id in ids:
                entry.product_id = None
        block.status = 0
        yield block.id


def _delete_block(block: Block) -> None:
    db.session.execute(delete_rows(SuperflatLink).where(SuperflatLink.block_id == block.id))
    db.session.delete(block)


def _raws_of(frame: Frame) -> list[int]:
    return [edge.parent_id for edge in frame.parents if edge.role == "raw"]


def _mark_unreduced(raw_ids: Sequence[int]) -> None:
    """Set back the status of raw frames of which nothing reduced is left."""
    reduced = (
        select(FrameParent.parent_id)
        .join(Frame, Frame.id == FrameParent.child_id)
        .where(FrameParent.role == "raw", Frame.level == Level.REDUCED)
    )
    db.session.execute(
        update(Frame).where(Frame.id.in_(raw_ids), Frame.id.not_in(reduced)).values(status=0)
    )


# The files


def _files(found: Iterable[Frame]) -> list[_File]:
    """Return the files, small pictures and sources of frames, as they lie there now."""
    named = {path for frame in found for path in (frame.path, frame.thumb) if path}
    data = paths.current().data
    for frame in found:
        named |= {source_files.relative(path) for path in source_files.beside(data / frame.path)}
    there = [(path, data / path) for path in sorted(named)]
    return [_File(path, at.stat().st_mtime_ns) for path, at in there if at.is_file()]


def _write_down(ids: Sequence[int], files: Sequence[_File]) -> Path:
    folder = _stones()
    folder.mkdir(exist_ok=True)
    stone = folder / f"{secrets.token_hex(8)}.json"
    aside = stone.with_suffix(".part")
    with aside.open("x") as stream:
        json.dump({"frames": list(ids), "files": [asdict(file) for file in files]}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    aside.rename(stone)
    return stone


def _stones() -> Path:
    return paths.current().data / ".deleted"


def _remove(files: Iterable[_File]) -> None:
    """Remove files no row names; one that was made anew since is another."""
    data = paths.current().data
    for file in files:
        path = data / file.path
        try:
            if path.stat().st_mtime_ns == file.mtime_ns and not _is_named(file.path):
                path.unlink()
        except FileNotFoundError:
            continue


def _is_named(path: str) -> bool:
    if source_files.is_named(path):
        return True
    query = select(Frame.id).where(or_(Frame.path == path, Frame.thumb == path))
    return db.session.scalar(query.limit(1)) is not None


def sweep(older_s: float = _SETTLED_S) -> int:
    """Remove what deletions left behind that were cut short; return how many there were."""
    before = time.time() - older_s
    left = [stone for stone in _stones().glob("*.json") if stone.stat().st_mtime < before]
    for stone in left:
        _finish(stone)
    return len(left)


def _finish(stone: Path) -> None:
    """Finish one deletion, if its rows did go; what cannot be read was never acted on."""
    try:
        written = json.loads(stone.read_text())
        ids = [int(number) for number in written["frames"]]
        files = [_File(str(f["path"]), int(f["mtime_ns"])) for f in written["files"]]
    except (KeyError, TypeError, ValueError):
        log.warning("%s cannot be read and is dropped", stone)
    else:
        if db.session.scalar(select(Frame.id).where(Frame.id.in_(ids)).limit(1)) is None:
            _remove(files)
            log.info("removed %s of deleted frames", counted(len(files), "left-over file"))
    stone.unlink(missing_ok=True)
