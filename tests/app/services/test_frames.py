"""Finding frames, and what people say of them."""

from datetime import date

import pytest
from flask import Flask

from app.db import db, transaction
from app.errors import InvalidRequestError, NotFoundError
from app.models import Frame, FrameParent, Level, Proposal, StoredSetting, User
from app.services import frames
from tests.factories import make_block, make_frame, make_user


def names(found: object) -> list[str]:
    return sorted(frame.file_name for frame in found)  # type: ignore[attr-defined]


def make_product(raw: Frame, **values: object) -> Frame:
    product = make_frame(raw.kind, level=Level.REDUCED, fingerprint="made", status=1, **values)
    with transaction():
        db.session.add(FrameParent(child_id=product.id, parent_id=raw.id, role="raw"))
    return product


def test_both_ends_of_a_range_of_nights_are_in_it(observer: User) -> None:
    for day in (9, 10, 11, 12, 13):
        make_frame(file_name=f"n{day}.fits", night=date(2026, 11, day))

    found = frames.find(observer, start=date(2026, 11, 10), end=date(2026, 11, 12))

    assert names(found) == ["n10.fits", "n11.fits", "n12.fits"]


def test_any_of_a_comma_list_matches_part_of_a_file_name_without_case(observer: User) -> None:
    for name in ("NGC2420_B.fits", "ngc2420_V.fits", "m31.fits", "50%_flat.fits"):
        make_frame(file_name=name)

    assert names(frames.find(observer, contains="ngc 2420, M31")) == [
        "NGC2420_B.fits",
        "m31.fits",
        "ngc2420_V.fits",
    ]
    assert names(frames.find(observer, contains="0%_")) == ["50%_flat.fits"]
    assert len(frames.find(observer, contains=" , ")) == 4


def test_a_field_matches_with_blanks_or_the_hyphens_that_stand_for_them(observer: User) -> None:
    make_frame(file_name="a.fits", object_name="NGC 2420")
    make_frame(file_name="b.fits", object_name="NGC 2421")

    assert names(frames.find(observer, field="ngc-2420")) == ["a.fits"]
    assert names(frames.find(observer, field="NGC 2420")) == ["a.fits"]


def test_pages_follow_each_other_by_id_without_gap_or_repetition(observer: User) -> None:
    made = [make_frame().id for _ in range(7)]

    pages: list[int] = []
    before = None
    while page := frames.find(observer, before_id=before, limit=3):
        pages += [frame.id for frame in page]
        before = page[-1].id

    assert pages == sorted(made, reverse=True)


def test_frames_of_another_proposal_are_not_found_where_the_site_shows_members_only(
    app: Flask, observer: User
) -> None:
    with transaction():
        db.session.add(Proposal(id=1, code="P1"))
        db.session.add(StoredSetting(section="access", item="visibility", value="members"))
    secret = make_frame(proposal_id=1)
    free = make_frame()

    assert [frame.id for frame in frames.find(observer)] == [free.id]
    with pytest.raises(NotFoundError):
        frames.get(observer, secret.id)
    assert frames.get(make_user("boss", is_staff=True), secret.id).id == secret.id


def test_lowering_the_status_of_a_raw_frame_makes_its_product_due_again(observer: User) -> None:
    raw = make_frame(status=1)
    product = make_product(raw)

    frames.set_status(raw, 0)

    assert (raw.status, product.fingerprint) == (0, "")


def test_a_status_no_frame_can_have_is_refused(observer: User) -> None:
    frame = make_frame(status=1)

    for status in (-1, 6):
        with pytest.raises(InvalidRequestError, match="from 0 to 5"):
            frames.set_status(frame, status)
    assert frame.status == 1


def test_a_bias_set_invalid_makes_the_block_it_is_in_due_again(observer: User) -> None:
    bias = make_frame("bias")
    block = make_block("bias", [bias], status=1)
    other = make_block("bias", [make_frame("bias")], status=1)

    frames.toggle_valid(bias)

    assert (bias.is_valid, block.status, other.status) == (False, 0, 1)
    assert frames.toggle_valid(bias).is_valid


def test_a_comment_is_replaced(observer: User) -> None:
    frame = make_frame(comment="old")

    assert frames.set_comment(frame, "nf clouds").comment == "nf clouds"
