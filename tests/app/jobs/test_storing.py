"""Products on a disk that has room, and on one that has none."""

import errno
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import paths
from app.jobs import storing
from app.jobs.runner import JobContext
from app.models import Block, BlockKind, JobState, User
from app.services import frames, jobs, settings
from app.services.courier import Delivery
from app.services.jobs import LeaseLostError
from reduction import fitsio
from reduction.image import Image
from tests.app.jobs.blockruns import BIAS, SCI, done, file_of, make, product, run

pytestmark = pytest.mark.usefixtures("no_settling")


def test_with_too_little_room_the_job_fails_before_it_writes(
    staff: User, calibrated: dict[str, Block]
) -> None:
    settings.change("disk", "reserve_mb", 10**9, by=staff)
    block = make(SCI)

    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert "the disk is full" in job.error
    assert "disk.reserve_mb" in job.error
    assert not (paths.current().data / "PROCESSED").exists()

    settings.change("disk", "reserve_mb", 1, by=staff)
    assert run(block).state == JobState.DONE


def test_a_disk_that_fills_up_in_between_leaves_whole_files_and_the_run_goes_on_later(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    stage_product = fitsio.stage_product
    written: list[Path] = []

    def full_after_one(path: Path, *args: Any, **kwargs: Any) -> Any:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        return stage_product(path, *args, **kwargs)

    monkeypatch.setattr(fitsio, "stage_product", full_after_one)
    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert "is full: make room and process again" in job.error
    assert list((paths.current().data / "PROCESSED").rglob("*.fits")) == written
    assert [entry.product is not None for entry in block.entries].count(True) == 1

    monkeypatch.setattr(fitsio, "stage_product", stage_product)
    result = run(block).result
    assert (result["reduced"], result["unchanged"], result["left_out"]) == (1, 1, {})


def test_a_worker_whose_job_was_given_to_another_replaces_no_product(
    calibrated: dict[str, Block],
) -> None:
    job = run(make(SCI))
    late = JobContext(
        delivery=Delivery(job.id, job.attempt - 1),
        arguments={},
        owner_id=None,
        settings=settings.snapshot(),
        paths=paths.current(),
        log=logging.getLogger(__name__),
    )
    plane = np.zeros((4, 5), dtype=np.float32)
    image = Image(plane, plane, plane.astype(np.uint16), "adu")

    prepared = storing.prepare(late.paths, "PROCESSED/r/late.fits", image, ((), ()))

    with (
        pytest.raises(LeaseLostError),
        storing.placed(late, prepared, late.checkpoint()),
    ):
        pass

    assert list((paths.current().data / "PROCESSED" / "r").glob("*late*")) == []
    assert list((paths.current().data / "PROCESSED" / "r").glob(".*")) == []


@pytest.mark.parametrize("kind", [BIAS, SCI])
def test_a_job_cancelled_when_its_product_is_whole_leaves_the_one_there_was(
    staff: User, calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch, kind: BlockKind
) -> None:
    block = done(SCI) if kind == SCI else calibrated["bias"]
    frames.toggle_valid(calibrated["bias"].entries[0].frame)
    if kind == SCI:
        run(calibrated["bias"])
    before = block.master or product(block)
    said, folder = before.content_sha256, file_of(before).parent
    files = sorted(path.name for path in folder.iterdir())
    placed = storing.placed
    offered: list[str] = []

    def cancelled(context: JobContext, prepared: storing.Prepared, rows: Any) -> Any:
        offered.append(prepared.written.sha256)
        jobs.cancel(context.job_id, by=staff)
        return placed(context, prepared, rows)

    monkeypatch.setattr(storing, "placed", cancelled)

    job = run(block)

    assert job.state == JobState.CANCELLED
    assert offered != [said]
    assert before.content_sha256 == said == fitsio.content_sha256(file_of(before))
    assert sorted(path.name for path in folder.iterdir()) == files
