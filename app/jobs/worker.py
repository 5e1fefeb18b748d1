"""A worker process: takes deliveries from the queue and runs each in a fork of its own."""

import fcntl
import logging
import os
import pkgutil
import signal
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, TextIO

import astropy.io.fits
import astropy.wcs
import numpy as np
from flask import Flask
from redis import Redis, RedisError
from rq import Queue, Worker
from rq.job import Job as QueuedJob
from rq.serializers import JSONSerializer
from sqlalchemy.exc import SQLAlchemyError

import app.jobs
from app import config, paths
from app.db import db, utcnow
from app.models import Job
from app.services import courier, jobs, processes
from app.services.courier import Delivery
from reduction import warm as warming
from reduction.kernels.compiled import holds_compiler

log = logging.getLogger(__name__)

# Seconds a worker may wait for a delivery before it looks at the queue server again.
TTL_S: Final = 60
CUT_AGAIN_S: Final = 0.5  # work that was about to begin is looked for so often
# Tells a worker that it is the second: where nothing can be kept, it would compile for ever.
_BEGUN_ANEW: Final = "_COELOSTAT_BEGUN_ANEW"
# Imported here, in the parent: a fork has them for nothing, an import in each costs 0.1 s a job.
PRELOADED: Final = (np, astropy.io.fits, astropy.wcs)


class ForkingWorker(Worker):
    """RQ's worker; its forks have the application, a memory limit, and die with it."""

    def __init__(self, application: Flask, queue: Queue, **options: Any) -> None:  # noqa: ANN401 - RQ's
        super().__init__([queue], connection=queue.connection, **options)
        self._application = application
        self._parent = os.getpid()
        self._in_hand = ""
        self._is_cut_short = False

    def execute_job(self, job: QueuedJob, queue: Queue) -> None:
        """Run one delivery; the worker then knows what it has in hand, without asking anybody."""
        self._in_hand = f"job {job.id.removeprefix('j').partition('-')[0]}"
        try:
            super().execute_job(job, queue)
        finally:
            self._in_hand = ""

    def handle_warm_shutdown_request(self) -> None:
        """Say what is waited for: RQ's worker, told to stop, lets its work end first."""
        if self._in_hand:
            log.info("worker %s ends %s before it stops", self.name, self._in_hand)
            limit_s = config.current().stop_wait_s
            threading.Thread(target=self._cut_short, args=(limit_s,), daemon=True).start()

    def _cut_short(self, limit_s: float) -> None:
        """End the work in hand once it has had its time; a worker may have no runner that would."""
        time.sleep(limit_s)
        while self._in_hand:
            if horse := self.horse_pid:
                self._is_cut_short = True
                with suppress(ProcessLookupError):  # it has just ended, or just begun
                    os.killpg(horse, signal.SIGKILL)
            time.sleep(CUT_AGAIN_S)

    def handle_work_horse_killed(self, job: QueuedJob, *_how: Any) -> None:  # noqa: ANN401 - RQ's
        """Give work back that this worker itself cut short: that start is not the job's fault."""
        if self._is_cut_short:
            log.warning("worker %s cut %s short to stop, queued again", self.name, self._in_hand)
            _give_back(delivery_of(job))

    def main_work_horse(self, job: QueuedJob, queue: Queue) -> None:
        """Run one delivery in the fork, which ends with it."""
        processes.leave_orphanage(self._parent)
        with self._application.app_context():
            db.engine.dispose(close=False)  # were there a connection, it would be the parent's
            processes.leave_no_dump()
            processes.limit_memory(config.current().worker_memory_mb)
            super().main_work_horse(job, queue)


def delivery_of(job: QueuedJob) -> Delivery:
    """Return which attempt at which job the queue carries here."""
    job_id, _, attempt = job.id.removeprefix("j").partition("-")
    return Delivery(int(job_id), int(attempt))


def _give_back(delivery: Delivery) -> None:
    """Queue a job again; where that fails the dispatcher does, and counts the start."""
    try:
        result = db.session.get_one(Job, delivery.job_id).result
        db.session.rollback()
        jobs.put_off(delivery, utcnow(), result or {})
    except (jobs.JobCancelledError, jobs.LeaseLostError, SQLAlchemyError) as error:
        log.info("job %d was not given back: %s", delivery.job_id, error)


class Pulse(threading.Thread):
    """Says that the worker is alive, over a connection that no fork shares."""

    def __init__(self, application: Flask) -> None:
        super().__init__(name="pulse", daemon=True)
        self._application = application

    def run(self) -> None:
        """Beat until the process ends."""
        with self._application.app_context():
            own = courier.connect(courier.url(config.current()))
            while True:
                _beat(own)
                time.sleep(courier.BEAT_S)


def _beat(connection: Redis) -> None:
    try:
        courier.beat("worker", connection)
    except RedisError as error:
        log.debug("no pulse: %s", error)


def run(application: Flask) -> None:
    """Work until told to stop."""
    with application.app_context():
        warm(paths.current())
        _leave_compiler_behind()
        _wait_for_queue_server()
        Pulse(application).start()
        queue = courier.queue()
        worker = ForkingWorker(application, queue, serializer=JSONSerializer, worker_ttl=TTL_S)
        log.info("worker %s waits for jobs", worker.name)
        worker.work(logging_level="WARNING")


def warm(places: paths.Paths) -> None:
    """Import every job and compile every kernel once, before the first fork.

    On a first start each worker compiles parts that no other has begun, then loads the rest.
    """
    for module in pkgutil.iter_modules(app.jobs.__path__):
        import_module(f"app.jobs.{module.name}")
    started = time.monotonic()
    left = dict(enumerate(warming.PARTS))
    for wait in (False, True):
        for number, part in [*left.items()]:
            with (places.run / f"warm-{number}.lock").open("w") as lock:
                if _is_locked(lock, wait=wait):
                    part()
                    del left[number]
    log.info("kernels ready after %.1f s", time.monotonic() - started)


def _leave_compiler_behind() -> None:
    """Begin this process anew where it has compiled kernels, once: their compiler holds 0.5 GB."""
    if not holds_compiler():
        return
    if _BEGUN_ANEW in os.environ:
        log.warning("kernels were compiled again; if each start says so, is the disk full?")
        return
    log.info("kernels are compiled; the worker begins anew without their compiler")
    processes.begin_anew({_BEGUN_ANEW: "1"})


def _is_locked(file: TextIO, *, wait: bool) -> bool:
    """Lock a file for this process; tell whether it is, where another may hold it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _wait_for_queue_server() -> None:
    while True:
        try:
            courier.connection().ping()
        except RedisError as error:
            log.warning("waiting for the queue server: %s", error)
            time.sleep(0.5)
        else:
            return
