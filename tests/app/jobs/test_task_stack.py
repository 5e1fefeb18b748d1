"""Images of a task made of several: laid onto each other, combined, calibrated."""

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import sep
from astropy.io import fits
from flask import Flask

from app import paths
from app.db import db, transaction
from app.errors import ConflictError
from app.jobs import task_outputs, task_stack
from app.jobs.task_log import step_log
from app.models import Group, Proposal, Task, TaskStep, User
from app.services import access, settings, task_files, tasks
from tests.app.jobs.taskimages import load_stars, run, text_of, write_field
from tests.factories import make_frame, make_user
from tests.reduction.oneimage.skies import ZERO_POINT, Field, make_field


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


@pytest.fixture
def catalogue(app: Flask, rng: np.random.Generator) -> Field:
    field = make_field(rng, 100)
    load_stars(field)
    return field


@pytest.mark.parametrize(("method", "zero_point"), [
    ("sum", ZERO_POINT + 2.5 * np.log10(3)), ("clipped_mean", ZERO_POINT), ("median", ZERO_POINT),
])  # fmt: skip
def test_images_are_stacked_by_their_stars_and_calibrate(
    catalogue: Field, observer: User, tmp_path: Path, rng: np.random.Generator, method: str,
    zero_point: float,
) -> None:  # fmt: skip
    task = tasks.create(observer, source=None, original_name="stack", config={})
    folder = task_files.folder(task)
    shifts = [(0.0, 0.0), (4.4, -3.3), (-6.2, 2.5)]
    for number, shift in enumerate(shifts):
        # Only the first says rightly where it lies: the others are laid by their stars.
        write_field(catalogue, folder / f"{number}.fits", rng, has_place=number == 0, shift=shift)
    config = {
        "stack_filenames": [f"{number}.fits" for number in range(3)], "stack_method": method,
        "stack_mask_cosmics": True, "cat_name": "atlas",
    }  # fmt: skip

    run(task, "stack", by=observer, config=config)

    assert task.state == "stacking_done", text_of(task, "stack.log")
    with fits.open(folder / "image.fits", checksum=True) as hdus:
        assert hdus[0].header["NCOMBINE"] == 3
        assert hdus[0].header["EXPTIME"] == (180.0 if method == "sum" else 60.0)
        data = hdus[0].data.astype(np.float32)
    x, y = catalogue.x[:20], catalogue.y[:20]
    light, _, _ = sep.sum_circle(np.nan_to_num(data), x, y, 8.0, bkgann=(10.0, 14.0), subpix=0)
    zero_points = catalogue.mag[:20] + 2.5 * np.log10(light)
    assert np.median(zero_points) == pytest.approx(zero_point, abs=0.01)
    assert not list(folder.glob(".stack-*"))
    assert "laid by" in text_of(task, "stack.log")


@pytest.mark.usefixtures("members_only")
def test_a_member_of_a_tasks_group_has_no_frames_of_its_owner_stacked(
    app: Flask, observer: User, rng: np.random.Generator
) -> None:
    member = make_user("member")
    with transaction():
        proposal = Proposal(code="2026B-001", pi=observer)
        group = Group(name="team", members=[observer, member])
        db.session.add_all([proposal, group])
    frame = make_frame(path="RAW/hidden.fits", proposal_id=proposal.id)
    write_field(make_field(rng, 20), paths.current().locate(frame.path), rng)
    config = {"stack_filenames": [frame.path]}
    task = tasks.create(observer, source=None, original_name="stack", config={}, groups=["team"])

    run(task, "stack", by=member, config=config)
    of_member = text_of(task, "stack.log")
    run(task, "stack", by=observer, config=config)

    assert "there is no such file, or none you may see" in of_member
    assert "there is no such file" not in text_of(task, "stack.log")


@pytest.mark.parametrize(("names", "said"), [
    ([], "name 1 to 500 images as stack_filenames"),
    (["nowhere.fits"], "stack_filenames: nowhere.fits: there is no such file"),
    (["../../coelostat.db"], "there is no such file"),
])  # fmt: skip
def test_stacks_of_nothing_are_refused(
    app: Flask, observer: User, names: list[str], said: str
) -> None:
    task = tasks.create(observer, source=None, original_name="stack", config={})

    run(task, "stack", by=observer, config={"stack_filenames": names})

    assert task.state == "stacking_failed"
    assert said in text_of(task, "stack.log")


