"""Background jobs, as the database knows them; the queue only carries their ids."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base, utcnow
from app.models.users import User


class JobState(StrEnum):
    """The life of a job; `app.services.jobs` alone moves one along it."""

    QUEUED = "queued"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_STATES = (JobState.QUEUED, JobState.DISPATCHED, JobState.RUNNING)
_IS_OPEN = "state IN ('queued', 'dispatched', 'running')"


class Job(Base):
    """One unit of work: a function below `app.jobs` and its arguments."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state_owner", "state", "owner_id", "priority", "id"),
        Index(  # two requests at the same moment must not queue the same work twice
            "uq_jobs_open_dedupe_key",
            "dedupe_key",
            unique=True,
            sqlite_where=text(_IS_OPEN),
            postgresql_where=text(_IS_OPEN),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    function: Mapped[str]  # dotted, below app.jobs: "blocks.process"
    label: Mapped[str] = mapped_column(default="")  # what people read: "bias block 12"
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(default=JobState.QUEUED)
    priority: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)  # counted when dispatched; guards every write
    starts: Mapped[int] = mapped_column(default=0)  # counted when claimed
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    not_before: Mapped[datetime | None]
    dedupe_key: Mapped[str | None] = mapped_column(index=True)  # one open job a key
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]
    progress: Mapped[float] = mapped_column(default=0.0)
    step: Mapped[str] = mapped_column(default="")
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    dispatched_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    owner: Mapped[User | None] = relationship()
    needs: Mapped[list["JobNeed"]] = relationship(
        foreign_keys="JobNeed.job_id", cascade="all, delete-orphan"
    )


class JobNeed(Base):
    """A job that must be done before another starts."""

    __tablename__ = "job_needs"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    needs_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True, index=True)
