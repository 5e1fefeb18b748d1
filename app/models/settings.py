"""Settings changed while running, and what changed, for live pages."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, utcnow


class StoredSetting(Base):
    """An operational setting that differs from its default."""

    __tablename__ = "settings"

    section: Mapped[str] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class Event(Base):
    """Something changed that an open page may show; polled by id."""

    __tablename__ = "events"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utcnow)
    topic: Mapped[str]  # "frames", "job", "block", "scan"
    subject: Mapped[dict[str, Any]] = mapped_column(default=dict)  # {"night": ...}, {"job": 5}
