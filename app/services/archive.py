"""The archive of files: frames found by what their headers say, a page at a time."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, True_, func, or_, select
from sqlalchemy.orm import selectinload

from app import paths
from app.db import db, utcnow
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import Frame, FrameParent, Level, Proposal, User
from app.services import access, header_texts, listing, numbered, settings
from reduction import fitsio
from reduction.cards import Cards
from reduction.errors import BadFileError

# Values of one face's records live in Frame.extras; these are searched there by the same name.
EXTRA_FILTERS: Final = ("filter_2", "grating", "wavmode", "slit", "roi")
OBSTYPE_OF_KIND: Final = {
    "bias": "BIAS",
    "dark": "DARK",
    "flat": "FLAT",
    "science": "OBJECT",
    "standard": "STANDARD",
    "arc": "ARC",
    "focus": "FOCUS",
}
# The roles of the file something was made from: by us, or as its uploader says.
_ORIGINS: Final = ("raw", "original")


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; None is "anything". `extras` are compared without case."""

    level: int | None = None
    obstype: str | None = None
    band: str | None = None
    technique: str | None = None
    night: date | None = None
    object_name: str | None = None
    proposal: str | None = None
    file_name: str | None = None
    parent_id: int | None = None
    original_id: int | None = None
    extras: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search and how many frames it found in all."""

    count: int
    frames: Sequence[Frame]


def obstype_of(frame: Frame) -> str:
    """Return the observation type as the header has it, else as its kind says."""
    return str(frame.extras.get("obstype") or OBSTYPE_OF_KIND.get(frame.kind, "UNKNOWN"))


def search(user: User, wanted: Search, *, page: int, size: int) -> Found:
    """Return page `page` (from 1) of what `user` may see of the frames wanted, newest first.

    Raises
    ------
    NotFoundError
        If there is no such page; page 1 of nothing exists.
    """
    conditions = list(_conditions(wanted))
    numbering = _numbering(user, wanted, conditions)
    count = numbering.count()
    start = (page - 1) * size
    if page < 1 or start >= max(1, count):
        raise NotFoundError("Invalid page.")
    query = _records(user).where(*listing.seen_by(user), *conditions)
    return Found(count, numbering.window(query, start=start, stop=start + size))


def _records(user: User) -> Select[Any]:
    """Return the query for frames with what their records tell, of parents only those seen."""
    rule = access.may_see(user, Frame)
    parents: Any = Frame.parents
    if not isinstance(rule, True_):
        parents = parents.and_(FrameParent.parent_id.in_(select(Frame.id).where(rule)))
    return select(Frame).options(
        selectinload(parents).joinedload(FrameParent.parent), selectinload(Frame.proposal)
    )


def _numbering(
    user: User, wanted: Search, conditions: Sequence[ColumnElement[bool]]
) -> numbered.Numbering:
    extras = tuple(sorted((wanted.extras or {}).items()))
    what = (replace(wanted, extras=None), extras)
    rule = access.may_see(user, Frame)
    if isinstance(rule, True_):  # without it, an index that has nothing but numbers will do
        return numbered.Numbering(what, conditions)
    return numbered.Numbering((*what, *_rule_rests_on(user)), [rule, *conditions])


def _rule_rests_on(user: User) -> tuple[Hashable, ...]:
    """Return what tells which frames `user` may see now from what it was a moment ago."""
    periods = select(Proposal.id, Proposal.proprietary_days).order_by(Proposal.id)
    own_periods = periods.where(Proposal.proprietary_days.is_not(None))
    return (
        user.id,
        frozenset(db.session.scalars(access.own_proposals(user))),
        utcnow().date(),
        settings.snapshot().integer("access.proprietary_days"),
        tuple(tuple(row) for row in db.session.execute(own_periods)),
    )


def _conditions(wanted: Search) -> Iterator[ColumnElement[bool]]:
    plain = (
        (Frame.level, wanted.level),
        (Frame.technique, wanted.technique),
        (Frame.night, wanted.night),
    )
    yield from (column == value for column, value in plain if value is not None)
    if wanted.obstype is not None:
        yield _has_obstype(wanted.obstype)
    if wanted.band is not None:
        yield or_(
            *(func.lower(c) == wanted.band.lower() for c in (Frame.band, Frame.band_raw)),
            _extra_is("filter", wanted.band),
        )
    for column, text in (
        (Frame.object_name, wanted.object_name),
        (Frame.file_name, wanted.file_name),
    ):
        if text is not None:
            yield func.lower(column).contains(text.lower(), autoescape=True)
    yield from _kinship(wanted)
    for name, text in (wanted.extras or {}).items():
        yield _extra_is(name, text)


def _kinship(wanted: Search) -> Iterator[ColumnElement[bool]]:
    if wanted.proposal is not None:
        yield or_(
            func.lower(Frame.proposal_code) == wanted.proposal.lower(),
            Frame.proposal.has(func.lower(Proposal.code) == wanted.proposal.lower()),
        )
    for parent in (wanted.parent_id, wanted.original_id):
        if parent is not None:
            made_from = select(FrameParent.child_id).where(
                FrameParent.parent_id == parent, FrameParent.role.in_(_ORIGINS)
            )
            yield or_(Frame.id == parent, Frame.id.in_(made_from))


def _extra_is(name: str, text: str) -> ColumnElement[bool]:
    return func.lower(Frame.extras[name].as_string()) == text.lower()


def _has_obstype(text: str) -> ColumnElement[bool]:
    kinds = [kind for kind, obstype in OBSTYPE_OF_KIND.items() if obstype == text.upper()]
    stored = Frame.extras["obstype"].as_string()
    return or_(
        func.lower(stored) == text.lower(),
        Frame.kind.in_(kinds) & or_(stored.is_(None), stored == ""),
    )


def one(user: User, *, frame_id: int | None = None, file_name: str | None = None) -> Frame:
    """Return the frame with this id, else the newest one of this file name.

    Raises
    ------
    InvalidRequestError
        If neither is given.
    NotFoundError
        If `user` may see no such frame.
    """
    query = access.visible_to(user, Frame)
    if frame_id is not None:
        query = query.where(Frame.id == frame_id)
    elif file_name:
        query = query.where(Frame.file_name == file_name).order_by(Frame.id.desc()).limit(1)
    else:
        raise InvalidRequestError(id="Give id= or file_name=.")
    frame: Frame | None = db.session.scalar(query)
    if frame is None:
        raise NotFoundError("Not found.")
    return frame


def raw_parent(frame: Frame) -> Frame:
    """Return what a frame was reduced from; raw files and masters are their own."""
    return next((edge.parent for edge in frame.parents if edge.role in _ORIGINS), frame)


def file_of(frame: Frame) -> Path:
    """Return the frame's file.

    Raises
    ------
    NotFoundError
        If it is not on the disk, or the folder it lies on is not mounted.
    """
    path = paths.current().locate(frame.path)
    if not path.is_file():
        raise NotFoundError(f"{frame.file_name} is known, but its file is not there now.")
    return path


def header_cards(frame: Frame) -> list[dict[str, Any]]:
    """Return the cards of a frame's header, in order, with their comments."""
    if frame.level == Level.RAW and (text := header_texts.text_of(frame)):
        cards = Cards.from_text(text)
        return _listed(cards)
    try:
        file = fitsio.read_headers(file_of(frame))
    except BadFileError as error:
        raise ConflictError(f"The header of {frame.file_name} cannot be read. {error}") from error
    return [card for hdu in file.hdus for card in _listed(hdu.cards)]


def _listed(cards: Cards) -> list[dict[str, Any]]:
    return [
        {"keyword": key, "value": value, "comment": comment}
        for key, value, comment in cards.cards()
    ]
