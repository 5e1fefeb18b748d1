"""Raw frames and masters as a job opens them."""

from datetime import date

import numpy as np
import pytest
from sqlalchemy import select

from app.db import db, transaction
from app.models import Block, Frame, JobState, Level
from app.services import blocks, frames
from reduction import fitsio
from tests.app.jobs import simnight
from tests.app.jobs.blockruns import (
    FLAT,
    SCI,
    done,
    file_of,
    make,
    parents,
    product,
    register,
    register_master,
    run,
)
from tests.app.jobs.simnight import BIAS_ADU, SHAPE

pytestmark = pytest.mark.usefixtures("no_settling")


def test_a_master_whose_file_is_gone_stops_the_run_with_a_way_out(
    calibrated: dict[str, Block],
) -> None:
    master = calibrated["flat"].master
    assert master is not None
    file_of(master).unlink()
    block = make(SCI)

    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert master.path in job.error
    assert "make it again" in job.error


def test_a_foreign_master_serves_once_it_is_validated() -> None:
    register("science")
    register("bias", data=np.full(SHAPE, BIAS_ADU), cards={"NCOMBINE": 20}, name="theirs.fits")
    theirs = db.session.scalars(select(Frame).where(Frame.file_name == "theirs.fits")).one()
    with transaction():
        theirs.level, theirs.is_valid = Level.MASTER, False
    block = done(SCI)
    assert "bias" not in product(block).steps_done

    frames.toggle_valid(theirs)
    assert run(block).result["reduced"] == 1

    assert "bias" in product(block).steps_done
    assert parents(product(block))["bias"] == {theirs.id}


def test_a_registered_master_is_used_with_its_mask(no_settling: None) -> None:
    register("science")
    raw = db.session.scalars(select(Frame)).one()
    path = register_master("flat", simnight.response() * 3e4, **{"CCD-TEMP": -10.0})
    flat = blocks.register(FLAT, path, owner=None)
    assert (flat.status, flat.band, flat.mask_path) == (1, "r", "MASTERS/mask.fits")
    assert (flat.start_night, flat.end_night) == (date(2026, 11, 10), date(2026, 11, 14))
    assert flat.master is not None
    assert (flat.master.night, flat.camera_id) == (date(2026, 11, 12), raw.camera_id)

    block = done(SCI)

    assert parents(product(block))["flat"] == {flat.master_id}
    image, _ = fitsio.read_product(file_of(product(block)))
    assert image.mask[5, 6] & 1
    assert not image.mask[6, 5] & 1
