"""The rows behind RAW: what a scan found of each file is written here, a batch at a time."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from itertools import islice
from typing import Any, Final

from sqlalchemy import func, select, update

from app.db import Base, changing_much, db, transaction, utcnow
from app.models import FileState, Frame, FrameParent, Level, ScannedFile
from app.services import events, frames
from app.services.bulk_insert import Rows, bulk_insert
from app.services.frame_rows import (
    LINKS,
    NIGHT,
    OWN_OF_FRAME,
    Books,
    Columns,
    FrameRow,
    FrameRows,
)
from app.services.identity import MOVED
from app.services.outcomes import Batch, Outcome

__all__ = ["Books", "mark_missing", "pass_on_proposal", "record"]

_ONE_PARENT: Final = ("raw", "original", "parent")  # roles of which a frame has one parent
_CHUNK: Final = 500  # ids in one statement
_GONE: Final = "It is no longer in RAW."

_END: Final = ("state", "code", "reason")
_OWN_OF_FILE: Final = ("path", "size", "mtime_ns", "header_digest", "content_sha256")


def record(batch: Batch, books: Books, hashes: Mapping[int, str]) -> None:
    """Write how a batch of files ended, and their frames, in one transaction.

    `hashes` are SHA-256 taken of files that are already stored, by id.
    """
    rows = FrameRows(books)
    found = [(outcome, rows.of_outcome(outcome)) for outcome in batch.outcomes]
    many = [rows.of_many(files) for files in batch.many]
    with transaction(), changing_much():
        ids, ids_of_many = _write_files(batch)
        _write_hashes(hashes)
        _name_originals(batch.outcomes, ids)
        rows.link_proposals()
        layouts = [*[o.header.layout for o in batch.outcomes], *[one.layout for one in many]]
        bases = books.headers.ids(layouts)
        for outcome, own_rows in found:
            for _, own in own_rows:
                own[LINKS] = bases[outcome.header.layout], ids[outcome.seen.path]
        new, nights = _merge(found, ids)
        for told, file_ids in zip(many, ids_of_many, strict=True):
            links = [bases[told.layout]] * len(file_ids), file_ids
            new.add(told.shared, (*told.own, *links))
            nights |= {*told.own[NIGHT]}
        _insert(Frame, new, OWN_OF_FRAME)
        events.publish_nights(nights)


def _merge(
    found: Sequence[tuple[Outcome, Sequence[FrameRow]]], ids: Mapping[str, int]
) -> tuple[Rows, set[date | None]]:
    """Bring present frames of files up to what was found; return new rows, and nights concerned."""
    present = _present_frames([outcome for outcome, _ in found], ids)
    nights = {own[NIGHT] for _, rows in found for _, own in rows}
    new: list[FrameRow] = []
    for outcome, rows in found:
        old = present.get(ids[outcome.seen.path])
        if old is None:
            new += rows
            continue
        nights |= {frame.night for frame in old}
        if outcome.state == FileState.REGISTERED:
            new += _renew(old, rows, outcome)
        else:
            _lay_aside(old, outcome.reason)
    return Rows.of(new, len(OWN_OF_FRAME)), nights


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
            events.publish_nights({frame.night for frame in frames})
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


def _write_files(batch: Batch) -> tuple[dict[str, int], list[Sequence[int]]]:
    """Insert or update the files' rows; return ids by path, and of those told at once in order."""
    now = utcnow()
    known = [o for o in batch.outcomes if o.known is not None]
    ids = {o.seen.path: o.known.file_id for o in known if o.known is not None}
    changed = [_file_columns(o) | {"id": ids[o.seen.path], "changed_at": now} for o in known]
    if changed:
        db.session.execute(update(ScannedFile), changed)
    new = _new_files(batch)
    numbers = iter(_insert_files(new))
    n_alone = len(batch.outcomes) - len(known)
    ids |= zip(new.own[0][:n_alone], islice(numbers, n_alone), strict=True)
    return ids, [[*islice(numbers, len(files.found))] for files in batch.many]


def _insert_files(new: Rows) -> Sequence[int]:
    """Insert the rows of files; return their ids."""
    if not new.shared:
        return ()
    last = _last_file_id()
    _insert(ScannedFile, new, _OWN_OF_FILE)
    return _ids_behind(last, new.own[0])


def _last_file_id() -> int:
    return db.session.scalar(select(func.max(ScannedFile.id))) or 0


