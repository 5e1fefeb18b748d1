"""Lists of frames: complete, in order, each row once, and only what may be seen."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.db import db, transaction
from app.errors import InvalidRequestError
from app.models import Frame, Proposal, StoredSetting, User
from app.services import listing
from app.services.listing import Cursor, Wanted
from tests.app.services.asked import plan_of, statements
from tests.factories import make_camera, make_frame, make_user

EVENING = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
ALL = Wanted()


def pages(user: User, wanted: Wanted = ALL, *, limit: int) -> Iterator[list[dict[str, Any]]]:
    """Every page of a list, each asked for with the text the one before it ended with."""
    after: str | None = None
    for _ in range(100):
        page = listing.page_of(
            user, wanted, after=Cursor.parse(after) if after else None, limit=limit
        )
        yield page.records()
        if page.after is None:
            return
        after = str(page.after)
    pytest.fail("the list does not end")


def listed(user: User, wanted: Wanted = ALL) -> list[int]:
    return [record["id"] for page in pages(user, wanted, limit=1000) for record in page]


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
def test_pages_together_are_every_frame_once_newest_first(observer: User, limit: int) -> None:
    starts = [EVENING + timedelta(seconds=7 * n % 6) for n in range(20)]
    made = [(start, make_frame(start_utc=start).id) for start in starts]
    undated = [make_frame(start_utc=None).id for _ in range(3)]

    found = [record["id"] for page in pages(observer, limit=limit) for record in page]

    assert found == [frame_id for _, frame_id in sorted(made, reverse=True)] + undated[::-1]


def test_page_has_as_many_frames_as_asked_for_and_ends_without_a_cursor(observer: User) -> None:
    for _ in range(4):
        make_frame()

    assert [len(page) for page in pages(observer, limit=2)] == [2, 2]


def test_frames_that_come_while_one_reads_on_neither_repeat_nor_hide_others(
    observer: User,
) -> None:
    old = [make_frame(start_utc=EVENING + timedelta(minutes=n)).id for n in range(4)]
    first = listing.page_of(observer, ALL, limit=2)
    make_frame(start_utc=EVENING + timedelta(hours=1))

    second = listing.page_of(observer, ALL, after=first.after, limit=2)

    assert [r["id"] for r in first.records() + second.records()] == old[::-1]


def test_record_tells_the_frame_in_its_own_terms(observer: User) -> None:
    camera = make_camera()
    frame = make_frame(
        ra_deg=1.2345678901234567,
        missing=["no flat in r"],
        camera_id=camera.id,
        start_utc=datetime(2026, 11, 20, 22, 0, 1, 250_000, tzinfo=UTC),
        is_thin=True,
    )

    (record,) = listing.page_of(observer, ALL).records()

    assert tuple(record) == listing.FIELDS
    assert record["start_utc"] == datetime(2026, 11, 20, 22, 0, 1, 250_000)  # noqa: DTZ001 - plain UTC
    assert record["ra_deg"] == frame.ra_deg
    assert record["missing"] == ["no flat in r"]
    assert (record["is_valid"], record["is_thin"]) == (True, True)
    assert record["night"] == date(2026, 11, 20)
    assert record["camera_id"] == camera.id


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        (Wanted(kind="flat"), {"kind": "flat"}),
        (Wanted(level=2), {"level": 2}),
        (Wanted(band="V"), {"band": "V"}),
        (Wanted(camera="Camera 7"), {"camera_id": 7}),
        (Wanted(camera="7"), {"camera_id": 7}),
        (Wanted(camera="camera 7"), {"camera_id": 7}),
        (Wanted(object_name="NGC 2420"), {"object_name": "NGC 2420"}),
        (Wanted(object_name="ngc-2420"), {"object_name": "NGC 2420"}),
        (Wanted(valid=False), {"is_valid": False}),
        (Wanted(state="invalid"), {"is_valid": False}),
        (Wanted(state="unusable"), {"unusable": "a colour cube"}),
        (Wanted(state="incomplete"), {"missing": ["no flat in r"]}),
        (Wanted(state="outdated"), {"outdated": "its bias was set invalid"}),
        (Wanted(state="thin"), {"is_thin": True}),
        (Wanted(state="doubtful"), {"kind_doubt": "names no object"}),
        (Wanted(contains="Pointing"), {"file_name": "a_pointing_1.fits"}),
        (
            Wanted(start=date(2026, 11, 18), end=date(2026, 11, 18)),
            {
                "night": date(2026, 11, 18),
                "start_utc": datetime(2026, 11, 19, 2, 0, tzinfo=UTC),
            },
        ),
        (Wanted(end=date(2026, 11, 19)), {"night": date(2026, 11, 1), "start_utc": None}),
        (
            Wanted(start=date(2026, 11, 21)),
            {
                "night": date(2026, 11, 22),
                "start_utc": datetime(2026, 11, 22, 8, 0, tzinfo=UTC),
            },
        ),
    ],
)
def test_filter_finds_what_it_names_and_nothing_else(
    observer: User, wanted: Wanted, values: dict[str, Any]
) -> None:
    make_camera("Camera 7", id=7)
    other = make_camera("Other", instrument="Other")
    make_frame(camera_id=other.id, object_name="NGC 2419")
    frame = make_frame(**values)

    assert listed(observer, wanted) == [frame.id]


def test_objects_written_in_several_ways_are_one_list_in_order_of_time(observer: User) -> None:
    names = ["M 31", "m31", "m 31", "M-31", None, "M 31"]
    made = [
        make_frame(object_name=name, start_utc=EVENING + timedelta(minutes=n)).id
        for n, name in enumerate(names)
    ]

    found = listed(observer, Wanted(object_name="m 31"))

    assert found == [made[n] for n in (5, 3, 2, 0)]


def test_filters_all_hold_at_once(observer: User) -> None:
    make_frame("flat", band="r")
    make_frame("science", band="r")
    frame = make_frame("flat", band="g")

    assert listed(observer, Wanted(kind="flat", band="g", level=0, valid=True)) == [frame.id]


@pytest.mark.parametrize("night", [date.min, date.max])
def test_first_and_last_days_of_the_calendar_are_nights_like_others(
    observer: User, night: date
) -> None:
    make_frame()

    assert listed(observer, Wanted(start=night, end=night)) == []
    assert len(listed(observer, Wanted(start=date.min, end=date.max))) == 1


def test_name_that_many_frames_have_is_met_on_the_way(
    observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [make_frame(file_name=f"common_{n}.fits") for n in range(4)]
    make_frame(file_name="rare.fits")
    monkeypatch.setattr(listing, "_FEW", 2)

    assert sorted(listed(observer, Wanted(contains="common"))) == [frame.id for frame in frames]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [(Wanted(camera="Camera 8"), "camera"), (Wanted(state="lost"), "state")],
)
def test_what_cannot_be_wanted_is_refused_by_name(
    observer: User, wanted: Wanted, field: str
) -> None:
    make_camera("Camera 7")

    with pytest.raises(InvalidRequestError) as refusal:
        listing.page_of(observer, wanted)

    assert list(refusal.value.fields) == [field]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_page_longer_than_may_be_or_empty_is_refused(observer: User, limit: int) -> None:
    with pytest.raises(InvalidRequestError, match="limit: must be from 1 to 1000"):
        listing.page_of(observer, ALL, limit=limit)


@pytest.mark.parametrize(
    "text",
    ["", "1", "u", ".1", "1.", "u.-1", "1.1.1", "9" * 18 + ".1", f"-{'9' * 18}.1", "٣.1"],
)
def test_cursor_nobody_gave_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="after: must be taken from"):
        Cursor.parse(text)


@pytest.mark.parametrize(
    "start",
    [
        None,
        EVENING,
        datetime(1931, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_cursor_reads_as_it_was_written(start: datetime | None) -> None:
    assert Cursor.parse(str(Cursor(start, 42))) == Cursor(start, 42)


def test_members_see_their_own_frames_and_those_of_nobody(app: Flask, staff: User) -> None:
    member, other = make_user("member"), make_user("other")
    with transaction():
        proposal = Proposal(code="2026B-0001", members=[member])
        db.session.add(proposal)
        db.session.add(StoredSetting(section="access", item="visibility", value="members"))
    private = make_frame(proposal_id=proposal.id, start_utc=EVENING)
    common = make_frame(start_utc=EVENING - timedelta(hours=1))

    assert listed(member) == [private.id, common.id]
    assert listed(staff) == [private.id, common.id]
    assert listed(other) == [common.id]
    assert listing.page_of(None, ALL).records() == []


@pytest.mark.parametrize(
    "wanted",
    [
        ALL,
        Wanted(kind="flat"),
        Wanted(level=0),
        Wanted(band="r"),
        Wanted(camera="7"),
        Wanted(object_name="M 31"),
        Wanted(kind="science", band="r", camera="7", valid=True),
        Wanted(start=date(2020, 1, 1), kind="science"),
        Wanted(start=date(2026, 11, 1), end=date(2026, 11, 30), level=0),
        Wanted(start=date(2026, 11, 20), end=date(2026, 11, 20), kind="science"),
    ],
)
@pytest.mark.parametrize("visibility", ["everyone", "members"])
def test_deep_page_is_read_from_an_index_in_its_order(
    observer: User, wanted: Wanted, visibility: str
) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by how many rows there are")
    make_camera("Camera 7", id=7)
    make_frame(object_name="M 31")
    with transaction():
        db.session.add(StoredSetting(section="access", item="visibility", value=visibility))

    with statements() as found:
        listing.page_of(observer, wanted, after=Cursor(EVENING, 1))

    steps = plan_of(found, "ORDER BY frames.start_utc DESC")
    assert any("SEARCH frames USING INDEX" in s and "start_utc" in s for s in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize("wanted", [Wanted(band="r"), Wanted(object_name="M 31")])
def test_frames_without_a_time_are_found_by_their_own_index(observer: User, wanted: Wanted) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by how many rows there are")
    make_frame(object_name="M 31", start_utc=None)

    with statements() as found:
        listing.page_of(observer, wanted, after=Cursor(None, 100))

    steps = " ".join(plan_of(found, "start_utc IS NULL"))
    assert "(band=? AND start_utc=?" in steps or "(object_name=? AND start_utc=?" in steps, steps
    assert "TEMP B-TREE" not in steps, steps


def test_page_reads_no_column_behind_the_header(observer: User) -> None:
    order = list(Frame.__table__.columns.keys())

    assert max(map(order.index, listing.FIELDS)) < order.index("header_text")
    assert max(map(order.index, listing.FIELDS)) < order.index("origins")
