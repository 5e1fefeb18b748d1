"""Numbers tell too: every count somebody gets is of what they may see, and of nothing else."""

import re
from collections.abc import Mapping
from datetime import date

import pytest

from app.db import db
from app.models import User
from app.services import nights
from tests.matrix.conftest import COUNTS
from tests.matrix.world import MEMBERS, OUTSIDERS, STAFF, Caller, Thing, World

pytestmark = pytest.mark.usefixtures("shown_to")

_MADE = {"reduced free": "reduced", "reduced secret": "reduced", "master": "master"} | {
    "super-flat": "master"
}
_ROW = re.compile(r'href="/blocks/(\d+)/".*?data-label="Frames" class="num">(\d+)<', re.DOTALL)


@pytest.fixture(params=[*OUTSIDERS, *MEMBERS, STAFF[0]])
def caller(request: pytest.FixtureRequest, world: World) -> Caller:
    COUNTS["callers whose counts were checked"] += 1
    return world.callers[request.param]


def seen(world: World, caller: Caller, level: str = "") -> dict[str, Thing]:
    """The frames somebody sees, of one level or of all."""
    return {
        name: thing
        for name, thing in world.things["frame"].items()
        if world.sees(caller, thing) and level in {"", _MADE.get(name, "raw")}
    }


def sizes(world: World, caller: Caller) -> dict[int, int]:
    """How many frames somebody sees in each block that they see."""
    members: Mapping[str, tuple[str, ...]] = {
        "free": ("free",),
        "secret": ("secret", "secret 2"),
        "others": ("others",),
        "bare": ("bare",),
        "mixed": ("free", "secret", "others"),
        "bias": ("free bias", "free bias 2"),
        "mixed bias": ("free bias", "secret bias"),
        "flat": ("free flat",),
        "fringe": (),
        "group": ("free", "secret 2"),
        "hidden group": ("secret 2",),
        "flat group": ("free flat",),
    }
    blocks = world.things["block"]
    return {
        blocks[name].id: len(set(frames) & set(seen(world, caller)))
        for name, frames in members.items()
        if world.sees(caller, blocks[name])
    }


def test_the_archive_lists_and_counts_what_they_see(world: World, caller: Caller) -> None:
    wanted = seen(world, caller)

    page = caller.client.get("/api/files/").get_json()
    status = caller.client.get("/api/").get_json()

    assert page["count"] == status["files"] == len(wanted)
    assert {record["id"] for record in page["results"]} == {t.id for t in wanted.values()}


def test_the_list_of_frames_has_what_they_see(world: World, caller: Caller) -> None:
    found = caller.client.get("/frames/?format=json").get_json()["results"]

    assert {record["id"] for record in found} == {t.id for t in seen(world, caller).values()}


def test_a_night_and_its_filters_count_what_they_see(world: World, caller: Caller) -> None:
    page = caller.client.get("/night/2026-11-20/?level=").text

    total = re.search(r'count">(\d+) frame', page)
    assert total is not None
    assert int(total[1]) == len(seen(world, caller))
    for words, level in (("raw", "raw"), ("masters", "master"), ("reduced", "reduced")):
        assert f"{words} ({len(seen(world, caller, level))})" in page


def test_the_calendar_counts_what_they_see(world: World, caller: Caller) -> None:
    with world.app.app_context():
        user = db.session.query(User).filter_by(username=caller.name.replace(" ", "-")).one()
        month = nights.calendar(user, date(2026, 11, 1), date(2026, 12, 1))[date(2026, 11, 20)]
        months = nights.months(user)

    raw, made = seen(world, caller, "raw"), seen(world, caller, "reduced")
    assert (month.raw, month.masters, month.reduced) == (len(raw), 2, len(made))
    assert [(one.frames, one.nights) for one in months] == [(len(raw), 1)]
    left_out = {"secret 2"} & set(raw)
    assert month.problems == len(made) + len(left_out)


def test_blocks_are_as_large_as_what_they_see_of_them(world: World, caller: Caller) -> None:
    page = caller.client.get("/blocks/").text

    assert {int(n): int(size) for n, size in _ROW.findall(page)} == sizes(world, caller)


