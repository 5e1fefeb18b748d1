"""Tasks: one image in steps, one after the other, and what each adds to its settings."""

import errno
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from app.db import db
from app.errors import AppError, NotFoundError
from app.jobs import task_outputs
from app.jobs.runner import JobContext
from app.jobs.task_inspect import inspect
from app.jobs.task_log import StepLog, step_log
from app.jobs.task_photometry import photometry
from app.jobs.task_stack import stack
from app.models import Task, TaskStep
from app.services import task_files, task_parameters, tasks
from reduction.errors import ReductionError
from reduction.oneimage.options import is_timed

Step = Callable[[Path, Mapping[str, Any], StepLog], dict[str, Any]]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FOOTPRINT: Final = ("field_ra", "field_dec", "field_sr")
# What photometry found; the files it rests on go when the image is looked at anew.
_MEASURED: Final = (
    *("zp", "zp_err", "mag_limit", "color_term", "aper_correction", "fwhm", "pixscale"),
    *_FOOTPRINT,
)
_WAIT_S: Final = 120.0  # for who still works in the folder: a file that is being stored, say


def process_task(context: JobContext) -> None:
    """Run the steps of a task, and finish the job; a step that fails is the last."""
    task = db.session.get(Task, context.arguments["task_id"])
    if task is None:
        raise NotFoundError("the task was deleted")
    steps = [TaskStep(step) for step in context.arguments["steps"]]
    gains: dict[str, Any] = {}
    with task_files.working(task, wait_s=_WAIT_S) as folder:
        for number, step in enumerate(steps):
            context.check()
            context.progress(number / len(steps), step)
            with context.checkpoint():
                config = _before(step, _merged(task, gains))
                tasks.set_state(task, tasks.STATE_OF[step], config=config)
            gains = _run(context, task, folder, step)
    state = f"{tasks.STATE_OF[steps[-1]]}_done"
    with context.finish({"steps": [str(step) for step in steps]}):
        tasks.set_state(task, state, config=_merged(task, gains), is_over=True)


def _merged(task: Task, gains: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's settings with what a step gave; without where it lies, if that went."""
    merged = task.config | dict(gains)
    gone = [name for name in _FOOTPRINT if merged.get(name, 0) is None]
    return {name: value for name, value in merged.items() if name not in gone}


def _before(step: TaskStep, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings a step begins with: without what was found in files that it removes."""
    if step == TaskStep.CLEANUP:  # which keeps what is known of the image
        return dict(config)
    return {name: value for name, value in config.items() if name not in _MEASURED}


def _run(context: JobContext, task: Task, folder: Path, step: TaskStep) -> dict[str, Any]:
    """Run one step and return what the task's settings gain; say so where it fails."""
    config = dict(task.config)
    task_outputs.clear(folder, step)
    path = folder / task_outputs.LOGS[step]
    with step_log(path, context.log, is_timed=bool(config.get("timing"))) as log:
        try:
            is_timed(config)
            for doubt in task_parameters.unknown(config):
                log.doubt(doubt)
            gains = _steps(context, task)[step](folder, config, log)
            context.look_again()
        except (ReductionError, AppError, MemoryError, OSError) as error:
            _tell_failure(context, task, step, log, _reason(error))
            raise
        log.say(f"{step} is done")
    return gains


def _steps(context: JobContext, task: Task) -> Mapping[TaskStep, Step]:
    """Return what does each step, with the rights of the job's owner where it reads frames."""
    by = tasks.asker(task, context.owner_id)
    return {
        TaskStep.STACK: partial(stack, task, by=by, check=context.check),
        TaskStep.INSPECT: partial(inspect, by),
        TaskStep.PHOTOMETRY: partial(photometry, by),
        TaskStep.CLEANUP: partial(_cleanup, task),
    }


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory for this image; the limit is server.worker_memory_mb"
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return "the disk is full: make room, then run the step again"
        return f"files of the task could not be read or written: {error.strerror or error}"
    return str(error)


def _tell_failure(
    context: JobContext, task: Task, step: TaskStep, log: StepLog, reason: str
) -> None:
    with suppress(OSError):  # a full disk takes no line either
        log.say(f"Error: {reason}")
    with context.checkpoint():
        tasks.set_state(task, f"{tasks.STATE_OF[step]}_failed", is_over=True)


def _cleanup(task: Task, folder: Path, config: Mapping[str, Any], log: StepLog) -> dict[str, Any]:
    """Remove everything but the image."""
    n = task_outputs.clear_all(folder)
    log.job.info("task %d: %d files and folders removed", task.id, n)
    return dict.fromkeys(name for name in _FOOTPRINT if name in config)
