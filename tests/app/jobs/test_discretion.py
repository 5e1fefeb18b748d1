"""A master is everyone's: what it says of frames that are not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.jobs.discretion import Discretion
from app.jobs.pixels import Opened
from app.models import Frame
from app.services.settings import Snapshot
from reduction.exposure import LeftOut, Master
from reduction.frameinfo import FrameInfo, FrameKind

NAME = "zorbax_1.fits"


def frame_of(frame_id: int, name: str, proposal_id: int | None) -> Frame:
    return Frame(
        id=frame_id, file_name=name, path=f"RAW/z/{name}", proposal_id=proposal_id, observer="Zo"
    )


@pytest.fixture
def members() -> list[Frame]:
    return [frame_of(7, NAME, 1), frame_of(8, "free.fits", None)]


def discretion(members: list[Frame], visibility: str) -> Discretion:
    exposures = {7: SimpleNamespace(name=f"RAW/z/{NAME}[0]"), 8: SimpleNamespace(name="free.fits")}
    at = SimpleNamespace(text=lambda _name: visibility)
    return Discretion.of(
        members, cast(Opened, SimpleNamespace(exposures=exposures)), cast(Snapshot, at)
    )


def master(**words: Any) -> Master:
    nothing: dict[str, Any] = dict.fromkeys(
        ("image", "used", "stats", "thin", "exptime_s", "temp_c", "bias_removed")
    )
    return Master(**(nothing | words))


INFO = FrameInfo(
    writer="", kind=FrameKind.BIAS, nx=1, ny=1, hdus=(0,),
    object_name="Zorbax", proposal_code="2026B-Z", observer="Zo", ra_deg=1.0, dec_deg=2.0,
)  # fmt: skip


def test_frames_of_proposals_go_by_their_numbers_where_only_members_see_them(
    members: list[Frame],
) -> None:
    told = discretion(members, "members")
    left = LeftOut(f"RAW/z/{NAME}[0]", f"{NAME} is saturated")

    said = told.master(master(left_out=[left], notes=[f"{NAME}: odd", "free.fits: odd"]))

    assert [told.path(frame) for frame in members] == ["frame 7", "RAW/z/free.fits"]
    assert said.left_out == [LeftOut("frame 7", "frame 7 is saturated")]
    assert said.notes == ["frame 7: odd", "free.fits: odd"]


def test_neither_target_nor_people_are_told(members: list[Frame]) -> None:
    told = discretion(members, "members")

    info = told.info(members[0], INFO)

    assert (info.object_name, info.proposal_code, info.observer, info.ra_deg) == (None,) * 4
    assert told.info(members[1], INFO) is INFO


def test_the_row_of_a_master_forgets_the_observer_and_the_target(members: list[Frame]) -> None:
    row = Frame(observer="Zo", extras={"obsra": "1", "grating": "400"})

    discretion(members, "members").settle(row)

    assert row.observer is None
    assert row.extras == {"grating": "400"}


def test_everything_is_told_where_everyone_sees_all(members: list[Frame]) -> None:
    told = discretion(members, "everyone")
    made = master(left_out=[LeftOut(NAME, "odd")], notes=[NAME])

    assert [Path(told.path(frame)).name for frame in members] == [NAME, "free.fits"]
    assert told.master(made).left_out == made.left_out
    assert told.info(members[0], INFO) is INFO
