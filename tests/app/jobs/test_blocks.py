"""Blocks worked off by a worker, from files in RAW to products on disk and their rows."""

import errno
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.jobs import runner, storing
from app.models import Block, BlockFrame, BlockKind, Frame, Job, JobState, Level, User
from app.services import blocks, frames, ingest, jobs, plan, settings
from reduction import fitsio, recipes
from reduction.errors import BadFrameError
from tests.app.jobs import rawfiles
from tests.app.jobs.rawfiles import BIAS_ADU, READ_NOISE_ADU, SHAPE, write_raw

NIGHT = date(2026, 11, 20)
BIAS, DARK, FLAT, SCI = BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT, BlockKind.SCI


@pytest.fixture(autouse=True)
def no_settling(app: Flask, staff: User) -> None:
    """Files count as complete at once."""
    settings.change("scan", "settle_s", 0, by=staff)


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


def file_of(frame: Frame) -> Path:
    return paths.current().data / frame.path


def parents(frame: Frame) -> dict[str, set[int]]:
    by_role: dict[str, set[int]] = {}
    for edge in frame.parents:
        by_role.setdefault(edge.role, set()).add(edge.parent_id)
    return by_role


@pytest.fixture
def calibrated(no_settling: None) -> dict[str, Block]:
    """A night of bias, darks, flats and science, its calibrations made."""
    register("bias", "dark", "flat", count=6)
    register("science", count=2)
    return {"bias": done(BIAS), "dark": done(DARK), "flat": done(FLAT)}


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


def test_a_science_frame_is_reduced_with_the_masters_of_its_night(
    calibrated: dict[str, Block],
) -> None:
    block = done(SCI)

    reduced = product(block)
    assert (reduced.level, reduced.kind, reduced.status) == (Level.REDUCED, "science", 1)
    assert reduced.missing == []
    assert {"bias", "dark", "flat", "gain"} <= set(reduced.steps_done)
    assert parents(reduced) == {
        "raw": {block.entries[0].frame_id},
        **{kind: {calibrated[kind].master_id} for kind in ("bias", "dark", "flat")},
    }
    assert reduced.path.startswith("PROCESSED/r/2026-11-20/science_")
    assert block.entries[0].frame.status == 1
    image, cards = fitsio.read_product(file_of(reduced))
    assert image.unit == reduced.unit == "electron"
    good = image.mask == 0
    expected = rawfiles.SKY_ADU * rawfiles.GAIN_E_PER_ADU
    assert np.median(image.data[good]) == pytest.approx(expected, rel=0.01)
    pulls = (image.data[good] - np.median(image.data[good])) / np.sqrt(image.variance[good])
    assert pulls.std() == pytest.approx(1.0, abs=0.08)
    assert cards.get("CALOK") is True


def test_what_is_missing_is_in_row_header_and_status_with_the_reason() -> None:
    register("science")

    block = done(SCI)

    reduced = product(block)
    assert (reduced.status, block.status) == (0, 1)
    said = " ".join(reduced.missing)
    for what in ("no bias", "no dark", "no flat"):
        assert what in said
    assert "(no bias of this camera and setting)" in said
    header = fits.getheader(file_of(reduced))
    assert header["CALOK"] is False
    assert "no bias of this camera and setting" in header["CALMISS1"]


def test_frames_that_are_done_are_not_reduced_again(calibrated: dict[str, Block]) -> None:
    block = done(SCI)
    written = [file_of(product(block, n)).stat().st_mtime_ns for n in (0, 1)]

    job = run(block)

    assert job.result == {"reduced": 0, "unchanged": 2, "left_out": {}}
    assert [file_of(product(block, n)).stat().st_mtime_ns for n in (0, 1)] == written


@pytest.mark.parametrize(
    "lower",
    [
        lambda block: blocks.set_status(block, 0),
        lambda block: blocks.set_substatus(block, 0),
        lambda block: [frames.set_status(entry.frame, 0) for entry in block.entries],
        lambda block: [frames.set_status(entry.product, 0) for entry in block.entries],
    ],
)
def test_a_lowered_status_has_the_frames_reduced_again_in_the_same_rows(
    calibrated: dict[str, Block], lower: Callable[[Block], object]
) -> None:
    block = done(SCI)
    before = {product(block, n).id for n in (0, 1)}
    lower(block)

    job = run(block)

    assert job.result["reduced"] == 2
    assert {product(block, n).id for n in (0, 1)} == before
    assert product(block).status == block.status == 1
    reduced = db.session.scalars(select(Frame).where(Frame.level == Level.REDUCED)).all()
    assert len(reduced) == 2


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
    assert run(block).result == {"reduced": 0, "unchanged": 2, "left_out": {}}


def test_a_file_that_is_gone_is_left_out_by_name_and_the_others_go_on(
    calibrated: dict[str, Block],
) -> None:
    block = make(SCI)
    lost = block.entries[0].frame
    (paths.current().raw / lost.path.removeprefix("RAW/")).unlink()

    job = run(block)

    assert job.state == JobState.DONE
    assert job.result["reduced"] == 1
    assert list(job.result["left_out"]) == [lost.file_name]
    assert "no longer at" in block.entries[0].left_out
    assert any("not reduced: " in note for note in lost.notes)
    assert block.entries[0].product is None
    assert block.entries[1].product is not None


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


