"""The nightly plan: what it would make, what each science frame would get, and doing it."""

from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from app.db import db, transaction
from app.models import Block, BlockKind, Camera, Frame, Job, JobState, Level, Proposal, User
from app.services import plan, settings, turns
from tests.factories import make_camera, make_frame

NIGHT = date(2026, 11, 20)


@pytest.fixture
def camera(app: Flask) -> Camera:
    return make_camera()


def frames_of(camera: Camera, kind: str, count: int, **values: Any) -> list[Frame]:
    return [make_frame(kind, **({"camera_id": camera.id} | values)) for _ in range(count)]


@pytest.fixture
def night(camera: Camera) -> Camera:
    """A night of five bias, one thin dark, flats and science in two bands."""
    frames_of(camera, "bias", 5, temp_c=-10.0)
    frames_of(camera, "dark", 2, temp_c=-10.1, exptime_s=300.0)
    for band in ("r", "g"):
        frames_of(camera, "flat", 5, temp_c=-10.0, band=band)
    frames_of(camera, "science", 3, temp_c=-9.9, band="r", exptime_s=60.0)
    frames_of(camera, "science", 1, temp_c=-9.9, band="z", exptime_s=60.0)
    return camera


def sizes(blocks: Any) -> dict[tuple[str, str | None], int]:
    return {
        (block.kind, block.band): len(
            block.members if isinstance(block, plan.PlannedBlock) else block.entries
        )
        for block in blocks
    }


EXPECTED = {
    ("bias", None): 5,
    ("dark", None): 2,
    ("flat", "r"): 5,
    ("flat", "g"): 5,
    ("sci", "r"): 3,
    ("sci", "z"): 1,
}


def test_the_preview_shows_the_blocks_and_stores_nothing(night: Camera, observer: User) -> None:
    shown = plan.preview(NIGHT, user=observer)

    assert sizes(shown.blocks) == EXPECTED
    assert db.session.scalars(select(Block)).all() == []
    assert turns.open_jobs() == []


def test_the_preview_gives_each_science_frame_the_masters_to_come(
    night: Camera, observer: User
) -> None:
    shown = plan.preview(NIGHT, user=observer)

    choice = next(s.choice for s in shown.science if s.frame.band == "r")
    assert choice.bias.reason == "nearest bias, of the same night, still to be made"
    assert choice.dark.reason == (
        "nearest dark of 300 s for 60 s, of the same night, thin, still to be made"
    )
    assert choice.flat.plan_key in {b.plan_key for b in shown.blocks if b.band == "r"}
    assert choice.flat.frame_id is None


def test_the_preview_warns_of_thin_and_missing_calibrations(night: Camera, observer: User) -> None:
    warnings = plan.preview(NIGHT, user=observer).warnings

    assert "2 dark of Simulated, 300 s, -10.1 C: a thin master, of 2 only" in warnings
    assert any(w.startswith("1 sci of Simulated, z: no flat in z") for w in warnings)
    assert not any(w.startswith("3 sci of Simulated, r") for w in warnings)


def test_frames_no_block_would_take_are_listed_with_the_reason(
    camera: Camera, observer: User
) -> None:
    make_frame(camera_id=camera.id, kind_doubt="a bare Light Frame")
    make_frame("focus", camera_id=camera.id)

    shown = plan.preview(NIGHT, user=observer)

    assert shown.blocks == ()
    assert sorted(a.reason for a in shown.aside) == [
        "its kind is doubtful: a bare Light Frame",
        "no block takes frames of kind focus",
    ]


def test_a_nearer_master_that_exists_goes_before_an_older_one(
    camera: Camera, observer: User
) -> None:
    frames_of(camera, "science", 1)
    master = make_frame("bias", camera_id=camera.id, level=Level.MASTER, night=date(2026, 11, 10))

    (science,) = plan.preview(NIGHT, user=observer).science

    assert science.choice.bias.frame_id == master.id
    assert science.choice.bias.reason == "nearest bias, 10 days older (night 2026-11-10)"


def test_applying_makes_the_blocks_once(night: Camera, observer: User) -> None:
    first = plan.apply(NIGHT, owner=observer)
    second = plan.apply(NIGHT, owner=observer)

    assert sizes(first) == EXPECTED
    assert [block.id for block in first] == [block.id for block in second]


