"""Running a delivery: claim, heartbeat, end, and what is told to whom."""

import errno
import logging
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from rq.timeouts import JobTimeoutException

from app.db import db, transaction
from app.errors import InvalidRequestError
from app.jobs import runner, selftest
from app.jobs.runner import JobContext
from app.models import AuditEntry, Job, User
from app.services import jobs, settings
from app.services.jobs import LeaseLostError
from reduction.errors import NotEnoughFramesError

LINE = (
    r"^\d\d/\d\d/\d{4} \d\d:\d\d:\d\d - PID \d+ - \w+ - (DEBUG|INFO|WARNING|CRITICAL|TIME)"
    r" - \w+\.py - \w+\(\) - "
)
Work = Callable[[JobContext], None]


@pytest.fixture
def run(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], Job]:
    """Queue and run a job that does whatever the test wants."""

    def queue_and_run(work: Work, **arguments: Any) -> Job:
        monkeypatch.setattr(runner, "find", lambda _name: work)
        job = jobs.enqueue("selftest.touch", arguments, label="a job", owner=None)
        try:
            runner.work_off()
        finally:
            db.session.refresh(job)
        return job

    return queue_and_run


def log_of(job: Job) -> str:
    return jobs.log_path(job.id).read_text()


def set_lease(seconds: int, by: User) -> None:
    settings.change("jobs", "lease_s", seconds, by=by)


def test_selftest_leaves_one_file_and_one_row(app: Flask, observer: User) -> None:
    job = jobs.enqueue("selftest.touch", {}, label="selftest", owner=observer)

    count = runner.work_off()

    entry = db.session.query(AuditEntry).one()
    assert count == 1
    assert (job.state, job.result) == ("done", {"file": f"selftest-{job.id}.txt"})
    assert (entry.action, entry.subject, entry.user_id) == (
        selftest.ACTION,
        str(job.id),
        observer.id,
    )


def test_job_that_ends_without_a_word_is_done(run: Callable[..., Job]) -> None:
    assert run(lambda _context: None).state == "done"


def test_job_gets_its_arguments_and_its_place(run: Callable[..., Job]) -> None:
    seen: list[Any] = []

    job = run(lambda c: seen.extend((c.arguments, c.job_id, c.attempt, c.owner_id)), block=4)

    assert seen == [{"block": 4}, job.id, 1, None]


def test_reduction_error_is_told_in_its_own_words(run: Callable[..., Job]) -> None:
    def work(_context: JobContext) -> None:
        raise NotEnoughFramesError(found=0, needed=1)

    job = run(work)

    assert job.state == "failed"
    assert job.error == str(NotEnoughFramesError(found=0, needed=1))
    assert "Traceback" not in log_of(job)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidRequestError("no such block"), "no such block"),
        (MemoryError(), "not enough memory for this job; the limit is server.worker_memory_mb"),
        (OSError(errno.ENOSPC, "No space left", "M.fits"), "the disk is full: M.fits"),
        (JobTimeoutException(), "took longer than 3600 s, the limit jobs.timeout_s"),
    ],
)
def test_expected_trouble_fails_the_job_with_a_sentence(
    run: Callable[..., Job], error: Exception, sentence: str
) -> None:
    def work(_context: JobContext) -> None:
        raise error

    job = run(work)

    assert (job.state, job.error) == ("failed", sentence)


def test_our_own_mistake_fails_the_job_with_its_traceback_in_the_log(
    run: Callable[..., Job],
) -> None:
    def work(_context: JobContext) -> None:
        raise KeyError("gain")

    with pytest.raises(KeyError):
        run(work)

    job = db.session.query(Job).one()
    assert (job.state, job.error) == ("failed", "internal error, see the job's log")
    assert "KeyError: 'gain'" in log_of(job)


def test_failed_job_stores_nothing_of_what_it_was_finishing(run: Callable[..., Job]) -> None:
    def work(context: JobContext) -> None:
        with context.finish():
            db.session.add(AuditEntry(action="effect", subject="1"))
            raise InvalidRequestError("half way")

    job = run(work)

    assert (job.state, job.error) == ("failed", "half way")
    assert db.session.query(AuditEntry).count() == 0


def test_checkpoints_stay_when_the_job_fails_later(run: Callable[..., Job]) -> None:
    def work(context: JobContext) -> None:
        with context.checkpoint():
            db.session.add(AuditEntry(action="effect", subject="first"))
        raise InvalidRequestError("later")

    run(work)

    assert [row.subject for row in db.session.query(AuditEntry)] == ["first"]


