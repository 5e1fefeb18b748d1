from datetime import UTC, date, datetime

import pytest

from app.db import db, transaction
from app.errors import NotFoundError
from app.models import FileState, FrameParent, Job, Proposal, ScannedFile, StoredSetting, User
from app.services import nights, raw_files
from app.services.frames import FrameFilters
from tests.factories import make_block, make_frame, make_user

NIGHT = date(2026, 11, 20)
ALL = FrameFilters()


@pytest.fixture
def private(app: object) -> Proposal:
    """A proposal without members, on a site that shows frames to members only."""
    with transaction():
        proposal = Proposal(code="2026B-0001")
        db.session.add(proposal)
        db.session.add(StoredSetting(section="access", item="visibility", value="members"))
    return proposal


def make_file(path: str, state: str = FileState.QUARANTINED, reason: str = "why") -> ScannedFile:
    with transaction():
        file = ScannedFile(path=path, size=1, mtime_ns=1, state=state, reason=reason)
        db.session.add(file)
    return file


def make_job(owner: User, block_id: int, **values: object) -> Job:
    with transaction():
        job = Job(
            function="blocks.process_block",
            arguments={"block_id": block_id},
            owner_id=owner.id,
            **values,
        )
        db.session.add(job)
    return job


def test_calendar_counts_kinds_products_and_problems(observer: User) -> None:
    make_frame("bias")
    make_frame("bias")
    make_frame("science", kind_doubt="names no object")
    make_frame("bias", level=1)
    make_frame("science", level=2, missing=["no flat in r"])
    make_frame("science", night=date(2026, 12, 1))

    found = nights.calendar(observer, date(2026, 11, 1), date(2026, 12, 1))

    (summary,) = found.values()
    assert summary.kinds == {"science": 1, "bias": 2}
    assert (summary.raw, summary.masters, summary.reduced) == (3, 1, 1)
    assert summary.problems == 2


def test_months_are_listed_newest_first(observer: User) -> None:
    for night in (date(2026, 10, 3), NIGHT, date(2026, 11, 21), None):
        make_frame(night=night)

    found = nights.months(observer)

    assert [(m.first, m.frames, m.nights) for m in found] == [
        (date(2026, 11, 1), 2, 2),
        (date(2026, 10, 1), 1, 1),
    ]
    assert nights.count_undated(observer) == 1
    assert nights.newest_night(observer) == date(2026, 11, 21)


def test_neighbours_are_nights_with_frames(observer: User) -> None:
    for night in (date(2026, 10, 3), NIGHT, date(2026, 12, 24)):
        make_frame(night=night)

    assert nights.neighbours(observer, NIGHT) == (date(2026, 10, 3), date(2026, 12, 24))
    assert nights.neighbours(observer, date(2026, 12, 24)) == (NIGHT, None)


def test_night_is_in_order_of_time_and_pages_lose_nothing(
    observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nights, "PAGE", 2)
    late = make_frame(start_utc=datetime(2026, 11, 21, 3, tzinfo=UTC))
    same_time = datetime(2026, 11, 20, 23, tzinfo=UTC)
    early = [make_frame(start_utc=same_time) for _ in range(2)]
    timeless = [make_frame(start_utc=None) for _ in range(2)]

    seen, after = [], None
    while True:
        page = nights.page_of(observer, NIGHT, ALL, after_id=after)
        assert page.total == 5
        seen += [row.frame.id for row in page.rows]
        if page.next_id is None:
            break
        after = page.next_id

    assert seen == [f.id for f in (*early, late, *timeless)]


def test_filters_narrow_a_night(observer: User) -> None:
    make_frame("bias")
    wanted = make_frame("science", missing=["no flat"])
    make_frame("science")

    by_kind = nights.page_of(observer, NIGHT, FrameFilters(kind="science"))
    by_problem = nights.page_of(observer, NIGHT, ALL, problems_only=True)
    by_name = nights.page_of(observer, NIGHT, FrameFilters(contains=wanted.file_name[:-5]))

    assert by_kind.total == 2
    assert [row.frame.id for row in by_problem.rows] == [wanted.id]
    assert [row.frame.id for row in by_name.rows] == [wanted.id]


def test_frame_shows_its_blocks_and_what_was_made_of_it(observer: User) -> None:
    raw = make_frame("science")
    product = make_frame("science", level=2, missing=["no flat in r within 30 days"])
    block = make_block("sci", [raw])
    with transaction():
        block.entries[0].product_id = product.id

    page = nights.page_of(observer, NIGHT, FrameFilters(level=0))

    (row,) = page.rows
    assert row.blocks == [block]
    assert row.product == product
    assert row.problems == ["reduced: no flat in r within 30 days"]


