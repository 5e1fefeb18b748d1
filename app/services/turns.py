"""Whose turn it is: the queries by which the dispatcher chooses among jobs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import aliased

from app.db import db, utcnow
from app.models import OPEN_STATES, Job, JobNeed, JobState

HELD: Final = (JobState.DISPATCHED, JobState.RUNNING)
_AT_ONCE: Final = 500  # rows one housekeeping transaction may delete


def fair(room: int) -> Select[int, int]:
    """Return the next jobs: an owner's turn comes later the more of its jobs are under way."""
    busy, need, needed = aliased(Job), aliased(JobNeed), aliased(Job)
    under_way = (
        select(func.count())
        .where(busy.owner_id.is_not_distinct_from(Job.owner_id), busy.state.in_(HELD))
        .correlate(Job)
        .scalar_subquery()
    )
    place = func.row_number().over(
        partition_by=Job.owner_id, order_by=(Job.priority.desc(), Job.id)
    )
    unmet = exists().where(
        need.job_id == Job.id, needed.id == need.needs_id, needed.state != JobState.DONE
    )
    due = (
        select(Job.id, Job.attempt, Job.priority, (place + under_way).label("turn"))
        .where(Job.state == JobState.QUEUED, ~unmet)
        .where(or_(Job.not_before.is_(None), Job.not_before <= utcnow()))
        .subquery()
    )
    order = (due.c.turn, due.c.priority.desc(), due.c.id)
    return select(due.c.id, due.c.attempt).order_by(*order).limit(room)


def under_way() -> Sequence[Job]:
    """Return every job that is with the queue or a worker."""
    return db.session.scalars(select(Job).where(Job.state.in_(HELD)).order_by(Job.id)).all()


def open_jobs() -> Sequence[Job]:
    """Return every job that has not ended, those that run first, then in order of queueing."""
    started = (Job.state == JobState.RUNNING).desc()
    return db.session.scalars(
        select(Job).where(Job.state.in_(OPEN_STATES)).order_by(started, Job.priority.desc(), Job.id)
    ).all()


def hopeless() -> Select[Job, Job]:
    """Return queued jobs, each with a job it needs that will never be done."""
    needed = aliased(Job)
    return (
        select(Job, needed)
        .join(JobNeed, JobNeed.job_id == Job.id)
        .join(needed, needed.id == JobNeed.needs_id)
        .where(Job.state == JobState.QUEUED)
        .where(needed.state.in_((JobState.FAILED, JobState.CANCELLED)))
        .order_by(Job.id)
    )


def past(before: datetime) -> Select[int]:
    """Return the oldest jobs that ended before a time and that no open job needs."""
    waiting = aliased(Job)
    needed = exists().where(
        JobNeed.needs_id == Job.id, waiting.id == JobNeed.job_id, waiting.state.in_(OPEN_STATES)
    )
    return select(Job.id).where(Job.finished_at < before, ~needed).order_by(Job.id).limit(_AT_ONCE)
