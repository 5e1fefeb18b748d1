import os
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db
from app.errors import ConflictError, InvalidRequestError, NotFoundError, UnavailableError
from app.models import Task, User
from app.services import settings, task_files
from app.services.staging import Arrived
from tests.app.pages.taskrows import make_task, put
from tests.app.services.rawfiles import fits_bytes


@pytest.fixture
def task(app: Flask, observer: User) -> Task:
    return make_task(observer)


def arrived(tmp_path: Path, content: bytes = b"words") -> Arrived:
    path = tmp_path / "came"
    path.write_bytes(content)
    return Arrived("came", path, len(content))


def test_listing_has_files_and_folders_by_name_and_nothing_hidden(task: Task) -> None:
    for name in ("b.log", "targets/t.cutout", ".hidden", "a.png"):
        put(task, name, b"12345")

    found = task_files.listing(task)

    names = [(entry.path, entry.name, entry.is_dir) for entry in found]
    assert names == [
        ("a.png", "a.png", False),
        ("b.log", "b.log", False),
        ("image.fits", "image.fits", False),
        ("targets", "targets", True),
        ("targets/t.cutout", "t.cutout", False),
    ]
    assert found[1].size == 5


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "../2/image.fits",
        "..",
        "",
        "targets",
        ".lock",
        "targets/../.lock",
        "\0",
        "a" * 300,
    ],
)
def test_what_is_no_file_of_the_task_is_not_found(task: Task, name: str) -> None:
    put(task, "targets/t.cutout", b"x")
    put(task, ".lock", b"")

    with pytest.raises(NotFoundError, match="File not found"):
        task_files.locate(task, name)


def test_link_out_of_the_folder_leads_nowhere(task: Task, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (task_files.folder(task) / "link").symlink_to(tmp_path / "secret")

    with pytest.raises(NotFoundError):
        task_files.locate(task, "link")


def test_file_is_stored_below_folders_that_are_made(task: Task, tmp_path: Path) -> None:
    task_files.store(task, "sub/notes.txt", arrived(tmp_path))
    again = arrived(tmp_path, b"other words")

    path = task_files.store(task, "sub/notes.txt", again)

    assert path.read_bytes() == b"other words"
    assert [p.name for p in path.parent.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["../x", ".lock", "sub/.x", "", "targets"])
def test_name_no_file_can_have_is_refused(task: Task, tmp_path: Path, name: str) -> None:
    put(task, "targets/t.cutout", b"x")

    with pytest.raises(InvalidRequestError):
        task_files.store(task, name, arrived(tmp_path))


@pytest.mark.parametrize("name", ["image.fits/x.txt", "image.fits/deep/x.txt"])
def test_file_below_a_file_is_refused_without_the_servers_paths(
    task: Task, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        task_files.store(task, name, arrived(tmp_path))

    assert "would lie in a file" in refused.value.fields["file"]
    assert str(paths.current().tasks) not in refused.value.fields["file"]


def test_file_called_as_an_image_must_be_one(task: Task, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be used"):
        task_files.store(task, "custom_mask.fits", arrived(tmp_path))
    task_files.store(task, "custom_mask.fits", arrived(tmp_path, fits_bytes()))

    assert task_files.locate(task, "custom_mask.fits").is_file()


def test_nothing_is_stored_on_a_full_disk(task: Task, staff: User, tmp_path: Path) -> None:
    settings.change("disk", "reserve_mb", 10**9, by=staff)

    with pytest.raises(UnavailableError, match="is full"):
        task_files.store(task, "notes.txt", arrived(tmp_path))


def test_file_and_folder_are_removed(task: Task) -> None:
    put(task, "targets/t.cutout", b"x")
    put(task, "a.log", b"x")

    task_files.remove(task, "targets")
    task_files.remove(task, "a.log")

    assert [entry.path for entry in task_files.listing(task)] == ["image.fits"]
    for name in ("targets", "", ".", ".."):
        with pytest.raises(NotFoundError):
            task_files.remove(task, name)


def test_folder_that_is_at_work_is_left_alone(task: Task, tmp_path: Path) -> None:
    with task_files.working(task):
        with pytest.raises(ConflictError, match="Task is already being processed"):
            task_files.store(task, "notes.txt", arrived(tmp_path))
        with pytest.raises(ConflictError):
            task_files.remove(task, "image.fits")


def test_folders_of_tasks_that_are_gone_are_swept_and_no_others(task: Task) -> None:
    root = paths.current().tasks
    (root / "999").mkdir()
    (root / "notes").mkdir()
    for place in root.iterdir():
        os.utime(place, (1e9, 1e9))

    assert task_files.sweep() == 1
    assert sorted(p.name for p in root.iterdir()) == [str(task.id), "notes"]


def test_task_that_is_made_while_the_sweep_looks_keeps_its_folder(
    app: Flask, task: Task, observer: User
) -> None:
    root = paths.current().tasks
    db.session.scalars(select(Task.id)).all()  # a reading transaction is open
    elsewhere = Thread(target=_make_elsewhere, args=(app, observer.id))
    elsewhere.start()
    elsewhere.join()
    made = root / str(task.id + 1)
    os.utime(made, (1e9, 1e9))

    assert task_files.sweep() == 0

    assert made.is_dir()


def _make_elsewhere(application: Flask, owner_id: int) -> None:
    with application.app_context():
        owner = db.session.get(User, owner_id)
        assert owner is not None
        make_task(owner)


def test_folder_that_changed_lately_is_no_leftover(app: Flask) -> None:
    young = paths.current().tasks / "999"
    young.mkdir(parents=True)

    assert task_files.sweep() == 0

    assert young.is_dir()
