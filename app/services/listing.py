"""Lists of frames over all nights, newest first, a page at a time, whatever the depth.

A page is read as columns, from an index, behind the key the page before it ended with: frames as
objects cost four times as much, and an OFFSET costs all it skips.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    Text,
    True_,
    bindparam,
    case,
    cast,
    func,
    select,
    tuple_,
    type_coerce,
)

from app.db import db
from app.errors import InvalidRequestError
from app.models import Camera, Frame, Proposal, User
from app.services import access, frames, quality
from app.services.row_text import RowText

PAGE: Final = 100
MAX_PAGE: Final = 1000

# What a list tells of a frame. All stand in the table before the texts of headers, which are
# longer than a database page: a column behind those costs a walk along them.
FIELDS: Final = (
    *("id", "file_name", "path", "size", "level", "kind", "technique", "band", "exptime_s"),
    *("start_utc", "night", "object_name", "ra_deg", "dec_deg", "airmass", "camera_id"),
    *("nx", "ny", "temp_c", "is_valid", "status", "unusable", "kind_doubt", "outdated"),
    *("missing", "is_thin", "median", "noise", "quality"),
)
# What keeps a frame from being used, or from being fully reduced, in the words of the pages.
STATES: Final[Mapping[str, ColumnElement[bool]]] = {
    "invalid": Frame.is_valid.is_(False),
    "unusable": Frame.unusable.is_not(None),
    "incomplete": func.json_array_length(Frame.missing) > 0,
    "outdated": Frame.outdated.is_not(None),
    "thin": Frame.is_thin.is_(True),
    "doubtful": Frame.kind_doubt.is_not(None),
}

_COLUMNS: Final = Frame.__table__.columns
# Plain times and lists as their JSON: making a hundred of either costs more than reading them.
_CHEAPER: Final[Mapping[str, ColumnElement[Any]]] = {
    "start_utc": type_coerce(_COLUMNS["start_utc"], DateTime),
    "missing": cast(_COLUMNS["missing"], Text).label("missing"),
    "quality": cast(_COLUMNS["quality"], Text).label("quality"),
}
_SHOWN: Final = [_CHEAPER.get(name, _COLUMNS[name]) for name in FIELDS]
_LISTS: Final = ("missing", "quality")
_NONE: Final = "[]"
_START: Final = FIELDS.index("start_utc")
# Made once, with their values to come: making a statement costs as much as reading its rows.
_DATED: Final = (
    select(*_SHOWN)
    .where(Frame.start_utc.is_not(None))  # as the indexes of the list have it
    .order_by(Frame.start_utc.desc(), Frame.id.desc())
    .limit(bindparam("n"))
)
_DATED_BEHIND: Final = _DATED.where(
    tuple_(Frame.start_utc, Frame.id)
    < tuple_(bindparam("start", type_=Frame.start_utc.type), bindparam("frame_id"))
)
_UNDATED: Final = (
    select(*_SHOWN).where(Frame.start_utc.is_(None)).order_by(Frame.id.desc()).limit(bindparam("n"))
)
_UNDATED_BEHIND: Final = _UNDATED.where(Frame.id < bindparam("frame_id"))
_AS_TEXT: Final = RowText(_SHOWN)
_TOLD: Final = {
    query: _AS_TEXT.query(query) for query in (_DATED, _DATED_BEHIND, _UNDATED, _UNDATED_BEHIND)
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = re.compile(r"(-?\d{1,18}|u)\.(\d{1,18})", re.ASCII)
# A night begins less than a day before its date does in UTC and ends less than two behind; what
# more is allowed here is for frames whose header tells another zone's date.
_BEFORE_NIGHT: Final = timedelta(days=1)
_AFTER_NIGHT: Final = timedelta(days=3)
_FEW: Final = 10_000  # frames of a name that are better sorted than met on a walk through time


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames; None is "any". Dates are nights, both ends included."""

    start: date | None = None
    end: date | None = None
    kind: str | None = None
    level: int | None = None
    band: str | None = None
    camera: str | None = None
    object_name: str | None = None
    valid: bool | None = None
    state: str | None = None
    contains: str = ""
    proposal: str | None = None
    mark: str | None = None  # of `quality.MARKS`


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: the start of its last frame, None among those that tell no time."""

    start: datetime | None
    frame_id: int

    def __str__(self) -> str:
        if self.start is None:
            return f"u.{self.frame_id}"
        return f"{(self.start - _EPOCH) // timedelta(microseconds=1)}.{self.frame_id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what an earlier page gave.

        Raises
        ------
        InvalidRequestError
            If no page gave it.
        """
        parts = _CURSOR.fullmatch(text)
        if parts is not None:
            with suppress(OverflowError):
                since = None if parts[1] == "u" else timedelta(microseconds=int(parts[1]))
                return cls(None if since is None else _EPOCH + since, int(parts[2]))
        raise InvalidRequestError(after="must be taken from `next` of a page before")


@dataclass(frozen=True, slots=True)
class FramePage:
    """Some frames, each with `FIELDS` in this order, its time plain UTC; `after` continues."""

    rows: Sequence[Sequence[Any]]
    after: Cursor | None

    def records(self) -> list[dict[str, Any]]:
        """Return each frame as its fields by name."""
        found = [dict(zip(FIELDS, row, strict=True)) for row in self.rows]
        for record in found:
            for name in _LISTS:
                text = record[name]
                record[name] = [] if text == _NONE else json.loads(text)
        return found


