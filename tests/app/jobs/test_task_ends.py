"""How tasks end that do not run to their end: stopped, killed, out of disk; and what they leave."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask

from app import paths
from app.db import db
from app.jobs import (
    runner,
    task_forced,
    task_inspect,
    task_outputs,
    task_plots,
    task_stack,
)
from app.jobs import tasks as task_jobs
from app.models import Job, JobState, Task, TaskStep, User
from app.services import jobs, task_files, tasks
from tests.app.jobs.taskimages import load_stars, make_task, run, text_of, write_field
from tests.reduction.oneimage.skies import WCS, Field, make_field

# Of each step something that it calls well after its beginning and before its end.
MIDDLES = [
    ("stack", task_stack, "stacked"),
    ("inspect", task_inspect, "mask_of"),
    ("photometry", task_forced, "light_at"),
    ("cleanup", task_outputs, "_remove"),
]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


@pytest.fixture
def task(app: Flask, observer: User, rng: np.random.Generator, tmp_path: Path) -> Task:
    """A task of an image with a target, and two more images it may be stacked of."""
    field = make_field(rng, 60)
    load_stars(field)
    image = write_field(field, tmp_path / "image.fits", rng)
    made = make_task(observer, image, {"target": target_of(field), "timing": False}, tmp_path)
    for name in ("a.fits", "b.fits"):
        write_field(field, task_files.folder(made) / name, rng)
    return made


def target_of(field: Field) -> str:
    ra, dec = WCS.sky(field.x[:1], field.y[:1])
    return f"{ra[0]:.7f} {dec[0]:+.7f}"


def in_the_middle(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], None]
) -> None:
    """Have something done when a step calls one of its functions for the first time."""
    real, done = getattr(module, name), list[bool]()

    def called(*args: Any, **how: Any) -> Any:
        if not done:
            done.append(True)
            act()
        return real(*args, **how)

    monkeypatch.setattr(module, name, called)


def config_of(step: str) -> dict[str, Any]:
    return {"stack_filenames": ["a.fits", "b.fits"]} if step == "stack" else {}


def hidden(task: Task) -> list[str]:
    """Return what lies in a task's folder that nobody is shown."""
    return sorted(path.name for path in task_files.folder(task).rglob(".*"))


@pytest.mark.parametrize(("step", "module", "name"), MIDDLES)
def test_a_step_stopped_in_its_middle_is_cancelled_and_can_be_run_again(
    task: Task, observer: User, monkeypatch: pytest.MonkeyPatch, step: str, module: Any, name: str
) -> None:
    def stop() -> None:
        tasks.cancel(task, by=observer)

    in_the_middle(monkeypatch, module, name, stop)
    before = dict(task.config) | config_of(step)

    job = run(task, step, "inspect", by=observer, config=config_of(step))

    assert (job.state, task.state, task.job_id) == (JobState.CANCELLED, "cancelled", None)
    assert task.config == before
    assert task.completed_at is not None
    again = run(task, step, by=observer)
    assert again.state == JobState.DONE, again.error
    assert hidden(task) == [".lock"]


@pytest.mark.parametrize(("step", "module", "name"), MIDDLES)
def test_a_step_whose_worker_dies_is_done_by_the_next_one_and_leaves_nothing_half_done(
    task: Task, observer: User, monkeypatch: pytest.MonkeyPatch, step: str, module: Any, name: str
) -> None:
    folder = task_files.folder(task)

    def die() -> None:
        (folder / ".objects.parquet.0a1b.part").write_bytes(b"half")
        raise SystemExit

    in_the_middle(monkeypatch, module, name, die)
    with pytest.raises(SystemExit):
        run(task, step, by=observer, config=config_of(step))
    db.session.rollback()

    jobs.take_back_all(max_attempts=3, counts=True)  # as the dispatcher does when it is gone
    runner.work_off()

    db.session.expire_all()
    job = db.session.get_one(Job, 1)
    assert (job.state, job.starts) == (JobState.DONE, 2), job.error
    assert task.state == f"{tasks.STATE_OF[TaskStep(step)]}_done"
    assert hidden(task) == [".lock"]


def test_a_task_that_kills_its_workers_is_given_up_and_says_so(
    task: Task, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_args: object) -> None:
        raise SystemExit

    monkeypatch.setattr(task_jobs, "photometry", die)
    tasks.process(task, ["photometry"], by=observer)
    for _ in range(2):
        with pytest.raises(SystemExit):
            runner.work_off()
        db.session.rollback()
        jobs.take_back_all(max_attempts=2, counts=True)

    found = tasks.get(observer, task.id)

    assert (found.state, found.job_id) == ("photometry_failed", None)
    error = db.session.get_one(Job, 1).error
    assert error is not None
    assert "the worker running this job died 2 times" in error
    assert run(task, "inspect", by=observer).state == JobState.DONE


def test_a_full_disk_is_said_and_keeps_what_was_there(
    task: Task, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "objects.png")

    run(task, "inspect", by=observer)
    monkeypatch.setattr(task_plots, "of_objects", full)

    job = run(task, "photometry", by=observer)

    assert (job.state, task.state, task.job_id) == ("failed", "photometry_failed", None)
    last = text_of(task, "photometry.log").splitlines()[-1]
    assert last == "Error: the disk is full: make room, then run the step again"
    assert (task_files.folder(task) / "mask.fits").is_file()
    assert hidden(task) == [".lock"]


def test_a_file_that_cannot_be_read_is_said(task: Task, observer: User) -> None:
    mask = task_files.folder(task) / "custom_mask.fits"
    mask.write_bytes(b"SIMPLE  =                    T")

    run(task, "inspect", by=observer)

    assert task.state == "inspect_failed"
    last = text_of(task, "inspect.log").splitlines()[-1]
    assert last.startswith("Error: custom_mask.fits cannot be used: The file ends within a header")


def test_cleanup_of_a_stacked_task_leaves_its_image_alone(task: Task, observer: User) -> None:
    run(task, "stack", "inspect", "photometry", "cleanup", by=observer, config=config_of("stack"))

    assert task.state == "cleanup_done"
    assert [entry.path for entry in task_files.listing(task)] == ["image.fits"]
    assert not list(paths.current().tasks.rglob(".stack-*"))


@pytest.mark.parametrize(("planes", "said"), [
    ([("", (48, 64, 64))], "Warning: image.fits is a stack of 48 planes: the first one is taken"),
    ([("", (64, 64)), ("TWO", (64, 64))], "Warning: image.fits holds 2 images: the first is taken"),
    ([("", (64, 64))], None),
])  # fmt: skip
def test_which_image_of_several_is_worked_on_is_said(
    app: Flask,
    observer: User,
    tmp_path: Path,
    planes: list[tuple[str, tuple[int, ...]]],
    said: str | None,
) -> None:
    from astropy.io import fits

    rng = np.random.default_rng(1)
    hdus: list[Any] = [fits.PrimaryHDU(rng.normal(100, 5, planes[0][1]).astype(np.float32))]
    for name, shape in planes[1:]:
        hdus.append(fits.ImageHDU(rng.normal(100, 5, shape).astype(np.float32), name=name))
    path = tmp_path / "many.fits"
    fits.HDUList(hdus).writeto(path)
    task = make_task(observer, path, {}, tmp_path)

    run(task, "inspect", by=observer)

    assert task.state == "inspect_done"
    log = text_of(task, "inspect.log")
    assert said in log if said else "is taken" not in log
