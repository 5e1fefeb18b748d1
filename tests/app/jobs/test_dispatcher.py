"""The dispatcher against a real queue server; time is the test's own."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from redis import Redis
from rq.job import Job as QueuedJob
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from sqlalchemy import select

from app import config
from app.db import db, transaction, utcnow
from app.jobs import runner
from app.jobs.dispatcher import Clock, Dispatcher
from app.models import Event, Job, User
from app.services import courier, jobs, settings
from app.services.courier import Delivery
from tests.app.services.skyframes import make_sky_frame


class SteadyClock:
    """A monotonic clock the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def steady() -> SteadyClock:
    return SteadyClock()


@pytest.fixture
def dispatcher(app: Flask, queue: Redis, steady: SteadyClock) -> Dispatcher:
    return Dispatcher(app, monotonic=steady)


def enqueue(count: int = 1, owner: User | None = None) -> list[Job]:
    return [jobs.enqueue("selftest.touch", {}, label="a job", owner=owner) for _ in range(count)]


def claim(job: Job, worker: str = "here:1") -> Delivery:
    delivery = Delivery(job.id, job.attempt)
    assert jobs.claim(delivery, worker=worker, lease_s=60.0) is not None
    return delivery


def states(*rows: Job) -> list[tuple[str, int]]:
    for row in rows:
        db.session.refresh(row)
    return [(row.state, row.attempt) for row in rows]


def queued_job(delivery: Delivery) -> QueuedJob:
    return QueuedJob.fetch(delivery.key, connection=courier.connection(), serializer=JSONSerializer)


def test_queue_holds_one_delivery_more_than_there_are_workers(
    dispatcher: Dispatcher, queue: Redis
) -> None:
    courier.beat("worker")  # one worker is alive
    enqueue(5)

    dispatcher.step()
    dispatcher.step()

    assert courier.waiting() == {"j1-1", "j2-1"}


def test_queue_carries_numbers_only(dispatcher: Dispatcher, queue: Redis) -> None:
    enqueue()

    dispatcher.step()

    carried = queued_job(Delivery(1, 1))
    assert (carried.func_name, carried.args) == ("app.jobs.runner.run", [1, 1])


def test_enqueueing_wakes_the_dispatcher_only_once_the_row_is_on_disk(
    dispatcher: Dispatcher, queue: Redis
) -> None:
    with transaction():
        enqueue()
        woken_early = queue.llen("coelostat:wake")

    assert (woken_early, queue.llen("coelostat:wake")) == (0, 1)
    began = time.monotonic()
    courier.wait_for_wake(5.0)
    assert time.monotonic() - began < 1.0


def test_delivery_lost_with_the_queue_server_is_sent_again(
    dispatcher: Dispatcher, queue: Redis, steady: SteadyClock
) -> None:
    (job,) = enqueue()
    dispatcher.step()
    queue.flushall()

    dispatcher.step()
    assert states(job) == [("dispatched", 1)]  # it may be on its way

    steady.now_s += 1.5
    dispatcher.step()
    assert states(job) == [("dispatched", 2)]
    assert courier.waiting() == {"j1-2"}


def test_delivery_that_waits_in_the_queue_is_left_in_peace(
    dispatcher: Dispatcher, steady: SteadyClock
) -> None:
    (job,) = enqueue()

    for _ in range(3):
        dispatcher.step()
        steady.now_s += 3600

    assert states(job) == [("dispatched", 1)]


def test_delivery_whose_worker_never_began_is_sent_again_after_a_lease(
    dispatcher: Dispatcher, queue: Redis, steady: SteadyClock
) -> None:
    (job,) = enqueue()
    dispatcher.step()
    carried = queued_job(Delivery(1, 1))
    carried.set_status(JobStatus.STARTED)
    queue.delete("rq:queue:coelostat")

    dispatcher.step()
    steady.now_s += 59
    dispatcher.step()
    assert states(job) == [("dispatched", 1)]

    steady.now_s += 2
    dispatcher.step()
    assert states(job) == [("dispatched", 2)]


