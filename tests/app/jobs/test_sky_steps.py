"""How far frames count as reduced, what leaving a step out costs them, and their marks."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.jobs import runner
from app.models import Block, Frame, Job, SuperflatLink, User
from app.services import blocks, frames, jobs, plan, settings
from app.services.reduction_status import ASTROMETRY, CATALOGUE, MASKS, status_of
from app.services.sky_columns import LEFT_OUT
from tests.app.jobs.blockruns import BIAS, FLAT, NIGHT, SCI, done, file_of, product, register, run
from tests.app.jobs.simnight import BIAS_ADU
from tests.app.jobs.skynight import SHAPE, expose, load_catalogue, stars
from tests.app.pages.conftest import Browser, browser_of
from tests.factories import make_block, make_frame

pytestmark = pytest.mark.usefixtures("no_settling")


@pytest.fixture
def browser(app: Flask, observer: User) -> Browser:
    return browser_of(app, observer)


@pytest.fixture
def night(no_settling: None, tmp_path: Path) -> None:
    """Two frames of stars that the catalogue knows, with bias and flat."""
    rng = np.random.default_rng(7)
    for _ in range(3):
        register("bias", data=BIAS_ADU + rng.normal(0, 5, SHAPE))
        register("flat", data=BIAS_ADU + rng.normal(20_000, 100, SHAPE))
    sky = stars()
    load_catalogue(sky, tmp_path)
    expose(sky)
    expose(sky)
    done(BIAS)
    done(FLAT)


def status_of_done(found: Mapping[str, object], code: str = "ovmcam", *steps: str) -> int:
    return status_of(make_frame(), code, {"bias", "flat", *steps}, found)


def test_all_steps_make_a_frame_of_the_highest_status(night: None) -> None:
    block = done(SCI)

    reduced = product(block)
    assert (reduced.sky_state, reduced.status) == ("solved", CATALOGUE)
    assert block.entries[0].frame.status == CATALOGUE
    assert block.status == 1
    assert reduced.zero_point_mag is not None
    assert reduced.on_sky["trail_pix"] < 2
    assert reduced.quality == []


def test_leaving_out_the_sky_step_says_in_row_file_log_and_page_what_is_gone(
    night: None, browser: Browser
) -> None:
    block = done(SCI)

    job = run(block, "ov mc")

    reduced = product(block)
    header = fits.getheader(file_of(reduced), "SCI")
    assert (reduced.sky_state, reduced.zero_point_mag, reduced.on_sky) == (None, None, {})
    assert not {"WCSSOLVE", "ZP", "CTYPE1", "FWHM"} & set(header)
    assert (reduced.status, reduced.quality) == (MASKS, [])
    assert LEFT_OUT in reduced.notes
    assert LEFT_OUT in fits.getheader(file_of(reduced)).values()
    told = jobs.log_path(job.id).read_text()
    assert told.count("the step am is left out") == 1
    assert "2 frames is dropped; process the block with all steps" in told
    page = " ".join(browser.text(f"/blocks/{block.id}/").split())
    assert "2 of its results have no place on the sky" in page
    assert LEFT_OUT in browser.text(f"/frames/{reduced.id}/")


def test_all_steps_again_bring_back_what_was_left_out(night: None, browser: Browser) -> None:
    block = done(SCI)
    before = product(block).zero_point_mag
    run(block, "ov mc")

    run(block)

    reduced = product(block)
    assert (reduced.zero_point_mag, reduced.status) == (before, CATALOGUE)
    assert LEFT_OUT not in reduced.notes
    assert "no place on the sky" not in browser.text(f"/blocks/{block.id}/")


def test_frames_that_had_no_place_lose_nothing_and_the_log_is_silent(night: None) -> None:
    (block,) = blocks.create(SCI, NIGHT, NIGHT, owner=None)

    job = run(block, "ov")

    assert "left out" not in jobs.log_path(job.id).read_text()
    assert LEFT_OUT in product(block).notes
    assert product(block).status == 1


def test_plan_and_page_put_frames_on_the_sky_where_nobody_says_otherwise(
    night: None, browser: Browser, observer: User
) -> None:
    made = plan.process(NIGHT, observer)
    runner.work_off()
    block = next(b for b in db.session.scalars(select(Block)) if b.kind == SCI)
    browser.post(f"/blocks/{block.id}/process/")

    newest = db.session.scalars(select(Job).order_by(Job.id.desc())).first()
    assert newest is not None
    assert {job.arguments["code"] for job in [*made, newest]} == {"ovmcam"}
    assert product(block).status == CATALOGUE


def test_a_status_lowered_to_before_astrometry_has_frames_solved_anew(night: None) -> None:
    block = done(SCI)
    frames.set_status(product(block), MASKS)
    assert product(block).status == MASKS

    job = run(block)

    assert (job.result["reduced"], job.result["unchanged"]) == (1, 1)
    assert product(block).status == CATALOGUE


def test_a_block_called_processed_does_not_take_back_what_its_frames_are(night: None) -> None:
    block = done(SCI)

    blocks.set_status(block, 1)

    assert (block.status, product(block).status) == (1, CATALOGUE)
    assert run(block).result["unchanged"] == 2


def test_frames_are_marked_when_their_block_is_done(night: None, staff: User) -> None:
    settings.change("quality", "fwhm_arcsec", 1.0, by=staff)

    block = done(SCI)

    assert product(block).quality == ["wide"]
    assert product(block, 1).quality == ["wide"]


def test_a_frame_that_cannot_be_solved_is_marked_so_and_stops_at_its_masks(
    no_settling: None,
) -> None:
    register("bias", "flat", count=2)
    register("science")
    done(BIAS)
    done(FLAT)

    reduced = product(done(SCI))

    assert (reduced.status, reduced.quality) == (MASKS, ["unsolved"])


def test_the_status_is_the_highest_step_up_to_which_all_are_done(app: Flask) -> None:
    solved = {"sky_state": "solved", "zero_point_mag": None}
    calibrated = solved | {"zero_point_mag": 23.0}

    assert status_of(make_frame(), "ovmcam", {"bias"}, calibrated) == 0
    assert status_of_done({}, "ov") == 1
    assert status_of_done({}, "ovmc") == MASKS
    assert status_of_done(calibrated, "ovam") == 1  # no masks: what is behind does not count
    assert status_of_done({"sky_state": "unsolved"}) == MASKS
    assert status_of_done(solved) == ASTROMETRY
    assert status_of_done(calibrated) == CATALOGUE


def test_a_super_flat_that_was_not_applied_keeps_later_steps_from_counting(app: Flask) -> None:
    raw = make_frame()
    superflat = make_block("fringe")
    with transaction():
        db.session.add(SuperflatLink(frame_id=raw.id, block_id=superflat.id))
    found = {"sky_state": "solved", "zero_point_mag": 23.0}

    assert status_of(raw, "ovmcam", {"bias", "flat"}, found) == 1
    assert status_of(raw, "ovmcam", {"bias", "flat", "fringe"}, found) == CATALOGUE


def test_marks_of_a_result_made_again_without_its_stars_are_gone(night: None, staff: User) -> None:
    settings.change("quality", "fwhm_arcsec", 1.0, by=staff)
    block = done(SCI)

    run(block, "ov")

    found: list[Frame] = [product(block), product(block, 1)]
    assert [frame.quality for frame in found] == [[], []]