def test_pixels_that_changed_behind_an_unchanged_header_are_noticed(
    calibrated: dict[str, Block],
) -> None:
    block = done(SCI)
    raw = block.entries[0].frame
    path = paths.current().raw / raw.path.removeprefix("RAW/")
    content = bytearray(path.read_bytes())
    content[-2000] ^= 0xFF
    path.write_bytes(bytes(content))
    blocks.set_status(block, 0)

    job = run(block)

    assert job.result["reduced"] == 1
    assert "its content is not what it was" in block.entries[0].left_out


def test_a_bias_of_another_level_is_left_out_with_the_reason() -> None:
    register("bias", count=5)
    register("bias", data=np.full(SHAPE, 9000.0), name="bias_light_leak.fits")
    block = make(BIAS)

    job = run(block)

    assert job.result == {"used": 5, "left_out": 1}
    odd = next(e for e in block.entries if e.frame.file_name == "bias_light_leak.fits")
    assert "level" in odd.left_out


def test_a_block_without_one_good_frame_fails_with_a_sentence() -> None:
    register("flat", count=2, data=np.full(SHAPE, 900.0))
    block = make(FLAT)

    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.startswith("0 usable frames, at least 1 needed")
    assert (block.status, block.master) == (0, None)


def test_a_block_whose_files_are_all_gone_fails_and_says_of_each_why() -> None:
    register("science", count=2)
    block = make(SCI)
    shutil.rmtree(paths.current().raw / "2026-11-20")

    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.count("no longer at") == 2
    assert all("no longer at" in entry.left_out for entry in block.entries)


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


def test_a_frame_the_recipe_cannot_use_is_named_and_the_others_go_on(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    bad = block.entries[1].frame.file_name
    calibrate = recipes.calibrate

    def choosy(exposure: Any, **kwargs: Any) -> Any:
        if exposure.name == bad:
            raise BadFrameError(f"{bad}: its pixels are noise")
        return calibrate(exposure, **kwargs)

    monkeypatch.setattr(recipes, "calibrate", choosy)

    job = run(block)

    assert job.result["left_out"] == {bad: f"{bad}: its pixels are noise"}
    assert block.entries[0].product is not None


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
    write_product = fitsio.write_product
    written: list[Path] = []

    def full_after_one(path: Path, *args: Any, **kwargs: Any) -> None:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        write_product(path, *args, **kwargs)

    monkeypatch.setattr(fitsio, "write_product", full_after_one)
    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert "is full: make room and process again" in job.error
    assert list((paths.current().data / "PROCESSED").rglob("*.fits")) == written
    assert [entry.product is not None for entry in block.entries].count(True) == 1

    monkeypatch.setattr(fitsio, "write_product", write_product)
    assert run(block).result == {"reduced": 1, "unchanged": 1, "left_out": {}}


def test_a_frame_that_joins_while_the_block_is_reduced_is_reduced_too(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    late = block.entries[1].frame_id
    blocks.remove(block, late)
    write, calls = storing.write, []

    def joined(*args: Any) -> Any:
        if not calls:
            calls.append(1)
            blocks.add(db.session.get_one(Block, block.id), late)
        return write(*args)

    monkeypatch.setattr(storing, "write", joined)

    job = run(block)

    assert job.result["reduced"] == 2
    assert block.status == 1
    assert all(entry.product is not None for entry in block.entries)


def test_a_bias_that_joins_while_the_master_is_made_gets_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register("bias", count=5)
    block = make(BIAS)
    late = block.entries[4].frame_id
    blocks.remove(block, late)
    write, calls = storing.write, []

    def joined(*args: Any) -> Any:
        if not calls:
            calls.append(1)
            blocks.add(db.session.get_one(Block, block.id), late)
        return write(*args)

    monkeypatch.setattr(storing, "write", joined)

    job = run(block)

    assert job.result == {"used": 5, "left_out": 0}
    assert block.master is not None
    assert late in parents(block.master)["member"]


def test_a_job_that_was_taken_from_its_worker_leaves_no_row(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    job = blocks.process(block, owner=None)
    write = storing.write

    def robbed(*args: Any) -> Any:
        with transaction():
            db.session.get_one(Job, job.id).attempt += 1
        return write(*args)

    monkeypatch.setattr(storing, "write", robbed)
    (delivery,) = jobs.choose(1)
    runner.run(delivery.job_id, delivery.attempt)

    assert all(entry.product is None for entry in block.entries)
    assert block.status == 0


def test_a_raw_frame_in_two_blocks_has_one_reduced_frame(calibrated: dict[str, Block]) -> None:
    first, second = done(SCI), make(SCI)

    job = run(second)

    assert {e.product_id for e in second.entries} == {e.product_id for e in first.entries}
    assert job.state == JobState.DONE
    reduced = db.session.scalars(select(Frame).where(Frame.level == Level.REDUCED)).all()
    assert len(reduced) == 2


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
    assert [frame.status for frame in reduced] == [1, 1]
    assert plan.auto() is None
