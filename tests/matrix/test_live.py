"""What live pages are told: that something changed, not what somebody may not see."""

from collections.abc import Iterator

import pytest

from app.db import transaction
from app.pages import live
from app.services import events
from tests.matrix.conftest import COUNTS, Keeper, set_up
from tests.matrix.world import World


@pytest.fixture(autouse=True)
def quick(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(live, "LOOK_S", 0.05)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.5)
    yield
    live.stop(world.app)
    world.app.extensions.pop("coelostat.live", None)


@pytest.mark.parametrize(("name", "is_told"), [("observer", False), ("staff", True)])
def test_a_stream_names_no_night_and_no_frame_to_who_may_not_see_all(
    world: World, keeper: Keeper, name: str, is_told: bool
) -> None:
    set_up(world, keeper, is_open=False, media_open=False)
    with world.callers[name].client.get("/events/", buffered=False) as response:
        lines = iter(response.response)
        next(lines)
        with world.app.app_context(), transaction():
            events.publish("frames", frame=41_004, night="2026-11-20", name="zorbax")
        heard = ""
        while "event: frames" not in heard:
            line = next(lines)
            heard += line.decode() if isinstance(line, bytes) else str(line)
    COUNTS["streams listened to"] += 1

    assert ("zorbax" in heard) is is_told
    assert ("2026-11-20" in heard) is is_told
    assert ("41004" in heard) is is_told


@pytest.mark.parametrize("name", ["anonymous", "expired token", "revoked token", "disabled user"])
def test_strangers_hear_nothing(world: World, name: str) -> None:
    with world.callers[name].client.get("/events/") as response:
        assert response.status_code in {302, 401}
        assert "event:" not in response.get_data(as_text=True)