@pytest.mark.usefixtures("members_only")
def test_a_stack_of_a_hidden_frame_is_hidden_from_the_group_of_its_task(
    app: Flask, observer: User, rng: np.random.Generator
) -> None:
    member = make_user("member")
    with transaction():
        proposal = Proposal(code="2026B-001", pi=observer)
        db.session.add_all([proposal, Group(name="team", members=[observer, member])])
    frame = make_frame(path="RAW/hidden.fits", proposal_id=proposal.id)
    write_field(make_field(rng, 20), paths.current().locate(frame.path), rng)
    task = tasks.create(observer, source=None, original_name="stack", config={}, groups=["team"])

    def seen_by(user: User) -> bool:
        return db.session.scalar(access.visible_to(user, Task)) is not None

    before = seen_by(member)
    run(task, "stack", by=observer, config={"stack_filenames": ["data/RAW/hidden.fits"]})

    assert task.state == "stacking_done"
    assert (before, seen_by(member), seen_by(observer)) == (True, False, True)


def _of_two(observer: User, rng: np.random.Generator) -> tuple[Task, Path]:
    """Return a task with an image, the same as it came, and two more to be stacked."""
    task = tasks.create(observer, source=None, original_name="stack", config={})
    folder = task_files.folder(task)
    field = make_field(rng, 20)
    for name in ("0.fits", "1.fits"):
        write_field(field, folder / name, rng)
    for name in ("image.fits", "image.orig.fits"):
        (folder / name).write_bytes(name.encode())
    return task, folder


TWO = {"stack_filenames": ["0.fits", "1.fits"]}


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("place", "name"), [(task_stack, "put_fits"), (os, "posix_fallocate")])
def test_a_stack_that_finds_the_disk_full_says_so_and_leaves_the_image_and_its_original(
    app: Flask, observer: User, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch,
    place: object, name: str,
) -> None:  # fmt: skip
    task, folder = _of_two(observer, rng)
    monkeypatch.setattr(place, name, _full)

    run(task, "stack", by=observer, config=TWO)

    assert task.state == "stacking_failed"
    assert f"The disk of {folder} became full" in text_of(task, "stack.log")
    for kept in ("image.fits", "image.orig.fits"):
        assert (folder / kept).read_bytes() == kept.encode()
    assert not list(folder.glob(".stack-*"))


def test_a_stack_begins_only_where_the_disk_has_room_for_all_images(
    app: Flask, observer: User, staff: User, rng: np.random.Generator
) -> None:
    task, _ = _of_two(observer, rng)
    settings.change("disk", "reserve_mb", 10**9, by=staff)

    run(task, "stack", by=observer, config=TWO)

    assert task.state == "stacking_failed"
    assert "kept free (setting disk.reserve_mb)" in text_of(task, "stack.log")


def test_a_stack_ends_between_two_images_once_it_is_not_wanted(
    app: Flask, observer: User, rng: np.random.Generator
) -> None:
    task, folder = _of_two(observer, rng)

    def check() -> None:
        raise ConflictError("cancelled")

    with (
        step_log(folder / "stack.log", logging.getLogger(), is_timed=False) as log,
        pytest.raises(ConflictError),
    ):
        task_stack.stack(task, folder, TWO, log, by=observer, check=check)

    assert "0.fits: its pixels are the grid" in text_of(task, "stack.log")
    assert "1.fits: laid" not in text_of(task, "stack.log")
    assert not list(folder.glob(".stack-*"))


@pytest.mark.parametrize("step", [TaskStep.STACK, TaskStep.INSPECT, None])
def test_what_a_killed_stack_left_goes_with_the_next_step(
    tmp_path: Path, step: TaskStep | None
) -> None:
    (tmp_path / ".stack-a1b2").mkdir()
    for name in (".stack-a1b2/0", ".image.fits.0a1b.part", ".lock", "image.fits"):
        (tmp_path / name).write_bytes(b"x")

    if step is None:
        task_outputs.clear_all(tmp_path)
    else:
        task_outputs.clear(tmp_path, step)

    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "image.fits"]
