import threading
import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from app.db import transaction
from app.errors import ThrottledError
from app.models import User
from app.pages import live
from app.pages.live import Stream, Watcher
from app.services import accounts, browser_sessions, events, settings, tasks
from tests.app.pages.conftest import Browser
from tests.conftest import client_of
from tests.factories import make_user


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LOOK_S", 0.02)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.2)


@pytest.fixture
def watcher(app: Flask) -> Iterator[Watcher]:
    watcher = Watcher(app, most_streams=4)
    yield watcher
    for stream in list(watcher.streams):
        stream.close()
    thread = watcher.thread
    if thread is not None:
        thread.join(60)


def somebody() -> User:
    """Who listens where it does not matter who it is."""
    return User(is_staff=True)


def publish(topic: str, **subject: object) -> None:
    with transaction():
        events.publish(topic, **subject)


def read_until(lines: Iterator[str], wanted: str) -> str:
    """What a stream says, up to and with the first line that holds `wanted`."""
    said = ""
    for line in lines:
        said += line
        if wanted in said:
            return said
    raise AssertionError(f"the stream ended after {said!r}")


def test_page_of_one_who_may_not_see_every_frame_learns_no_names(
    watcher: Watcher, observer: User, staff: User
) -> None:
    lines = iter(Stream(watcher, observer.id, lambda: observer))
    next(lines)
    settings.change("access", "visibility", "members", by=staff)  # also while it is open

    publish("frames", frame=7, night="2026-11-20")
    publish("scan", folder="secret target", changed=1)
    publish("job", job=3, state="done")
    said = read_until(lines, 'data: {"topic": "job"}\n')

    assert 'data: {"topic": "frames"}\n' in said
    assert 'data: {"topic": "scan"}\n' in said
    assert "2026-11-20" not in said
    assert "secret" not in said


def test_changes_of_tasks_and_jobs_of_others_are_told_without_what_they_are(
    watcher: Watcher, observer: User, staff: User
) -> None:
    own, other = tasks.create(observer, original_name="a"), tasks.create(staff, original_name="b")
    lines = iter(Stream(watcher, observer.id, lambda: observer))
    next(lines)

    of_other = tasks.process(other, ["inspect"], by=staff)
    of_own = tasks.process(own, ["inspect"], by=observer)
    said = read_until(lines, f'data: {{"topic": "task", "task": {own.id}, "state": "running"}}')

    assert f'"job": {of_own.id},' in said
    assert f'"job": {of_other.id},' not in said
    assert f'"task": {other.id},' not in said
    assert 'data: {"topic": "task"}\n' in said


def test_open_page_is_told_what_changes(watcher: Watcher) -> None:
    lines = iter(Stream(watcher, 1, somebody))
    next(lines)

    publish("frames", night="2026-11-20")
    said = read_until(lines, "2026-11-20")

    assert "event: frames\n" in said
    assert 'data: {"topic": "frames", "night": "2026-11-20"}\n\n' in said


def test_what_happened_before_the_page_opened_is_not_told(watcher: Watcher) -> None:
    publish("job", job=1)
    lines = iter(Stream(watcher, 1, somebody))
    next(lines)

    publish("job", job=2)
    said = read_until(lines, '"job": 2')

    assert '"job": 1' not in said


def test_silent_stream_says_that_it_lives(watcher: Watcher) -> None:
    lines = iter(Stream(watcher, 1, somebody))
    next(lines)

    assert next(lines) == ": still here\n\n"


