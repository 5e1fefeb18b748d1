"""A worker's first steps: its kernels are there before it forks."""

import fcntl
import threading

import pytest
from flask import Flask

from app import paths
from app.jobs import worker
from reduction import warm as warming


@pytest.mark.parametrize("taken", [0, 1])
def test_part_that_another_worker_compiles_comes_last(
    app: Flask, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    places, done = paths.current(), list[int]()
    places.run.mkdir(parents=True, exist_ok=True)
    free = 1 - taken
    held = (places.run / f"warm-{taken}.lock").open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    release = threading.Timer(0.3, held.close)

    def part(number: int) -> None:
        done.append(number)
        if number == free:
            release.start()  # only now: a worker that waits before would wait for ever

    parts = (lambda: part(0), lambda: part(1))
    monkeypatch.setattr(warming, "PARTS", parts)
    worker.warm(places)

    assert done == [free, taken]