def test_frames_of_another_proposal_are_in_no_list(observer: User, private: Proposal) -> None:
    hidden = make_frame(proposal_id=private.id)
    own = make_frame()
    with transaction():
        db.session.add(FrameParent(child_id=hidden.id, parent_id=own.id, role="raw"))

    page = nights.page_of(observer, NIGHT, ALL)
    facets = nights.facets(observer, NIGHT, ALL)

    assert [row.frame.id for row in page.rows] == [own.id]
    assert page.total == 1
    assert facets == {"levels": {"0": 1}, "kinds": {"science": 1}}
    assert nights.months(observer)[0].frames == 1
    assert nights.children_of(observer, own) == []
    assert nights.parents_of(observer, hidden)[0].frame == own


def test_provenance_is_found_both_ways_with_its_roles(observer: User) -> None:
    raw, flat, product = make_frame(), make_frame("flat", level=1), make_frame(level=2)
    with transaction():
        db.session.add(FrameParent(child_id=product.id, parent_id=raw.id, role="raw"))
        db.session.add(FrameParent(child_id=product.id, parent_id=flat.id, role="flat"))

    parents = nights.parents_of(observer, product)
    children = nights.children_of(observer, flat)

    assert [(kin.role, kin.frame) for kin in parents] == [("flat", flat), ("raw", raw)]
    assert [(kin.role, kin.frame) for kin in children] == [("flat", product)]


def test_blocks_of_a_frame_are_those_it_is_in_or_was_made_by(observer: User) -> None:
    raw, master = make_frame("bias"), make_frame("bias", level=1)
    block = make_block("bias", [raw], master_id=master.id)
    make_block("bias", [make_frame("bias")])

    assert nights.blocks_of(observer, raw) == [block]
    assert nights.blocks_of(observer, master) == [block]


def test_block_rows_count_frames_and_show_the_newest_job(observer: User) -> None:
    block = make_block("bias", [make_frame("bias"), make_frame("bias")])
    make_job(observer, block.id, state="failed")
    newest = make_job(observer, block.id, state="running")
    make_block("dark", start_night=date(2026, 1, 1), end_night=date(2026, 1, 1))

    (row,) = nights.block_rows(observer, kind="bias", night=NIGHT)

    assert (row.block, row.frames, row.products, row.job) == (block, 2, 0, newest)


def test_group_counts_the_frames_of_its_blocks_and_stands_for_them(observer: User) -> None:
    group = make_block("flat", is_group=True)
    make_block("flat", [make_frame("flat")], parent_id=group.id, band="r")
    make_block("flat", [make_frame("flat"), make_frame("flat")], parent_id=group.id, band="g")
    db.session.expire_all()

    (row,) = nights.block_rows(observer)

    assert (row.block, row.frames) == (group, 3)


def test_jobs_of_others_are_not_shown(observer: User) -> None:
    block = make_block("bias", [make_frame("bias")])
    job = make_job(make_user("other"), block.id)

    assert nights.jobs_of_blocks(observer, [block.id]) == {}
    with pytest.raises(NotFoundError):
        nights.job(observer, job.id)


def test_files_in_trouble_are_listed_newest_first(observer: User) -> None:
    first = make_file("a.fits")
    second = make_file("b.fits", FileState.WAITING)
    make_file("c.fits", FileState.REGISTERED)

    assert raw_files.find(observer) == [second, first]
    assert raw_files.find(observer, state="quarantined") == [first]
    assert raw_files.find(observer, before_id=second.id) == [first]
    assert raw_files.counts(observer)["waiting"] == 1


def test_files_of_frames_nobody_else_may_see_are_hidden_in_every_state(
    observer: User, private: Proposal
) -> None:
    secret = make_file("a.fits", FileState.MISSING)
    make_frame(file_id=secret.id, proposal_id=private.id)
    copy = make_file("b.fits", FileState.DUPLICATE, reason="The same content as a.fits.")
    with transaction():
        copy.duplicate_of_id = secret.id
    bad = make_file("c.fits", FileState.QUARANTINED)
    free = make_file("d.fits", FileState.MISSING)
    make_frame(file_id=free.id)

    assert raw_files.find(observer) == [free]  # whose the bad one is, no header told
    assert raw_files.find(observer, contains="b.fits") == []
    assert raw_files.find(make_user("boss", is_staff=True)) == [free, bad, copy, secret]


