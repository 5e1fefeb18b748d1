"""A place on the sky over the frames of all nights: what covers it, and the sources there."""

from datetime import timedelta

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.errors import InvalidRequestError
from app.models import Frame, FrameCell, Proposal, User
from app.services import cone, frames, settings, source_files
from reduction.astrometry.wcs import TanSip
from reduction.photometry.sourcetable import SourceTable
from reduction.refcat.regions import Cone
from tests.app.services.asked import plan_of, statements
from tests.app.services.solvedframes import FIRST, add_raw, make_showing, make_solved
from tests.factories import make_user
from tests.reduction.photometry.sourcefiles import SHAPE, frame_at, table_of, write
from tests.reduction.photometry.test_conesearch import apart_arcsec

PLACES = [(10.0, 20.0), (0.0, 0.0), (359.95, -60.0), (123.0, 90.0), (77.0, -90.0), (45.0, 41.81)]
PLACE = PLACES[0]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


def many_frames(place: tuple[float, float], n: int, rng: np.random.Generator) -> list[Frame]:
    """Frames around a place, turned and mirrored anyhow, with sources on their edges too."""
    made = []
    for number in range(n):
        away = rng.uniform(-0.6, 0.6, 2)
        wcs = frame_at(
            (place[0] + away[0], float(np.clip(place[1] + away[1], -90, 90))),
            width_deg=float(rng.uniform(0.1, 0.8)),
            angle_deg=float(rng.uniform(0, 360)),
            flip=1.0 if number % 2 else -1.0,
        )
        x, y = rng.uniform(-0.5, SHAPE[1] - 0.5, 60), rng.uniform(-0.5, SHAPE[0] - 0.5, 60)
        x[:10], y[10:20] = -0.5, SHAPE[0] - 0.5
        made.append(make_solved(wcs, table_of(wcs, x, y)))
    return made


@pytest.mark.parametrize("place", PLACES)
def test_a_cone_over_many_frames_finds_exactly_what_brute_force_finds(
    app: Flask, observer: User, rng: np.random.Generator, place: tuple[float, float]
) -> None:
    made = many_frames(place, 40, rng)
    tables = {frame.id: source_files.read(frame) for frame in made}
    n_found = 0

    for radius_arcsec in (0.0, 20.0, 400.0, 2000.0, 3600.0):
        away = rng.uniform(-0.3, 0.3, 2)
        ra, dec = (place[0] + away[0]) % 360, float(np.clip(place[1] + away[1], -90, 90))
        found = cone.sources_near(observer, ra, dec, radius_arcsec)
        assert found_in(found) == brute_force(tables, cone._cone(ra, dec, radius_arcsec))
        n_found += len(found)

    assert n_found > 100


def found_in(found: cone.Found) -> set[tuple[int, int]]:
    ids = [found.looked[at].id for at in found.frame_of]
    rows = list(zip(ids, found.columns["number"].tolist(), strict=True))
    assert len(rows) == len(set(rows))
    return set(rows)


def brute_force(tables: dict[int, SourceTable], place: Cone) -> set[tuple[int, int]]:
    return {
        (frame_id, int(number))
        for frame_id, table in tables.items()
        for number in table["number"][apart_arcsec(table, place) <= place.radius_deg * 3600]
    }


@pytest.mark.parametrize("place", PLACES)
def test_the_frames_that_cover_a_place_are_those_whose_pixels_hold_it(
    app: Flask, observer: User, rng: np.random.Generator, place: tuple[float, float]
) -> None:
    made = many_frames(place, 40, rng)
    n_covering = 0

    for _ in range(15):
        away = rng.uniform(-0.4, 0.4, 2)
        ra, dec = (place[0] + away[0]) % 360, float(np.clip(place[1] + away[1], -90, 90))
        found = cone.frames_covering(observer, ra, dec)
        assert [frame.id for frame in found] == [f.id for f in made if holds(f, ra, dec)]
        n_covering += len(found)

    assert n_covering > 15


def holds(frame: Frame, ra_deg: float, dec_deg: float) -> bool:
    x, y = TanSip.of_lists(frame.on_sky["wcs"]).pixel(np.array([ra_deg]), np.array([dec_deg]))
    return bool(-0.5 <= x[0] <= SHAPE[1] - 0.5 and -0.5 <= y[0] <= SHAPE[0] - 0.5)


