"""The rows behind RAW: what a scan found of each file is written here, a batch at a time."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from typing import Any, Final

from sqlalchemy import func, select, update

from app.db import Base, db, transaction, utcnow
from app.models import FileState, Frame, FrameParent, Proposal, ScannedFile
from app.services import events
from app.services.bulk_insert import bulk_insert
from app.services.cameras import CameraBook
from app.services.identity import MOVED
from app.services.intake import Outcome
from app.services.registration import file_columns, first_columns, header_columns

_CHUNK: Final = 500  # ids in one statement
_GONE: Final = "It is no longer in RAW."

Columns = dict[str, Any]


def record(outcomes: Sequence[Outcome], book: CameraBook, hashes: Mapping[int, str]) -> None:
    """Write how a batch of files ended, and their frames, in one transaction.

    `hashes` are SHA-256 taken of files that are already stored, by id.
    """
    frames = {o.seen.path: _frames_of(o, book) for o in outcomes}
    with transaction():
        ids = _write_files(outcomes)
        _write_hashes(hashes)
        _name_originals(outcomes, ids)
        proposals = _proposals(row for rows in frames.values() for row in rows)
        for row in (row for rows in frames.values() for row in rows):
            row["proposal_id"] = proposals.get(row["proposal_code"])
        nights = {row["night"] for rows in frames.values() for row in rows}
        present = _present_frames(outcomes, ids)
        new: list[Columns] = []
        for outcome in outcomes:
            file_id = ids[outcome.seen.path]
            rows = frames[outcome.seen.path]
            for row in rows:
                row["file_id"] = file_id
            old = present.get(file_id, [])
            nights |= {frame.night for frame in old}
            if outcome.state == FileState.REGISTERED:
                new += _renew(old, rows, outcome)
            else:
                _lay_aside(old, outcome.reason)
        _insert(Frame, new)
        _publish(nights)


def mark_missing(file_ids: Sequence[int]) -> dict[int, str]:
    """Note that files are no longer in RAW and say why; their rows and frames stay."""
    reasons: dict[int, str] = {}
    lost = frozenset(file_ids)
    for chunk in _chunks(file_ids):
        with transaction():
            files = db.session.scalars(select(ScannedFile).where(ScannedFile.id.in_(chunk))).all()
            copies = _copies_left(files, lost)
            for file in files:
                if file.code != MOVED:
                    file.reason = copies.get(file.id, _GONE)
                    file.state, file.code = FileState.MISSING, "missing"
                    file.changed_at = utcnow()
                reasons[file.id] = file.reason
            frames = db.session.scalars(select(Frame).where(Frame.file_id.in_(chunk))).all()
            _lay_aside(frames, _GONE)
            _publish({frame.night for frame in frames})
    return reasons


def _copies_left(files: Sequence[ScannedFile], lost: Set[int]) -> dict[int, str]:
    """Return for duplicates, by id, that they are gone and where their content still is."""
    duplicates = [file for file in files if file.state == FileState.DUPLICATE]
    hashes = {file.content_sha256 for file in duplicates} - {""}
    if not hashes:
        return {}
    query = select(ScannedFile.content_sha256, ScannedFile.id, ScannedFile.path).where(
        ScannedFile.content_sha256.in_(hashes), ScannedFile.state == FileState.REGISTERED
    )
    left = {
        sha256: path for sha256, file_id, path in db.session.execute(query) if file_id not in lost
    }
    return {
        file.id: f"It is no longer in RAW; {left[file.content_sha256]} has the same content."
        for file in duplicates
        if file.content_sha256 in left
    }


# Files


def _write_files(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Insert or update the files' rows; return their ids by path."""
    now = utcnow()
    known = [o for o in outcomes if o.known is not None]
    unknown = [_file_columns(o) for o in outcomes if o.known is None]
    ids = {o.seen.path: o.known.file_id for o in known if o.known is not None}
    changed = [_file_columns(o) | {"id": ids[o.seen.path], "changed_at": now} for o in known]
    if changed:
        db.session.execute(update(ScannedFile), changed)
    if unknown:
        last = db.session.scalar(select(func.max(ScannedFile.id))) or 0
        _insert(ScannedFile, unknown)
        query = select(ScannedFile.path, ScannedFile.id).where(ScannedFile.id > last)
        ids |= dict(db.session.execute(query).all())
    return ids


def _file_columns(outcome: Outcome) -> Columns:
    return {
        "path": outcome.seen.path,
        "size": outcome.seen.size,
        "mtime_ns": outcome.seen.mtime_ns,
        "state": outcome.state,
        "code": outcome.code,
        "reason": outcome.reason,
        "header_digest": outcome.header_digest,
        "content_sha256": outcome.content_sha256,
        "duplicate_of_id": None,
    }


def _write_hashes(hashes: Mapping[int, str]) -> None:
    rows = [{"id": file_id, "content_sha256": sha256} for file_id, sha256 in hashes.items()]
    if rows:
        db.session.execute(update(ScannedFile), rows)


