"""The site's files through STDWeb's browser: what is not theirs is to them as not there."""

import pytest

from app.services import data_files
from tests.matrix.conftest import COUNTS, Keeper, set_up
from tests.matrix.test_files import may_fetch
from tests.matrix.world import CALLERS, World

NOTHING = "RAW/2026-11-20-zorbax/no_such_file.fits"
BROWSER = "/stdweb/api/files"
LEFT_OUT = ("TMP/", "LOGS/", "CONFIG/")


@pytest.fixture(params=[False, True], ids=["members", "everyone"])
def site(request: pytest.FixtureRequest, world: World, keeper: Keeper) -> World:
    set_up(world, keeper, is_open=request.param, media_open=False)
    return world


def test_a_file_is_listed_sent_and_shown_to_those_who_may_see_it_alone(site: World) -> None:
    wrong = []
    for name in CALLERS:
        caller = site.callers[name]
        nothing = caller.client.get(f"{BROWSER}/{NOTHING}")
        for path, thing in site.files.items():
            if path.startswith(LEFT_OUT):
                continue
            folder, _, file_name = path.rpartition("/")
            sees = may_fetch(site, caller, thing)
            listed = caller.client.get(f"{BROWSER}/{folder}")
            with caller.client.get(f"{BROWSER}/{path}") as sent:
                COUNTS["calls for a file"] += 2
                is_right = sent.status_code == 200 if sees else sent.data == nothing.data
                names = (
                    [one["name"] for one in listed.get_json()] if listed.status_code == 200 else []
                )
                if not is_right or (file_name in names) != sees:
                    wrong.append((name, path, sees, sent.status_code, names))

    assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(map(repr, wrong[:20]))


@pytest.mark.parametrize("name", ["observer", "other observer"])
def test_no_folder_tells_of_what_lies_in_it_for_others(
    world: World, keeper: Keeper, name: str
) -> None:
    set_up(world, keeper, is_open=False, media_open=True)
    client = world.callers[name].client

    root = client.get(f"{BROWSER}/RAW")
    folder = client.get(f"{BROWSER}/RAW/2026-11-20-zorbax")
    other = client.get(f"{BROWSER}/RAW/2026-11-20-nothing")

    assert b"zorbax" not in root.data
    assert (folder.status_code, folder.data) == (other.status_code, other.data)
    assert folder.get_json() == {"detail": data_files.NOT_THERE}


@pytest.mark.parametrize("name", ["observer", "other observer"])
def test_nobody_makes_a_task_of_a_file_they_may_not_see(
    world: World, keeper: Keeper, name: str
) -> None:
    set_up(world, keeper, is_open=False, media_open=True)
    client = world.callers[name].client
    hidden = next(
        path
        for path, thing in world.files.items()
        if thing is world.things["frame"]["secret"] and path.startswith("RAW/")
    )

    answers = []
    for path in (hidden, hidden.removeprefix("RAW/"), f"RAW/../{hidden}", NOTHING):
        for more in ({}, {"ext": 0}):
            body = {"local_file": path} | more
            response = client.post("/stdweb/api/tasks/", json=body)
            answers.append((response.status_code, response.get_json()))

    assert {str(answer) for answer in answers} == {
        str((400, {"local_file": ["File not found in data directory"]}))
    }
    assert keeper.is_as_it_was()
    keeper.restore()
