"""What runs on tasks: their steps queued as one job, cancelled, and what their states say."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select, or_, select

from app.db import db, transaction, utcnow
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import OPEN_STATES, Job, JobState, Task, TaskStep, User
from app.services import audit, events, jobs, task_config, task_files, task_filters
from app.services.texts import storable
from reduction.oneimage import options

PROCESS: Final = "tasks.process_task"
NOT_RUNNING: Final = "Task is not running"
MOST_STEPS: Final = 20

# What a task is called while a step runs; behind it comes _done or _failed.
STATE_OF: Final[Mapping[TaskStep, str]] = {
    TaskStep.STACK: "stacking",
    TaskStep.INSPECT: "inspect",
    TaskStep.PHOTOMETRY: "photometry",
    TaskStep.SIMPLE_TRANSIENTS: "transients_simple",
    TaskStep.SUBTRACTION: "subtraction",
    TaskStep.CLEANUP: "cleanup",
}
_OPTIONS: Final[Mapping[TaskStep, Callable[[Mapping[str, Any]], object]]] = {
    TaskStep.STACK: options.stack_options,
    TaskStep.INSPECT: options.inspect_options,
    TaskStep.PHOTOMETRY: options.photometry_options,
}
_LOOKING: Final = frozenset({TaskStep.INSPECT, TaskStep.PHOTOMETRY})  # which need a filter
COMING: Final = frozenset({TaskStep.SIMPLE_TRANSIENTS, TaskStep.SUBTRACTION})


def checked_steps(steps: Sequence[str]) -> list[TaskStep]:
    """Return the steps of these names.

    Raises
    ------
    InvalidRequestError
        If there are none or too many, one is unknown, or one is not there yet.
    """
    if not steps:
        raise InvalidRequestError("No steps provided")
    for name in steps:
        if name not in list(TaskStep):
            raise InvalidRequestError(f"Invalid step: {storable(str(name))[:80]}")
    if len(steps) > MOST_STEPS:
        raise InvalidRequestError(f"These are too many steps: {MOST_STEPS} are the most.")
    found = [TaskStep(name) for name in steps]
    coming = [step for step in found if step in COMING]
    if coming:
        there = ", ".join(step for step in TaskStep if step not in COMING)
        raise InvalidRequestError(
            f"The step {coming[0]} is not there yet: leave it out. These are: {there}."
        )
    return found


def process(
    task: Task, steps: Sequence[str], *, by: User, config: Mapping[str, Any] | None = None
) -> Job:
    """Queue the steps of a task, one after the other, with `config` put over what it has.

    Raises
    ------
    InvalidRequestError
        If a step or the configuration cannot be used.
    ConflictError
        If the task is being processed already.
    """
    wanted = checked_steps(steps)
    if _LOOKING.intersection(wanted):  # reads what catalogues there are: not in the transaction
        task_filters.check({**task.config, **(config or {})})
    with transaction():
        locked = locked_row(task)
        check_at_rest(locked)
        merged = task_config.checked(locked.config | dict(config or {}))
        _check_options(wanted, merged)
        named = ", ".join(wanted)
        job = jobs.enqueue(
            PROCESS,
            {"task_id": locked.id, "steps": [str(step) for step in wanted]},
            label=f"task {locked.id}: {named}",
            owner=by,
        )
        locked.config, locked.state, locked.job_id = merged, "running", job.id
        audit.note(by, "task processed", locked, named)
        tell(locked)
    return job


def _check_options(steps: Sequence[TaskStep], config: Mapping[str, Any]) -> None:
    """Refuse at once what a step would stop at, perhaps hours later in a long queue."""
    try:
        options.is_timed(config)
        for step in steps:
            if step in _OPTIONS:
                _OPTIONS[step](config)
    except options.BadOptionError as error:
        raise InvalidRequestError(str(error)) from error


def cancel(task: Task, *, by: User) -> Job:
    """Stop what runs on a task, and say so at once.

    Raises
    ------
    InvalidRequestError
        If nothing runs.
    """
    with transaction():
        locked = locked_row(task)
        job = open_job(locked)
        if job is None:
            raise InvalidRequestError(NOT_RUNNING)
        jobs.cancel(job.id, by=by)
        locked.state, locked.job_id, locked.completed_at = "cancelled", None, utcnow()
        audit.note(by, "task cancelled", locked)
        tell(locked)
    return job


def set_state(
    task: Task, state: str, *, config: Mapping[str, Any] | None = None, is_over: bool = False
) -> None:
    """Say how far a task is, in the transaction of its job; with `is_over` nothing runs any more.

    `config` takes the place of what it has. A task that is gone, or was cancelled, stays so.
    """
    with transaction():
        db.session.refresh(task, with_for_update=True)
        task.state = state
        if config is not None:
            task.config = dict(config)
        if is_over:
            task.job_id, task.completed_at = None, utcnow()
        task.modified_at = utcnow()
        tell(task)


def open_job(task: Task) -> Job | None:
    """Return the job that works on a task or waits to, None where nothing does."""
    if task.job_id is None:
        return None
    job = db.session.get(Job, task.job_id)
    return job if job is not None and job.state in OPEN_STATES else None


def asker(task: Task, owner_id: int | None) -> User:
    """Return whose steps run on a task: theirs are the rights by which other files are read.

    By the job that runs them: the task's own may be over meanwhile, or be somebody else's.
    """
    found = None if owner_id is None else db.session.get(User, owner_id)
    return found or task.owner


def check_at_rest(task: Task) -> None:
    """Refuse what cannot be done while a task is being processed.

    Raises
    ------
    ConflictError
        If it is.
    """
    if open_job(task) is not None:
        raise ConflictError(task_files.BUSY)


def settle() -> int:
    """Let go of jobs that ended without saying so: cancelled as they waited, or died too often."""
    if db.session.execute(_let_down().limit(1)).first() is None:
        return 0
    with transaction():
        found = db.session.execute(_let_down().with_for_update(of=Task)).all()
        for task, state in found:
            if state == JobState.CANCELLED:
                task.state = "cancelled"
            elif state != JobState.DONE:
                at_step = task.state in STATE_OF.values()
                task.state = f"{task.state}_failed" if at_step else "failed"
            task.job_id, task.completed_at = None, utcnow()
            tell(task)
    return len(found)


def _let_down() -> Select[Task, str]:
    """Return the tasks whose job is no longer open, with its state, None where it is forgotten."""
    return (
        select(Task, Job.state)
        .outerjoin(Job, Job.id == Task.job_id)
        .where(Task.job_id.is_not(None))
        .where(or_(Job.id.is_(None), Job.state.not_in(OPEN_STATES)))
    )


def locked_row(task: Task) -> Task:
    """Return the task as it is now, locked until the open transaction ends."""
    query = select(Task).where(Task.id == task.id).with_for_update(of=Task)
    found = db.session.scalar(query.execution_options(populate_existing=True))
    if found is None:
        raise NotFoundError("There is no such task.")
    return found


def tell(task: Task) -> None:
    """Record in the open transaction that a task changed, for pages that are open."""
    db.session.flush()
    events.publish("task", task=task.id, state=task.state)
