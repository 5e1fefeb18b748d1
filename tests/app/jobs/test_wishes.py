"""What the settings of a proposal change in how its frames are really reduced."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.db import db, transaction
from app.jobs import runner
from app.models import Block, Frame, JobState, Proposal, User
from app.services import blocks, plan, proposal_reduction, settings
from reduction import fitsio, recipes
from reduction.flags import PixelFlag
from tests.app.jobs import simnight
from tests.app.jobs.blockruns import (
    BIAS,
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

CODE = "2026A-7"
OF_PROPOSAL: dict[str, Any] = {"cards": {"PROPID": CODE}}

pytestmark = pytest.mark.usefixtures("no_settling")


@pytest.fixture
def science(no_settling: None) -> Block:
    """A frame of the proposal, reduced as the site does it, with masters of six frames."""
    register("bias", "flat", count=6)
    hit = simnight.pixels("science", np.random.default_rng(1), 10.0)
    hit[20, 20:23] += 8000  # a particle
    hit[30:34, 30:40] = 65535  # 1.3 % of it saturated
    register("science", data=hit, **OF_PROPOSAL)
    done(BIAS)
    done(FLAT)
    return done(SCI)


def set_rules(staff: User, **values: Any) -> None:
    proposal = db.session.scalars(select(Proposal).where(Proposal.code == CODE)).one()
    proposal_reduction.change(proposal, values, by=staff)


def again(block: Block) -> Frame:
    """Reduce a block once more; it must not pass for unchanged."""
    before = product(block).fingerprint
    assert product(block).outdated == f"the reduction settings of {CODE} were changed"
    assert block.status == 0
    job = run(block)
    assert job.state == JobState.DONE, job.error
    frame = product(block)
    assert job.result["reduced"] == 1
    assert frame.fingerprint != before
    assert frame.outdated is None
    return frame


def test_frame_is_left_as_it_is_where_nothing_is_set(science: Block, staff: User) -> None:
    set_rules(staff, ignore_bias="false", cosmic_ray_method="default", min_bias="")

    job = run(science)

    assert job.result["unchanged"] == 1


def test_setting_that_is_taken_back_leaves_the_first_result_standing(
    science: Block, staff: User
) -> None:
    set_rules(staff, ignore_bias=True)
    set_rules(staff, ignore_bias="default")

    job = run(science)

    assert job.result["unchanged"] == 1
    assert product(science).outdated is None


def test_bias_that_is_ignored_is_not_taken_off_and_the_frame_says_why(
    science: Block, staff: User
) -> None:
    master = parents(product(science))["bias"]
    set_rules(staff, ignore_bias=True)

    frame = again(science)

    assert master
    assert "bias" not in parents(frame)
    assert "bias" not in frame.steps_done
    assert frame.status == 0
    assert f"proposal {CODE} leaves it out (ignore_bias)" in " ".join(frame.missing)
    image, _ = fitsio.read_product(file_of(frame))
    pedestal = simnight.BIAS_ADU * simnight.GAIN_E_PER_ADU
    assert np.median(image.data) > 0.9 * pedestal


def test_flat_that_is_ignored_is_not_divided_by(science: Block, staff: User) -> None:
    set_rules(staff, ignore_flats="yes")

    frame = again(science)

    assert "flat" not in parents(frame)
    assert f"proposal {CODE} leaves it out (ignore_flats)" in " ".join(frame.missing)
    image, _ = fitsio.read_product(file_of(frame))
    corner, middle = np.median(image.data[:8, :8]), np.median(image.data[20:28, 40:48])
    assert corner / middle == pytest.approx(0.83, abs=0.05)  # the response is still in it


@pytest.mark.parametrize(("name", "role"), [("min_bias", "bias"), ("min_flats", "flat")])
def test_master_of_too_few_frames_is_not_used_and_the_reason_is_said(
    science: Block, staff: User, name: str, role: str
) -> None:
    set_rules(staff, **{name: 7})

    frame = again(science)

    assert role not in parents(frame)
    assert f"of at least 7 frames, as proposal {CODE} wants" in " ".join(frame.missing)
    set_rules(staff, **{name: 6})
    assert role in parents(again(science))


def test_larger_master_of_another_night_is_taken_before_one_of_too_few(
    science: Block, staff: User
) -> None:
    register("bias", count=12, night="2026-11-18")
    (other,) = blocks.create(BIAS, NIGHT.replace(day=18), NIGHT.replace(day=18), owner=None)
    assert run(other).state == JobState.DONE
    set_rules(staff, min_bias=10)

    frame = again(science)

    assert parents(frame)["bias"] == {other.master_id}


def test_cosmic_rays_are_searched_for_as_the_proposal_says_not_the_site(
    science: Block, staff: User
) -> None:
    def hits(frame: Frame) -> int:
        image, _ = fitsio.read_product(file_of(frame))
        return int((image.mask[20, 20:23] & np.uint16(PixelFlag.COSMIC_RAY)).astype(bool).sum())

    assert hits(product(science)) == 3
    set_rules(staff, cosmic_ray_method="none")
    assert hits(again(science)) == 0
    settings.change("reduction", "cosmic_rays", False, by=staff)
    set_rules(staff, cosmic_ray_method="lacosmic")
    assert hits(again(science)) == 3
    set_rules(staff, cosmic_ray_method="default")
    assert hits(again(science)) == 0


def test_technique_of_the_proposal_holds_over_the_header(science: Block, staff: User) -> None:
    set_rules(staff, technique="spectroscopy")

    frame = again(science)

    assert frame.technique == "spectroscopy"
    assert "cosmic rays" not in frame.steps_done
    assert "sky lines of a spectrum" in " ".join(frame.notes)
    assert science.entries[0].frame.technique == "imaging"  # as its header has it
    assert parents(frame)["flat"]


def test_science_frame_with_too_many_saturated_pixels_says_so(science: Block, staff: User) -> None:
    assert "saturated" not in " ".join(product(science).notes)
    set_rules(staff, saturation_threshold=1)

    frame = again(science)

    assert f"more than the 1 % that proposal {CODE} wants" in " ".join(frame.notes)
    set_rules(staff, saturation_threshold=3)
    assert "saturated" not in " ".join(again(science).notes)


def test_flats_of_the_proposal_are_left_out_of_its_master_by_its_threshold(staff: User) -> None:
    register("flat", count=3, **OF_PROPOSAL)
    spoilt = simnight.pixels("flat", np.random.default_rng(2), 10.0)
    spoilt[:2, :9] = 65535  # 0.6 %: the site's limit is 1 %
    register("flat", data=spoilt, **OF_PROPOSAL)
    block = done(FLAT)
    assert block.master is not None
    assert block.master.ncombine == 4
    before = block.master.fingerprint
    set_rules(staff, saturation_threshold=0.5)
    assert block.status == 0

    run(block)

    assert block.master.ncombine == 3
    assert block.master.fingerprint != before
    assert [entry.left_out for entry in block.entries if entry.left_out]


def test_masters_shared_with_others_keep_to_the_site(staff: User) -> None:
    register("flat", count=3)
    spoilt = simnight.pixels("flat", np.random.default_rng(2), 10.0)
    spoilt[:2, :9] = 65535
    register("flat", data=spoilt, **OF_PROPOSAL)
    set_rules(staff, saturation_threshold=0.5, ignore_bias=True, min_bias=100)
    register("bias", count=2)
    bias = done(BIAS)

    block = done(FLAT)

    assert block.master is not None
    assert block.master.ncombine == 4
    assert parents(block.master)["bias"] == {bias.master_id}


def test_plan_tells_what_the_proposal_leaves_out(science: Block, staff: User) -> None:
    set_rules(staff, ignore_flats=True, min_bias=9)

    (planned,) = plan.preview(NIGHT, user=staff).science

    assert "ignore_flats" in planned.choice.flat.reason
    assert not planned.choice.bias.is_found


def test_frame_of_no_proposal_beside_it_is_reduced_as_the_site_does(staff: User) -> None:
    register("bias", count=3)
    register("science")
    register("science", **OF_PROPOSAL)
    done(BIAS)
    set_rules(staff, ignore_bias=True)
    block = make(SCI)
    run(block)

    by_proposal = {
        e.frame.proposal_code: parents(product(block, n)) for n, e in enumerate(block.entries)
    }

    assert "bias" in by_proposal[None]
    assert "bias" not in by_proposal[CODE]


def test_settings_changed_while_the_frame_is_reduced_leave_it_due(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("science", **OF_PROPOSAL)
    block = make(SCI)
    calibrate = recipes.calibrate

    def slowly(*arguments: Any, **options: Any) -> Any:
        result = calibrate(*arguments, **options)
        with transaction():
            proposal = db.session.scalars(select(Proposal)).one()
            proposal.reduction = {"ignore_bias": True}
        return result

    monkeypatch.setattr(recipes, "calibrate", slowly)
    blocks.process(block, owner=None)
    runner.work_off()

    assert "settings of its proposal" in str(product(block).outdated)