def test_stream_ends_after_its_time(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LONGEST_S", 0.3)

    said = list(Stream(watcher, 1, somebody))

    assert said[0] == "retry: 3000\n\n"
    assert "event: rest" not in said[-1]


def test_newest_page_of_a_person_takes_the_place_of_the_oldest(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PER_USER", 2)
    oldest, _second = Stream(watcher, 1, somebody), Stream(watcher, 1, somebody)
    other = Stream(watcher, 2, somebody)

    Stream(watcher, 1, somebody)

    assert "event: rest" in "".join(oldest)
    assert oldest not in watcher.streams
    assert other in watcher.streams
    assert len(watcher.streams) == 3


def test_half_of_the_server_stays_free_for_pages(watcher: Watcher) -> None:
    for user_id in range(watcher.most_streams):
        Stream(watcher, user_id, somebody)

    with pytest.raises(ThrottledError):
        Stream(watcher, 99, somebody)

    assert len(watcher.streams) == watcher.most_streams


def test_closed_page_gives_its_place_back_and_the_last_one_stops_the_watching(
    watcher: Watcher,
) -> None:
    stream = Stream(watcher, 1, somebody)
    thread = watcher.thread
    assert thread is not None

    stream.close()
    stream.close()
    thread.join(60)

    assert watcher.streams == []
    assert watcher.thread is None
    assert not thread.is_alive()


def test_one_thread_watches_for_all_pages_of_a_process(watcher: Watcher) -> None:
    streams = [Stream(watcher, n, somebody) for n in range(3)]
    heard: list[str] = []

    def listen(stream: Stream) -> None:
        heard.append(read_until(iter(stream), '"block": 5'))

    listeners = [threading.Thread(target=listen, args=(stream,)) for stream in streams]
    for listener in listeners:
        listener.start()
    time.sleep(0.1)
    publish("block", block=5)
    for listener in listeners:
        listener.join(60)

    assert len(heard) == 3
    assert sum(thread.name == "events" for thread in threading.enumerate()) == 1


def test_address_streams_events_to_who_is_signed_in(app: Flask, browser: Browser) -> None:
    response = browser.get("/events/")

    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    assert next(iter(response.response)) in {"retry: 3000\n\n", b"retry: 3000\n\n"}
    response.close()
    with app.app_context():
        thread = live.watcher().thread
    if thread is not None:
        thread.join(60)


def close_account(person: User, staff: User) -> None:
    accounts.set_active(person.id, False, by=staff)


def end_everything(person: User, staff: User) -> None:
    accounts.revoke_all_tokens(person, by=staff)
    browser_sessions.end_all(person, by=staff)


@pytest.mark.parametrize("with_token", [True, False])
@pytest.mark.parametrize("end", [close_account, end_everything])
def test_stream_ends_with_the_right_to_it_and_tells_nothing_more(
    app: Flask,
    browser: Browser,
    observer: User,
    staff: User,
    monkeypatch: pytest.MonkeyPatch,
    with_token: bool,
    end: Callable[[User, User], None],
) -> None:
    monkeypatch.setattr(live, "LONGEST_S", 5.0)
    client = client_of(app, observer) if with_token else browser.client
    response = client.get("/events/")
    lines = (line.decode() for line in response.response if isinstance(line, bytes))
    next(lines)
    publish("frames", frame=41)
    before = read_until(lines, '"frame": 41')

    end(observer, staff)
    began = time.monotonic()
    publish("frames", frame=77)
    said = "".join(lines)

    assert "event: frames" in before
    assert said == ""
    assert time.monotonic() - began < 2
    response.close()


def test_stream_ends_where_nobody_can_be_asked_who_listens(watcher: Watcher) -> None:
    def fails() -> User:
        raise OperationalError("SELECT", {}, Exception("database is locked"))

    publish("frames", frame=77)

    assert list(Stream(watcher, 1, fails)) == ["retry: 3000\n\n"]


def test_users_do_not_take_each_others_places(
    watcher: Watcher, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PER_USER", 1)
    mine = Stream(watcher, observer.id, somebody)

    Stream(watcher, make_user("other").id, somebody)

    assert mine.is_wanted


def test_streams_end_when_the_server_stops_and_may_be_opened_again_elsewhere(
    app: Flask, browser: Browser
) -> None:
    response = browser.get("/events/")
    lines = (line.decode() for line in response.response if isinstance(line, bytes))
    next(lines)

    live.stop(app)
    began = time.monotonic()
    said = "".join(lines)

    assert time.monotonic() - began < live.HEARTBEAT_S
    assert "event: rest" not in said  # that would keep the page from connecting again
    response.close()
