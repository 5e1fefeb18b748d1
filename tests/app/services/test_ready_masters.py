"""Masters made elsewhere, registered as blocks."""

import shutil
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError, NotAllowedError
from app.models import Block, BlockKind, Frame, Level, Proposal, User
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
from tests.factories import make_frame

pytestmark = pytest.mark.usefixtures("no_settling")


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


def test_registering_does_not_tell_a_hidden_file_from_none_and_takes_over_nobodys_frame(
    observer: User, staff: User
) -> None:
    path = register_master("bias", np.full(SHAPE, 1000.0))
    with transaction():
        db.session.add(Proposal(id=1, code="P1", pi_id=staff.id))
    frame = make_frame("bias", path=path, file_name="bias.fits", proposal_id=1)

    with pytest.raises(NotAllowedError, match="Only the people of P1"):
        blocks.register(BIAS, path, owner=observer)
    settings.change("access", "visibility", "members", by=staff)
    for hidden in (path, "MASTERS/none.fits", "RAW/none.fits"):
        with pytest.raises(InvalidRequestError, match=r"^Unable to find file$"):
            blocks.register(BIAS, hidden, owner=observer)

    assert frame.level == Level.RAW
    assert db.session.scalars(select(Block)).all() == []
    assert blocks.register(BIAS, path, owner=staff).master_id == frame.id