def test_frames_that_come_later_join_their_block_and_make_it_due(
    night: Camera, observer: User
) -> None:
    made = {(b.kind, b.band): b for b in plan.apply(NIGHT, owner=observer)}
    with transaction():
        for block in made.values():
            block.status = 1
    late = make_frame("bias", camera_id=night.id, temp_c=-10.0)
    colder = make_frame("dark", camera_id=night.id, temp_c=-11.5, exptime_s=300.0)

    again = {(b.kind, b.band): b for b in plan.apply(NIGHT, owner=observer)}

    assert {b.id for b in again.values()} == {b.id for b in made.values()}
    assert late.id in {e.frame_id for e in again["bias", None].entries}
    assert colder.id in {e.frame_id for e in again["dark", None].entries}
    assert again["bias", None].status == again["dark", None].status == 0
    assert again["flat", "r"].status == 1


def test_a_dark_too_cold_for_the_block_of_before_gets_one_of_its_own(
    camera: Camera, observer: User
) -> None:
    frames_of(camera, "dark", 1, temp_c=-4.0, exptime_s=60.0)
    frames_of(camera, "dark", 1, temp_c=-5.9, exptime_s=60.0)
    plan.apply(NIGHT, owner=observer)
    frames_of(camera, "dark", 1, temp_c=-6.1, exptime_s=60.0)

    blocks = plan.apply(NIGHT, owner=observer)

    assert [len(block.entries) for block in blocks] == [2, 1]


def test_processing_runs_bias_before_dark_before_flat_before_science(
    night: Camera, observer: User
) -> None:
    queued = plan.process(NIGHT, observer)

    kinds = [job.label.split()[0] for job in queued]
    assert kinds == ["bias", "dark", "flat", "flat", "sci", "sci"]
    earlier = {job.id: kind for job, kind in zip(queued, kinds, strict=True)}
    waits = [sorted({earlier[n.needs_id] for n in job.needs}) for job in queued]
    assert waits[0] == []
    assert waits[1] == ["bias"]
    assert waits[2] == ["bias", "dark"]
    assert waits[4] == waits[5] == ["bias", "dark", "flat"]


def test_what_is_done_is_not_queued_again(night: Camera, observer: User) -> None:
    with transaction():
        for block in plan.apply(NIGHT, owner=observer):
            block.status = 1

    assert plan.process(NIGHT, observer) == []


def test_a_new_flat_brings_its_science_along(night: Camera, observer: User) -> None:
    with transaction():
        for block in plan.apply(NIGHT, owner=observer):
            block.status = 1
    make_frame("flat", camera_id=night.id, band="z", temp_c=-10.0)

    queued = plan.process(NIGHT, observer)

    assert [job.label.split()[0] for job in queued] == ["flat", "sci", "sci"]


def test_darks_of_the_next_evening_bring_back_science_that_lacked_one(
    camera: Camera, observer: User
) -> None:
    frames_of(camera, "science", 1, exptime_s=60.0)
    (science,) = plan.apply(NIGHT, owner=observer)
    product = make_frame(level=Level.REDUCED, missing=["no dark"])
    with transaction():
        science.status = 1
        science.entries[0].product_id = product.id
    frames_of(camera, "dark", 3, night=date(2026, 11, 21), exptime_s=60.0)

    queued = plan.process(date(2026, 11, 21), observer)

    assert [job.arguments["block_id"] for job in queued][-1] == science.id
    assert len(queued) == 2


def test_by_itself_the_plan_does_not_try_again_what_failed(camera: Camera, observer: User) -> None:
    frames_of(camera, "bias", 2)
    (job,) = plan.process(NIGHT, None)
    with transaction():
        job.state = JobState.FAILED

    assert plan.process_nights({NIGHT}, None) == []
    assert len(plan.process(NIGHT, observer)) == 1


def test_by_itself_the_plan_tries_again_once_a_frame_was_added(camera: Camera) -> None:
    frames_of(camera, "bias", 2)
    (job,) = plan.process(NIGHT, None)
    with transaction():
        job.state = JobState.FAILED
    frames_of(camera, "bias", 1)

    assert len(plan.process_nights({NIGHT}, None)) == 1


def test_an_invalid_block_of_the_plan_promises_no_master_and_is_not_processed(
    night: Camera, observer: User
) -> None:
    bias = next(b for b in plan.apply(NIGHT, owner=observer) if b.kind == "bias")
    with transaction():
        bias.is_valid = False

    choice = plan.preview(NIGHT, user=observer).science[0].choice

    assert choice.bias.reason == "no bias of this camera and setting"
    assert bias.id not in {job.arguments["block_id"] for job in plan.process(NIGHT, observer)}


def test_after_a_scan_nights_are_planned_only_where_the_site_wants_it(
    night: Camera, staff: User
) -> None:
    assert plan.after_scan({NIGHT}) is None
    assert plan.auto() is None

    settings.change("plan", "automatic", "true", by=staff)
    job = plan.after_scan({NIGHT, date(2026, 11, 19)})

    assert isinstance(job, Job)
    assert job.function == "blocks.plan_nights"
    assert job.arguments == {"nights": ["2026-11-19", "2026-11-20"]}
    assert plan.after_scan(set()) is None


