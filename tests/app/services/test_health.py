"""What the pages say of a program that is not whole."""

from threading import Barrier, Thread

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.services import health

ALIVE = {"database": 1, "queue": 1, "dispatcher": 1, "worker": 2}


def test_nothing_is_said_of_a_whole_program() -> None:
    assert health.trouble(ALIVE) == ""


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (("worker",), "No worker is alive"),
        (("dispatcher", "worker"), "The dispatcher is not alive"),
        (("queue", "dispatcher", "worker"), "The queue server does not answer"),
        (("database", "worker"), "The database does not answer"),
    ],
)
def test_what_all_else_hangs_on_is_named_with_what_to_do(
    missing: tuple[str, ...], said: str
) -> None:
    sentence = health.trouble(ALIVE | dict.fromkeys(missing, 0))

    assert sentence.startswith(said)
    assert "logs/coelostat.log" in sentence


class Looks:
    """What `health.parts` finds, how often it was asked, and the time at which."""

    def __init__(self) -> None:
        self.n_asked = 0
        self.now = 100.0
        self.found = ALIVE | {"worker": 0}

    def parts(self) -> dict[str, int]:
        self.n_asked += 1
        return self.found


@pytest.fixture
def looks(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Looks:
    made = Looks()
    monkeypatch.setattr(health, "parts", made.parts)
    monkeypatch.setattr(health, "monotonic", lambda: made.now)
    return made


def test_pages_that_follow_each_other_ask_the_queue_server_once(looks: Looks) -> None:
    first = health.trouble()
    looks.found = ALIVE
    looks.now += 2.9
    second = health.trouble()
    looks.now += 0.2
    third = health.trouble()

    assert first.startswith("No worker is alive")
    assert (second, third, looks.n_asked) == (first, "", 2)


def test_that_all_is_well_is_kept_too(looks: Looks) -> None:
    looks.found = ALIVE

    assert [health.trouble() for _ in range(3)] == ["", "", ""]
    assert looks.n_asked == 1


def test_page_does_not_wait_while_another_asks_a_server_that_hangs(
    app: Flask, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = health.trouble()
    looks.now += 4
    begun, answered = Barrier(2, timeout=20), Barrier(2, timeout=20)

    def hang() -> dict[str, int]:
        begun.wait()
        answered.wait()
        return ALIVE

    def ask() -> None:
        with app.app_context():
            health.trouble()

    monkeypatch.setattr(health, "parts", hang)
    slow = Thread(target=ask)
    slow.start()
    begun.wait()
    meanwhile = health.trouble()
    answered.wait()
    slow.join()

    assert (meanwhile, health.trouble()) == (first, "")


def test_monitors_are_never_given_a_kept_answer(looks: Looks, stranger: FlaskClient) -> None:
    health.trouble()
    looks.found = ALIVE

    assert stranger.get("/healthz").get_json()["status"] == "ok"