def test_blocks_of_the_pipeline_have_the_frames_they_see(world: World, caller: Caller) -> None:
    asked = {"type": "get", "startDate": "2026-11-20", "endDate": "2026-11-20"}
    found = caller.client.post("/reduction/scibyfilter", json=asked).get_json()["msg"]
    groups = caller.client.post("/reduction/sciblock", json=asked).get_json()["msg"]

    wanted = sizes(world, caller)
    got = {block["id"]: len(block["scies"]) for block in found if block["id"] in wanted}
    assert got == {n: size for n, size in wanted.items() if n in got}
    names = ("free", "secret", "others", "bare", "mixed", "child", "hidden child", "only child")
    blocks = world.things["block"]
    assert {block["id"] for block in found} == {
        blocks[name].id for name in names if world.sees(caller, blocks[name])
    }
    parts = {part["id"] for group in groups for part in group["sciByFilter"]}
    assert parts == {
        blocks[name].id
        for name in ("child", "hidden child", "only child")
        if world.sees(caller, blocks[name])
    }


def test_a_select_counts_what_they_see(world: World, caller: Caller) -> None:
    if caller.name in {"member by group", "principal investigator"}:
        pytest.skip("a process for each question: the member stands for them")
    sql = (
        "select (select count(*) from files_individualfile),"
        " (select count(*) from files_biasblock),"
        " (select count(*) from files_scibyfilter), (select count(*) from process_operations),"
        " (select count(processed_id) from files_individualfile)"
    )

    answer = caller.client.post("/reduction/rawQuery", json={"query": sql}).get_json()
    assert "file" in answer, answer
    with caller.client.get(f"/media/{answer['file']}") as response:
        row = response.get_data(as_text=True).splitlines()[1]

    blocks, jobs = world.things["block"], world.things["job"]
    of_one_band = (
        "free",
        "secret",
        "others",
        "bare",
        "mixed",
        "child",
        "hidden child",
        "only child",
    )
    ended = ("observer's done", "observer's of mixed", "secret failed", "house's")
    frames = seen(world, caller)
    made = [name for name in ("reduced free", "reduced secret") if name in frames]
    assert [int(cell) for cell in row.split(",")] == [
        len([name for name in frames if _MADE.get(name) != "master"]),
        2,
        len([name for name in of_one_band if world.sees(caller, blocks[name])]),
        len([name for name in ended if world.sees(caller, jobs[name])]),
        len(made),
    ]


def test_what_was_reduced_and_what_is_queued_is_counted_so(world: World, caller: Caller) -> None:
    progress = caller.client.post("/reduction/getOperationsStats").get_json()["msg"]
    queue = caller.client.post("/reduction/get_queue").get_json()["msg"]

    jobs = world.things["job"]
    waiting = [jobs[name] for name in ("observer's", "secret", "others'")]
    assert progress["Done Processed Images"] == len(seen(world, caller, "reduced"))
    assert {one["id"] for one in queue} == {t.id for t in waiting if world.sees(caller, t)}


def test_files_are_counted_by_the_frames_they_see(world: World, caller: Caller) -> None:
    page = caller.client.get("/quarantine/").text

    raw = seen(world, caller, "raw")
    counts = dict(re.findall(r">(\w+) <small>(\d+)</small>", page))
    sees_all = caller.is_staff or world.is_open
    assert int(counts["registered"]) == len(raw)
    assert int(counts["quarantined"]) == int(sees_all)
    assert int(counts["duplicate"]) == int("secret" in raw)


def test_the_plan_is_of_the_frames_they_see(world: World, caller: Caller) -> None:
    page = caller.client.get("/blocks/plan/?night=2026-11-20").text

    science = re.search(r"science frame would get <span class=\"muted\">(\d+)<", page)
    wanted = {"free", "secret", "secret 2", "others", "released", "bare"} & set(seen(world, caller))
    assert science is not None
    assert int(science[1]) == len(wanted)
    sizes_planned = [int(n) for n in re.findall(r'data-label="Frames" class="num">(\d+)<', page)]
    assert sum(sizes_planned) == len(seen(world, caller, "raw"))
