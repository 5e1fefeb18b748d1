"""The life of a job: the only writer of `Job.state`, the only caller of the queue.

A job is a row; the queue only carries its number and attempt. Every write of a worker is guarded
by the attempt, so that one which was given up for lost can do no harm when it comes back. Leases
are wall-clock times. A clock that jumps forward makes a living job look lost: it is queued again
and what its first worker still does is refused. A clock that jumps back would keep a dead job's
lease for long: `shorten_leases` cuts what nobody can have been granted.
"""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import CursorResult, delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from app import paths
from app.db import after_commit, db, transaction, utcnow
from app.errors import ConflictError, NotFoundError
from app.models import OPEN_STATES, Job, JobNeed, JobState, User
from app.services import access, courier, events, turns
from app.services.courier import Delivery
from app.wording import counted

log = logging.getLogger(__name__)

_DOTTED: Final = re.compile(r"[a-z_]\w*(\.[a-z_]\w*)+")


class JobCancelledError(Exception):
    """Somebody cancelled the job that is running."""


class LeaseLostError(Exception):
    """The job was taken from this worker; whatever it still does must leave no trace."""


class Standing(StrEnum):
    """How a worker's attempt stands."""

    OWNED = "owned"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, and what it is doing."""

    fraction: float = 0.0
    step: str = ""


def enqueue(  # noqa: PLR0913 - a job has this many sides, all but two with a default
    function: str,
    arguments: dict[str, Any],
    *,
    label: str,
    owner: User | None,
    priority: int = 0,
    needs: Sequence[Job] = (),
    dedupe_key: str | None = None,
    not_before: datetime | None = None,
) -> Job:
    """Record a job; it starts once the transaction is on disk and every need is done.

    `function` is named by string, ``module.function`` below `app.jobs`, so that no service
    imports a job. With `dedupe_key`, an open job of that key is returned instead of a second.
    """
    if not _DOTTED.fullmatch(function):
        raise ValueError(f"{function!r} does not name a function below app.jobs")
    json.dumps(arguments, allow_nan=False)  # NaN in a JSON column breaks every later query of it
    job = Job(
        function=function,
        arguments=arguments,
        label=label,
        owner_id=owner and owner.id,
        priority=priority,
        dedupe_key=dedupe_key,
        not_before=not_before,
        needs=[JobNeed(needs_id=needed) for needed in {need.id for need in needs}],
    )
    with transaction():
        return _add(job) if dedupe_key is None else _add_or_join(job, dedupe_key)


def _add(job: Job) -> Job:
    db.session.add(job)
    db.session.flush()
    events.publish("job", job=job.id, state=job.state)
    after_commit(courier.wake)
    return job


def _add_or_join(job: Job, dedupe_key: str) -> Job:
    same = select(Job).where(Job.dedupe_key == dedupe_key, Job.state.in_(OPEN_STATES))
    if (known := db.session.scalar(same)) is not None:
        return known
    db.session.flush()
    try:
        with db.session.begin_nested():
            return _add(job)
    except IntegrityError:  # PostgreSQL: another transaction queued it at this very moment
        return db.session.scalars(same).one()


def cancel(job_id: int, *, by: User) -> Job:
    """Cancel a job `by` may see: at once where it waits, as soon as it stops where it runs.

    Raises
    ------
    NotFoundError
        If there is no such job, or none this user may see.
    ConflictError
        If it has already ended.
    """
    with transaction():
        mine = access.visible_to(by, Job).where(Job.id == job_id).with_for_update()
        job: Job | None = db.session.scalar(mine)
        if job is None:
            raise NotFoundError(f"there is no job {job_id}")
        if job.state not in OPEN_STATES:
            raise ConflictError(f"job {job_id} is already {job.state}")
        _request_cancel(job, by)
    return job


def _request_cancel(job: Job, by: User) -> None:
    reason = f"cancelled by {by.username}"
    if job.state == JobState.RUNNING:
        job.cancel_requested = True
        job.dedupe_key = None  # who asks for the same now wants it done
        job.error = reason
        events.publish("job", job=job.id, state=job.state)
        after_commit(courier.wake)
    else:
        _end(job, JobState.CANCELLED, reason)


def cancel_all_queued(by: User) -> int:
    """Cancel every job `by` may see that has not started; return how many."""
    with transaction():
        waiting = access.visible_to(by, Job).where(
            Job.state.in_((JobState.QUEUED, JobState.DISPATCHED))
        )
        found = db.session.scalars(waiting.with_for_update()).all()
        for job in found:
            _request_cancel(job, by)
    return len(found)


def log_path(job_id: int) -> Path:
    """Return the file a job's log goes to."""
    return paths.current().job_logs / f"job-{job_id:06d}.log"


