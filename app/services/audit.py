"""Who did what to a block or a frame: noted with the act, shown on its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.db import db
from app.models import AuditEntry, Block, Frame, User


@dataclass(frozen=True, slots=True)
class Act:
    """One thing somebody did."""

    at: datetime
    who: str
    text: str


def note(by: User | None, action: str, row: Block | Frame, detail: str = "") -> None:
    """Note in the open transaction what somebody did; the program's own acts are in the jobs."""
    if by is not None:
        db.session.add(
            AuditEntry(user_id=by.id, action=action, subject=_subject(row), detail=detail)
        )


def of(row: Block | Frame, limit: int = 20) -> Sequence[Act]:
    """Return what was done to a block or a frame, newest first."""
    query = (
        select(AuditEntry, User)
        .outerjoin(User, User.id == AuditEntry.user_id)
        .where(AuditEntry.subject == _subject(row))
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    return [
        Act(entry.at, user.display_name if user else "the program", _text(entry))
        for entry, user in db.session.execute(query)
    ]


def _text(entry: AuditEntry) -> str:
    return f"{entry.action}: {entry.detail}" if entry.detail else entry.action


def _subject(row: Block | Frame) -> str:
    return f"{'block' if isinstance(row, Block) else 'frame'} {row.id}"