def _name_originals(outcomes: Sequence[Outcome], ids: Mapping[str, int]) -> None:
    """Link duplicates to their originals, and files that moved to where they are now."""
    duplicates = [o for o in outcomes if o.duplicate_of]
    of_path = dict(ids)
    if elsewhere := {o.duplicate_of for o in duplicates} - set(ids):
        query = select(ScannedFile.path, ScannedFile.id).where(ScannedFile.path.in_(elsewhere))
        of_path |= dict(db.session.execute(query).all())
    links = [
        {"id": ids[o.seen.path], "duplicate_of_id": of_path.get(o.duplicate_of)} for o in duplicates
    ]
    moves = [
        {
            "id": o.moved_from,
            "state": FileState.MISSING,
            "code": MOVED,
            "reason": f"It was moved to {o.seen.path}.",
        }
        for o in outcomes
        if o.moved_from is not None
    ]
    for rows in (links, moves):
        if rows:
            db.session.execute(update(ScannedFile), rows)


# Frames


def _frames_of(outcome: Outcome, book: CameraBook) -> list[Columns]:
    """Return the rows of a registered file's exposures, without the ids of other tables."""
    seen = outcome.seen
    rows: list[Columns] = []
    for part, info in enumerate(outcome.infos):
        row = header_columns(info)
        row.update(file_columns(seen.path, part, seen.size, outcome.content_sha256))
        row.update(first_columns(info))
        row["camera_id"], row["header_text"] = book.id_of(info), outcome.header_text
        rows.append(row)
    return rows


def _present_frames(outcomes: Sequence[Outcome], ids: Mapping[str, int]) -> dict[int, list[Frame]]:
    """Return the frames the files had before, by the id of the file that has them now."""
    now_of = {o.moved_from: ids[o.seen.path] for o in outcomes if o.moved_from is not None}
    before = [o.known.file_id for o in outcomes if o.known is not None]
    wanted = [*before, *now_of]
    if not wanted:
        return {}
    query = select(Frame).where(Frame.file_id.in_(wanted)).order_by(Frame.part)
    present: dict[int, list[Frame]] = {}
    for frame in db.session.scalars(query):
        file_id = frame.file_id or 0
        present.setdefault(now_of.get(file_id, file_id), []).append(frame)
    return present


def _renew(old: Sequence[Frame], rows: Sequence[Columns], outcome: Outcome) -> list[Columns]:
    """Bring a file's present frames up to its header; return the rows of those it has not yet.

    A frame keeps its id and what people decided about it. What was made of pixels that are no
    longer there says so.
    """
    of_part = {frame.part: frame for frame in old}
    new: list[Columns] = []
    for row in rows:
        frame = of_part.pop(row["part"], None)
        if frame is None:
            new.append(row)
            continue
        if outcome.is_replaced:
            _note_replaced(frame)
        if outcome.moved_from is not None:
            _note(frame, f"The file was moved here from {frame.path}.")
        for name in row.keys() - {"is_valid", "notes"}:
            setattr(frame, name, row[name])
    _lay_aside(of_part.values(), "The file no longer holds this exposure.")
    return new


def _lay_aside(frames: Iterable[Frame], reason: str) -> None:
    """Keep frames out of new work while their file is not what it was."""
    for frame in frames:
        frame.unusable = reason


def _note_replaced(frame: Frame) -> None:
    when = f"{utcnow():%Y-%m-%d %H:%M} UTC"
    _note(frame, f"The file was replaced by another before {when}.")
    for product in _descendants(frame):
        _note(product, f"{frame.file_name} was replaced after this was made: process it again.")


def _note(frame: Frame, text: str) -> None:
    if text not in frame.notes:
        frame.notes = [*frame.notes, text]


def _descendants(frame: Frame) -> list[Frame]:
    """Return every frame made from this one, directly or not."""
    found: dict[int, Frame] = {}
    parents = [frame.id]
    while parents:
        query = (
            select(Frame)
            .join(FrameParent, FrameParent.child_id == Frame.id)
            .where(FrameParent.parent_id.in_(parents))
        )
        children = [child for child in db.session.scalars(query) if child.id not in found]
        found |= {child.id: child for child in children}
        parents = [child.id for child in children]
    return list(found.values())


def _proposals(rows: Iterable[Columns]) -> dict[str | None, int]:
    """Return the ids of the proposals the headers name; an unknown code becomes a bare one."""
    codes = {row["proposal_code"] for row in rows} - {None, ""}
    if not codes:
        return {}
    query = select(Proposal.code, Proposal.id).where(Proposal.code.in_(codes))
    ids: dict[str | None, int] = {}
    ids |= dict(db.session.execute(query).all())
    for code in sorted(codes - set(ids)):
        proposal = Proposal(code=code)
        db.session.add(proposal)
        db.session.flush()
        ids[code] = proposal.id
    return ids


def _insert(model: type[Base], rows: Sequence[Columns]) -> None:
    if rows:
        connection = db.session.connection()
        bulk_insert(model.__table__, connection.dialect).execute(connection, rows)


def _publish(nights: set[date | None]) -> None:
    for night in sorted(night for night in nights if night is not None):
        events.publish("frames", night=night.isoformat())


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK))
