"""What was made elsewhere and is uploaded: masters, reduced frames, spectra."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import literal_column, select
from sqlalchemy.exc import OperationalError, StatementError

from app import paths
from app.db import db, take_turns, transaction, utcnow
from app.errors import InvalidRequestError, NotAllowedError
from app.models import BlockKind, FileState, Frame, FrameParent, Level, User
from app.services import (
    access,
    archive,
    audit,
    events,
    placing,
    proposal_code,
    registration,
    settings,
    unrecorded,
)
from app.services.cameras import CameraBook
from app.services.outcomes import Outcome
from app.services.staging import MEGABYTE, Arrived
from app.services.unrecorded import Stone
from app.services.uploads import NOT_STORED, Judged, Taken, check_proposals, judge
from reduction import fitsio

ORIGINAL: Final = "original"  # the role of the file an uploaded one says it was made from
_MASTERS: Final = tuple(str(kind) for kind in BlockKind if kind != BlockKind.SCI)
_NO_MASTER: Final = (
    "Its header does not say what it is the master of: give kind= bias, dark, flat or fringe."
)


@dataclass(frozen=True, slots=True)
class Made:
    """What the uploader says of the files: their level, and for masters their kind."""

    level: int
    parent_id: int | None = None
    kind: str | None = None


def take(user: User, arrived: Sequence[Arrived], made: Made) -> Taken:
    """Keep files made elsewhere and register them at their level, as their uploader's.

    Masters rest unused until staff have looked at them and set them valid.

    Raises
    ------
    InvalidRequestError
        If there is no such parent or kind.
    NotAllowedError
        If a header, or the parent, is of a proposal that is other people's; nothing is kept then.
    """
    parent = _parent(user, made)
    _check_kind(made)
    judged = judge(arrived)
    check_proposals(user, judged)
    _check_room(judged)
    taken = Taken()
    for one in judged:
        _settle(one.outcome, made)
        if one.outcome.state == FileState.REGISTERED:
            _keep(user, one, made, parent, taken)
        if one.outcome.state != FileState.REGISTERED:
            taken.refuse(user, one.arrived.name, one.outcome)
    return taken


def _parent(user: User, made: Made) -> Frame | None:
    if made.parent_id is None:
        return None
    query = access.visible_to(user, Frame).where(Frame.id == made.parent_id)
    parent: Frame | None = db.session.scalar(query)
    if parent is None:
        raise InvalidRequestError(parent_file_id=f"There is no file {made.parent_id}.")
    if Level.MASTER in (parent.level, made.level):
        raise InvalidRequestError(parent_file_id="A master has no one parent, and is nobody's.")
    if not access.may_add_to(user, parent.proposal):
        code = parent.proposal.code if parent.proposal else ""
        raise NotAllowedError(
            f"{parent.file_name} is of proposal {code}: only its people and staff may add to it."
        )
    return parent


def _check_kind(made: Made) -> None:
    if made.kind is None:
        return
    if made.level != Level.MASTER:
        raise InvalidRequestError(kind="Only masters (data_type 1) are given a kind.")
    if made.kind not in _MASTERS:
        raise InvalidRequestError(
            kind=f'"{made.kind[:40]}" is not a valid choice: {", ".join(_MASTERS)} are.'
        )


def _check_room(judged: Sequence[Judged]) -> None:
    reserve = settings.snapshot().integer("disk.reserve_mb") * MEGABYTE
    placing.check_room(paths.current().data, sum(one.arrived.size for one in judged), reserve)


def _settle(outcome: Outcome, made: Made) -> None:
    """Refuse what is there already at this level, and a master nobody says the kind of."""
    if outcome.state != FileState.REGISTERED:
        return
    if _is_there(outcome, made):
        outcome.become(FileState.DUPLICATE, "duplicate", _DUPLICATE)
    elif made.level == Level.MASTER and not made.kind and not _tells_kind(outcome):
        outcome.become(FileState.QUARANTINED, "no_master", _NO_MASTER)


def _is_there(outcome: Outcome, made: Made) -> bool:
    same = select(Frame.id).where(
        Frame.content_sha256 != literal_column("''"),  # as its index has it
        Frame.content_sha256 == outcome.content_sha256,
        Frame.level == made.level,
    )
    return db.session.scalar(same.limit(1)) is not None


def _tells_kind(outcome: Outcome) -> bool:
    return all(str(info.kind) in _MASTERS for info in outcome.infos)


_DUPLICATE: Final = "The archive has a file of the same content already."
_TURN: Final = 0x0B1ADE  # of ours among the advisory locks of the database
_REFUSALS: Final = (StatementError, OverflowError, UnicodeError)


def _keep(user: User, one: Judged, made: Made, parent: Frame | None, taken: Taken) -> None:
    """Put a file where products lie and register it; without its rows it does not stay there."""
    with Stone(one.arrived.sha256, user.id) as stone:
        path = _place(one, stone)
        relative = paths.current().relative(path)
        try:
            taken.frames += _record(user, one, made, parent, relative)
        except _REFUSALS as error:
            if isinstance(error, OperationalError):
                raise
            one.outcome.become(FileState.QUARANTINED, "not_stored", NOT_STORED)
        finally:
            if not unrecorded.has_rows(relative):
                path.unlink(missing_ok=True)


def _place(one: Judged, stone: Stone) -> Path:
    folder = f"{placing.PRODUCT_FOLDER}/{utcnow().date().isoformat()}"
    there, known = paths.current().data / folder, _known(folder)
    name = one.arrived.name
    return placing.place(one.arrived.path, there, name, taken=known, before=stone.write)


def _known(folder: str) -> set[str]:
    query = select(Frame.file_name).where(Frame.path.startswith(f"{folder}/"))
    return set(db.session.scalars(query))


def _record(user: User, one: Judged, made: Made, parent: Frame | None, path: str) -> list[Frame]:
    header_text = fitsio.read_headers(paths.current().data / path).text
    with transaction():
        take_turns(_TURN)
        if _is_there(one.outcome, made):  # sent twice at once, the other was quicker
            one.outcome.become(FileState.DUPLICATE, "duplicate", _DUPLICATE)
            return []
        place = {"path": path, "file_name": path.rpartition("/")[2], "owner_id": user.id}
        frames = [Frame(**place, **row) for row in _rows(one, made, parent, header_text)]
        db.session.add_all(frames)
        db.session.flush()
        for frame in frames:
            _link(frame, parent)
            audit.note(user, "uploaded", frame, path)
            night = frame.night.isoformat() if frame.night else None
            events.publish("frames", frame=frame.id, night=night)
    return frames


def _rows(one: Judged, made: Made, parent: Frame | None, header_text: str) -> list[dict[str, Any]]:
    book = CameraBook()
    rows = []
    for part, info in enumerate(one.outcome.infos):
        row = registration.header_columns(info) | _own_columns(one, made)
        row |= {"part": part, "camera_id": book.id_of(info)}
        row["header_text"] = header_text
        row["proposal_id"] = _proposal_id(row["proposal_code"], parent)
        rows.append(row)
    return rows


def _own_columns(one: Judged, made: Made) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "size": one.arrived.size,
        "content_sha256": one.arrived.sha256,
        "level": made.level,
        "notes": ["uploaded: made elsewhere"],
    }
    if made.level == Level.MASTER:
        columns |= {"is_valid": False, "notes": [registration.FOREIGN_MASTER]}
        columns |= {"kind": made.kind, "kind_doubt": None} if made.kind else {}
    return columns


def _proposal_id(code: str | None, parent: Frame | None) -> int | None:
    """Return the proposal of the header, else of the parent; an unknown code becomes a bare one."""
    if not code:
        return parent.proposal_id if parent else None
    return proposal_code.of_code(code).id


def _link(frame: Frame, parent: Frame | None) -> None:
    """Say which raw file, and which file, it was made from."""
    if parent is None:
        return
    raw = archive.raw_parent(parent)
    roles = {raw.id: ORIGINAL} | ({parent.id: "parent"} if parent is not raw else {})
    db.session.add_all(
        FrameParent(child_id=frame.id, parent_id=parent_id, role=role)
        for parent_id, role in roles.items()
    )
    db.session.flush()
    db.session.expire(frame, ["parents"])