def test_file_is_found_by_a_part_of_its_path_whatever_its_state(
    observer: User, private: Proposal
) -> None:
    shown = make_file("2026-11-20/NGC_1.fits", FileState.REGISTERED)
    hidden = make_file("2026-11-20/NGC_2.fits", FileState.REGISTERED)
    make_file("2026-11-20/NGCx3.fits")
    frame = make_frame(file_id=shown.id)
    make_frame(file_id=hidden.id, proposal_id=private.id)

    found = raw_files.find(observer, contains="ngc_")

    assert found == [shown]  # "_" is itself, and a hidden frame's file is hidden too
    assert raw_files.frames_of(observer, found) == {shown.id: [frame]}


def test_raw_frame_of_a_master_leads_to_it(observer: User) -> None:
    raw, master = make_frame("bias"), make_frame("bias", level=1)
    block = make_block("bias", [raw])
    with transaction():
        block.master_id = master.id

    page = nights.page_of(observer, NIGHT, FrameFilters(level=0))

    assert page.rows[0].masters == [master]
    assert page.rows[0].product is None


def test_each_box_of_the_filter_counts_what_the_other_leaves(observer: User) -> None:
    make_frame("bias")
    make_frame("science")
    make_frame("science", level=2)

    raw = nights.facets(observer, NIGHT, FrameFilters(level=0))
    reduced = nights.facets(observer, NIGHT, FrameFilters(level=2, kind="bias"))

    assert raw == {"levels": {"0": 2, "2": 1}, "kinds": {"science": 1, "bias": 1}}
    assert reduced == {"levels": {"0": 1, "2": 0}, "kinds": {"science": 1, "bias": 0}}


def test_boxes_of_the_filter_count_what_name_mark_and_problems_leave(observer: User) -> None:
    make_frame("bias", file_name="a.fits")
    make_frame("science", file_name="ab.fits", kind_doubt="names no object")
    make_frame("science", level=2, file_name="c.fits", quality=["trailed"])

    named = nights.facets(observer, NIGHT, FrameFilters(contains="a"))
    of_level = nights.facets(observer, NIGHT, FrameFilters(contains="b", level=0))
    doubtful = nights.facets(observer, NIGHT, ALL, problems_only=True)
    marked = nights.facets(observer, NIGHT, ALL, mark="trailed")

    assert named == {"levels": {"0": 2, "2": 0}, "kinds": {"science": 1, "bias": 1}}
    assert of_level == {"levels": {"0": 1, "2": 0}, "kinds": {"science": 1, "bias": 0}}
    assert doubtful == {"levels": {"0": 1, "2": 0}, "kinds": {"science": 1, "bias": 0}}
    assert marked == {"levels": {"0": 0, "2": 1}, "kinds": {"science": 1, "bias": 0}}


def test_files_that_wait_hide_none_in_quarantine(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_files, "_MOST_LOOKED_AT", 2)
    make_frame(path="RAW/2026-11-20/a.fits")
    bad = make_file("2026-11-20/bad.fits")
    for n in range(3):
        make_file(f"elsewhere/{n}.fits", FileState.WAITING, "")

    assert raw_files.beside_night(staff, NIGHT) == [bad]


def test_files_that_are_no_frames_are_found_beside_those_of_their_night(staff: User) -> None:
    make_frame(path="RAW/2026-11-20/a.fits")
    make_frame(path="RAW/flat-folder/b.fits")
    make_frame(path="RAW/other/c.fits", night=date(2026, 11, 22))
    names = ("bad-20261120.fits", "bad_2026-11-21T01.fits", "bad.fits", "bad-20261319.fits")
    lost = [make_file(f"2026-11-20/{name}").path for name in names]
    lost.append(make_file("flat-folder/x.fits", FileState.WAITING, "").path)
    make_file("flat-folder/bad-20261123.fits")
    make_file("flat-folder/deeper/bad.fits")
    make_file("2026-11-20/twin.fits", FileState.DUPLICATE)
    make_file("other/bad.fits")
    make_file("bad.fits")

    assert [file.path for file in raw_files.beside_night(staff, NIGHT)] == sorted(lost)


def test_files_that_are_no_frames_are_for_who_sees_every_frame(
    observer: User, private: Proposal
) -> None:
    make_frame()
    make_file("2026-11-20/bad.fits")

    assert raw_files.beside_night(observer, NIGHT) == []