def test_band_does_not_lead_through_all_its_frames(app: Flask, observer: User) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by how many rows there are")
    make_showing(*PLACE, frame_at(PLACE))

    with statements() as found:
        cone.sources_near(observer, *PLACE, 20.0, band="g")

    steps = plan_of(found, "frame_cells")
    assert any("frames USING" in step and "rowid=?" in step for step in steps), steps


def test_frames_come_by_time_with_band_and_period_as_asked(app: Flask, observer: User) -> None:
    wcs = frame_at(PLACE)
    late = make_showing(*PLACE, wcs, mid_utc=FIRST + timedelta(days=3), band="g")
    early = make_showing(*PLACE, wcs, mid_utc=FIRST - timedelta(days=3))
    undated = make_showing(*PLACE, wcs, mid_utc=None)
    make_showing(*PLACE, frame_at((PLACE[0] + 2, PLACE[1])))  # elsewhere

    def ids(**asked: object) -> list[int]:
        covering = [f.id for f in cone.frames_covering(observer, *PLACE, **asked)]  # type: ignore[arg-type]
        near = cone.sources_near(observer, *PLACE, 1.0, **asked)  # type: ignore[arg-type]
        assert [one.id for one in near.looked] == covering
        return covering

    # One that does not say when it was taken is in no period.
    assert ids() == [undated.id, early.id, late.id]
    assert ids(band="g") == [late.id]
    assert ids(start=FIRST) == [late.id]
    assert ids(end=FIRST) == [early.id]
    assert ids(start=early.mid_utc, end=late.mid_utc) == [early.id, late.id]


def test_frames_that_were_set_invalid_take_no_part_nor_those_of_such_a_raw_frame(
    app: Flask, observer: User
) -> None:
    wcs = frame_at(PLACE)
    good = make_showing(*PLACE, wcs)
    refused, of_refused = make_showing(*PLACE, wcs), make_showing(*PLACE, wcs)
    add_raw(good)
    raw = add_raw(of_refused)
    assert len(cone.sources_near(observer, *PLACE, 1.0)) == 3

    frames.toggle_valid(refused)
    frames.toggle_valid(raw)

    assert [frame.id for frame in cone.frames_covering(observer, *PLACE)] == [good.id]
    assert [one.id for one in cone.sources_near(observer, *PLACE, 1.0).looked] == [good.id]


