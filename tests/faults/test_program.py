"""The running program: what it refuses, how it stops, and what becomes of a job that will not."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.db import db
from app.jobs import selftest
from app.models import AuditEntry, Job, User
from app.services import jobs
from tests.faults.conftest import SETTINGS
from tests.faults.program import ROOT, Program, is_alive, wait_for

pytestmark = pytest.mark.slow

DEAF_S = 900.0  # a job of this length looks up every tenth of it only


def admin() -> User:
    return db.session.query(User).filter_by(username="admin").one()


def state_of(job_id: int) -> str:
    state = db.session.get_one(Job, job_id, populate_existing=True).state
    db.session.rollback()
    return state


def queue(seconds: float) -> int:
    job = jobs.enqueue("selftest.touch", {"seconds": seconds}, label="a job", owner=admin())
    return job.id


def start_deaf_job(program: Program) -> tuple[int, int]:
    """Queue a job that does not look up, and return it and its process once it runs."""
    job_id = queue(DEAF_S)
    wait_for(lambda: state_of(job_id) == "running", 30)
    (horse,) = program.processes()["worker's child"]
    return job_id, horse


def test_queue_server_is_reached_by_nobody_else(program: Program) -> None:
    socket = program.instance / "run" / "queue.sock"

    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


def test_cancelling_really_stops_work_that_does_not_listen(program: Program) -> None:
    with program.context():
        job_id, horse = start_deaf_job(program)

        jobs.cancel(job_id, by=admin())
        wait_for(lambda: state_of(job_id) == "cancelled", 15)

        wait_for(lambda: not is_alive(horse), 30)
        following = queue(0.0)
        wait_for(lambda: state_of(following) == "done", 30)
        effects = db.session.query(AuditEntry).filter_by(action=selftest.ACTION)
        assert [row.subject for row in effects] == [str(following)]


def test_job_that_kills_its_worker_again_and_again_is_given_up(program: Program) -> None:
    with program.context():
        job_id = queue(DEAF_S)
        for start in range(1, 4):
            wait_for(lambda n=start: _is_running(job_id, n), 30)  # type: ignore[misc]
            os.kill(program.processes()["worker's child"][0], signal.SIGKILL)
        wait_for(lambda: state_of(job_id) == "failed", 30)

        error = db.session.get_one(Job, job_id).error

    assert error is not None
    assert error.startswith("given up: the worker running this job died 3 times")


def _is_running(job_id: int, starts: int) -> bool:
    job = db.session.get_one(Job, job_id, populate_existing=True)
    is_so = job.state == "running" and job.starts == starts
    db.session.rollback()
    return is_so


def test_work_runs_under_the_memory_limit(program: Program) -> None:
    with program.context():
        job_id, horse = start_deaf_job(program)
        limits = Path(f"/proc/{horse}/limits").read_text()
        jobs.cancel(job_id, by=admin())
        wait_for(lambda: state_of(job_id) == "cancelled", 15)

    (line,) = [line for line in limits.splitlines() if line.startswith("Max address space")]
    assert int(line.split()[3]) == 6000 << 20


def test_second_runner_names_the_first_and_gives_up(program: Program) -> None:
    assert program.runner is not None

    second = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env={**os.environ, **program.environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert second.returncode == 2
    assert f"already served by the process {program.runner.pid}" in second.stderr
    assert program.health()[0] == 200


def test_health_names_what_is_missing(make_program: Callable[[str], Program]) -> None:
    program = make_program(SETTINGS)
    program.start()
    program.wait_until_whole(workers=1)
    assert program.runner is not None

    os.kill(program.runner.pid, signal.SIGSTOP)  # nothing is restarted now
    try:
        for pid in program.processes()["dispatcher"]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: program.health()[0] == 503, 20)
        status, answer = program.health()
    finally:
        os.kill(program.runner.pid, signal.SIGCONT)

    assert (status, answer["missing"]) == (503, ["dispatcher"])
    program.wait_until_whole(workers=1)
    assert program.stop() == 0


def test_killed_runner_leaves_no_process_and_loses_no_job(
    make_program: Callable[[str], Program],
) -> None:
    program = make_program(SETTINGS)
    program.start()
    program.wait_until_whole(workers=1)
    with program.context():
        job_id = queue(2.0)
        wait_for(lambda: state_of(job_id) == "running", 30)
        below = [pid for pids in program.processes().values() for pid in pids]

        program.kill()
        wait_for(lambda: not any(is_alive(pid) for pid in below), 5)
        program.start()
        wait_for(lambda: state_of(job_id) == "done", 90)

        assert len(below) >= 7
        assert db.session.query(AuditEntry).filter_by(subject=str(job_id)).count() == 1


def test_job_of_a_killed_worker_does_not_wait_for_the_end_of_its_lease(
    make_program: Callable[[str], Program],
) -> None:
    program = make_program(SETTINGS.replace("lease_s = 3", "lease_s = 600"))
    program.start()
    program.wait_until_whole(workers=1)
    with program.context():
        job_id, horse = start_deaf_job(program)

        os.kill(program.processes()["worker"][0], signal.SIGKILL)
        wait_for(lambda: state_of(job_id) != "running", 5)
        is_over_when_taken_back = not is_alive(horse)
        status, answer = program.health()
        wait_for(lambda: _is_running(job_id, 2), 60)

    assert is_over_when_taken_back
    assert (status, answer["worker"]) == (503, 0)
    assert program.stop() == 0


def test_stopping_in_order_gives_a_running_job_back_without_blame(
    make_program: Callable[[str], Program],
) -> None:
    program = make_program(SETTINGS)
    program.start()
    program.wait_until_whole(workers=1)
    with program.context():
        job_id, horse = start_deaf_job(program)

        code = program.stop()

        job = db.session.get_one(Job, job_id, populate_existing=True)
        assert (code, job.state, job.starts) == (0, "queued", 0)
        assert not is_alive(horse)
    stops = [line for line in program.main_log.splitlines() if line.endswith(" stopped")]
    assert [line.rpartition(" - ")[2].removesuffix(" stopped") for line in stops] == [
        "web",
        "dispatcher",
        "watcher",
        "worker 1",
        "queue server",
    ]


def test_stopping_lets_a_job_end_that_needs_no_longer_than_the_setting_says(
    make_program: Callable[[str], Program],
) -> None:
    program = make_program(SETTINGS.replace("stop_wait_s = 3", "stop_wait_s = 50"))
    program.start()
    program.wait_until_whole(workers=1)
    with program.context():
        job_id = queue(12.0)  # longer than a worker was given before there was a setting
        following = queue(0.0)
        wait_for(lambda: state_of(job_id) == "running", 30)

        code = program.stop()

        job = db.session.get_one(Job, job_id, populate_existing=True)
        assert (code, job.state, job.starts) == (0, "done", 1)
        assert state_of(following) in {"queued", "done"}
    assert f"ends job {job_id} before it stops" in program.main_log
    assert "waiting for worker 1 to end what it does, 50 s at most" in program.output.read_text()


def test_a_second_signal_does_not_wait(make_program: Callable[[str], Program]) -> None:
    program = make_program(SETTINGS.replace("stop_wait_s = 3", "stop_wait_s = 600"))
    program.start()
    program.wait_until_whole(workers=1)
    with program.context():
        job_id, horse = start_deaf_job(program)
        assert program.runner is not None

        program.runner.send_signal(signal.SIGINT)
        wait_for(lambda: "waiting for worker 1" in program.output.read_text(), 60)
        code = program.stop()

        job = db.session.get_one(Job, job_id, populate_existing=True)
        assert (code, job.state, job.starts) == (0, "queued", 0)
        assert not is_alive(horse)
    assert "worker 1 did not stop by itself, killed at once" in program.main_log


def test_worker_without_a_runner_ends_its_job_after_the_time_of_the_setting(
    make_program: Callable[[str], Program],
) -> None:
    program = make_program(SETTINGS.replace("workers = 1", "workers = 0"))
    program.start()
    alone = subprocess.Popen(
        [sys.executable, "-m", "app", "worker"], cwd=ROOT, env={**os.environ, **program.environ}
    )
    try:
        program.wait_until_whole(workers=1)
        with program.context():
            job_id = queue(DEAF_S)
            wait_for(lambda: state_of(job_id) == "running", 30)
            below = Path(f"/proc/{alone.pid}/task/{alone.pid}/children").read_text()
            (horse,) = map(int, below.split())

            alone.send_signal(signal.SIGTERM)
            code = alone.wait(60)

            job = db.session.get_one(Job, job_id, populate_existing=True)
            assert (code, job.starts) == (0, 0)
            assert job.state in {"queued", "dispatched"}  # for a worker that comes
            assert not is_alive(horse)
    finally:
        alone.kill()
        program.stop()
