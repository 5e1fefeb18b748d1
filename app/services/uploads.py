"""Files people send: judged like those of RAW, refused with their state, or kept and registered.

A raw frame enters RAW only when the intake would register it: what is quarantined or a duplicate
is answered with its state and reason and not kept, since its sender has it still.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import OperationalError, StatementError

from app import paths
from app.db import db, transaction, utcnow
from app.errors import NotAllowedError, UnavailableError
from app.models import FileState, Frame, ScannedFile, User
from app.paths import RAW_PREFIX
from app.services import (
    access,
    audit,
    identity,
    ingest,
    placing,
    proposal_code,
    scanned_files,
    settings,
)
from app.services.filewalk import Seen
from app.services.intake import Intake
from app.services.outcomes import Batch, Outcome
from app.services.registration import clean
from app.services.scanned_files import Books
from app.services.staging import MEGABYTE, Arrived
from app.services.unrecorded import Stone

log = logging.getLogger(__name__)

NOT_STORED: Final = "The database refused the values of its header: the log says which."


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not kept, and why: the states are those of the files of RAW."""

    file_name: str
    state: str
    code: str
    reason: str


@dataclass(slots=True)
class Taken:
    """What became of the files of one request."""

    frames: list[Frame] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, user: User, name: str, outcome: Outcome) -> None:
        """Note a file that is not kept."""
        one = Refused(name, str(outcome.state), outcome.code, outcome.reason)
        self.refused.append(one)
        with transaction():
            audit.note(user, "upload refused", name, f"{one.state}: {one.reason}")


@dataclass(slots=True)
class Judged:
    """A file that came, and how the intake judged it."""

    arrived: Arrived
    outcome: Outcome


def take_raw(user: User, arrived: Sequence[Arrived]) -> Taken:
    """Take raw frames into RAW and register them as their uploader's.

    Raises
    ------
    NotAllowedError
        If a header names a proposal that is other people's; nothing is kept then.
    ConflictError
        If RAW cannot be written to, or a long scan keeps it busy.
    UnavailableError
        If RAW is not there, or the disk is full.
    """
    judged = judge(arrived)
    check_proposals(user, judged)
    _check_raw(sum(one.arrived.size for one in judged))
    taken = Taken()
    with ingest.alone():
        for one in judged:
            hashes = _compare(one.outcome)  # also with those of this request before it
            if one.outcome.state == FileState.REGISTERED:
                _keep(user, one, hashes, taken)
            if one.outcome.state != FileState.REGISTERED:
                _hide_others(user, one.outcome)
                taken.refuse(user, one.arrived.name, one.outcome)
    return taken


def judge(arrived: Sequence[Arrived]) -> list[Judged]:
    """Read files where they wait, with the guard and the rules of every file of RAW."""
    if not arrived:
        return []
    root = arrived[0].path.parent.parent
    intake = replace(Intake.of_now(root), settle_s=0.0)  # they are whole: we wrote them
    outcomes = intake.judge([(_seen(one.path, root), None) for one in arrived])
    for one, outcome in zip(arrived, outcomes, strict=True):
        outcome.content_sha256 = one.sha256
    return [Judged(one, outcome) for one, outcome in zip(arrived, outcomes, strict=True)]


def check_proposals(user: User, judged: Iterable[Judged]) -> None:
    """Refuse files of a proposal that is other people's.

    Raises
    ------
    NotAllowedError
        With the file and its proposal.
    """
    for one in judged:
        for code in sorted(proposal_codes(one.outcome)):
            proposal = proposal_code.known(code)
            if not access.may_upload_to(user, proposal):
                raise NotAllowedError(
                    f"The header of {one.arrived.name} names proposal {code}: only its people "
                    "and staff may add files to it. Nothing was kept."
                )


def proposal_codes(outcome: Outcome) -> set[str]:
    """Return the proposals the exposures of a file name."""
    return {clean(info.proposal_code) for info in outcome.infos if info.proposal_code}


def _seen(path: Path, root: Path) -> Seen:
    status = path.stat()
    relative = path.relative_to(root).as_posix()
    return Seen(relative, status.st_size, status.st_mtime_ns, status.st_ino)


def _check_raw(n_bytes: int) -> None:
    here = paths.current()
    if trouble := here.raw_trouble():
        raise UnavailableError(trouble)
    reserve_mb = settings.snapshot().integer("disk.reserve_mb")
    placing.check_room(here.raw, n_bytes, reserve_mb * MEGABYTE)


def _compare(outcome: Outcome) -> dict[int, str]:
    """Tell a duplicate, and a lost file that came back; return hashes taken of other files."""
    # Under a name no file of RAW has: hidden folders are not scanned.
    outcome.seen = outcome.seen._replace(path=f".incoming/{outcome.seen.path}")
    comparison = identity.Comparison(paths.current().raw)
    comparison.settle(Batch([outcome]))
    return comparison.hashes


def _keep(user: User, one: Judged, hashes: dict[int, str], taken: Taken) -> None:
    """Put a file into RAW and register it; what the database refuses does not stay there."""
    owner_id = user.id if one.outcome.moved_from is None else None  # a lost one stays whose it was
    with Stone(one.arrived.sha256, owner_id) as stone:
        path = _place(one, stone)
        try:
            taken.frames += _record(user, one.outcome, hashes)
        except _REFUSALS as error:
            path.unlink(missing_ok=True)
            if isinstance(error, OperationalError):  # it is busy or full: no file's fault
                raise
            log.warning("%s: %s", one.arrived.name, error)
            one.outcome.become(FileState.QUARANTINED, "not_stored", NOT_STORED)


def _place(one: Judged, stone: Stone) -> Path:
    raw = paths.current().raw
    folder = f"{placing.RAW_FOLDER}/{utcnow().date().isoformat()}"
    name, known = one.arrived.name, _known(folder)
    path = placing.place(one.arrived.path, raw / folder, name, taken=known, before=stone.write)
    one.outcome.seen = _seen(path, raw)
    return path


# What a database says of values it cannot hold, and the driver before it.
_REFUSALS: Final = (StatementError, OverflowError, UnicodeError)


def _record(user: User, outcome: Outcome, hashes: dict[int, str]) -> list[Frame]:
    with transaction():
        scanned_files.record(Batch([outcome]), Books(), hashes)
        query = select(Frame).where(Frame.path == f"{RAW_PREFIX}/{outcome.seen.path}")
        frames = list(db.session.scalars(query.order_by(Frame.part)))
        for frame in frames:
            if outcome.moved_from is None:  # one that was lost stays whose it was
                frame.owner_id = user.id
            audit.note(user, "uploaded", frame, frame.path)
    return frames


def _known(folder: str) -> set[str]:
    """Return the names of a folder of RAW that have a row, though the file may be gone."""
    query = select(ScannedFile.path).where(ScannedFile.path.startswith(f"{folder}/"))
    return {path.rpartition("/")[2] for path in db.session.scalars(query)}


def _hide_others(user: User, outcome: Outcome) -> None:
    """Name the original of a duplicate only to those who may see it."""
    if outcome.state != FileState.DUPLICATE:
        return
    original = f"{RAW_PREFIX}/{outcome.duplicate_of}"
    seen = access.visible_to(user, Frame).where(Frame.path == original)
    if db.session.scalar(seen.limit(1)) is None:
        outcome.reason = "The archive has a file of the same content already."