def test_log_lines_have_the_documented_form(run: Callable[..., Job], app: Flask) -> None:
    def work(context: JobContext) -> None:
        context.log.info("combined %d frames", 20)
        logging.getLogger("app.services.blocks").error("no dark")

    job = run(work)

    lines = log_of(job).splitlines()
    assert all(re.match(LINE, line) for line in lines), lines
    assert [line.split(" - ")[3] for line in lines] == ["INFO", "INFO", "CRITICAL", "TIME"]
    assert lines[1].endswith(" - test_runner.py - work() - combined 20 frames")


def test_jobs_log_holds_nothing_of_the_next_job(run: Callable[..., Job]) -> None:
    first = run(lambda context: context.log.info("one"))
    second = run(lambda context: context.log.info("two"))

    assert "two" not in log_of(first)
    assert "one" not in log_of(second)


def test_progress_reaches_the_row_without_a_commit_by_the_job(
    run: Callable[..., Job], app: Flask
) -> None:
    seen: list[tuple[float, str]] = []

    def work(context: JobContext) -> None:
        for percent in range(100):  # far more often than it is written
            context.progress(percent / 200, "combining")
        seen.append(_wait_for(app, context.job_id, lambda row: row.progress > 0))

    job = run(work)

    assert seen == [(0.495, "combining")]
    assert (job.progress, job.step) == (1.0, "combining")


def _wait_for(app: Flask, job_id: int, is_so: Callable[[Job], bool]) -> tuple[float, str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with app.app_context():
            row = db.session.get_one(Job, job_id)
            if is_so(row):
                return row.progress, row.step
        time.sleep(0.05)
    raise AssertionError("nothing came")


def test_heartbeat_outlives_the_lease_of_a_long_job(
    run: Callable[..., Job], staff: User, app: Flask
) -> None:
    set_lease(1, staff)
    leases: list[Any] = []

    def work(context: JobContext) -> None:
        for _ in range(2):
            with app.app_context():
                leases.append(db.session.get_one(Job, context.job_id).lease_until)
            time.sleep(1.2)

    job = run(work)

    assert job.state == "done"
    assert leases[1] > leases[0]


def test_cancelled_job_stops_at_its_next_check(run: Callable[..., Job], staff: User) -> None:
    def work(context: JobContext) -> None:
        jobs.cancel(context.job_id, by=staff)
        _check_until_stopped(context)

    job = run(work)

    assert (job.state, job.error) == ("cancelled", "cancelled by staff")


def test_job_given_to_another_worker_stops_and_leaves_the_row_alone(
    run: Callable[..., Job],
) -> None:
    attempts: list[int] = []

    def work(context: JobContext) -> None:
        attempts.append(context.attempt)
        if context.attempt == 1:
            jobs.take_back(context.delivery, max_attempts=3)
            with pytest.raises(LeaseLostError):
                _check_until_stopped(context)
            with context.finish():
                db.session.add(AuditEntry(action="effect", subject="ghost"))

    job = run(work)

    assert attempts == [1, 2]
    assert (job.state, job.attempt, job.starts) == ("done", 2, 2)
    assert db.session.query(AuditEntry).count() == 0


def _check_until_stopped(context: JobContext) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        context.check()
        time.sleep(0.05)
    raise AssertionError("was not told to stop")


def test_job_cancelled_at_the_last_moment_does_not_finish(
    run: Callable[..., Job], staff: User
) -> None:
    def work(context: JobContext) -> None:
        jobs.cancel(context.job_id, by=staff)
        with context.finish():
            raise AssertionError("the job was not ours any more")

    assert run(work).state == "cancelled"


def test_stale_delivery_does_nothing(app: Flask) -> None:
    job = jobs.enqueue("selftest.touch", {}, label="selftest", owner=None)
    (delivery,) = jobs.choose(1)
    runner.run(job.id, delivery.attempt + 1)

    db.session.refresh(job)
    assert job.state == "dispatched"
    assert not jobs.log_path(job.id).exists()


def test_work_that_needs_a_failed_job_is_not_run(app: Flask) -> None:
    need = jobs.enqueue("selftest.no_such_function", {}, label="broken", owner=None)
    job = jobs.enqueue("selftest.touch", {}, label="selftest", owner=None, needs=[need])
    with pytest.raises(AttributeError):
        runner.work_off()
    with transaction():
        assert need.state == "failed"

    runner.work_off()

    db.session.refresh(job)
    assert job.state == "cancelled"
