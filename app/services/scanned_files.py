"""The rows behind RAW: what a scan found of each file is written here, a batch at a time."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import func, select, update

from app.db import Base, db, transaction, utcnow
from app.models import FileState, Frame, FrameParent, Level, Proposal, ScannedFile
from app.paths import RAW_PREFIX
from app.services import events, frames, proposal_code
from app.services.bulk_insert import Row, bulk_insert
from app.services.cameras import CameraBook
from app.services.header_texts import HeaderBook
from app.services.identity import MOVED
from app.services.intake import Outcome
from app.services.registration import (
    OWN,
    SeriesPart,
    Steady,
    first_columns,
    own_values,
    series_part,
    steady_part,
)
from reduction.frameinfo import FrameInfo, Told

_ONE_PARENT: Final = ("raw", "original", "parent")  # roles of which a frame has one parent
_CHUNK: Final = 500  # ids in one statement
_GONE: Final = "It is no longer in RAW."

Columns = dict[str, Any]
_Frame = tuple[Columns, list[Any]]  # what a row shares with others of the batch, and its own

# Of a frame's columns those in which it differs from others, in the order of its row.
_OWN: Final = (
    *OWN,
    *("path", "part", "file_name", "size", "content_sha256"),
    *("header_text", "header_changes", "header_base_id", "file_id"),
)
_NIGHT = _OWN.index("night")
_LINKS: Final = slice(_OWN.index("header_base_id"), None)  # ids that are known last
_OWN_OF_FILE: Final = ("path", "size", "mtime_ns", "header_digest", "content_sha256")


@dataclass(frozen=True, slots=True)
class Books:
    """What is known of cameras and their headers, for the length of one scan."""

    cameras: CameraBook = field(default_factory=CameraBook)
    headers: HeaderBook = field(default_factory=HeaderBook)


def record(outcomes: Sequence[Outcome], books: Books, hashes: Mapping[int, str]) -> None:
    """Write how a batch of files ended, and their frames, in one transaction.

    `hashes` are SHA-256 taken of files that are already stored, by id.
    """
    batch = _Batch(books)
    found = [(outcome, batch.frames_of(outcome)) for outcome in outcomes]
    with transaction():
        ids = _write_files(outcomes)
        _write_hashes(hashes)
        _name_originals(outcomes, ids)
        batch.link(found, ids)
        present = _present_frames(outcomes, ids)
        nights = {own[_NIGHT] for _, rows in found for _, own in rows}
        new: list[Row] = []
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
        _insert(Frame, new, _OWN)
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
    ids = {o.seen.path: o.known.file_id for o in known if o.known is not None}
    changed = [_file_columns(o) | {"id": ids[o.seen.path], "changed_at": now} for o in known]
    if changed:
        db.session.execute(update(ScannedFile), changed)
    if len(known) < len(outcomes):
        last = _last_file_id()
        _insert(ScannedFile, _new_files(outcomes), _OWN_OF_FILE)
        ids |= _ids_behind(last, [o.seen.path for o in outcomes if o.known is None])
    return ids


def _last_file_id() -> int:
    return db.session.scalar(select(func.max(ScannedFile.id))) or 0


def _ids_behind(last: int, paths: Sequence[str]) -> dict[str, int]:
    """Return the ids of the files that were stored behind one, in this order, by their paths."""
    numbers = range(last + 1, last + 1 + len(paths))
    if _last_file_id() == numbers[-1]:  # no id left out, and no other's between
        return dict(zip(paths, numbers, strict=True))
    query = select(ScannedFile.path, ScannedFile.id).where(ScannedFile.id > last)
    return dict(db.session.connection().execute(query).all())


def _new_files(outcomes: Iterable[Outcome]) -> list[Row]:
    """Return the rows of files that were not known."""
    ends: dict[tuple[str, str, str], Columns] = {}
    rows: list[Row] = []
    for outcome in outcomes:
        if outcome.known is None:
            # By its text: to hash an enum is slow.
            end = outcome.state.value, outcome.code, outcome.reason
            shared = ends.get(end)
            if shared is None:
                shared = ends[end] = dict(zip(("state", "code", "reason"), end, strict=True))
            seen, digest = outcome.seen, outcome.header_digest
            own = seen.path, seen.size, seen.mtime_ns, digest, outcome.content_sha256
            rows.append((shared, own))
    return rows


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


class _Alike(NamedTuple):
    """What frames have in common: in shared columns, and in their own."""

    shared: Columns
    own: SeriesPart


class _Batch:
    """Makes the rows of a batch's frames; what those of a camera share is made once."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._shared: dict[tuple[int, int], Columns] = {}
        self._of_series: dict[tuple[int, int], _Alike] = {}
        self._held: list[object] = []  # for their ids are keys

    def frames_of(self, outcome: Outcome) -> list[_Frame]:
        """Return the rows of a registered file's exposures, without the ids of other tables."""
        if not outcome.exposures:
            return []
        path, size = outcome.seen[:2]
        text, layout = outcome.header
        texts = (text, "") if layout is None else ("", text)
        own = path.rpartition("/")[2], size, outcome.content_sha256, *texts, None, None
        path = f"{RAW_PREFIX}/{path}"
        rows: list[_Frame] = []
        for part, told in enumerate(outcome.exposures):
            shared, alike = self._alike(told)
            rows.append((shared, [*own_values(told, alike), path, part, *own]))
        return rows

    def _alike(self, told: Told) -> "_Alike":
        """Return what a frame shares with others: those of one series share it all."""
        base, doubts = told.base, told.doubts
        key = id(base), id(doubts)
        alike = self._of_series.get(key)
        if alike is None:
            steady = steady_part(base)
            part = series_part(told, steady.doubts)
            alike = self._of_series[key] = _Alike(self._shared_of(base, steady), part)
            self._held += [base, doubts]
        return alike

    def _shared_of(self, info: FrameInfo, steady: Steady) -> Columns:
        columns, camera_id = steady.columns, self._books.cameras.id_of(info)
        shared = self._shared.get((id(columns), camera_id))
        if shared is None:
            shared = {**columns, **first_columns(info), "camera_id": camera_id}
            self._shared[id(columns), camera_id] = shared
            self._held.append(columns)
        return shared

    def link(
        self,
        found: Sequence[tuple[Outcome, Sequence[_Frame]]],
        file_ids: Mapping[str, int],
    ) -> None:
        """Put the ids of other tables into rows, in the open transaction."""
        proposals = _proposals(self._shared.values())
        for shared in self._shared.values():
            shared["proposal_id"] = proposals.get(shared["proposal_code"])
        bases = self._books.headers.ids(outcome.header for outcome, _ in found)
        for outcome, rows in found:
            for _, own in rows:
                own[_LINKS] = bases[outcome.header.layout], file_ids[outcome.seen.path]


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


