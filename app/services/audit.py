"""Who did what: noted with the act, shown on the page of what it was done to, and to staff."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, String, cast, literal, or_, select

from app.db import db
from app.models import AuditEntry, Block, Frame, Group, Proposal, Task, User
from app.services.texts import storable

Subject = Block | Frame | Proposal | User | Group | Task | str
PAGE: Final = 100
NOBODY: Final = "the program"  # and whoever sits at its command line

# By what people know the rows that have a name; a block is "bias 7".
_NAMES: Final[Mapping[str, tuple[Any, Any]]] = {
    "block": (Block.id, Block.kind),
    "frame": (Frame.id, Frame.file_name),
    "proposal": (Proposal.id, Proposal.code),
    "user": (User.id, User.username),
    "group": (Group.id, Group.name),
    "task": (Task.id, Task.original_name),
}
_OF_ROW: Final = re.compile(rf"({'|'.join(_NAMES)}) (\d{{1,18}})")
_SEARCHED: Final = ("proposal", "user", "group")  # by a part of the name; frames are too many


@dataclass(frozen=True, slots=True)
class Act:
    """One thing somebody did."""

    at: datetime
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log; `kind` and `row_id` tell the row it was done to, if that is there."""

    id: int
    at: datetime
    username: str
    user_id: int | None
    action: str
    detail: str
    subject: str
    kind: str = ""
    row_id: int = 0


@dataclass(frozen=True, slots=True)
class Filters:
    """What to show of the log; days are those of UTC, the last one included."""

    person: str = ""
    subject: str = ""
    action: str = ""
    first: date | None = None
    last: date | None = None


def note(by: User | None, action: str, subject: Subject, detail: str = "") -> None:
    """Note in the open transaction what somebody did; the program's own acts are in the jobs."""
    if by is not None:
        note_always(by, action, subject, detail)


def note_always(by: User | None, action: str, subject: Subject, detail: str = "") -> None:
    """Note an act of the command line too, where nobody is signed in: what concerns accounts."""
    if subject in db.session.new:
        db.session.flush()  # gives the row its number
    user_id = by.id if by is not None else None
    db.session.add(AuditEntry(user_id=user_id, action=action, subject=_key(subject), detail=detail))


def of(row: Subject, limit: int = 20) -> Sequence[Act]:
    """Return what was done to a row, newest first."""
    query = (
        select(AuditEntry, User)
        .outerjoin(User, User.id == AuditEntry.user_id)
        .where(AuditEntry.subject == _key(row))
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    return [
        Act(entry.at, user.display_name if user else NOBODY, _text(entry))
        for entry, user in db.session.execute(query)
    ]


def by_and_about(user: User, limit: int = 20) -> Sequence[Entry]:
    """Return what a person did and what was done to their account, newest first."""
    either = or_(AuditEntry.user_id == user.id, AuditEntry.subject == _key(user))
    return _entries([either], limit)


def find(filters: Filters, *, before: int | None = None, limit: int = PAGE) -> Sequence[Entry]:
    """Return what the filters ask for, newest first, from behind the entry `before`."""
    conditions = list(_conditions(filters))
    if before is not None:
        conditions.append(AuditEntry.id < before)
    return _entries(conditions, limit)


def actions() -> Sequence[str]:
    """Return every kind of act there is in the log."""
    return db.session.scalars(
        select(AuditEntry.action).distinct().order_by(AuditEntry.action)
    ).all()


def _conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    if filters.person:
        yield _was_by(filters.person)
    if filters.subject:
        yield _was_done_to(storable(filters.subject))
    if filters.action:
        yield AuditEntry.action == storable(filters.action)
    if filters.first is not None:
        yield AuditEntry.at >= _midnight(filters.first)
    if filters.last is not None:
        yield AuditEntry.at < _midnight(filters.last) + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _was_by(name: str) -> ColumnElement[bool]:
    if name == NOBODY:
        return AuditEntry.user_id.is_(None)
    named = User.username.icontains(storable(name), autoescape=True)
    return AuditEntry.user_id.in_(select(User.id).where(named).correlate(None))


def _was_done_to(text: str) -> ColumnElement[bool]:
    """Return the condition of a subject: a row as in "user 3", or a part of a name."""
    if _OF_ROW.fullmatch(text):
        return AuditEntry.subject == text
    parts = [AuditEntry.subject.icontains(text, autoescape=True)]
    for kind in _SEARCHED:
        number, name = _NAMES[kind]
        keys = select(literal(f"{kind} ") + cast(number, String))
        named = keys.where(name.icontains(text, autoescape=True)).correlate(None)
        parts.append(AuditEntry.subject.in_(named))
    frames = select(literal("frame ") + cast(Frame.id, String)).where(Frame.file_name == text)
    return or_(*parts, AuditEntry.subject.in_(frames))


def _entries(conditions: Sequence[ColumnElement[bool]], limit: int) -> Sequence[Entry]:
    query = (
        select(AuditEntry, User.username)
        .outerjoin(User, User.id == AuditEntry.user_id)
        .where(*conditions)
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    found = [(entry, who or NOBODY) for entry, who in db.session.execute(query)]
    names = _names({entry.subject for entry, _ in found})
    return [_entry(entry, who, names) for entry, who in found]


def _names(subjects: Collection[str]) -> Mapping[str, str]:
    """Return by what people know the rows that are there, by what the log calls them."""
    ids: dict[str, set[int]] = {}
    for subject in subjects:
        if match := _OF_ROW.fullmatch(subject):
            ids.setdefault(match[1], set()).add(int(match[2]))
    found: dict[str, str] = {}
    for kind, wanted in ids.items():
        number, name = _NAMES[kind]
        rows = db.session.execute(select(number, name).where(number.in_(wanted)))
        found |= {f"{kind} {row_id}": str(row_name) for row_id, row_name in rows}
    return found


def _entry(entry: AuditEntry, who: str, names: Mapping[str, str]) -> Entry:
    name = names.get(entry.subject)
    kind, _, number = entry.subject.partition(" ") if name is not None else ("", "", "0")
    shown = entry.subject if name is None else f"{name} {number}" if kind == "block" else name
    return Entry(
        id=entry.id,
        at=entry.at,
        username=who,
        user_id=entry.user_id,
        action=entry.action,
        detail=entry.detail,
        subject=shown,
        kind=kind,
        row_id=int(number),
    )


def _text(entry: AuditEntry) -> str:
    return f"{entry.action}: {entry.detail}" if entry.detail else entry.action


def _key(subject: Subject) -> str:
    """Return what the log calls a row: its kind and number, which no change of name touches."""
    return subject if isinstance(subject, str) else f"{type(subject).__name__.lower()} {subject.id}"
