"""How a process takes the signals that tell it to stop."""

import signal

import pytest

from app.services.processes import Stop


@pytest.mark.parametrize(
    ("times", "is_urgent"),
    [
        ([50.0], False),
        ([50.0, 50.003], False),  # the terminal, and a wrapper that sends it on
        ([50.0, 50.003, 50.9], False),
        ([50.0, 51.0], True),
        ([50.0, 50.003, 58.0, 58.003], True),
    ],
)
def test_only_a_signal_that_comes_later_is_impatience(times: list[float], is_urgent: bool) -> None:
    clock = iter(times)
    told = Stop(monotonic=lambda: next(clock))
    before = told()

    for _ in times:
        told.note(signal.SIGINT, None)

    assert (before, told(), told.is_urgent()) == (False, True, is_urgent)
