"""What changed, for pages that stay open; rows polled by id, on SQLite and PostgreSQL alike."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, select

from app.db import db, transaction, utcnow
from app.models import Event

KEEP = timedelta(hours=6)

_INSERT: Final = insert(Event)  # as objects, a month of nights takes nearly three times as long


def publish(topic: str, **subject: Any) -> None:  # noqa: ANN401 - JSON values
    """Record that something of `topic` changed, in the open transaction."""
    db.session.add(Event(topic=topic, subject=subject))


def publish_nights(nights: Iterable[date | None]) -> None:
    """Record that frames of some nights changed, in the open transaction; None is passed over."""
    named = [night.isoformat() for night in sorted(night for night in nights if night is not None)]
    rows = [{"topic": "frames", "subject": {"night": night}} for night in named]
    if rows:
        db.session.connection().execute(_INSERT, rows)


def latest_id() -> int:
    """Return the id of the newest event, 0 where there is none."""
    return db.session.scalar(select(func.max(Event.id))) or 0


def since(event_id: int, limit: int = 500) -> Sequence[Event]:
    """Return the events after `event_id`, oldest first."""
    query = select(Event).where(Event.id > event_id).order_by(Event.id).limit(limit)
    return db.session.scalars(query).all()


def prune() -> None:
    """Forget events no open page can still be waiting for."""
    with transaction():
        db.session.execute(delete(Event).where(Event.at < utcnow() - KEEP))
