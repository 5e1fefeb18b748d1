"""Masters made elsewhere, registered as blocks."""

import shutil
from typing import Any

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db
from app.errors import ConflictError, InvalidRequestError
from app.models import Block, BlockKind, Frame, Level, User
from app.services import blocks, settings
from tests.app.jobs.blockruns import (
    BIAS,
    NIGHT,
    calibrate_night,
    file_of,
    register,
    register_master,
)
from tests.app.jobs.simnight import SHAPE


@pytest.fixture(autouse=True)
def no_settling(app: Flask, staff: User) -> None:
    """Files count as complete at once."""
    settings.change("scan", "settle_s", 0, by=staff)


@pytest.fixture
def calibrated(no_settling: None) -> dict[str, Block]:
    return calibrate_night()


@pytest.mark.parametrize(
    ("kind", "cards", "message"),
    [
        ("bias", {"HIERARCH MASTER_TYPE": "FLAT"}, r"Incorrect master type\."),
        ("bias", {"HIERARCH MASTER_TYPE": None}, r"Incorrect master type\."),
        ("flat", {"HIERARCH MASK_NAME": "none.fits"}, r"Could not find none\.fits"),
        ("flat", {"HIERARCH MASK_NAME": "../../coelostat.sqlite"}, "Could not find"),
        ("flat", {"HIERARCH MASK_NAME": None}, "Could not find MASK_NAME"),
        ("flat", {"BAND": None}, "BAND must say"),
        ("bias", {"HIERARCH START_DATE": "yesterday"}, "START_DATE and END_DATE"),
    ],
)
def test_a_master_that_lacks_what_it_must_say_is_not_registered(
    kind: str, cards: dict[str, Any], message: str
) -> None:
    path = register_master(kind, np.full(SHAPE, 1000.0), **cards)

    with pytest.raises(InvalidRequestError, match=message):
        blocks.register(BlockKind(kind), path, owner=None)
    assert db.session.scalars(select(Block)).all() == []


@pytest.mark.parametrize("path", ["MASTERS/none.fits", "../coelostat.sqlite", "", "MASTERS"])
def test_what_is_no_file_in_the_data_root_cannot_be_registered(path: str) -> None:
    (paths.current().data / "MASTERS").mkdir()

    with pytest.raises(InvalidRequestError, match="Unable to find file"):
        blocks.register(BIAS, path, owner=None)


def test_a_registered_block_has_nothing_to_process() -> None:
    block = blocks.register(BIAS, register_master("bias", np.full(SHAPE, 1e3)), owner=None)

    with pytest.raises(ConflictError, match="nothing to combine"):
        blocks.process(block, owner=None)


def test_frames_cannot_join_a_registered_block_whose_file_a_run_would_replace() -> None:
    path = register_master("bias", np.full(SHAPE, 1e3))
    block = blocks.register(BIAS, path, owner=None)
    register("bias")
    frame = db.session.scalars(select(Frame).where(Frame.level == Level.RAW)).one()

    with pytest.raises(ConflictError, match="made elsewhere"):
        blocks.add(block, frame.id)

    assert block.entries == []
    assert (paths.current().data / path).is_file()


def test_our_own_master_can_be_registered_again(calibrated: dict[str, Block]) -> None:
    ours = calibrated["bias"].master
    assert ours is not None
    copy = paths.current().data / "MASTERS" / "copy.fits"
    shutil.copy(file_of(ours), copy)

    block = blocks.register(BIAS, "MASTERS/copy.fits", owner=None)

    assert block.master is not None
    assert (block.master.camera_id, block.master.night) == (ours.camera_id, NIGHT)
