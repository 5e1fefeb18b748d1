"""A code in another case is the same proposal, to scans, uploads and corrections alike."""

import pytest
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.errors import InvalidRequestError, NotAllowedError
from app.models import Proposal, User
from app.services import proposal_code, proposals, reclassification, uploads
from app.services.orders import Selection
from tests.app.services.rawfiles import fits_bytes, frame_of, scan, store
from tests.app.services.test_uploads import arrived, upload
from tests.factories import make_user


@pytest.fixture
def proposal(app: Flask) -> Proposal:
    with transaction():
        made = Proposal(code="2026B-001", pi=make_user("pi"))
        db.session.add(made)
    return made


def codes() -> list[str]:
    return list(db.session.scalars(select(Proposal.code).order_by(Proposal.id)))


def test_a_proposal_is_known_by_its_code_in_any_case_and_best_as_it_is_written(
    proposal: Proposal,
) -> None:
    with transaction():
        twin, accented = Proposal(code="2026b-001"), Proposal(code="ÉTÉ-2026")
        db.session.add_all([twin, accented])

    assert proposal_code.known("2026B-001") == proposal
    assert proposal_code.known("2026b-001") == twin
    assert proposal_code.known("ÉTÉ-2026") == accented
    assert proposal_code.known("2026b-002") is None
    with transaction():
        db.session.delete(twin)
    assert proposal_code.known("2026b-001") == proposal


def test_scanned_frames_join_the_proposal_in_any_case(proposal: Proposal) -> None:
    for number, code in enumerate(("2026b-001", "NEW-1", "new-1")):
        store(
            paths.current().raw / f"2026-11-20/x-{number}.fits",
            fits_bytes(PROPID=code, OBJECT=f"M{number}"),
        )
    scan()

    frames = [frame_of(f"2026-11-20/x-{number}.fits") for number in range(3)]
    assert frames[0].proposal_id == proposal.id
    assert frames[1].proposal_id == frames[2].proposal_id
    assert codes() == ["2026B-001", "NEW-1"]


def test_another_case_does_not_open_a_proposal_to_others_uploads(
    proposal: Proposal, observer: User
) -> None:
    content = fits_bytes(PROPID="2026b-001")
    with (
        pytest.raises(NotAllowedError, match="only its people"),
        arrived(("a.fits", content)) as files,
    ):
        uploads.take_raw(observer, files)

    pi = proposal.pi
    assert pi is not None
    [frame] = upload(pi, "a.fits", content).frames
    assert frame.proposal_id == proposal.id
    assert codes() == ["2026B-001"]


def test_a_header_read_again_joins_the_proposal_in_any_case(
    proposal: Proposal, staff: User
) -> None:
    store(paths.current().raw / "2026-11-20/x.fits", fits_bytes(PROPID="2026b-001"))
    scan()
    frame = frame_of("2026-11-20/x.fits")
    with transaction():
        frame.proposal_id = frame.proposal_code = None

    reclassification.reclassify(staff, Selection(ids=[frame.id]))

    assert frame_of("2026-11-20/x.fits").proposal_id == proposal.id
    assert codes() == ["2026B-001"]


def test_a_proposal_with_a_twin_from_before_can_still_be_edited(
    proposal: Proposal, staff: User
) -> None:
    with transaction():
        db.session.add(Proposal(code="2026b-001"))

    proposals.edit(proposal, by=staff, code="2026B-001", title="Variable stars")

    assert proposal.title == "Variable stars"
    with pytest.raises(InvalidRequestError, match="There is a proposal"):
        proposals.edit(proposal, by=staff, code="2026B-001".swapcase())
