"""A worker's first steps, before it forks, and its last: it does not wait for its job for ever."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from app import paths
from app.db import db, transaction
from app.jobs import worker
from app.models import Job
from reduction import warm as warming

ROOT = Path(__file__).resolve().parent.parent.parent.parent


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


BEGINS = """
import os, sys
from app.jobs import worker
from reduction.kernels.compiled import LoadedAlone
LoadedAlone.n_compiled = int(sys.argv[1])
print(os.getpid(), *sys.argv[1:], *sys.warnoptions, flush=True)
worker._leave_compiler_behind()
print("works", flush=True)
"""


@pytest.mark.parametrize("n_compiled", [0, 1])
def test_a_worker_that_compiled_begins_anew_in_its_place_once(
    tmp_path: Path, n_compiled: int
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(BEGINS)
    command = [sys.executable, "-W", "default", str(script), str(n_compiled), "--as before"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        said, _ = process.communicate(timeout=120)

    beginning = f"{process.pid} {n_compiled} --as before default"
    assert said.splitlines() == [beginning] * (1 + n_compiled) + ["works"]


def stopping_worker(horse: int) -> Any:
    """A worker with work in hand, without the queue server that making one asks."""
    made: Any = worker.ForkingWorker.__new__(worker.ForkingWorker)
    made.name, made._in_hand, made._horse_pid, made._is_cut_short = "w", "job 1", horse, False
    return made


@pytest.fixture
def horse() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def test_work_that_outlasts_its_time_is_ended_by_its_worker(
    horse: subprocess.Popen[bytes],
) -> None:
    stopping = stopping_worker(horse.pid)
    limit = threading.Thread(target=stopping._cut_short, args=(0.0,))
    limit.start()

    ended = horse.wait(20)
    stopping._in_hand = ""
    limit.join(20)

    assert (ended, stopping._is_cut_short) == (-signal.SIGKILL, True)
    assert not limit.is_alive()


def test_work_that_ended_in_time_is_not_looked_for(horse: subprocess.Popen[bytes]) -> None:
    stopping = stopping_worker(horse.pid)
    stopping._in_hand = ""

    stopping._cut_short(0.0)

    assert horse.poll() is None
    assert not stopping._is_cut_short


@pytest.mark.parametrize(
    ("is_cut_short", "wish", "state", "starts"),
    [(True, False, "queued", 1), (True, True, "running", 2), (False, False, "running", 2)],
)
def test_only_work_cut_short_is_given_back_and_its_start_forgiven(
    app: Flask, is_cut_short: bool, wish: bool, state: str, starts: int
) -> None:
    with transaction():
        values = {"state": "running", "attempt": 2, "starts": 2, "result": {"sent": 3}}
        job = Job(function="a.b", label="a job", cancel_requested=wish, **values)
        db.session.add(job)
    stopping = stopping_worker(0)
    stopping._is_cut_short = is_cut_short

    stopping.handle_work_horse_killed(SimpleNamespace(id=f"j{job.id}-2"), 1, 9, None)

    db.session.refresh(job)
    assert (job.state, job.starts, job.result) == (state, starts, {"sent": 3})
