"""Every file by its path, however it is asked for, with the site's files open and closed."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.matrix.calls import difference, told
from tests.matrix.conftest import COUNTS, Keeper, set_up
from tests.matrix.world import CALLERS, MISSING, OPEN, Caller, Thing, World

NOTHING = "RAW/2026-11-20-zorbax/no_such_file.fits"
_CURIOUS = ("anonymous", "observer", "other observer", "member")


@pytest.fixture(
    params=[(False, False), (False, True), (True, False), (True, True)],
    ids=["members, closed", "members, open", "everyone, closed", "everyone, open"],
)
def site(request: pytest.FixtureRequest, world: World, keeper: Keeper) -> World:
    is_open, media_open = request.param
    set_up(world, keeper, is_open=is_open, media_open=media_open)
    return world


def may_fetch(world: World, caller: Caller, thing: Thing) -> bool:
    if not caller.is_stranger:
        return world.sees(caller, thing)
    if not world.media_open or thing.is_private:
        return False
    return thing.is_shared or not thing.proposals or thing.proposals == {OPEN}


def ways(world: World, path: str) -> Iterator[dict[str, Any]]:
    """The ways to ask for a file that answer differently."""
    whole = world.callers["staff"].client.get(f"/media/{path}")
    etag = whole.headers.get("ETag", "")
    whole.close()
    yield {}
    if world.is_open:
        return
    yield {"method": "HEAD"}
    yield {"headers": {"Range": "bytes=0-9"}}
    yield {"headers": {"Range": "bytes=999999999-"}}
    yield {"headers": {"If-None-Match": etag}}
    yield {"headers": {"If-Modified-Since": "Sat, 21 Nov 2037 10:00:00 GMT"}}


def asked(caller: Caller, path: str, way: Mapping[str, Any]) -> tuple[object, ...]:
    """Ask for a file and return all that the answer tells."""
    COUNTS["calls for a file"] += 1
    with caller.client.open(f"/media/{path}", **way) as response:
        kept = {k: v for k, v in response.headers.items() if k not in {"Date", "Set-Cookie"}}
        return response.status_code, kept, response.get_data()


def test_a_file_that_is_not_theirs_is_to_them_as_one_that_is_not_there(site: World) -> None:
    wrong = []
    nothing: dict[str, tuple[object, ...]] = {}
    for path, thing in site.files.items():
        for number, way in enumerate(ways(site, path)):
            for name in CALLERS if number == 0 else _CURIOUS:
                caller = site.callers[name]
                answer = asked(caller, path, way)
                key = f"{name} {way.get('method')}"
                if key not in nothing:
                    nothing[key] = asked(caller, NOTHING, way)
                is_right = answer[0] in {200, 206, 304, 416}
                if not may_fetch(site, caller, thing):
                    is_right = answer == nothing[key] and answer[0] in {401, 404}
                if not is_right:
                    wrong.append((name, path, way, answer))

    assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(map(repr, wrong[:20]))


@pytest.mark.parametrize("form", [
    "RAW//2026-11-20-zorbax/{}", "RAW/./2026-11-20-zorbax/{}", "/RAW/2026-11-20-zorbax/{}",
    "THUMBS/../RAW/2026-11-20-zorbax/{}", "RAW/x/../2026-11-20-zorbax/{}",
    "MASTERS/../RAW/2026-11-20-zorbax/{}", "TMP/../RAW/2026-11-20-zorbax/{}",
    "RAW/2026-11-20-zorbax/{}/", "RAW/2026-11-20-ZORBAX/{}", "RAW/%2e%2e/RAW/2026-11-20-zorbax/{}",
    "RAW/2026-11-20-zorbax%2f{}", "RAW\\2026-11-20-zorbax\\{}", "RAW/2026-11-20-zorbax/{}%00.png",
    "../data/RAW/2026-11-20-zorbax/{}", "RAW/2026-11-20-zorbax/{}?x=1",
    "RAW/2026-11-20-zorbax/{};x",
])  # fmt: skip
def test_no_other_spelling_of_a_path_opens_it(world: World, keeper: Keeper, form: str) -> None:
    set_up(world, keeper, is_open=False, media_open=True)
    name = world.things["frame"]["secret"].name

    for caller in ("anonymous", "observer", "other observer"):
        with world.callers[caller].client.get(f"/media/{form.format(name)}") as response:
            COUNTS["other spellings of a path"] += 1
            assert response.status_code in {400, 404, 308}
            assert b"zorbax 4" not in response.get_data().lower()
            assert b"SIMPLE" not in response.get_data()


@pytest.mark.parametrize(
    "address",
    [
        "/frames/{}/thumbnail.png",
        "/frames/{}/download/",
        "/frames/{}/picture.json",
        "/frames/{}/tiles/SCI/0/0/0.png",
        "/api/files/{}/download/",
        "/gsp/api/files/{}/download/",
        "/api/files/header/?id={}",
        "/api/files/visualize/?id={}",
    ],
)
@pytest.mark.parametrize("name", ["secret", "reduced secret"])
def test_no_conditional_or_partial_question_tells_that_a_frame_is_there(
    world: World, keeper: Keeper, address: str, name: str
) -> None:
    set_up(world, keeper, is_open=False, media_open=True)
    frame_id = world.things["frame"][name].id
    with world.callers["staff"].client.get(address.format(frame_id)) as response:
        etag = response.headers.get("ETag", '"x"')
        assert response.status_code == 200
        assert "public" not in response.headers.get("Cache-Control", "")

    for way in (
        {"method": "HEAD"},
        {"headers": {"Range": "bytes=0-9"}},
        {"headers": {"If-None-Match": etag}},
        {"headers": {"If-None-Match": "*"}},
        {"headers": {"If-Modified-Since": "Sat, 21 Nov 2037 10:00:00 GMT"}},
        {"headers": {"If-Range": etag, "Range": "bytes=0-9"}},
    ):
        answers = []
        for number in (frame_id, MISSING):
            path = address.format(number)
            with world.callers["observer"].client.open(path, **way) as response:
                COUNTS["conditional and partial questions"] += 1
                answers.append(told(response, Thing(number)))
        assert answers[0] == answers[1], difference(*answers)
        assert answers[0][0] == 404