def page_of(
    user: User | None, wanted: Wanted, *, after: Cursor | None = None, limit: int = PAGE
) -> FramePage:
    """Return the newest frames wanted that `user` may see; those that tell no time come last.

    Raises
    ------
    InvalidRequestError
        If something wanted cannot be, by the name of the field.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidRequestError(limit=f"must be from 1 to {MAX_PAGE}")
    conditions = [*seen_by(user), *_conditions(wanted)]
    found: list[Sequence[Any]] = []
    if after is None or after.start is not None:
        query = _DATED if after is None else _DATED_BEHIND
        found += _read(query, [*conditions, *_period(wanted)], after, limit + 1)
    if len(found) <= limit:
        is_behind = after is not None and after.start is None
        query = _UNDATED_BEHIND if is_behind else _UNDATED
        found += _read(query, conditions, after if is_behind else None, limit + 1 - len(found))
    return FramePage(found[:limit], _cursor_of(found[limit - 1]) if len(found) > limit else None)


def _cursor_of(row: Sequence[Any]) -> Cursor:
    start: datetime | None = row[_START]
    return Cursor(start and start.replace(tzinfo=UTC), row[0])


def _read(
    query: Select[Any], conditions: Sequence[ColumnElement[bool]], after: Cursor | None, n: int
) -> Sequence[Sequence[Any]]:
    values: dict[str, Any] = {"n": n}
    if after is not None:
        values |= {"start": after.start, "frame_id": after.frame_id}
    connection = db.session.connection()
    if connection.dialect.name != "sqlite":
        return connection.execute(query.where(*conditions), values).all()
    told = _AS_TEXT.query(query.where(*conditions)) if conditions else _TOLD[query]
    return _AS_TEXT.rows(connection.scalar(told, values))


def seen_by(user: User | None) -> list[ColumnElement[bool]]:
    """Return the access rule, so worded that it is asked of each frame in its turn.

    As a plain OR it has the database gather all that may be seen, and sort it, for each page.
    """
    rule = access.may_see(user, Frame)
    return [] if isinstance(rule, True_) else [case((rule, 1), else_=0) == 1]


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    plain = {"kind": wanted.kind, "level": wanted.level, "band": wanted.band}
    yield from (getattr(Frame, name) == value for name, value in plain.items() if value is not None)
    yield from frames.between(wanted.start, wanted.end)
    if wanted.valid is not None:
        yield Frame.is_valid.is_(wanted.valid)
    if wanted.state is not None:
        yield _in_state(wanted.state)
    if wanted.mark is not None:
        yield quality.is_marked(wanted.mark)
    if wanted.camera is not None:
        yield _among(_COLUMNS["camera_id"], _camera_ids(wanted.camera))
    if wanted.object_name is not None:
        yield _among(_COLUMNS["object_name"], _spellings(wanted.object_name))
    if wanted.proposal is not None:
        yield _among(_COLUMNS["proposal_id"], _proposal_ids(wanted.proposal))
    yield from _named(wanted.contains)


def _period(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """Return what the nights wanted mean for the time, so that its index leads to them."""
    if wanted.start is not None:
        yield Frame.start_utc >= _midnight(wanted.start, -_BEFORE_NIGHT)
    if wanted.end is not None:
        yield Frame.start_utc < _midnight(wanted.end, _AFTER_NIGHT)


def _midnight(night: date, shift: timedelta) -> datetime:
    try:
        return datetime.combine(night, time(tzinfo=UTC)) + shift
    except OverflowError:  # the first or last days a date can name
        return datetime.combine(night, time(tzinfo=UTC))


def _in_state(state: str) -> ColumnElement[bool]:
    if state not in STATES:
        raise InvalidRequestError(state=f"must be one of {', '.join(STATES)}")
    return STATES[state]


def _among(column: ColumnElement[Any], values: Sequence[int | str]) -> ColumnElement[bool]:
    # An index is read in the order of time behind one value only.
    return column == values[0] if len(values) == 1 else column.in_(values)


def _camera_ids(camera: str) -> Sequence[int]:
    known = db.session.execute(select(Camera.id, Camera.name).order_by(Camera.id)).all()
    found = [row.id for row in known if camera.casefold() in {str(row.id), row.name.casefold()}]
    if not found:
        names = ", ".join(f"{row.id} ({row.name})" for row in known) or "none yet"
        raise InvalidRequestError(camera=f"there is no such camera; these are: {names}")
    return found


def _proposal_ids(code: str) -> Sequence[int]:
    same = func.lower(Proposal.code) == code.lower()
    return db.session.scalars(select(Proposal.id).where(same)).all()


def _spellings(name: str) -> Sequence[str]:
    """Return the names objects go by that differ from `name` in case, or blanks from hyphens.

    Each name is looked for behind the one before it, so that a night of a thousand frames of
    one object costs one look.
    """
    first = select(func.min(Frame.object_name).label("name")).cte("names", recursive=True)
    behind = select(func.min(Frame.object_name)).where(Frame.object_name > first.c.name)
    names = first.union_all(select(behind.scalar_subquery()).where(first.c.name.is_not(None)))
    same = func.lower(func.replace(names.c.name, " ", "-")) == name.replace(" ", "-").lower()
    return db.session.scalars(select(names.c.name).where(same)).all()


def _named(contains: str) -> list[ColumnElement[bool]]:
    """Return the condition on file names, so worded that rare names are sought first.

    Walking through all time for a few frames takes seconds where a million are registered; for
    a name that many have, the first page is full after a few steps.
    """
    conditions = frames.named_like(contains)
    if not conditions:
        return []
    few = select(Frame.id).where(*conditions).limit(_FEW + 1).subquery()
    if (db.session.scalar(select(func.count()).select_from(few)) or 0) > _FEW:
        return conditions
    return [Frame.id.in_(select(Frame.id).where(*conditions))]


def cameras() -> Mapping[int, str]:
    """Return the name of each camera by its id."""
    return {row.id: row.name for row in db.session.execute(select(Camera.id, Camera.name))}