@pytest.mark.parametrize(
    ("ra", "dec", "radius", "named"),
    [
        (10.0, 91.0, 1.0, "dec"),
        (10.0, float("nan"), 1.0, "dec"),
        (400.0, 0.0, 1.0, "ra"),
        (float("nan"), 0.0, 1.0, "ra"),
        (10.0, 0.0, -1.0, "radius"),
        (10.0, 0.0, 3601.0, "radius"),
        (10.0, 0.0, float("nan"), "radius"),
    ],
)
def test_a_circle_there_is_not_is_refused_by_field(
    app: Flask, observer: User, ra: float, dec: float, radius: float, named: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        cone.sources_near(observer, ra, dec, radius)

    assert list(refused.value.fields) == [named]


def test_pages_hold_whole_frames_and_together_all_of_them(app: Flask, observer: User) -> None:
    wcs = frame_at(PLACE)
    x, y = np.full(3, 199.5), np.full(3, 149.5)
    made = [make_solved(wcs, table_of(wcs, x, y)) for _ in range(5)]
    seen: list[int] = []
    after, pages = None, 0

    while pages == 0 or after is not None:
        found = cone.sources_near(observer, *PLACE, 5.0, limit=4, after=after)
        seen += [one.id for one in found.looked]
        assert len(found) == 3 * len(found.looked)
        after, pages = found.next_after, pages + 1

    assert seen == [frame.id for frame in made]
    assert pages == 3


def test_a_page_goes_on_behind_a_frame_that_is_gone(app: Flask, observer: User) -> None:
    wcs = frame_at(PLACE)
    made = [make_showing(*PLACE, wcs) for _ in range(3)]
    after = cone.sources_near(observer, *PLACE, 1.0, limit=1).next_after

    frames.toggle_valid(made[0])

    found = cone.sources_near(observer, *PLACE, 1.0, after=after)
    assert [one.id for one in found.looked] == [made[1].id, made[2].id]


@pytest.mark.parametrize("after", ["", "x", "1.0", "nan~1", "1.0~", "~5"])
def test_what_is_no_page_is_refused(app: Flask, observer: User, after: str) -> None:
    with pytest.raises(InvalidRequestError, match="where a page of this search ended"):
        cone.sources_near(observer, *PLACE, 1.0, after=after)


def test_frames_whose_sources_were_not_kept_are_told(app: Flask, observer: User) -> None:
    wcs = frame_at(PLACE)
    bare, kept = make_solved(wcs, None), make_showing(*PLACE, wcs)

    found = cone.sources_near(observer, *PLACE, 1.0)

    assert found.unread == [bare.id]
    assert [one.id for one in found.looked] == [kept.id]
    assert [frame.id for frame in cone.frames_covering(observer, *PLACE)] == [bare.id, kept.id]


def test_a_frame_made_anew_after_its_row_was_read_is_read_as_it_is_now(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    wcs = frame_at(PLACE)
    frame = make_showing(*PLACE, wcs)
    candidates = cone._candidates

    def overtaken(*args: object) -> object:
        rows = candidates(*args)  # type: ignore[arg-type]
        before = source_files.path_of(frame)
        with transaction():
            frame.content_sha256 = "f" * 64
        x, y = wcs.pixel(np.array([PLACE[0]] * 2), np.array([PLACE[1]] * 2))
        write(source_files.path_of(frame), table_of(wcs, x, y))
        before.unlink()
        return rows

    monkeypatch.setattr(cone, "_candidates", overtaken)

    found = cone.sources_near(observer, *PLACE, 1.0)

    assert len(found) == 2
    assert found.unread == []


def test_a_place_given_anew_takes_the_place_of_the_one_before(app: Flask) -> None:
    frame = make_showing(*PLACE, frame_at(PLACE))

    with transaction():
        cone.place(frame, [5, 6, 5])
    assert set(cells_of_frame(frame)) == {5, 6}

    with transaction():
        cone.place(frame, [])
    assert cells_of_frame(frame) == []


def cells_of_frame(frame: Frame) -> list[int]:
    query = select(FrameCell.cell).where(FrameCell.frame_id == frame.id)
    return list(db.session.scalars(query))


@pytest.fixture
def hidden(app: Flask, staff: User) -> tuple[Frame, Frame, User]:
    """A frame of a proposal and one of none, where members see their own; and a member."""
    settings.change("access", "visibility", "members", by=staff)
    member = make_user("member")
    with transaction():
        proposal = Proposal(code="2026B-01", title="", pi_id=member.id)
        db.session.add(proposal)
    wcs = frame_at(PLACE)
    return (
        make_showing(*PLACE, wcs, proposal_id=proposal.id),
        make_showing(*PLACE, wcs),
        member,
    )


def test_the_sources_of_a_hidden_proposal_are_told_to_its_people_alone(
    hidden: tuple[Frame, Frame, User], observer: User, staff: User
) -> None:
    secret, free, member = hidden

    for user, wanted in (
        (observer, [free.id]),
        (member, [secret.id, free.id]),
        (staff, [secret.id, free.id]),
        (None, []),
    ):
        found = cone.sources_near(user, *PLACE, 1.0)
        assert [one.id for one in found.looked] == wanted
        assert len(found) == len(wanted)
        assert found.unread == []
        assert [frame.id for frame in cone.frames_covering(user, *PLACE)] == wanted


def test_a_hidden_frame_is_not_told_by_where_pages_end_nor_by_what_was_not_kept(
    hidden: tuple[Frame, Frame, User], observer: User
) -> None:
    secret, _, _ = hidden
    before = cone.sources_near(observer, *PLACE, 1.0, limit=1)
    source_files.path_of(secret).unlink()

    now = cone.sources_near(observer, *PLACE, 1.0, limit=1)

    assert before.next_after is now.next_after is None
    assert now.unread == []


def test_a_disabled_user_is_told_nothing(hidden: tuple[Frame, Frame, User]) -> None:
    gone = make_user("gone", is_active=False)

    assert cone.frames_covering(gone, *PLACE) == []
    assert len(cone.sources_near(gone, *PLACE, 1.0)) == 0
