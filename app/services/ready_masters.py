"""Masters made elsewhere, registered as blocks so that they are used like our own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.errors import InvalidRequestError, NotFoundError
from app.models import Block, BlockKind, Frame, Level, User
from app.services import access, audit, cameras, events, media, registration
from reduction import fitsio, headers
from reduction.cards import FileHeaders
from reduction.errors import BadFileError
from reduction.frameinfo import FrameInfo
from reduction.headers.extensions import name_of
from reduction.headers.registered import MasterCards, read_master_cards

_TYPES: Final = {
    BlockKind.BIAS: "BIAS",
    BlockKind.DARK: "DARK",
    BlockKind.FLAT: "FLAT",
    BlockKind.FRINGE: "FRINGE",
}
_MASKED: Final = frozenset({BlockKind.BIAS, BlockKind.FLAT})
_BANDED: Final = frozenset({BlockKind.FLAT, BlockKind.FRINGE})
_OUR_PLANES: Final = frozenset({"SCI", "VAR", "DQ"})


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that may be registered, and what its header says."""

    path: Path
    relative: str
    info: FrameInfo
    cards: MasterCards
    mask: str  # relative to the data root; "" for none


def register(kind: BlockKind, filepath: str, *, owner: User | None) -> Block:
    """Make a processed block of a ready master; `filepath` is relative to the data root.

    Raises
    ------
    InvalidRequestError
        If the file, its mask or what its header must say is not there.
    """
    found = _found(kind, filepath, owner)
    sha256 = fitsio.content_sha256(found.path)
    with transaction():
        frame = _frame(kind, found, sha256, owner)
        block = Block(
            kind=kind,
            band=frame.band if kind in _BANDED else None,
            camera_id=frame.camera_id,
            start_night=found.cards.start,
            end_night=found.cards.end,
            status=1,
            mask_path=found.mask,
            owner_id=owner and owner.id,
        )
        block.master = frame
        db.session.add(block)
        db.session.flush()
        audit.note(owner, "registered", block, found.relative)
        events.publish("block", block=block.id)
    return block


def _found(kind: BlockKind, filepath: str, owner: User | None) -> _Found:
    path = _seen_file(owner, filepath)
    if path is None:
        raise InvalidRequestError("Unable to find file")
    try:
        file = fitsio.read_headers(path)
        info = _translated(file, path)
    except BadFileError as error:
        raise InvalidRequestError(str(error)) from error
    cards = read_master_cards(file)
    _check(kind, cards)
    mask = _mask(path, cards.mask_name, file, owner) if kind in _MASKED else ""
    return _Found(path, paths.current().relative(path), info, cards, mask)


def _seen_file(owner: User | None, relative: str) -> Path | None:
    """Return a file of the data root that `owner` may fetch; None, the house itself, any."""
    try:
        path = media.find(owner, relative) if owner else paths.current().locate(relative)
        return path if path.is_file() else None
    except (NotFoundError, OSError, RuntimeError):
        return None


def _translated(file: FileHeaders, path: Path) -> FrameInfo:
    found = headers.translate(
        file, file_name=path.name, profiles=cameras.profiles(), site=cameras.site()
    )
    if not found:
        raise BadFileError("no_image", f"{path.name} holds no image")
    return found[0]


def _check(kind: BlockKind, cards: MasterCards) -> None:
    if kind not in _TYPES or cards.master_type != _TYPES[kind]:
        raise InvalidRequestError("Incorrect master type.")
    if cards.start is None or cards.end is None:
        raise InvalidRequestError("START_DATE and END_DATE must be dates such as 2026-11-20")
    if kind in _BANDED and cards.band is None:
        raise InvalidRequestError("BAND must say which filter the master is for")


def _mask(path: Path, name: str, file: FileHeaders, owner: User | None) -> str:
    """Return where the mask lies; a product of ours has its own inside."""
    planes = {name_of(hdu.cards).upper() for hdu in file.hdus}
    if not name and planes >= _OUR_PLANES:
        return ""
    beside = f"{paths.current().relative(path.parent)}/{name}"
    mask = _seen_file(owner, beside) if name else None
    if mask is None or not mask.is_relative_to(path.parent.resolve()):
        raise InvalidRequestError(f"Could not find {name or 'MASK_NAME'}")
    return paths.current().relative(mask)


def _frame(kind: BlockKind, found: _Found, sha256: str, owner: User | None) -> Frame:
    """Return the row of the master, valid from now on; one a scan made before is taken over."""
    known = select(Frame).where(Frame.path == found.relative, Frame.part == 0)
    frame = db.session.scalar(known)
    if frame is not None:
        access.check_change(owner, frame)
        access.check_validate(owner, frame)
    else:
        frame = Frame(path=found.relative, notes=["registered from a file made elsewhere"])
    for name, value in _columns(kind, found).items():
        setattr(frame, name, value)
    frame.content_sha256 = sha256
    frame.fingerprint = ""
    db.session.add(frame)
    db.session.flush()
    return frame


def _columns(kind: BlockKind, found: _Found) -> dict[str, object]:
    start, end = found.cards.start, found.cards.end
    columns = registration.header_columns(found.info) | {
        "file_name": found.path.name,
        "size": found.path.stat().st_size,
        "camera_id": cameras.camera_of(found.info).id,
        "level": Level.MASTER,
        "kind": kind,
        "kind_doubt": None,
        "is_valid": True,
        "status": 1,
    }
    if start is not None and end is not None:
        columns["night"] = start + (end - start) // 2
    if kind in _BANDED:
        columns["band"] = found.cards.band
    return columns