def test_housekeeping_plans_nights_with_frames_in_no_block(night: Camera, staff: User) -> None:
    settings.change("plan", "automatic", "true", by=staff)
    make_frame(night=date(2026, 11, 1), kind_doubt="a bare Light Frame")

    job = plan.auto()
    assert job is not None
    assert job.arguments == {"nights": ["2026-11-20"]}

    plan.apply(NIGHT, owner=None)
    assert plan.auto() is None


def test_frames_this_user_may_not_see_are_not_in_his_preview(
    camera: Camera, observer: User, staff: User
) -> None:
    with transaction():
        db.session.add(Proposal(id=1, code="P1"))
    frames_of(camera, "science", 1, proposal_id=1)
    settings.change("access", "visibility", "members", by=staff)

    assert plan.preview(NIGHT, user=observer).science == ()
    assert len(plan.preview(NIGHT, user=staff).science) == 1


def test_frames_alike_are_asked_about_once_and_each_still_gets_its_own(
    camera: Camera, staff: User
) -> None:
    def queries_for_preview() -> int:
        counted: list[str] = []
        event.listen(db.engine, "before_cursor_execute", lambda *seen: counted.append(seen[2]))
        plan.preview(NIGHT, user=staff)
        return len(counted)

    frames_of(camera, "bias", 5, temp_c=-10.0)
    frames_of(camera, "dark", 5, temp_c=-10.0, exptime_s=60.0)
    frames_of(camera, "flat", 5, temp_c=-10.0, band="r")
    frames_of(camera, "science", 2, temp_c=-10.0, band="r", exptime_s=60.0)
    few = queries_for_preview()
    frames_of(camera, "science", 40, temp_c=-10.0, band="r", exptime_s=60.0)
    frames_of(camera, "science", 1, temp_c=20.0, band="r", exptime_s=60.0)

    many = queries_for_preview()
    shown = plan.preview(NIGHT, user=staff).science

    assert many < few + 12  # the warm one asks for its darks anew
    assert [s.choice.dark.is_found for s in shown] == [s.frame.temp_c == -10.0 for s in shown]


def test_kinds_of_the_plan_are_in_the_order_they_depend_on_each_other() -> None:
    assert plan.CALIBRATIONS == (BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT)


EARLIER = date(2026, 11, 10)


@pytest.fixture
def bare_night(camera: Camera) -> Camera:
    """A night of science alone; its bias, and flats, were taken ten nights earlier."""
    frames_of(camera, "science", 2, band="B", exptime_s=60.0)
    frames_of(camera, "bias", 2, night=EARLIER)
    frames_of(camera, "flat", 3, night=EARLIER, band="B")
    frames_of(camera, "science", 1, night=EARLIER, band="B")
    return camera


def test_the_preview_names_raw_calibrations_of_other_nights(
    bare_night: Camera, observer: User
) -> None:
    shown = plan.preview(NIGHT, user=observer)

    choice = shown.science[0].choice
    assert choice.bias.reason == (
        "2 bias of 2026-11-10 (10 days older, thin) would do; their block is not made yet"
    )
    assert choice.flat.reason.startswith("3 flat of 2026-11-10 (10 days older")
    assert sizes(shown.borrowed) == {("bias", None): 2, ("flat", "B"): 3}
    assert sizes(shown.blocks) == {("sci", "B"): 2}
    assert shown.warnings == ()


def test_one_press_makes_and_processes_what_another_night_lends(
    bare_night: Camera, observer: User
) -> None:
    queued = plan.process(NIGHT, observer)

    kinds = [job.label.split()[0] for job in queued]
    assert kinds == ["bias", "flat", "sci"]
    bias, flat, sci = queued
    assert {need.needs_id for need in sci.needs} == {bias.id, flat.id}
    nights = {b.kind: b.start_night for b in db.session.scalars(select(Block))}
    assert nights == {"bias": EARLIER, "flat": EARLIER, "sci": NIGHT}


def test_what_was_lent_is_the_block_of_its_own_night(bare_night: Camera, observer: User) -> None:
    first = {block.id for block in plan.apply(NIGHT, owner=observer)}

    again = {block.id for block in plan.apply(NIGHT, owner=observer)}
    of_its_own = {block.id for block in plan.apply(EARLIER, owner=observer)}

    assert again == first
    assert len(of_its_own & first) == 2
    assert "not processed yet" in plan.preview(NIGHT, user=observer).science[0].choice.bias.reason


