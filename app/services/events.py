"""What changed, for pages that stay open; rows polled by id, on SQLite and PostgreSQL alike."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select

from app.db import db, transaction, utcnow
from app.models import Event

KEEP = timedelta(hours=6)


def publish(topic: str, **subject: Any) -> None:  # noqa: ANN401 - JSON values
    """Record that something of `topic` changed, in the open transaction."""
    db.session.add(Event(topic=topic, subject=subject))


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
