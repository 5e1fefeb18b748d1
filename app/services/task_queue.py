"""The queue as task clients know it: several entries a task, though one job stands behind them.

Each step has four entries (state set, step run, result looked at, next one let go), and a last
one ends them all; their places are computed from the step the task is at. An entry is known as
``<job>-<place>``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from app.db import db, transaction, utcnow
from app.errors import NotAllowedError
from app.models import OPEN_STATES, Job, JobState, Task, TaskStep, User
from app.services import access, jobs, operations, task_runs

PER_STEP: Final = 4
_RUNS: Final = 2  # the entry of the four that does the work
_OWN_NAME: Final = {step: f"task_{state}" for step, state in task_runs.STATE_OF.items()}
STAFF_ONLY: Final = "Staff access required"
NOT_YOURS: Final = "No permission to terminate this task"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the queue; without a task it is other work of the house."""

    id: str
    name: str
    state: str  # active, pending or scheduled
    started_at: datetime | None
    task: Task | None = None
    place: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How one entry stands."""

    id: str
    state: str  # PENDING, STARTED, SUCCESS, FAILURE or REVOKED
    task: Task | None = None
    place: int = 0
    total: int = 0

    @property
    def is_ready(self) -> bool:
        """Tell whether it is over."""
        return self.state not in {"PENDING", "STARTED"}


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of ending an entry."""

    n_entries: int
    task: Task | None = None


def chain_id(task: Task) -> str | None:
    """Return the name of the last entry of what runs on a task, None where nothing does."""
    job = task_runs.open_job(task)
    return None if job is None else f"{job.id}-{_total(job)}"


def entries(user: User) -> Sequence[Entry]:
    """Return what waits or runs and `user` may see, in the order it runs."""
    open_jobs = operations.queued(user)
    tasks = _tasks_of(user, open_jobs)
    return [_entry(job, tasks.get(job.id)) for job in open_jobs]


def standing(user: User, entry_id: str) -> Standing:
    """Return how an entry stands; one nobody knows, or `user` may not see, just waits."""
    job, place = _found(user, entry_id)
    if job is None:
        return Standing(entry_id, "PENDING")
    task = _tasks_of(user, [job]).get(job.id)
    total = _total(job)
    place = place or total
    state = _state(job, task, place)
    if task is None or job.state not in OPEN_STATES:
        return Standing(entry_id, state)
    return Standing(entry_id, state, task, place, total)


def terminate(user: User, entry_id: str) -> Ended:
    """End what an entry stands for: staff anything, others what works on a task they see.

    Raises
    ------
    NotAllowedError
        If it is not theirs to end.
    """
    job_id, _ = _parts(entry_id)
    task = db.session.scalar(select(Task).where(Task.job_id == job_id)) if job_id else None
    if task is None:
        return _terminate_other(user, job_id)
    seen = access.visible_to(user, Task).where(Task.id == task.id)
    if db.session.scalar(seen) is None:
        raise NotAllowedError(NOT_YOURS)
    n_entries = n_revoked(task)
    task_runs.cancel(task, by=user)
    return Ended(n_entries, task)


def n_revoked(task: Task) -> int:
    """Return how many entries cancelling a task ends: those of steps not done, and the chain's."""
    job = task_runs.open_job(task)
    if job is None:
        return 0
    return _total(job) - PER_STEP * _step_number(job, task) + 1


def _terminate_other(user: User, job_id: int | None) -> Ended:
    if not access.is_staff(user):
        raise NotAllowedError(STAFF_ONLY)
    with transaction():
        job = db.session.get(Job, job_id) if job_id else None
        if job is not None and job.state in OPEN_STATES:
            jobs.cancel(job.id, by=user)
    return Ended(1)


def _parts(entry_id: str) -> tuple[int | None, int]:
    """Return job and place an entry's name is made of; None where it is no such name."""
    job_id, _, place = entry_id.partition("-")
    if not (job_id.isdecimal() and len(job_id) < 18 and job_id.isascii()):
        return None, 0
    number = int(place) if place.isascii() and place.isdecimal() and len(place) < 6 else 0
    return int(job_id), number


def _found(user: User, entry_id: str) -> tuple[Job | None, int]:
    job_id, place = _parts(entry_id)
    if job_id is None:
        return None, 0
    found: Job | None = db.session.scalar(access.visible_to(user, Job).where(Job.id == job_id))
    return found, place


def _tasks_of(user: User, found: Sequence[Job]) -> dict[int, Task]:
    """Return the tasks some jobs work on, of those `user` may see."""
    ids = [job.id for job in found if job.function == task_runs.PROCESS]
    seen = access.visible_to(user, Task).where(Task.job_id.in_(ids))
    return {task.job_id: task for task in db.session.scalars(seen) if task.job_id is not None}


def _steps(job: Job) -> list[str]:
    return list(job.arguments.get("steps", ()))


def _total(job: Job) -> int:
    return PER_STEP * len(_steps(job)) + 1


def _step_number(job: Job, task: Task) -> int:
    """Return which of a job's steps its task is at, from 0."""
    running = [task_runs.STATE_OF[TaskStep(step)] for step in _steps(job)]
    base = task.state.removesuffix("_done").removesuffix("_failed")
    return running.index(base) if base in running else 0


def _entry(job: Job, task: Task | None) -> Entry:
    if task is None:
        is_of_task = job.function == task_runs.PROCESS
        name = "task" if is_of_task else job.function.rpartition(".")[2]
        return Entry(str(job.id), name, _waiting(job), job.started_at)
    at = _step_number(job, task)
    is_active = job.state == JobState.RUNNING
    place = PER_STEP * at + (_RUNS if is_active else 1)
    name = _OWN_NAME[TaskStep(_steps(job)[at])]
    total = _total(job)
    return Entry(f"{job.id}-{place}", name, _waiting(job), job.started_at, task, place, total)


def _waiting(job: Job) -> str:
    if job.state == JobState.RUNNING:
        return "active"
    is_later = job.not_before is not None and job.not_before > utcnow()
    return "scheduled" if is_later else "pending"


def _state(job: Job, task: Task | None, place: int) -> str:
    if job.state == JobState.DONE:
        return "SUCCESS"
    if job.state == JobState.FAILED:
        return "FAILURE"
    if job.state == JobState.CANCELLED or job.cancel_requested:
        return "REVOKED"
    if job.state != JobState.RUNNING:
        return "PENDING"
    if task is None:
        return "STARTED"
    now = PER_STEP * _step_number(job, task) + _RUNS
    return "SUCCESS" if place < now else "STARTED" if place == now else "PENDING"
