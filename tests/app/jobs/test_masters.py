"""Masters made of the frames of a block."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.jobs import storing
from app.models import Block, BlockFrame, Frame, JobState, Level, User
from app.services import blocks, frames, settings
from reduction import fitsio
from tests.app.jobs.blockruns import (
    BIAS,
    DARK,
    FLAT,
    NIGHT,
    SCI,
    done,
    file_of,
    make,
    parents,
    product,
    register,
    run,
)
from tests.app.jobs.simnight import BIAS_ADU, READ_NOISE_ADU, SHAPE

pytestmark = pytest.mark.usefixtures("no_settling")


def test_a_bias_block_becomes_a_master_with_a_file_a_picture_and_parents() -> None:
    register("bias", count=6)

    block = make(BIAS)
    job = run(block)

    assert (job.state, job.result) == (JobState.DONE, {"used": 6, "left_out": 0})
    master = block.master
    assert master is not None
    assert (block.status, master.level, master.kind) == (1, Level.MASTER, "bias")
    assert (master.ncombine, master.is_thin, master.night) == (6, False, NIGHT)
    assert master.path == f"MASTERS/BIAS/bias_TestCam-64x48_2026-11-20_b{block.id}.fits"
    assert parents(master) == {"member": {entry.frame_id for entry in block.entries}}
    assert master.content_sha256 == fitsio.content_sha256(file_of(master))
    assert master.size == file_of(master).stat().st_size
    assert master.thumb is not None
    assert paths.current().locate(master.thumb).read_bytes().startswith(b"\x89PNG")
    image, cards = fitsio.read_product(file_of(master))
    assert image.data.mean() == pytest.approx(BIAS_ADU, abs=4 * READ_NOISE_ADU / np.sqrt(6 * 3072))
    assert image.data.std() == pytest.approx(READ_NOISE_ADU / np.sqrt(6), rel=0.08)
    assert cards.text("MASTER_TYPE") == "BIAS"
    assert all(entry.frame.content_sha256 for entry in block.entries)


def test_a_master_tells_when_its_first_frame_began_and_their_mean_middle() -> None:
    for clock in ("04:00:00", "03:59:00", "04:13:00"):
        register("dark", exptime_s=60.0, cards={"DATE-OBS": f"2026-11-21T{clock}"})

    block = done(DARK)

    began = datetime(2026, 11, 21, 3, 59, tzinfo=UTC)
    middle = datetime(2026, 11, 21, 4, 4, 30, tzinfo=UTC)
    assert block.master is not None
    assert (block.master.start_utc, block.master.mid_utc) == (began, middle)
    cards = fits.getheader(file_of(block.master))
    assert cards["DATE-OBS"] == "2026-11-21T03:59:00.000000"
    assert cards["DATE-AVG"] == "2026-11-21T04:04:30.000000"


def test_a_thin_master_is_made_and_flagged_as_the_setting_says(staff: User) -> None:
    register("bias", count=2)
    block = make(BIAS)

    run(block)
    assert block.master is not None
    assert block.master.is_thin
    assert fits.getheader(file_of(block.master))["THIN"] is True

    settings.change("calibration", "thin_frames", 2, by=staff)
    run(block)
    db.session.refresh(block.master)
    assert not block.master.is_thin


def test_a_master_made_of_other_frames_outdates_what_it_was_used_for(
    calibrated: dict[str, Block],
) -> None:
    block = done(SCI)
    bias = calibrated["bias"]
    frames.toggle_valid(bias.entries[0].frame)

    run(bias)

    reduced, flat, dark = product(block), calibrated["flat"].master, calibrated["dark"].master
    assert flat is not None
    assert dark is not None
    assert reduced.outdated == flat.outdated == dark.outdated
    assert "bias master" in str(reduced.outdated)
    assert block.status == calibrated["flat"].status == calibrated["dark"].status == 0

    for kind in ("dark", "flat"):
        run(calibrated[kind])
    assert run(block).result["reduced"] == 2
    assert product(block).outdated is None
    assert parents(product(block))["bias"] == {bias.master_id}


def test_a_master_made_again_of_the_same_frames_outdates_nothing(
    calibrated: dict[str, Block],
) -> None:
    block = done(SCI)

    run(calibrated["bias"])

    assert product(block).outdated is None
    result = run(block).result
    assert (result["reduced"], result["unchanged"], result["left_out"]) == (0, 2, {})
    assert result["message"] == "2 frames were up to date, nothing to do"


def test_a_file_that_changed_its_size_is_not_taken_for_what_was_registered() -> None:
    register("bias", count=3)
    block = make(BIAS)
    changed = block.entries[0].frame
    path = paths.current().raw / changed.path.removeprefix("RAW/")
    path.write_bytes(path.read_bytes() + bytes(2880))

    job = run(block)

    assert job.state == JobState.DONE, job.error
    assert job.result == {"used": 2, "left_out": 1}
    assert "when it was registered" in block.entries[0].left_out
    assert block.master is not None
    assert changed.id not in parents(block.master)["member"]


def test_a_bias_of_another_level_is_left_out_with_the_reason() -> None:
    register("bias", count=5)
    register("bias", data=np.full(SHAPE, 9000.0), name="bias_light_leak.fits")
    block = make(BIAS)

    job = run(block)

    assert job.result == {"used": 5, "left_out": 1}
    odd = next(e for e in block.entries if e.frame.file_name == "bias_light_leak.fits")
    assert "level" in odd.left_out
    assert [e.left_out for e in block.entries if e is not odd] == [""] * 5


def test_a_frame_that_is_good_again_no_longer_says_that_it_was_left_out() -> None:
    register("bias", count=5)
    block = make(BIAS)
    bad = block.entries[2]
    frames.toggle_valid(bad.frame)
    run(block)
    assert bad.left_out

    frames.toggle_valid(bad.frame)
    run(block)

    assert bad.left_out == ""


def test_a_block_without_one_good_frame_fails_with_a_sentence() -> None:
    register("flat", count=2, data=np.full(SHAPE, 900.0))
    block = make(FLAT)

    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.startswith("0 usable frames, at least 1 needed")
    assert (block.status, block.master) == (0, None)


def test_a_block_that_became_a_mixture_fails_by_name_and_loses_nothing() -> None:
    register("bias", count=3)
    block = make(BIAS)
    run(block)
    before = fitsio.content_sha256(file_of(block.master)) if block.master else ""
    register("bias", cards={"XBINNING": 2, "YBINNING": 2}, name="binned.fits")
    binned = db.session.scalars(select(Frame).where(Frame.file_name == "binned.fits")).one()
    with transaction():
        db.session.add(BlockFrame(block_id=block.id, frame_id=binned.id))

    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert "mixes frames that do not belong together: binned.fits: " in job.error
    assert "binning 2x2 instead of 1x1" in job.error
    assert len(block.entries) == 4
    assert block.master is not None
    assert fitsio.content_sha256(file_of(block.master)) == before


def test_a_bias_that_joins_while_the_master_is_made_gets_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register("bias", count=5)
    block = make(BIAS)
    late = block.entries[4].frame_id
    blocks.remove(block, late)
    placed = storing.placed
    calls: list[int] = []

    def joined(*args: Any) -> Any:
        if not calls:
            calls.append(1)
            blocks.add(db.session.get_one(Block, block.id), late)
        return placed(*args)

    monkeypatch.setattr(storing, "placed", joined)

    job = run(block)

    assert job.result == {"used": 5, "left_out": 0}
    assert block.master is not None
    assert late in parents(block.master)["member"]


def test_a_bias_set_invalid_while_the_master_is_made_stays_out_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register("bias", count=5)
    block = make(BIAS)
    bad = block.entries[2].frame_id
    placed = storing.placed
    calls: list[int] = []

    def judged(*args: Any) -> Any:
        if not calls:
            calls.append(1)
            frames.toggle_valid(db.session.get_one(Frame, bad))
        return placed(*args)

    monkeypatch.setattr(storing, "placed", judged)

    job = run(block)

    assert job.result == {"used": 4, "left_out": 1}
    assert block.master is not None
    assert bad not in parents(block.master)["member"]


def test_a_master_set_invalid_outdates_what_it_was_used_for(
    calibrated: dict[str, Block],
) -> None:
    block = done(SCI)
    bias = calibrated["bias"].master
    assert bias is not None

    frames.toggle_valid(bias)

    assert product(block).outdated == f"bias master {bias.id} was set invalid"
    assert block.status == calibrated["flat"].status == 0
    assert calibrated["bias"].status == 1


def test_a_block_set_invalid_takes_its_master_out_of_use(calibrated: dict[str, Block]) -> None:
    block = done(SCI)

    blocks.toggle_valid(calibrated["flat"])
    run(block)

    assert "flat" not in product(block).steps_done
    assert any(said.startswith("no flat") for said in product(block).missing)


def test_frames_of_different_bands_get_masters_in_folders_of_their_own() -> None:
    register("flat", count=2)
    register("flat", count=2, cards={"FILTER": "H alpha/7nm"})

    made = [blocks.create(FLAT, NIGHT, NIGHT, owner=None, band=band)[0] for band in ("r",)]
    other = next(b for b in blocks.create(FLAT, NIGHT, NIGHT, owner=None) if b.band != made[0].band)
    run(made[0])
    run(other)

    assert made[0].master is not None
    assert other.master is not None
    assert made[0].master.path.startswith("MASTERS/FLATS/r/flat_r_")
    assert other.master.path.startswith("MASTERS/FLATS/H")
    assert other.master.path.count("/") == 3
    assert file_of(other.master).is_file()
