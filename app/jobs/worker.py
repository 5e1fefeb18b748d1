"""A worker process: takes deliveries from the queue and runs each in a fork of its own."""

import fcntl
import logging
import os
import pkgutil
import threading
import time
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

import app.jobs
from app import config, paths
from app.db import db
from app.services import courier, processes
from reduction import warm as warming

log = logging.getLogger(__name__)

# Seconds a worker may wait for a delivery before it looks at the queue server again.
TTL_S: Final = 60
# Imported here, in the parent: a fork has them for nothing, an import in each costs 0.1 s a job.
PRELOADED: Final = (np, astropy.io.fits, astropy.wcs)


class ForkingWorker(Worker):
    """RQ's worker; its forks have the application, a memory limit, and die with it."""

    def __init__(self, application: Flask, queue: Queue, **options: Any) -> None:  # noqa: ANN401 - RQ's
        super().__init__([queue], connection=queue.connection, **options)
        self._application = application
        self._parent = os.getpid()
        self._in_hand = ""

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

    def main_work_horse(self, job: QueuedJob, queue: Queue) -> None:
        """Run one delivery in the fork, which ends with it."""
        processes.leave_orphanage(self._parent)
        with self._application.app_context():
            db.engine.dispose(close=False)  # were there a connection, it would be the parent's
            processes.limit_memory(config.current().worker_memory_mb)
            super().main_work_horse(job, queue)


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
