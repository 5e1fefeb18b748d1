"""What a worker does with blocks, groups of blocks and plans."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.jobs import runner, storing
from app.models import Block, Frame, Job, JobState, Level, User
from app.services import blocks, jobs, plan, settings
from app.services.reduction_status import MASKS
from tests.app.jobs.blockruns import FLAT, NIGHT, SCI, make, register, run
from tests.app.jobs.simnight import SHAPE

pytestmark = pytest.mark.usefixtures("no_settling")


def test_a_job_that_was_taken_from_its_worker_leaves_no_row(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    job = blocks.process(block, owner=None)
    placed = storing.placed

    def robbed(*args: Any) -> Any:
        with transaction():
            db.session.get_one(Job, job.id).attempt += 1
        return placed(*args)

    monkeypatch.setattr(storing, "placed", robbed)
    (delivery,) = jobs.choose(1)
    runner.run(delivery.job_id, delivery.attempt)

    assert all(entry.product is None for entry in block.entries)
    assert block.status == 0


def test_an_all_band_block_is_done_when_its_blocks_are() -> None:
    register("flat", count=3)
    register("flat", count=3, cards={"FILTER": "g"})
    group = blocks.create_group(FLAT, NIGHT, NIGHT, owner=None)

    job = run(group)

    assert job.state == JobState.DONE, job.error
    assert group.status == 1
    assert [child.status for child in group.children] == [1, 1]
    assert {child.master.band for child in group.children if child.master} == {"r", "g"}


def test_a_night_plans_and_reduces_itself_from_the_scan_on(staff: User) -> None:
    settings.change("plan", "automatic", "true", by=staff)
    register("bias", "dark", "flat", count=3)
    register("science", count=2)

    plan.after_scan({NIGHT})
    runner.work_off()

    ended = db.session.scalars(select(Job)).all()
    assert {job.state for job in ended} == {JobState.DONE}, [job.error for job in ended]
    reduced = db.session.scalars(select(Frame).where(Frame.level == Level.REDUCED)).all()
    assert [frame.status for frame in reduced] == [MASKS, MASKS]
    assert plan.auto() is None


def test_a_night_whose_bias_is_spoilt_is_reduced_without_it_and_says_so() -> None:
    register("bias", count=2)
    register("science", count=1)
    for path in (paths.current().raw / "2026-11-20").glob("bias*"):
        path.unlink()

    queued = plan.process(NIGHT, None)
    runner.work_off()

    states = {job.label.split()[0]: job.state for job in queued}
    assert states == {"bias": JobState.FAILED, "sci": JobState.DONE}
    reduced = db.session.scalars(select(Frame).where(Frame.level == Level.REDUCED)).one()
    assert any(said.startswith("no bias") for said in reduced.missing)


def test_an_all_band_block_is_not_done_while_one_of_its_blocks_is_not() -> None:
    register("flat", count=2)
    register("flat", count=2, cards={"FILTER": "g"}, data=np.full(SHAPE, 100.0))
    group = blocks.create_group(FLAT, NIGHT, NIGHT, owner=None)

    job = blocks.process(group, owner=None)
    runner.work_off()
    jobs.cancel_hopeless()

    db.session.refresh(job)
    assert job.state == JobState.CANCELLED
    assert "which it needs, failed" in str(job.error)
    assert group.status == 0
