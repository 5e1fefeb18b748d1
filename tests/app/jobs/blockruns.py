"""Blocks made of files in RAW and worked off in this process, for the tests of what comes of it."""

from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits

from app import paths
from app.db import db
from app.jobs import runner
from app.models import Block, BlockKind, Frame, Job, JobState
from app.services import blocks, ingest
from tests.app.jobs.simnight import SHAPE, write_raw

NIGHT: Final = date(2026, 11, 20)
BIAS, DARK, FLAT, SCI = BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT, BlockKind.SCI


def register(*kinds: str, count: int = 1, **values: Any) -> None:
    for kind in kinds:
        for _ in range(count):
            write_raw(kind, **values)
    ingest.scan(again=True)


def run(block: Block, code: str = "") -> Job:
    """Process a block in this process and return its job as it ended."""
    job = blocks.process(block, owner=None, code=code)
    runner.work_off()
    db.session.refresh(job)
    return job


def make(kind: BlockKind, **chosen: Any) -> Block:
    (block,) = blocks.create(kind, NIGHT, NIGHT, owner=None, **chosen)
    return block


def done(kind: BlockKind, **chosen: Any) -> Block:
    block = make(kind, **chosen)
    job = run(block)
    assert job.state == JobState.DONE, job.error
    return block


def product(block: Block, number: int = 0) -> Frame:
    found = block.entries[number].product
    assert found is not None
    return found


def file_of(frame: Frame | None) -> Path:
    assert frame is not None
    return paths.current().data / frame.path


def parents(frame: Frame) -> dict[str, set[int]]:
    by_role: dict[str, set[int]] = {}
    for edge in frame.parents:
        by_role.setdefault(edge.role, set()).add(edge.parent_id)
    return by_role


def register_master(kind: str, data: Any, **cards: Any) -> str:
    """Write a master as another program would, its mask beside it; return its path."""
    folder = paths.current().data / "MASTERS"
    folder.mkdir(exist_ok=True)
    header = fits.Header()
    defaults = {
        "INSTRUME": "TestCam",
        "EXPTIME": 0.0,
        "GAIN": 2.0,
        "FILTER": "r",
        "HIERARCH MASTER_TYPE": kind.upper(),
        "HIERARCH START_DATE": "2026-11-10",
        "HIERARCH END_DATE": "2026-11-14",
        "HIERARCH MASK_NAME": "mask.fits",
        "BAND": "r",
    }
    for keyword, value in (defaults | cards).items():
        if value is not None:
            header[keyword] = value
    mask = np.zeros(SHAPE, np.uint8)
    mask[5, 6] = 1
    fits.PrimaryHDU(mask).writeto(folder / "mask.fits", overwrite=True)
    fits.PrimaryHDU(data.astype(np.float32), header).writeto(folder / f"{kind}.fits")
    return f"MASTERS/{kind}.fits"


def calibrate_night() -> dict[str, Block]:
    """A night of bias, darks, flats and two science frames; make its calibrations."""
    register("bias", "dark", "flat", count=6)
    register("science", count=2)
    return {"bias": done(BIAS), "dark": done(DARK), "flat": done(FLAT)}