def _ids_behind(last: int, paths: Sequence[str]) -> Sequence[int]:
    """Return the ids of the files of these paths, stored in this order behind one."""
    numbers = range(last + 1, last + 1 + len(paths))
    if _last_file_id() == numbers[-1]:  # no id left out, and no other's between
        return numbers
    query = select(ScannedFile.path, ScannedFile.id).where(ScannedFile.id > last)
    ids = dict(db.session.connection().execute(query).all())
    return [ids[path] for path in paths]


def _new_files(batch: Batch) -> Rows:
    """Return the rows of files that were not known, those of the outcomes first."""
    ends: dict[tuple[str, str, str], Columns] = {}
    rows: list[tuple[Columns, Sequence[Any]]] = []
    for outcome in batch.outcomes:
        if outcome.known is None:
            # By its text: to hash an enum is slow.
            end = outcome.state.value, outcome.code, outcome.reason
            shared = ends.setdefault(end, dict(zip(_END, end, strict=True)))
            seen, digest = outcome.seen, outcome.header_digest
            rows.append((shared, (*seen[:3], digest, outcome.content_sha256)))
    new = Rows.of(rows, len(_OWN_OF_FILE))
    registered = {"state": FileState.REGISTERED, "code": "", "reason": ""}
    for files in batch.many:
        n = len(files.found)
        paths, sizes, times, *_ = zip(*files.seen, strict=True)
        new.add([registered] * n, (paths, sizes, times, files.run.digests, [""] * n))
    return new


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


def _renew(old: Sequence[Frame], rows: Sequence[FrameRow], outcome: Outcome) -> list[FrameRow]:
    """Bring a file's present frames up to its header; return the rows of those it has not yet.

    A frame keeps its id and what people decided about it. What was made of pixels that are no
    longer there says so.
    """
    of_part = {frame.part: frame for frame in old}
    new: list[FrameRow] = []
    for part, row in enumerate(rows):
        frame = of_part.pop(part, None)
        if frame is None:
            new.append(row)
            continue
        if outcome.is_replaced:
            _note_replaced(frame)
        if outcome.moved_from is not None:
            _note(frame, f"The file was moved here from {frame.path}.")
        shared, own = row
        columns = shared | dict(zip(OWN_OF_FRAME, own, strict=True))
        is_corrected = frame.proposal_id != columns["proposal_id"]
        for name in columns.keys() - {"is_valid", "notes"}:
            setattr(frame, name, columns[name])
        frame.origins = {}
        if is_corrected:
            pass_on_proposal(frame)
    _lay_aside(of_part.values(), "The file no longer holds this exposure.")
    return new


def _lay_aside(frames: Iterable[Frame], reason: str) -> None:
    """Keep frames out of new work while their file is not what it was."""
    for frame in frames:
        frame.unusable = reason


def _note_replaced(frame: Frame) -> None:
    """Say of a frame that its pixels are others now, and have what was made of it made again."""
    when = f"{utcnow():%Y-%m-%d %H:%M} UTC"
    _note(frame, f"The file was replaced by another before {when}.")
    for product in _descendants(frame):
        is_near = frame.proposal_id in (None, product.proposal_id)  # others may not know its name
        name = frame.file_name if is_near else f"Frame {frame.id}"
        reason = f"{name} was replaced after this was made"
        _note(product, f"{reason}: process it again.")
        frames.outdate([product], reason)


def pass_on_proposal(frame: Frame) -> None:
    """Give the proposal of a frame to what was made of it alone."""
    for product in _descendants(frame, _ONE_PARENT):
        if product.level != Level.MASTER:
            product.proposal_id, product.proposal_code = frame.proposal_id, frame.proposal_code
            frames.changed(product)


def _note(frame: Frame, text: str) -> None:
    if text not in frame.notes:
        frame.notes = [*frame.notes, text]


def _descendants(frame: Frame, roles: Sequence[str] = ()) -> list[Frame]:
    """Return every frame made from this one, directly or not; with `roles`, only in these."""
    found: dict[int, Frame] = {}
    parents = [frame.id]
    while parents:
        query = (
            select(Frame)
            .join(FrameParent, FrameParent.child_id == Frame.id)
            .where(FrameParent.parent_id.in_(parents))
        )
        if roles:
            query = query.where(FrameParent.role.in_(roles))
        children = [child for child in db.session.scalars(query) if child.id not in found]
        found |= {child.id: child for child in children}
        parents = [child.id for child in children]
    return list(found.values())


def _insert(model: type[Base], rows: Rows, own: tuple[str, ...]) -> None:
    connection = db.session.connection()
    bulk_insert(model.__table__, connection.dialect, own).execute(connection, rows)


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK))
