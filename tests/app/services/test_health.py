"""What the pages say of a program that is not whole."""

import pytest

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
