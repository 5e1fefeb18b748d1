"""Sign-in attempts: failures are counted by name and by address, successes are not."""

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from app import config, paths, queue_server
from app.api import throttle
from app.errors import NotAuthenticatedError, NotFoundError, ThrottledError
from app.services import courier


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_800_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


def fail(app: Flask, username: str, address: str = "10.0.0.1") -> None:
    environ = {"REMOTE_ADDR": address}
    with (
        app.test_request_context("/", environ_base=environ),
        pytest.raises(NotAuthenticatedError),
        throttle.sign_in(username),
    ):
        raise NotAuthenticatedError("no")


def wait_s(app: Flask, username: str, address: str = "10.0.0.1") -> int:
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": address}):
        try:
            with throttle.sign_in(username):
                return 0
        except ThrottledError as error:
            return error.wait_s


def test_sixth_attempt_after_five_failures_waits(app: Flask, clock: list[float]) -> None:
    for _ in range(5):
        fail(app, "amy")

    assert wait_s(app, "amy") == 60
    assert wait_s(app, " AMY ", "10.0.0.2") == 60
    assert wait_s(app, "bob") == 0
    clock[0] += 61
    assert wait_s(app, "amy") == 0


def test_guessed_links_count_with_the_attempts_of_their_address(
    app: Flask, clock: list[float]
) -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1"}
    for _ in range(throttle.PER_ADDRESS.amount):
        with (
            app.test_request_context("/", environ_base=environ),
            pytest.raises(NotFoundError),
            throttle.guess(),
        ):
            raise NotFoundError("no such link")

    assert wait_s(app, "amy") == 60
    assert wait_s(app, "amy", "10.0.0.2") == 0
    with (
        app.test_request_context("/", environ_base=environ),
        pytest.raises(ThrottledError),
        throttle.guess(),
    ):
        pytest.fail("the link was looked for")


def test_successes_do_not_count(app: Flask, clock: list[float]) -> None:
    for _ in range(30):
        assert wait_s(app, "amy") == 0


def test_address_that_tries_many_names_waits(app: Flask, clock: list[float]) -> None:
    for number in range(20):
        fail(app, f"user{number}")

    assert wait_s(app, "somebody") > 0
    assert wait_s(app, "somebody", "10.0.0.2") == 0


def test_addresses_of_one_ipv6_network_are_one(app: Flask, clock: list[float]) -> None:
    for number in range(20):
        fail(app, f"user{number}", f"2001:db8::{number:x}")

    assert wait_s(app, "somebody", "2001:db8::ffff") > 0
    assert wait_s(app, "somebody", "2001:db8:1::1") == 0


@pytest.fixture
def queue_server_runs(app: Flask) -> Iterator[None]:
    where = courier.socket_path(paths.current())
    queue_server.prepare_socket(where)
    with subprocess.Popen(queue_server.command(where)) as process:
        deadline = time.monotonic() + 60
        while not where.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield
        process.kill()


def test_counters_in_the_queue_server_are_shared_by_processes(
    app: Flask, queue_server_runs: None
) -> None:
    for _ in range(5):
        fail(app, "amy")

    del app.extensions["coelostat.throttle"]  # as another process, which has none of its own yet

    assert wait_s(app, "amy") > 0
    assert wait_s(app, "bob") == 0


def test_name_no_text_can_be_is_counted_like_any_other(app: Flask, queue_server_runs: None) -> None:
    for _ in range(5):
        fail(app, "half \ud800 a character")  # JSON can say so; the queue server's keys cannot

    assert wait_s(app, "half \ud800 a character") > 0


def test_queue_server_that_is_away_does_not_open_the_door(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = replace(config.current(), redis_url=f"redis://127.0.0.1:{port}")
    monkeypatch.setitem(app.extensions, "coelostat.config", settings)

    for _ in range(5):
        fail(app, "amy")

    assert wait_s(app, "amy") > 0