@pytest.mark.parametrize(
    "why_not",
    [
        {"is_valid": False},
        {"unusable": "It is no longer in RAW."},
        {"kind_doubt": "its name says dark"},
        {"binning_x": 2},
        {"night": date(2025, 1, 1)},
    ],
)
def test_nothing_is_lent_by_frames_that_would_not_do(
    camera: Camera, observer: User, why_not: dict[str, Any]
) -> None:
    frames_of(camera, "science", 1)
    frames_of(camera, "bias", 2, **({"night": EARLIER} | why_not))

    shown = plan.preview(NIGHT, user=observer)

    assert shown.borrowed == ()
    assert shown.science[0].choice.bias.reason == "no bias of this camera and setting"


def test_a_master_that_was_made_is_not_lent_again(bare_night: Camera, observer: User) -> None:
    lent = [b for b in plan.apply(NIGHT, owner=observer) if b.kind == "bias"]
    master = make_frame("bias", level=Level.MASTER, camera_id=bare_night.id, night=EARLIER)
    with transaction():
        lent[0].status, lent[0].master_id = 1, master.id

    shown = plan.preview(NIGHT, user=observer)

    assert shown.science[0].choice.bias.frame_id == master.id
    assert sizes(shown.borrowed) == {("flat", "B"): 3}


def test_a_night_borrows_the_nearest_there_is(camera: Camera, observer: User) -> None:
    frames_of(camera, "science", 1)
    frames_of(camera, "bias", 2, night=EARLIER)
    frames_of(camera, "bias", 2, night=date(2026, 11, 22))

    (lent,) = plan.preview(NIGHT, user=observer).borrowed

    assert lent.first.night == date(2026, 11, 22)


def test_a_flat_of_the_night_borrows_its_bias(camera: Camera, observer: User) -> None:
    frames_of(camera, "flat", 3)
    frames_of(camera, "bias", 2, night=EARLIER)

    assert sizes(plan.preview(NIGHT, user=observer).borrowed) == {("bias", None): 2}


def test_an_exact_dark_of_another_night_goes_before_one_to_be_scaled(
    camera: Camera, observer: User
) -> None:
    frames_of(camera, "science", 1, exptime_s=60.0, temp_c=-10.0)
    frames_of(camera, "bias", 2)
    frames_of(camera, "dark", 3, exptime_s=300.0, temp_c=-10.0)
    frames_of(camera, "dark", 3, exptime_s=60.0, temp_c=-10.0, night=EARLIER)

    shown = plan.preview(NIGHT, user=observer)

    assert shown.science[0].choice.dark.reason.startswith("3 dark of 60 s of 2026-11-10")
    assert sizes(shown.borrowed) == {("dark", None): 3}


def test_frames_hidden_from_an_observer_are_not_promised_to_him(
    camera: Camera, observer: User, staff: User
) -> None:
    with transaction():
        db.session.add(Proposal(id=1, code="P1"))
    frames_of(camera, "science", 1)
    frames_of(camera, "bias", 2, night=EARLIER, proposal_id=1)
    settings.change("access", "visibility", "members", by=staff)

    assert plan.preview(NIGHT, user=observer).borrowed == ()
    assert len(plan.preview(NIGHT, user=staff).borrowed) == 1


def test_a_plan_by_hand_leaves_frames_and_blocks_of_others_alone(
    camera: Camera, observer: User, staff: User
) -> None:
    with transaction():
        db.session.add(Proposal(id=1, code="P1", pi_id=staff.id))
    free = frames_of(camera, "science", 2)
    theirs = frames_of(camera, "science", 1, proposal_id=1)

    made = plan.apply(NIGHT, owner=observer)
    assert [{e.frame_id for e in block.entries} for block in made] == [{f.id for f in free}]

    whole = plan.apply(NIGHT, owner=None)  # the house plans for everyone
    assert {e.frame_id for block in whole for e in block.entries} == {
        frame.id for frame in (*free, *theirs)
    }
    assert plan.process(NIGHT, observer) == []
    assert len(plan.process(NIGHT, staff)) == 1


def test_the_preview_gives_no_number_of_a_block_that_is_not_seen(
    camera: Camera, observer: User, staff: User
) -> None:
    with transaction():
        db.session.add(Proposal(id=1, code="P1", pi_id=staff.id))
    theirs = frames_of(camera, "science", 1, proposal_id=1)
    plan.apply(NIGHT, owner=None)
    frames_of(camera, "science", 1)
    settings.change("access", "visibility", "members", by=staff)

    seen = plan.preview(NIGHT, user=observer).blocks
    whole = plan.preview(NIGHT, user=staff).blocks

    assert [(block.block_id, len(block.members)) for block in seen] == [(None, 1)]
    assert [len(block.members) for block in whole] == [2]
    assert theirs[0].id not in {frame.id for block in seen for frame in block.members}
