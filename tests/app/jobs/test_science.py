"""Science frames reduced with the masters there are."""

import hashlib
import shutil
from collections.abc import Callable
from threading import Event
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.errors import ConflictError
from app.jobs import storing
from app.models import Block, Frame, JobState, Level, User
from app.services import blocks, frames, jobs, settings
from app.services.jobs import JobCancelledError
from app.services.reduction_status import MASKS
from reduction import fitsio, recipes
from reduction.errors import BadFrameError
from tests.app.jobs import simnight
from tests.app.jobs.blockruns import (
    SCI,
    done,
    file_of,
    make,
    parents,
    product,
    register,
    run,
)

pytestmark = pytest.mark.usefixtures("no_settling")


def test_a_science_frame_is_reduced_with_the_masters_of_its_night(
    calibrated: dict[str, Block],
) -> None:
    block = done(SCI)

    reduced = product(block)
    assert (reduced.level, reduced.kind, reduced.status) == (Level.REDUCED, "science", MASKS)
    assert reduced.missing == []
    assert {"bias", "dark", "flat", "gain"} <= set(reduced.steps_done)
    assert parents(reduced) == {
        "raw": {block.entries[0].frame_id},
        **{kind: {calibrated[kind].master_id} for kind in ("bias", "dark", "flat")},
    }
    assert reduced.path.startswith("PROCESSED/r/2026-11-20/science_")
    assert block.entries[0].frame.status == MASKS
    image, cards = fitsio.read_product(file_of(reduced))
    assert image.unit == reduced.unit == "electron"
    good = image.mask == 0
    flat = fitsio.read_product(file_of(calibrated["flat"].master))[0].data
    norm = np.median((simnight.response() / flat)[good])  # the response that a flat calls 1
    expected = simnight.SKY_ADU * simnight.GAIN_E_PER_ADU * norm
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


@pytest.mark.parametrize(
    ("code", "wanted", "searched"), [("", True, True), ("ov", True, False), ("", False, False)]
)
def test_particle_hits_are_looked_for_where_code_and_setting_ask_for_it(
    calibrated: dict[str, Block], staff: User, code: str, wanted: bool, searched: bool
) -> None:
    settings.change("reduction", "cosmic_rays", wanted, by=staff)
    block = make(SCI)

    run(block, code)

    assert ("cosmic rays" in product(block).steps_done) is searched


def test_frames_that_are_done_are_not_reduced_again(calibrated: dict[str, Block]) -> None:
    block = done(SCI)
    written = [file_of(product(block, n)).stat().st_mtime_ns for n in (0, 1)]

    job = run(block)

    said = "2 frames were up to date, nothing to do"
    assert job.result == {"reduced": 0, "unchanged": 2, "left_out": {}, "message": said}
    assert said in jobs.log_path(job.id).read_text()
    assert [file_of(product(block, n)).stat().st_mtime_ns for n in (0, 1)] == written


@pytest.mark.parametrize(
    "lower",
    [
        lambda block: blocks.set_status(block, 0),
        lambda block: blocks.set_status(block, 2),
        lambda block: blocks.set_substatus(block, 0),
        lambda block: [frames.set_status(entry.frame, 0) for entry in block.entries],
        lambda block: [frames.set_status(entry.product, 0) for entry in block.entries],
        lambda block: [frames.set_status(entry.frame, 2) for entry in block.entries],
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
    assert (product(block).status, block.status) == (MASKS, 1)
    reduced = db.session.scalars(select(Frame).where(Frame.level == Level.REDUCED)).all()
    assert len(reduced) == 2


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


def test_a_block_whose_files_are_all_gone_fails_and_says_of_each_why() -> None:
    register("science", count=2)
    block = make(SCI)
    shutil.rmtree(paths.current().raw / "2026-11-20")

    job = run(block)

    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.count("no longer at") == 2
    assert all("no longer at" in entry.left_out for entry in block.entries)


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


def test_a_frame_that_joins_while_the_block_is_reduced_is_reduced_too(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    late = block.entries[1].frame_id
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

    assert job.result["reduced"] == 2
    assert block.status == 1
    assert all(entry.product is not None for entry in block.entries)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"fingerprint": "of other frames"}, "changed meanwhile"),
        ({"is_valid": False}, "set invalid"),
    ],
)
def test_a_result_whose_master_changed_before_it_was_stored_says_so(
    calibrated: dict[str, Block],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    why: str,
) -> None:
    block = make(SCI)
    bias = calibrated["bias"].master
    assert bias is not None
    placed = storing.placed
    calls: list[int] = []

    def overtaken(*args: Any) -> Any:
        if not calls:
            calls.append(1)
            with transaction():
                for name, value in change.items():
                    setattr(bias, name, value)
        return placed(*args)

    monkeypatch.setattr(storing, "placed", overtaken)

    run(block)

    # The second frame was being reduced with the same masters.
    assert all(why in str(product(block, n).outdated) for n in (0, 1))


def test_a_frame_is_reduced_while_the_one_before_is_written(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    stage, calibrate = fitsio.stage_product, recipes.calibrate
    begun: list[str] = []
    second_begun = Event()

    def watched(exposure: Any, **kwargs: Any) -> Any:
        begun.append(exposure.name)
        if len(begun) == 2:
            second_begun.set()
        return calibrate(exposure, **kwargs)

    def slow(*args: Any, **kwargs: Any) -> Any:
        assert second_begun.wait(60)
        return stage(*args, **kwargs)

    monkeypatch.setattr(recipes, "calibrate", watched)
    monkeypatch.setattr(fitsio, "stage_product", slow)

    job = run(block)

    assert job.state == JobState.DONE
    assert job.result["reduced"] == 2
    for n in (0, 1):
        made = product(block, n)
        content = file_of(made).read_bytes()
        assert made.content_sha256 == hashlib.sha256(content).hexdigest()
        assert made.size == len(content)
        assert made.header_text == fitsio.read_headers(file_of(made)).text


def test_a_cancelled_run_keeps_what_was_stored_and_leaves_nothing_half_done(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    calibrate = recipes.calibrate
    begun: list[str] = []

    def cancelled(exposure: Any, **kwargs: Any) -> Any:
        begun.append(exposure.name)
        if len(begun) == 2:
            raise JobCancelledError("the job was cancelled")
        return calibrate(exposure, **kwargs)

    monkeypatch.setattr(recipes, "calibrate", cancelled)

    run(block)

    assert all(entry.product is None for entry in block.entries)
    left = [path for path in paths.current().data.rglob("*") if path.suffix in (".part", ".fits")]
    assert [path for path in left if "science" in path.name] == []


def test_a_run_that_breaks_off_still_stores_what_was_on_its_way(
    calibrated: dict[str, Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make(SCI)
    calibrate = recipes.calibrate
    begun: list[str] = []

    def broken(exposure: Any, **kwargs: Any) -> Any:
        begun.append(exposure.name)
        if len(begun) == 2:
            raise ConflictError("a master cannot be read")
        return calibrate(exposure, **kwargs)

    monkeypatch.setattr(recipes, "calibrate", broken)

    job = run(block)

    assert job.state == JobState.FAILED
    assert [entry.product is not None for entry in block.entries].count(True) == 1


def test_a_raw_frame_in_two_blocks_has_one_reduced_frame(calibrated: dict[str, Block]) -> None:
    first, second = done(SCI), make(SCI)

    job = run(second)

    assert {e.product_id for e in second.entries} == {e.product_id for e in first.entries}
    assert job.state == JobState.DONE
    reduced = db.session.scalars(select(Frame).where(Frame.level == Level.REDUCED)).all()
    assert len(reduced) == 2