def claim(delivery: Delivery, *, worker: str, lease_s: float) -> Job | None:
    """Start a delivered job; None where the delivery is stale and there is nothing to do."""
    now = utcnow()
    with transaction():
        started = _move(
            delivery,
            JobState.DISPATCHED,
            state=JobState.RUNNING,
            starts=Job.starts + 1,
            worker=worker,
            started_at=now,
            lease_until=now + timedelta(seconds=lease_s),
            progress=0.0,
            step="",
            error=None,
        )
        if not started:
            return None
        return db.session.get_one(Job, delivery.job_id, populate_existing=True)


def standing(delivery: Delivery) -> Standing:
    """Return whether this attempt still owns its job."""
    row = db.session.execute(
        select(Job.cancel_requested).where(
            Job.id == delivery.job_id,
            Job.attempt == delivery.attempt,
            Job.state == JobState.RUNNING,
        )
    ).one_or_none()
    if row is None:
        return Standing.LOST
    return Standing.CANCELLED if row.cancel_requested else Standing.OWNED


def renew(delivery: Delivery, *, lease_s: float, progress: Progress | None = None) -> None:
    """Extend the lease of a running job, and show how far it is where that changed."""
    values: dict[str, Any] = {"lease_until": utcnow() + timedelta(seconds=lease_s)}
    if progress is not None:
        values.update(progress=progress.fraction, step=progress.step)
    with transaction():
        if _move(delivery, JobState.RUNNING, **values) and progress is not None:
            events.publish("job", job=delivery.job_id, state=JobState.RUNNING)


@contextmanager
def holding(delivery: Delivery, *, lease_s: float) -> Iterator[None]:
    """Open a transaction that commits only while this attempt owns its job."""
    with transaction():
        _own(delivery, lease_until=utcnow() + timedelta(seconds=lease_s))
        yield


@contextmanager
def finishing(delivery: Delivery, result: dict[str, Any] | None = None) -> Iterator[None]:
    """Open a transaction in which the job's results and its end are one."""
    with transaction():
        _own(
            delivery,
            state=JobState.DONE,
            finished_at=utcnow(),
            lease_until=None,
            progress=1.0,
            result=result or {},
        )
        yield
        events.publish("job", job=delivery.job_id, state=JobState.DONE)
        after_commit(courier.wake)


def put_off(delivery: Delivery, until: datetime, result: dict[str, Any]) -> None:
    """Queue a running job again for later, with what it has done so far; it was no failed start."""
    left = {"lease_until": None, "worker": None, "starts": Job.starts - 1, "result": result}
    with transaction():
        _own(delivery, state=JobState.QUEUED, not_before=until, **left)
        events.publish("job", job=delivery.job_id, state=JobState.QUEUED)


def fail(delivery: Delivery, error: str) -> None:
    """End a running job as failed, for a reason an observer can read."""
    _end_running(delivery, JobState.FAILED, error)


def stopped(delivery: Delivery) -> None:
    """End a running job whose cancelling has taken effect."""
    _end_running(delivery, JobState.CANCELLED, None)


def _end_running(delivery: Delivery, state: JobState, error: str | None) -> None:
    with transaction():
        job = _locked(delivery, JobState.RUNNING)
        if job is not None:
            _end(job, state, error or job.error)


def dispatch(room: int, *, timeout_s: int) -> Sequence[Delivery]:
    """Send the next jobs to the workers: the choice is committed first, a crash then repaired."""
    deliveries = choose(room)
    for delivery in deliveries:
        courier.send(delivery, timeout_s=timeout_s)
    return deliveries


def choose(room: int) -> Sequence[Delivery]:
    """Move at most `room` due jobs on to the workers, in fair turns."""
    if db.session.execute(turns.fair(1)).first() is None:
        return []  # most often; a look costs no write lock
    with transaction():
        chosen = [Delivery(row.id, row.attempt) for row in db.session.execute(turns.fair(room))]
        return [
            Delivery(delivery.job_id, delivery.attempt + 1)
            for delivery in chosen
            if _move(
                delivery,
                JobState.QUEUED,
                state=JobState.DISPATCHED,
                attempt=delivery.attempt + 1,
                dispatched_at=utcnow(),
            )
        ]