def _renew(old: Sequence[Frame], rows: Sequence[_Frame], outcome: Outcome) -> list[_Frame]:
    """Bring a file's present frames up to its header; return the rows of those it has not yet.

    A frame keeps its id and what people decided about it. What was made of pixels that are no
    longer there says so.
    """
    of_part = {frame.part: frame for frame in old}
    new: list[_Frame] = []
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
        columns = shared | dict(zip(_OWN, own, strict=True))
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


def _proposals(rows: Iterable[Columns]) -> dict[str | None, int]:
    """Return the ids of the proposals the headers name; an unknown code becomes a bare one."""
    codes = {row["proposal_code"] for row in rows} - {None, ""}
    if not codes:
        return {}
    query = select(Proposal.code, Proposal.id).where(Proposal.code.in_(codes))
    ids: dict[str | None, int] = {}
    ids |= dict(db.session.execute(query).all())
    for code in sorted(codes - set(ids)):
        ids[code] = proposal_code.of_code(code).id
    return ids


def _insert(model: type[Base], rows: Sequence[Row], own: tuple[str, ...]) -> None:
    if rows:
        connection = db.session.connection()
        bulk_insert(model.__table__, connection.dialect, own).execute(connection, rows)


def _publish(nights: set[date | None]) -> None:
    for night in sorted(night for night in nights if night is not None):
        events.publish("frames", night=night.isoformat())


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK))
