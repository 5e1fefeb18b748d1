"""Deleting frames: a crash at any point leaves either everything or nothing, in the end."""

import json
import os
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from app import paths
from app.db import db, transaction
from app.errors import ConflictError
from app.models import Frame, FrameParent, Job, JobState, SuperflatLink, User
from app.services import blocks, deletion, leftovers
from tests.app.api.goodman.test_changes import is_there, reduced
from tests.factories import make_block, make_camera, make_frame


class PowerCutError(BaseException):
    """The machine stops here."""


def cut(*_: object, **__: object) -> None:
    raise PowerCutError


def stones() -> list[Path]:
    return sorted((paths.current().data / ".deleted").iterdir())


def let_rest() -> None:
    """Let what was written down look as if it had been there for long."""
    for stone in stones():
        os.utime(stone, (1e9, 1e9))


def test_power_cut_after_the_rows_went_leaves_files_that_are_swept(
    app: Flask, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, product, _ = reduced()
    frame_id, files = product.id, [product.path, str(product.thumb)]
    data = paths.current().data
    with monkeypatch.context() as patched, pytest.raises(PowerCutError):
        patched.setattr(deletion, "_remove", cut)
        deletion.delete(staff, [frame_id])
    assert not is_there(frame_id)
    assert all((data / path).exists() for path in files)

    assert leftovers.sweep() == 0  # perhaps still at work
    let_rest()
    assert leftovers.sweep() == 1

    assert not any((data / path).exists() for path in files)
    assert stones() == []


def test_power_cut_before_the_rows_went_leaves_everything(
    app: Flask, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, product, block = reduced()
    monkeypatch.setattr(Path, "unlink", cut)  # nothing is tidied up after a power cut
    monkeypatch.setattr(deletion, "_forget", cut)

    with pytest.raises(PowerCutError):
        deletion.delete(staff, [product.id])
    monkeypatch.undo()
    let_rest()
    leftovers.sweep()

    assert is_there(product.id)
    assert (paths.current().data / product.path).exists()
    assert block.entries[0].product_id == product.id
    assert stones() == []


def test_file_that_was_made_anew_is_not_swept(
    app: Flask, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, product, _ = reduced()
    path = paths.current().data / product.path
    with monkeypatch.context() as patched, pytest.raises(PowerCutError):
        patched.setattr(deletion, "_remove", cut)
        deletion.delete(staff, [product.id])
    path.write_bytes(b"reduced again")
    os.utime(path, ns=(1, 1))
    let_rest()

    leftovers.sweep()

    assert path.read_bytes() == b"reduced again"


def test_frame_that_is_linked_to_a_superflat_goes_with_its_link(app: Flask, staff: User) -> None:
    _, product, _ = reduced()
    superflat = make_block("fringe")
    with transaction():
        db.session.add(SuperflatLink(frame_id=product.id, block_id=superflat.id))

    deletion.delete(staff, [product.id])

    assert not is_there(product.id)
    assert db.session.scalars(select(SuperflatLink)).all() == []


def test_file_another_frame_is_in_stays(app: Flask, staff: User) -> None:
    _, first, _ = reduced()
    second = make_frame(level=2, path=first.path, part=1)
    path = paths.current().data / first.path

    deletion.delete(staff, [first.id])
    assert path.exists()
    deletion.delete(staff, [second.id])
    assert not path.exists()


def test_what_was_written_down_only_half_does_not_stop_the_sweep(app: Flask, staff: User) -> None:
    folder = paths.current().data / ".deleted"
    folder.mkdir()
    for name, content in (("a", ""), ("b", "[]"), ("c", json.dumps({"frames": ["x"]}))):
        (folder / f"{name}.json").write_text(content)
    let_rest()

    leftovers.sweep()

    assert stones() == []


@pytest.mark.parametrize("state", [JobState.DISPATCHED, JobState.RUNNING])
def test_frame_whose_block_is_at_work_stays_until_that_is_over(
    app: Flask, staff: User, state: JobState
) -> None:
    _, product, block = reduced()
    job = blocks.process(block, owner=staff)
    with transaction():
        job.state = state

    with pytest.raises(ConflictError, match=f"job {job.id}"):
        deletion.delete(staff, [product.id])

    with transaction():
        job.state = JobState.DONE
    assert deletion.delete(staff, [product.id]).frame_ids


def test_block_that_only_waits_is_no_hindrance(app: Flask, staff: User) -> None:
    _, product, block = reduced()
    blocks.process(block, owner=staff)

    assert deletion.delete(staff, [product.id]).block_ids == [block.id]


def test_master_a_running_job_of_its_camera_may_have_open_stays(app: Flask, staff: User) -> None:
    camera = make_camera()
    master = make_frame("bias", level=1, path="MASTERS/b.fits", camera_id=camera.id)
    block = make_block("sci", [make_frame(camera_id=camera.id)], camera_id=camera.id)
    job = blocks.process(block, owner=staff)
    with transaction():
        job.state = JobState.RUNNING

    with pytest.raises(ConflictError, match="being processed"):
        deletion.delete(staff, [master.id])

    assert db.session.scalar(select(func.count()).select_from(Job)) == 1


def test_master_and_what_was_made_with_it_go_together(app: Flask, staff: User) -> None:
    master = make_frame("bias", level=1, path="MASTERS/b.fits")
    _, product, _ = reduced()
    with transaction():
        db.session.add(FrameParent(child_id=product.id, parent_id=master.id, role="bias"))
    ids = [master.id, product.id]

    deletion.delete(staff, ids)

    db.session.rollback()
    assert db.session.scalars(select(Frame.id).where(Frame.id.in_(ids))).all() == []
    assert db.session.scalars(select(FrameParent)).all() == []
