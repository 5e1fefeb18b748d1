"""Making blocks of the right frames, changing them, and queueing their work."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from flask import Flask

from app.db import db, transaction
from app.errors import (
    AppError,
    ConflictError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
)
from app.models import (
    Block,
    BlockKind,
    Camera,
    Frame,
    JobState,
    Level,
    Proposal,
    SuperflatLink,
    User,
)
from app.services import audit, blocks, frames, processing, settings, turns
from tests.factories import make_block, make_camera, make_frame

NIGHT = date(2026, 11, 20)
BIAS, DARK, FLAT, SCI = BlockKind.BIAS, BlockKind.DARK, BlockKind.FLAT, BlockKind.SCI


@pytest.fixture
def camera(app: Flask) -> Camera:
    return make_camera()


def frames_of(camera: Camera, kind: str, count: int, **values: Any) -> list[Frame]:
    return [make_frame(kind, **({"camera_id": camera.id} | values)) for _ in range(count)]


def ids(block: Block) -> set[int]:
    return {entry.frame_id for entry in block.entries}


def needed_by(job: Any) -> set[int]:
    return {need.needs_id for need in job.needs}


def test_a_block_takes_the_good_frames_of_both_end_nights(camera: Camera, observer: User) -> None:
    good = frames_of(camera, "bias", 2) + frames_of(camera, "bias", 1, night=date(2026, 11, 21))
    frames_of(camera, "bias", 1, night=date(2026, 11, 22))
    frames_of(camera, "bias", 1, is_valid=False)
    frames_of(camera, "bias", 1, kind_doubt="may be a dark")
    frames_of(camera, "bias", 1, unusable="a colour cube")
    frames_of(camera, "bias", 1, level=Level.MASTER)
    frames_of(camera, "dark", 1)

    (block,) = blocks.create(BIAS, NIGHT, date(2026, 11, 21), owner=observer)

    assert ids(block) == {frame.id for frame in good}
    assert (block.camera_id, block.band, block.status) == (camera.id, None, 0)
    assert (block.start_night, block.end_night) == (NIGHT, date(2026, 11, 21))


def test_frames_of_several_settings_become_a_block_each_largest_first(
    camera: Camera, observer: User
) -> None:
    binned = frames_of(camera, "bias", 3, binning_x=2, binning_y=2)
    other = frames_of(make_camera("Other"), "bias", 4)
    gain = frames_of(camera, "bias", 2, readout_key="gain 100")

    made = blocks.create(BIAS, NIGHT, NIGHT, owner=observer)

    assert [ids(block) for block in made] == [
        {frame.id for frame in members} for members in (other, binned, gain)
    ]


def test_darks_are_parted_by_exposure_and_temperature(camera: Camera, observer: User) -> None:
    cold = [make_frame("dark", camera_id=camera.id, temp_c=-10.2, exptime_s=300.0)]
    warm = [
        make_frame("dark", camera_id=camera.id, temp_c=temp_c, exptime_s=exptime_s)
        for temp_c, exptime_s in ((-5.2, 300.0), (-4.8, 301.0), (-4.9, 299.0))
    ]
    short = [make_frame("dark", camera_id=camera.id, temp_c=-5.0, exptime_s=60.0)]
    silent = [make_frame("dark", camera_id=camera.id, exptime_s=60.0) for _ in range(2)]

    made = blocks.create(DARK, NIGHT, NIGHT, owner=observer)

    assert [ids(block) for block in made] == [
        {frame.id for frame in members} for members in (warm, silent, cold, short)
    ]


def test_spectra_and_images_never_share_a_block(camera: Camera, observer: User) -> None:
    frames_of(camera, "science", 2)
    frames_of(camera, "science", 1, technique="spectroscopy")
    frames_of(camera, "standard", 1, technique="spectroscopy", band="r")

    made = blocks.create(SCI, NIGHT, NIGHT, owner=observer)

    assert [{e.frame.technique for e in block.entries} for block in made] == [
        {"imaging"},
        {"spectroscopy"},
    ]
    assert len(made[1].entries) == 2


def test_band_name_and_field_narrow_the_choice(camera: Camera, observer: User) -> None:
    wanted = make_frame(
        camera_id=camera.id, band="B", file_name="ngc_01.fits", object_name="NGC 2420"
    )
    make_frame(camera_id=camera.id, band="V", file_name="ngc_02.fits", object_name="NGC 2420")
    make_frame(camera_id=camera.id, band="B", file_name="xyz_03.fits", object_name="NGC 2420")
    make_frame(camera_id=camera.id, band="B", file_name="ngc_04.fits", object_name="M 31")

    (block,) = blocks.create(
        SCI, NIGHT, NIGHT, owner=observer, band="B", contains="m67, ngc", field="NGC-2420"
    )

    assert ids(block) == {wanted.id}
    assert block.band == "B"


def test_no_block_is_made_of_nothing_and_the_reason_is_given(
    camera: Camera, observer: User
) -> None:
    with pytest.raises(InvalidRequestError, match="no bias frames of 2026-11-20 match"):
        blocks.create(BIAS, NIGHT, NIGHT, owner=observer)

    frames_of(camera, "bias", 2, kind_doubt="may be a dark")
    with pytest.raises(InvalidRequestError, match=r"none of the 2 bias frames .*may be a dark"):
        blocks.create(BIAS, NIGHT, NIGHT, owner=observer)

    with pytest.raises(InvalidRequestError, match="after the last one"):
        blocks.create(BIAS, date(2026, 11, 22), NIGHT, owner=observer)
    assert blocks.find(observer, BIAS, is_group=False) == []


def test_nobody_makes_a_block_of_frames_he_may_not_see(
    camera: Camera, observer: User, staff: User
) -> None:
    with transaction():
        db.session.add(Proposal(id=1, code="P1"))
    settings.change("access", "visibility", "members", by=staff)
    secret = frames_of(camera, "science", 2, proposal_id=1)
    (free,) = frames_of(camera, "science", 1)

    (own,) = blocks.create(SCI, NIGHT, NIGHT, owner=observer)

    assert ids(own) == {free.id}
    with pytest.raises(NotFoundError):
        blocks.add(own, secret[0].id, by=observer)
    (all_of_them,) = blocks.create(SCI, NIGHT, NIGHT, owner=staff)
    assert len(all_of_them.entries) == 3


def test_an_all_band_block_has_a_block_for_each_band(camera: Camera, observer: User) -> None:
    frames_of(camera, "flat", 2, band="B")
    frames_of(camera, "flat", 3, band="V")

    group = blocks.create_group(FLAT, NIGHT, NIGHT, owner=observer)

    assert [(child.band, len(child.entries)) for child in group.children] == [("V", 3), ("B", 2)]
    assert blocks.get(observer, FLAT, group.id, is_group=True).entries == []
    with pytest.raises(NotFoundError):
        blocks.get(observer, FLAT, group.id, is_group=False)


def test_bias_has_no_all_band_block(camera: Camera, observer: User) -> None:
    frames_of(camera, "bias", 2)

    with pytest.raises(InvalidRequestError, match="no bands"):
        blocks.create_group(BIAS, NIGHT, NIGHT, owner=observer)


def test_blocks_are_found_by_their_first_night_and_validity(app: Flask, observer: User) -> None:
    early = make_block(start_night=date(2026, 11, 1), end_night=NIGHT)
    late = make_block(start_night=NIGHT)
    wrong = make_block(is_valid=False)
    make_block("flat")

    found = blocks.find(observer, BIAS, is_group=False, start=date(2026, 11, 2), end=NIGHT)
    assert list(found) == [late]
    assert set(blocks.find(observer, BIAS, is_group=False, valid=None)) == {early, late, wrong}
    assert list(blocks.find(observer, BIAS, is_group=False, valid=False)) == [wrong]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"binning_x": 2, "binning_y": 2}, "binning 2x2 instead of 1x1"),
        ({"band": "B"}, "band B instead of r"),
        ({"nx": 32}, "size 32x48 instead of 64x48"),
        ({"readout_key": "gain 100"}, "readout gain 100 instead of none"),
        ({"technique": "spectroscopy"}, "technique spectroscopy instead of imaging"),
        ({"kind_doubt": "may be a flat"}, "its kind is doubtful: may be a flat"),
        ({"kind": "dark"}, "its kind is dark"),
        ({"level": Level.REDUCED}, "it is not a raw frame"),
    ],
)
def test_a_frame_that_would_mix_a_block_is_refused_with_what_differs(
    camera: Camera, observer: User, values: dict[str, Any], why: str
) -> None:
    block = make_block("sci", frames_of(camera, "science", 2), status=1)
    stranger = make_frame(**({"camera_id": camera.id} | values))

    with pytest.raises(ConflictError) as refused:
        blocks.add(block, stranger.id)

    assert why in str(refused.value)
    assert stranger.file_name in str(refused.value)
    assert (len(block.entries), block.status) == (2, 1)


def test_a_frame_of_another_camera_is_refused_by_the_cameras_names(
    camera: Camera, observer: User
) -> None:
    block = make_block("bias", frames_of(camera, "bias", 2))
    stranger = make_frame("bias", camera_id=make_camera("Other").id)

    with pytest.raises(ConflictError, match="camera Other instead of Simulated"):
        blocks.add(block, stranger.id)


def test_adding_and_removing_a_frame_makes_the_block_due_again(
    camera: Camera, observer: User
) -> None:
    first, second = frames_of(camera, "bias", 2)
    block = make_block("bias", [first], status=1)

    blocks.add(block, second.id)
    assert (ids(block), block.status) == ({first.id, second.id}, 0)

    blocks.set_status(block, 1)
    blocks.remove(block, first.id)
    assert (ids(block), block.status) == ({second.id}, 0)
    with pytest.raises(NotFoundError):
        blocks.remove(block, first.id)
    assert db.session.get(Frame, first.id) is not None


def test_a_band_joins_and_leaves_an_all_band_block(camera: Camera, observer: User) -> None:
    group = make_block("flat", is_group=True)
    flat = make_block("flat", frames_of(camera, "flat", 1))

    blocks.add(group, flat.id)
    assert group.children == [flat]
    with pytest.raises(InvalidRequestError):
        blocks.add(group, make_block("bias").id)

    blocks.remove(group, flat.id)
    db.session.refresh(group)
    assert group.children == []


def test_validity_of_an_all_band_block_is_that_of_its_blocks(app: Flask) -> None:
    group = make_block("sci", is_group=True)
    child = make_block("sci", parent_id=group.id, is_valid=False)

    blocks.toggle_valid(group)
    assert (group.is_valid, child.is_valid) == (False, False)

    blocks.toggle_valid(group)
    assert (group.is_valid, child.is_valid) == (True, True)


def test_a_lower_status_makes_what_is_in_the_block_due_again(camera: Camera) -> None:
    (raw,) = frames_of(camera, "science", 1, status=1)
    product = make_frame(level=Level.REDUCED, status=1, fingerprint="made")
    block = make_block("sci", [raw], status=1)
    with transaction():
        block.entries[0].product_id = product.id

    blocks.set_status(block, 0)

    assert (block.status, product.status, product.fingerprint) == (0, 0, "")


def test_the_status_of_frames_and_products_is_set_apart_from_the_blocks(camera: Camera) -> None:
    (raw,) = frames_of(camera, "science", 1)
    product = make_frame(level=Level.REDUCED, status=1, fingerprint="made")
    block = make_block("sci", [raw], status=1)
    with transaction():
        block.entries[0].product_id = product.id

    blocks.set_substatus(block, 3)

    assert (block.status, raw.status, product.status, product.fingerprint) == (1, 3, 3, "made")


def test_a_super_flat_is_linked_to_every_raw_frame_and_cleared(camera: Camera) -> None:
    block = make_block("sci", frames_of(camera, "science", 2, band="Z"), band="Z")
    superflat = make_block("fringe", band="Z")

    blocks.set_superflat(block, superflat.id)
    assert blocks.superflat_of(block) == superflat.id
    assert db.session.query(SuperflatLink).count() == 2

    blocks.set_superflat(block, -1)
    assert blocks.superflat_of(block) is None


def test_a_super_flat_that_is_none_or_of_another_band_is_refused(camera: Camera) -> None:
    block = make_block("sci", frames_of(camera, "science", 1, band="R"), band="R")

    with pytest.raises(NotFoundError, match="No superflat found"):
        blocks.set_superflat(block, make_block("bias").id)
    with pytest.raises(InvalidRequestError, match=r"Superflat not found for this band\."):
        blocks.set_superflat(block, make_block("fringe", band="Z").id)


def test_a_super_flat_reaches_the_blocks_of_its_band_below_an_all_band_block(
    camera: Camera,
) -> None:
    group = make_block("sci", is_group=True)
    inside = make_block("sci", frames_of(camera, "science", 1), band="Z", parent_id=group.id)
    beside = make_block("sci", frames_of(camera, "science", 1), band="R", parent_id=group.id)
    superflat = make_block("fringe", band="Z")

    blocks.set_superflat(group, superflat.id)

    assert blocks.superflat_of(inside) == superflat.id
    assert blocks.superflat_of(beside) is None


def test_processing_queues_one_job_however_often_it_is_asked_for(
    camera: Camera, observer: User
) -> None:
    block = make_block("bias", frames_of(camera, "bias", 2))

    first = blocks.process(block, owner=observer)
    second = blocks.process(block, owner=observer, code="ov")

    assert first.id == second.id
    assert first.function == "blocks.process_block"
    assert (first.arguments["block_id"], first.state) == (block.id, JobState.QUEUED)


@pytest.mark.parametrize("code", ["sf", "ovsf", "co", "ov,co,mc"])
def test_a_step_that_does_not_exist_yet_is_refused_by_name(
    camera: Camera, observer: User, code: str
) -> None:
    block = make_block("bias", frames_of(camera, "bias", 2))

    with pytest.raises(InvalidRequestError, match=r"the step '(sf|co)' .* does not exist yet"):
        blocks.process(block, owner=observer, code=code)
    assert turns.open_jobs() == []


@pytest.mark.parametrize("code", ["xx", "o", "ovm", "1"])
def test_an_unknown_step_is_refused_with_those_there_are(
    camera: Camera, observer: User, code: str
) -> None:
    block = make_block("bias", frames_of(camera, "bias", 2))

    with pytest.raises(InvalidRequestError, match="the steps are ov, sf, mc, am, co"):
        blocks.process(block, owner=observer, code=code)


@pytest.mark.parametrize(
    ("code", "steps"),
    [("", "ovmcam"), ("ov", "ov"), ("mc", "ovmc"), (" OV, MC ", "ovmc"), ("am", "ovam")],
)
def test_a_code_names_the_steps_that_run(
    camera: Camera, observer: User, code: str, steps: str
) -> None:
    block = make_block("sci", frames_of(camera, "science", 1))

    job = blocks.process(block, owner=observer, code=code)

    assert job.arguments["code"] == steps


def test_science_waits_for_the_calibrations_of_its_camera_that_are_under_way(
    camera: Camera, observer: User
) -> None:
    other = make_camera("Other")
    bias = make_block("bias", frames_of(camera, "bias", 1), camera_id=camera.id)
    flat = make_block("flat", frames_of(camera, "flat", 1), camera_id=camera.id)
    foreign = make_block("bias", frames_of(other, "bias", 1), camera_id=other.id)
    science = make_block("sci", frames_of(camera, "science", 1), camera_id=camera.id)
    bias_job = blocks.process(bias, owner=observer)
    blocks.process(foreign, owner=observer)
    flat_job = blocks.process(flat, owner=observer)

    job = blocks.process(science, owner=observer)

    assert needed_by(flat_job) == {bias_job.id}
    assert needed_by(job) == {bias_job.id, flat_job.id}


def test_two_blocks_that_share_a_frame_are_not_reduced_at_once(
    camera: Camera, observer: User
) -> None:
    shared = frames_of(camera, "science", 2)
    first = make_block("sci", shared, camera_id=camera.id)
    second = make_block("sci", shared[1:], camera_id=camera.id)

    job = blocks.process(first, owner=observer)

    assert needed_by(blocks.process(second, owner=observer)) == {job.id}


def test_an_all_band_block_runs_its_blocks_and_ends_after_them(
    camera: Camera, observer: User
) -> None:
    frames_of(camera, "flat", 2, band="B")
    frames_of(camera, "flat", 2, band="V")
    group = blocks.create_group(FLAT, NIGHT, NIGHT, owner=observer)

    job = blocks.process(group, owner=observer)

    assert job.function == "blocks.finish_group"
    parts = [j for j in turns.open_jobs() if j.function == "blocks.process_block"]
    assert {j.arguments["block_id"] for j in parts} == {child.id for child in group.children}
    assert needed_by(job) == {j.id for j in parts}


def test_a_block_with_frames_its_asker_may_not_see_is_not_theirs_to_change(
    camera: Camera, observer: User, staff: User
) -> None:
    with transaction():
        db.session.add(Proposal(id=1, code="P1"))
    settings.change("access", "visibility", "members", by=staff)
    free = make_block("sci", frames_of(camera, "science", 1))
    secret = make_block("sci", frames_of(camera, "science", 1, proposal_id=1))

    assert blocks.process(free, owner=observer).owner_id == observer.id
    changes: list[Callable[[], object]] = [
        lambda: blocks.process(secret, owner=observer),
        lambda: blocks.toggle_valid(secret, by=observer),
        lambda: blocks.set_status(secret, 0, by=observer),
        lambda: blocks.set_substatus(secret, 0, by=observer),
        lambda: blocks.set_comment(secret, "mine", by=observer),
        lambda: blocks.set_superflat(secret, None, by=observer),
        lambda: blocks.add(secret, free.entries[0].frame_id, by=observer),
        lambda: blocks.remove(secret, secret.entries[0].frame_id, by=observer),
    ]
    for change in changes:
        with pytest.raises(NotAllowedError, match="another proposal's"):
            change()
    assert blocks.process(secret, owner=staff).owner_id == staff.id


def make_group_of_invalid() -> Block:
    group = make_block("flat", is_group=True)
    make_block("flat", [make_frame("flat")], parent_id=group.id, is_valid=False)
    return group


def test_a_block_with_nothing_to_do_is_refused(app: Flask, observer: User) -> None:
    master = make_frame("bias", level=Level.MASTER)
    empty: list[tuple[Block, str]] = [
        (make_block("bias"), "has no frames"),
        (make_block("flat", is_group=True), "has no blocks"),
        (make_group_of_invalid(), "has no blocks"),
        (make_block("bias", master_id=master.id), "master made elsewhere"),
    ]

    for block, why in empty:
        with pytest.raises(AppError, match=why):
            blocks.process(block, owner=observer)
    assert turns.open_jobs() == []


def test_block_of_the_other_sort_is_not_just_missing(camera: Camera, observer: User) -> None:
    one, all_bands = make_block("sci"), make_block("flat", is_group=True)

    with pytest.raises(NotFoundError, match=f"{one.id} is a block of one band: use scibyfilter"):
        blocks.get(observer, BlockKind.SCI, one.id, is_group=True)
    with pytest.raises(NotFoundError, match=f"{all_bands.id} is a block of all bands: use flatblo"):
        blocks.get(observer, BlockKind.FLAT, all_bands.id, is_group=False)
    with pytest.raises(NotFoundError, match=f"there is no flat block {one.id}"):
        blocks.get(observer, BlockKind.FLAT, one.id, is_group=False)


def test_unknown_steps_are_named_as_they_were_typed() -> None:
    with pytest.raises(InvalidRequestError, match="there is no step 'SX', 'Q';"):
        processing.steps_of("ovmcSXQ")


def test_who_changed_a_block_or_frame_is_noted(camera: Camera, observer: User) -> None:
    frame = make_frame("bias", camera_id=camera.id)
    block = make_block("bias", [frame], camera_id=camera.id)

    blocks.set_comment(block, "cloudy", by=observer)
    blocks.toggle_valid(block, by=observer)
    blocks.toggle_valid(block, by=observer)
    blocks.set_status(block, 0, by=observer)
    blocks.set_substatus(block, 1, by=observer)
    blocks.process(block, owner=observer, code="ov")
    blocks.set_comment(block, "by the program")
    frames.set_comment(frame, "trailed", by=observer)
    frames.set_status(frame, 0, by=observer)
    frames.toggle_valid(frame, by=observer)

    assert [act.text for act in audit.of(block)] == [
        "processed: ov",
        "set the status of its frames: 1",
        "set the status: 0",
        "set valid",
        "set invalid",
        "commented: cloudy",
    ]
    assert [act.text for act in audit.of(frame)] == [
        "set invalid",
        "set the status: 0",
        "commented: trailed",
    ]
    assert {act.who for act in audit.of(block)} == {observer.display_name}
