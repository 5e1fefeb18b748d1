"""Masters and reductions that are asked for: which frames, which blocks, whose they may be."""

from datetime import date

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.errors import InvalidRequestError, NotAllowedError, NotFoundError
from app.models import Block, BlockKind, Frame, Job, Proposal, User
from app.services import orders, settings
from app.services.orders import Selection
from tests.factories import make_camera, make_frame, make_user

NIGHT = date(2026, 11, 20)
BIAS, FLAT = (BlockKind.BIAS,), (BlockKind.FLAT,)


def of_night(band: str = "", camera: str = "") -> Selection:
    return Selection(start=NIGHT, end=NIGHT, band=band, camera=camera)


def members(block: Block) -> set[int]:
    return {entry.frame_id for entry in block.entries}


def others_proposal() -> Proposal:
    with transaction():
        proposal = Proposal(code="2026A-7", pi=make_user("member"))
        db.session.add(proposal)
    return proposal


def test_night_of_calibrations_becomes_a_block_a_kind_and_band(app: Flask, observer: User) -> None:
    bias = {make_frame("bias").id for _ in range(3)}
    red = {make_frame("flat").id for _ in range(2)}
    blue = {make_frame("flat", band="g").id}
    make_frame("bias", night=date(2026, 11, 21))

    ordered = orders.make_masters(observer, of_night(), orders.CALIBRATIONS)

    assert [members(block) for block in ordered.blocks] == [bias, red, blue]
    assert [job.label.split()[0] for job in ordered.jobs] == ["bias", "flat", "flat"]
    assert {block.owner_id for block in ordered.blocks} == {observer.id}
    assert ordered.left_out == []


def test_filter_is_found_as_the_header_or_the_band_has_it(app: Flask, observer: User) -> None:
    named = make_frame("flat", band="r", band_raw="SDSS-R 2")
    make_frame("flat", band="g", band_raw="G")

    for text in ("R", "sdss-r 2"):
        ordered = orders.make_masters(observer, of_night(band=text), FLAT)
        assert members(ordered.blocks[0]) == {named.id}


def test_camera_is_named_or_numbered_and_an_unknown_one_refused(app: Flask, observer: User) -> None:
    camera = make_camera("STL-1001")
    mine = make_frame("bias", camera_id=camera.id)
    make_frame("bias")

    for text in ("stl-1001", str(camera.id)):
        ordered = orders.make_masters(observer, of_night(camera=text), BIAS)
        assert members(ordered.blocks[0]) == {mine.id}
    with pytest.raises(InvalidRequestError, match="STL-1001"):
        orders.make_masters(observer, of_night(camera="Kodak"), BIAS)


def test_asking_twice_makes_no_second_block_nor_job(app: Flask, observer: User) -> None:
    frames = [make_frame("bias").id for _ in range(3)]

    first = orders.make_masters(observer, of_night(), BIAS)
    second = orders.make_masters(observer, Selection(ids=frames), BIAS)

    assert second.blocks == first.blocks
    assert second.reused == {first.blocks[0].id}
    assert second.jobs == first.jobs


def test_frame_that_will_not_do_is_left_out_with_its_reason(app: Flask, observer: User) -> None:
    good, bad = make_frame("bias"), make_frame("bias", is_valid=False)
    science = make_frame()

    ordered = orders.make_masters(observer, Selection(ids=[good.id, bad.id, science.id]), BIAS)

    assert members(ordered.blocks[0]) == {good.id}
    assert {one.frame.id: one.reason for one in ordered.left_out} == {
        bad.id: "it was set invalid",
        science.id: "its kind is science",
    }


def test_nothing_that_matches_is_said_in_a_sentence_and_makes_nothing(
    app: Flask, observer: User
) -> None:
    bad = make_frame("bias", is_valid=False)

    with pytest.raises(InvalidRequestError, match=f"{bad.file_name}: it was set invalid"):
        orders.make_masters(observer, of_night(), BIAS)
    with pytest.raises(InvalidRequestError, match="No raw flat frames of 2026-11-20 match"):
        orders.make_masters(observer, of_night(), FLAT)
    with pytest.raises(InvalidRequestError, match="Say which files"):
        orders.make_masters(observer, Selection(), BIAS)
    with pytest.raises(NotFoundError, match="999"):
        orders.make_masters(observer, Selection(ids=[bad.id, 999]), BIAS)
    assert db.session.scalars(select(Block)).all() == []
    assert db.session.scalars(select(Job)).all() == []


def test_frames_of_other_people_are_refused_by_id_and_passed_over_by_night(
    app: Flask, observer: User, staff: User
) -> None:
    mine = make_frame()
    theirs = make_frame(proposal_id=others_proposal().id, night=NIGHT)

    with pytest.raises(NotAllowedError, match="2026A-7"):
        orders.reduce(observer, Selection(ids=[mine.id, theirs.id]))
    ordered = orders.reduce(observer, of_night())
    all_of_it = orders.reduce(staff, of_night())

    assert members(ordered.blocks[0]) == {mine.id}
    assert members(all_of_it.blocks[0]) == {mine.id, theirs.id}


def test_hidden_frames_are_not_there(app: Flask, observer: User, staff: User) -> None:
    theirs = make_frame(proposal_id=others_proposal().id, night=date(2099, 1, 1))
    settings.change("access", "visibility", "members", by=staff)

    with pytest.raises(NotFoundError, match=f"There is no file {theirs.id}"):
        orders.reduce(observer, Selection(ids=[theirs.id]))
    with pytest.raises(InvalidRequestError, match="No raw science frames"):
        orders.reduce(observer, Selection(start=date(2099, 1, 1)))


def test_object_is_found_however_its_blanks_are_written(app: Flask, observer: User) -> None:
    wanted: Frame = make_frame(object_name="NGC 2420")
    make_frame(object_name="NGC 24201")

    ordered = orders.reduce(observer, Selection(object_name="ngc-2420"))

    assert members(ordered.blocks[0]) == {wanted.id}
