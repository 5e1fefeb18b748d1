"""Headers read again after a camera profile was written; what people said stays."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.errors import NotAllowedError
from app.models import Camera, Frame, FrameParent, Proposal, User
from app.services import frames, orders, reclassification
from app.services.orders import Selection
from tests.app.services.rawfiles import fits_bytes, frame_of, scan, store
from tests.factories import make_frame, make_user


def raw(name: str, **cards: Any) -> Frame:
    store(paths.current().raw / "2026-11-20" / name, fits_bytes(**cards))
    scan()
    return frame_of(f"2026-11-20/{name}")


def teach(profile: dict[str, Any]) -> None:
    """Say of the camera what its headers do not."""
    with transaction():
        camera = db.session.scalars(select(Camera)).first()
        assert camera is not None
        camera.profile = profile


FLATS: dict[str, Any] = {"name_rules": [{"pattern": "x-*", "kind": "flat"}]}


def test_new_profile_makes_a_flat_of_it_and_says_what_changed(app: Flask, observer: User) -> None:
    flat, light = raw("x-001.fits"), raw("light-001.fits", OBJECT="M31")
    teach(FLATS)

    found = reclassification.reclassify(observer, Selection(ids=[flat.id, light.id]))

    changed = {one.frame.id: one.changes for one in found}
    assert changed[flat.id]["kind"].now == "flat"
    assert changed[light.id] == {}
    assert frame_of("2026-11-20/x-001.fits").kind == "flat"


def test_what_people_said_stays(app: Flask, observer: User) -> None:
    flat = raw("x-001.fits")
    frames.toggle_valid(flat, by=observer)
    frames.set_comment(flat, "twilight clouds", by=observer)
    teach(FLATS)

    reclassification.reclassify(observer, Selection(ids=[flat.id]))

    flat = frame_of("2026-11-20/x-001.fits")
    assert (flat.kind, flat.is_valid, flat.comment) == ("flat", False, "twilight clouds")


def test_corrected_proposal_takes_along_what_was_made_of_the_frame_and_no_master(
    app: Flask, staff: User
) -> None:
    frame = raw("light-001.fits", OBJECT="M31", PROPID="SECRET")
    right = {"proposal_id": frame.proposal_id, "proposal_code": "SECRET"}
    with transaction():
        frame.proposal_id, frame.proposal_code = None, "OTHER"
    product, spectrum, master = (make_frame(level=n, proposal_code="OTHER") for n in (2, 3, 1))
    with transaction():
        for child, parent in ((product, frame), (spectrum, product), (master, frame)):
            role = "member" if child is master else "raw"
            db.session.add(FrameParent(child_id=child.id, parent_id=parent.id, role=role))

    reclassification.reclassify(staff, Selection(ids=[frame.id]))

    for row in (frame, product, spectrum):
        assert {name: getattr(row, name) for name in right} == right
    assert (master.proposal_id, master.proposal_code) == (None, "OTHER")


def test_nothing_changes_where_nothing_is_new(app: Flask, observer: User) -> None:
    frame = raw("a.fits")
    before = frame.modified_at

    (found,) = reclassification.reclassify(observer, Selection(ids=[frame.id]))

    assert (found.changes, found.trouble) == ({}, "")
    assert frame_of("2026-11-20/a.fits").modified_at == before


def test_frame_that_no_longer_fits_leaves_its_block_which_is_due_again(
    app: Flask, observer: User
) -> None:
    flat, light = raw("x-001.fits"), raw("light-001.fits", OBJECT="M31")
    (block,) = orders.reduce(observer, Selection(ids=[flat.id, light.id])).blocks
    with transaction():
        block.status = 1
    teach(FLATS)

    found = reclassification.reclassify(observer, Selection(ids=[flat.id]))

    assert found[0].left_blocks == [block.id]
    assert [entry.frame_id for entry in block.entries] == [light.id]
    assert block.status == 0


def test_what_was_reduced_by_the_old_header_is_due_again(app: Flask, observer: User) -> None:
    frame = raw("a.fits")
    product = make_frame(level=2, fingerprint="f", path="PROCESSED/p.fits")
    with transaction():
        db.session.add(FrameParent(child_id=product.id, parent_id=frame.id, role="raw"))
    teach({"settles": {"gain_e_per_adu": 1.7}})

    (found,) = reclassification.reclassify(observer, Selection(ids=[frame.id]))

    assert found.changes["gain_e_per_adu"].now == 1.7
    db.session.refresh(product)
    assert product.fingerprint == ""
    assert product.outdated == "the header of its raw file was read anew"


def test_file_that_is_gone_or_was_changed_says_so_and_keeps_its_values(
    app: Flask, observer: User
) -> None:
    gone, changed = raw("gone.fits"), raw("changed.fits", OBJECT="M31")
    paths.current().locate(gone.path).unlink()
    store(paths.current().locate(changed.path), fits_bytes(OBJECT="M33"))

    found = reclassification.reclassify(observer, Selection(ids=[gone.id, changed.id]))

    troubles = {one.frame.id: one.trouble for one in found}
    assert "no longer at" in troubles[gone.id]
    assert "changed since it was scanned" in troubles[changed.id]
    assert frame_of("2026-11-20/changed.fits").object_name == "M31"


def test_master_somebody_validated_and_products_are_left_alone(app: Flask, staff: User) -> None:
    master = make_frame("bias", level=1, is_valid=True)
    product = make_frame(level=2)

    found = reclassification.reclassify(staff, Selection(ids=[master.id, product.id]))

    troubles = {one.frame.id: one.trouble for one in found}
    assert "validated" in troubles[master.id]
    assert "no raw file" in troubles[product.id]


def test_frame_of_other_people_is_refused(app: Flask, observer: User) -> None:
    with transaction():
        proposal = Proposal(code="2026A-7", pi=make_user("member"))
        db.session.add(proposal)
    frame = make_frame(proposal_id=proposal.id)

    with pytest.raises(NotAllowedError, match="2026A-7"):
        reclassification.reclassify(observer, Selection(ids=[frame.id]))