def test_job_whose_worker_saw_it_die_is_queued_again_at_once(
    dispatcher: Dispatcher, queue: Redis
) -> None:
    (job,) = enqueue()
    dispatcher.step()
    claim(job)
    queue.delete("rq:queue:coelostat")
    queued_job(Delivery(1, 1)).set_status(JobStatus.FAILED)

    dispatcher.step()

    assert states(job) == [("dispatched", 2)]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this machine that runs until it is killed."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_job_whose_process_is_dead_is_queued_again_at_once_and_not_before(
    dispatcher: Dispatcher, queue: Redis, sleeper: subprocess.Popen[bytes]
) -> None:
    (job,) = enqueue()
    dispatcher.step()
    claim(job, f"{socket.gethostname()}:{sleeper.pid}")
    queue.delete("rq:queue:coelostat")
    dispatcher.step()
    assert states(job) == [("running", 1)]

    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, but not buried yet
    dispatcher.step()

    assert states(job) == [("dispatched", 2)]


def test_process_of_another_machine_is_judged_by_its_lease_only(
    dispatcher: Dispatcher, queue: Redis, sleeper: subprocess.Popen[bytes]
) -> None:
    sleeper.kill()
    sleeper.wait()
    (job,) = enqueue()
    dispatcher.step()
    claim(job, f"elsewhere:{sleeper.pid}")
    queue.delete("rq:queue:coelostat")

    dispatcher.step()

    assert states(job) == [("running", 1)]


def test_no_process_is_judged_where_the_queue_server_is_shared(
    app: Flask, sleeper: subprocess.Popen[bytes]
) -> None:
    sleeper.kill()
    sleeper.wait()
    name = f"{socket.gethostname()}:{sleeper.pid}"
    shared = replace(config.current(), redis_url="redis://queue:6379")

    assert courier.is_known_dead(name)
    app.extensions["coelostat.config"] = shared  # its workers may be in containers
    assert not courier.is_known_dead(name)


def test_dead_worker_is_no_longer_counted(queue: Redis, sleeper: subprocess.Popen[bytes]) -> None:
    courier.beat("worker")
    queue.set(f"coelostat:alive:worker:{socket.gethostname()}:{sleeper.pid}", "1", ex=10)
    assert courier.alive("worker") == 2

    sleeper.kill()
    sleeper.wait()

    assert courier.alive("worker") == 1


def test_job_whose_lease_is_over_is_queued_again(dispatcher: Dispatcher, queue: Redis) -> None:
    (job,) = enqueue()
    dispatcher.step()
    claim(job)
    queue.flushall()  # its worker died, and nobody is left who knows
    dispatcher.step()
    assert states(job) == [("running", 1)]

    with transaction():
        job.lease_until = utcnow() - timedelta(seconds=1)
    dispatcher.step()

    assert states(job) == [("dispatched", 2)]


def test_clock_set_forward_takes_no_living_job(
    dispatcher: Dispatcher, steady: SteadyClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = enqueue()
    dispatcher.step()
    delivery = claim(job)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 7200)
    with transaction():  # what the dispatcher sees after the jump: a lease long over
        job.lease_until = utcnow() - timedelta(hours=2)

    dispatcher.step()
    jobs.renew(delivery, lease_s=60.0)  # the heartbeat goes on, by the new time
    steady.now_s += 61
    monkeypatch.setattr(time, "time", lambda: real() + 7261)
    dispatcher.step()

    assert states(job) == [("running", 1)]


def test_lease_left_in_the_future_by_a_clock_set_back_still_ends(
    dispatcher: Dispatcher, steady: SteadyClock
) -> None:
    (job,) = enqueue()
    dispatcher.step()
    claim(job)
    with transaction():
        job.lease_until = utcnow() + timedelta(days=365)

    dispatcher.step()

    db.session.refresh(job)
    assert job.lease_until is not None
    assert job.lease_until < utcnow() + timedelta(seconds=61)