def take_back(
    delivery: Delivery, *, max_attempts: int, lease_over_at: datetime | None = None
) -> None:
    """Queue a lost job again; end it where it was cancelled or has been started too often.

    With `lease_over_at` only if its lease is over at that time, as seen under the row's lock: a
    worker may just have renewed it.
    """
    with transaction():
        job = _locked(delivery, *turns.HELD)
        if job is None or (lease_over_at and job.lease_until and job.lease_until > lease_over_at):
            return
        if job.cancel_requested:
            _end(job, JobState.CANCELLED, job.error)
        elif job.state == JobState.RUNNING and job.starts >= max_attempts:
            _end(job, JobState.FAILED, _poison(job))
        else:
            job.state = JobState.QUEUED
            job.lease_until = job.worker = None
            events.publish("job", job=job.id, state=job.state)
            log.warning("job %d was lost in attempt %d, queued again", job.id, job.attempt)


def _poison(job: Job) -> str:
    return (
        f"given up: the worker running this job died {counted(job.starts, 'time')} "
        f"(out of memory, killed, or the machine went down); last step: {job.step or 'start'}"
    )


def take_back_all(*, max_attempts: int, counts: bool) -> None:
    """Queue again whatever was under way, when it is known that no worker lives.

    Without `counts`, a start that an orderly stop cut short does not count against the job.
    """
    for delivery in [Delivery(job.id, job.attempt) for job in turns.under_way()]:
        if not counts:
            with transaction():
                _move(delivery, JobState.RUNNING, starts=Job.starts - 1)
        take_back(delivery, max_attempts=max_attempts)


def shorten_leases(lease_s: float) -> None:
    """Cut leases that end later than anyone can have been granted: the clock was set back."""
    limit = utcnow() + timedelta(seconds=lease_s)
    too_long = update(Job).where(
        Job.state == JobState.RUNNING, Job.lease_until > limit + timedelta(seconds=lease_s)
    )
    with transaction():
        db.session.execute(too_long.values(lease_until=limit))


def cancel_hopeless() -> int:
    """Cancel jobs that wait for one which failed or was cancelled; return how many."""
    if db.session.execute(turns.hopeless().limit(1)).first() is None:
        return 0
    with transaction():
        pairs = db.session.execute(turns.hopeless()).all()
        for job, need in pairs:
            was = "failed" if need.state == JobState.FAILED else "was cancelled"
            reason = f"not started: job {need.id} ({need.label}), which it needs, {was}"
            _end(job, JobState.CANCELLED, reason)
    return len({job.id for job, _ in pairs})


def prune(keep_days: int) -> int:
    """Forget jobs that ended more than `keep_days` ago, and their logs; return how many."""
    with transaction():
        ids = db.session.scalars(turns.past(utcnow() - timedelta(days=keep_days))).all()
        either = or_(JobNeed.job_id.in_(ids), JobNeed.needs_id.in_(ids))
        db.session.execute(delete(JobNeed).where(either))
        db.session.execute(delete(Job).where(Job.id.in_(ids)))
    for job_id in ids:
        log_path(job_id).unlink(missing_ok=True)
    return len(ids)


def _move(delivery: Delivery, *states: JobState, **values: Any) -> bool:  # noqa: ANN401 - columns
    """Change the row if it is in one of `states` and still at this attempt; tell if it was."""
    guarded = update(Job).where(
        Job.id == delivery.job_id, Job.attempt == delivery.attempt, Job.state.in_(states)
    )
    outcome = db.session.execute(guarded.values(**values))
    return isinstance(outcome, CursorResult) and outcome.rowcount == 1


def _own(delivery: Delivery, **values: Any) -> None:  # noqa: ANN401 - columns
    """Change the row this attempt owns, and hold its lock until the transaction ends."""
    if not _move(delivery, JobState.RUNNING, **values):
        raise LeaseLostError(f"job {delivery.job_id}: attempt {delivery.attempt} is not wanted")
    if db.session.scalar(select(Job.cancel_requested).where(Job.id == delivery.job_id)):
        raise JobCancelledError(f"job {delivery.job_id} was cancelled")


def _locked(delivery: Delivery, *states: JobState) -> Job | None:
    return db.session.scalar(
        select(Job)
        .where(Job.id == delivery.job_id, Job.attempt == delivery.attempt, Job.state.in_(states))
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _end(job: Job, state: JobState, error: str | None) -> None:
    job.state = state
    job.error = error
    job.finished_at = utcnow()
    job.lease_until = None
    events.publish("job", job=job.id, state=state)
    after_commit(courier.wake)
