"""Sources found by place are those of the frames somebody sees, and so is every number of them."""

import csv
import io
import re

import pytest

from tests.matrix.conftest import COUNTS
from tests.matrix.solved import ASKED
from tests.matrix.world import CALLERS, STRANGERS, Caller, World

pytestmark = pytest.mark.usefixtures("shown_to")


@pytest.fixture(params=[name for name in CALLERS if name not in STRANGERS])
def caller(request: pytest.FixtureRequest, world: World) -> Caller:
    COUNTS["callers whose sources were counted"] += 1
    return world.callers[request.param]


def reduced(world: World, caller: Caller) -> list[int]:
    frames = world.things["frame"]
    made = (frames["reduced free"], frames["reduced secret"])
    return [thing.id for thing in made if world.sees(caller, thing)]


def test_a_search_finds_and_counts_the_frames_they_see(world: World, caller: Caller) -> None:
    page = caller.client.get("/api/sources/", query_string=ASKED).get_json()

    wanted = reduced(world, caller)
    assert sorted(frame["id"] for frame in page["frames"]) == wanted
    assert page["count"] == len(page["results"]) == 2 * len(wanted)
    assert page["without_sources"] == []
    assert page["next"] is None


def test_the_frames_that_show_a_place_are_those_they_see(world: World, caller: Caller) -> None:
    place = {name: ASKED[name] for name in ("ra", "dec")}

    page = caller.client.get("/api/sources/frames/", query_string=place).get_json()

    assert sorted(frame["id"] for frame in page["frames"]) == reduced(world, caller)
    assert page["count"] == len(page["frames"])


def test_a_page_of_a_search_ends_as_if_there_were_no_other_frames(
    world: World, caller: Caller
) -> None:
    wanted = reduced(world, caller)

    page = caller.client.get("/api/sources/", query_string={**ASKED, "limit": "1"}).get_json()

    assert len(page["frames"]) == 1
    assert (page["next"] is not None) == (len(wanted) > 1)


def test_a_search_as_text_has_the_lines_of_the_frames_they_see(
    world: World, caller: Caller
) -> None:
    text = caller.client.get("/api/sources/", query_string={**ASKED, "format": "csv"}).text

    rows = list(csv.DictReader(io.StringIO(text)))
    assert sorted({int(row["frame"]) for row in rows}) == reduced(world, caller)
    assert len(rows) == 2 * len(reduced(world, caller))


def test_the_page_of_a_search_counts_what_they_see(world: World, caller: Caller) -> None:
    page = caller.client.get("/sources/", query_string=ASKED).text

    wanted = reduced(world, caller)
    told = re.search(r"<b>(\d+)</b> source", page)
    assert told is not None
    assert int(told[1]) == 2 * len(wanted)
    assert sorted({int(n) for n in re.findall(r'href="/frames/(\d+)/', page)}) == wanted