def test_small_corrections_of_the_clock_are_no_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = SteadyClock()
    clock = Clock(steady)
    real = time.time()
    jumps = []

    for offset in (0.5, 1.0, 3600.0, 3600.0, 0.0):
        monkeypatch.setattr(time, "time", lambda now=real + offset: now)
        jumps.append(clock.jumped())

    assert jumps == [False, False, True, False, True]


def test_cancelled_job_of_a_dead_worker_ends_cancelled(
    dispatcher: Dispatcher, queue: Redis, observer: User
) -> None:
    (job,) = enqueue(owner=observer)
    dispatcher.step()
    claim(job)
    jobs.cancel(job.id, by=observer)
    queue.delete("rq:queue:coelostat")
    queued_job(Delivery(1, 1)).set_status(JobStatus.STOPPED)

    dispatcher.step()

    assert states(job) == [("cancelled", 1)]


def test_worker_is_told_to_kill_work_that_does_not_stop_by_itself(
    dispatcher: Dispatcher, queue: Redis, observer: User, steady: SteadyClock
) -> None:
    (job,) = enqueue(owner=observer)
    dispatcher.step()
    claim(job)
    carried = queued_job(Delivery(1, 1))
    carried.set_status(JobStatus.STARTED)
    queue.hset(carried.key, "worker_name", "bench")
    listener = queue.pubsub()  # type: ignore[no-untyped-call]
    listener.subscribe("rq:pubsub:bench")
    assert listener.get_message(timeout=60) is not None  # that it listens
    jobs.cancel(job.id, by=observer)

    dispatcher.step()
    quiet = listener.get_message(timeout=0.2)
    steady.now_s += 2.5
    dispatcher.step()
    told = listener.get_message(timeout=60)
    listener.close()

    assert quiet is None
    assert told is not None
    assert b"stop-job" in told["data"]
    assert b"j1-1" in told["data"]


def test_housekeeping_forgets_old_jobs_and_events(
    dispatcher: Dispatcher, steady: SteadyClock
) -> None:
    (job,) = enqueue()
    dispatcher.step()
    delivery = claim(job)
    with jobs.finishing(delivery):
        pass
    with transaction():
        job.finished_at = utcnow() - timedelta(days=91)
        db.session.query(Event).update({Event.at: utcnow() - timedelta(hours=7)})

    dispatcher.step()
    assert db.session.query(Job).count() == 1  # not at every step

    steady.now_s += 61
    dispatcher.step()
    assert (db.session.query(Job).count(), db.session.query(Event).count()) == (0, 0)


def test_dispatcher_waits_for_a_queue_server_that_is_away(
    dispatcher: Dispatcher, queue_process: subprocess.Popen[bytes]
) -> None:
    (job,) = enqueue()
    queue_process.kill()
    queue_process.wait()
    turns = iter([False, False, True])

    dispatcher.run(lambda: next(turns))

    assert states(job) == [("queued", 0)]


def test_dispatcher_says_that_it_is_alive(dispatcher: Dispatcher) -> None:
    before = courier.alive("dispatcher")

    dispatcher.step()

    assert (before, courier.alive("dispatcher")) == (0, 1)


def test_frames_whose_marks_are_of_other_thresholds_are_marked_anew(
    dispatcher: Dispatcher, steady: SteadyClock, staff: User
) -> None:
    make_sky_frame(fwhm_pix=7.0)
    dispatcher.step()  # of a version that had no marks
    first = [job.function for job in db.session.scalars(select(Job))]
    runner.work_off()
    settings.change("site", "elevation_m", 2500, by=staff)  # another extinction is usual there

    dispatcher.step()
    steady.now_s += 61
    dispatcher.step()

    assert first == ["quality.mark_all"]
    assert [job.state for job in db.session.scalars(select(Job).order_by(Job.id))][:1] == ["done"]
    assert len(db.session.scalars(select(Job)).all()) == 2
