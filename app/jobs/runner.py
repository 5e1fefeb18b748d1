"""Running a job: the one place that claims it, keeps its lease, and ends it."""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any, Final, cast

from flask import Flask, current_app
from rq.timeouts import JobTimeoutException
from sqlalchemy.exc import SQLAlchemyError

from app import logs, paths
from app.errors import AppError
from app.models import Job
from app.services import courier, jobs, settings
from app.services.courier import Delivery
from app.services.jobs import JobCancelledError, LeaseLostError, Progress, Standing
from reduction.errors import ReductionError

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0  # how often a running job's row is looked at, and its progress shown
PATIENCE_S: Final = 10.0  # a job that does not stop by itself in this time is ended

JobFunction = Callable[["JobContext"], None]


@dataclass(slots=True)
class JobContext:
    """What a job function gets: its arguments, and the ways it speaks to the rest."""

    delivery: Delivery
    arguments: dict[str, Any]
    owner_id: int | None
    settings: settings.Snapshot
    paths: paths.Paths
    log: logging.Logger
    reached: Progress = field(default_factory=Progress)
    standing: Standing = Standing.OWNED  # as the heartbeat last saw it
    is_finished: bool = False

    @property
    def job_id(self) -> int:
        """The job's number."""
        return self.delivery.job_id

    @property
    def attempt(self) -> int:
        """Which attempt at the job this is."""
        return self.delivery.attempt

    @property
    def lease_s(self) -> float:
        """How long the job is ours without a sign of life."""
        return self.settings.number("jobs.lease_s")

    def progress(self, fraction: float, step: str = "") -> None:
        """Say how far the job is; free of cost, the row follows about once a second."""
        self.reached = Progress(min(max(float(fraction), 0.0), 1.0), step or self.reached.step)

    def check(self) -> None:
        """Stop here if the job was cancelled or given to another worker.

        Raises
        ------
        JobCancelledError, LeaseLostError
            As the case may be; a job function lets them pass.
        """
        if self.standing is Standing.CANCELLED:
            raise JobCancelledError(f"job {self.job_id} was cancelled")
        if self.standing is Standing.LOST:
            raise LeaseLostError(f"job {self.job_id}: attempt {self.attempt} is not wanted")

    def look_again(self) -> None:
        """As `check`, on what the row says now; before what cannot be taken back."""
        self.standing = jobs.standing(self.delivery)
        self.check()

    @contextmanager
    def checkpoint(self) -> Iterator[None]:
        """Open a transaction for part of the results; it fails where the job is not ours."""
        with jobs.holding(self.delivery, lease_s=self.lease_s):
            yield

    @contextmanager
    def finish(self, result: dict[str, Any] | None = None) -> Iterator[None]:
        """Open a transaction for the results, with which the job is done."""
        with jobs.finishing(self.delivery, result):
            yield
        self.is_finished = True

    def put_off(self, until: datetime, result: dict[str, Any]) -> None:
        """End this attempt; the job goes on later from `result`, which its row then has."""
        jobs.put_off(self.delivery, until, result)
        self.is_finished = True


class Heartbeat(threading.Thread):
    """Renews the lease, shows progress and sees cancelling, over a connection of its own."""

    def __init__(self, app: Flask, context: JobContext, *, may_end_process: bool) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._app = app
        self._context = context
        self._may_end_process = may_end_process
        self._over = threading.Event()
        self._renewed_at = time.monotonic()
        self._shown = Progress()
        self._unwanted_since: float | None = None

    def run(self) -> None:
        """Look after the job until it is over."""
        pause_s = min(LOOK_S, self._context.lease_s / 4)
        while not self._over.wait(pause_s):
            try:
                with self._app.app_context():
                    self._look()
            except SQLAlchemyError as error:  # busy or away: the lease outlives a few misses
                log.warning("job %d: no heartbeat: %s", self._context.job_id, error)

    def stop(self) -> None:
        """End the thread; its last write is then over."""
        self._over.set()
        self.join()

    def _look(self) -> None:
        context = self._context
        context.standing = jobs.standing(context.delivery)
        if context.standing is Standing.OWNED:
            self._renew(context.reached)
        else:
            self._insist()

    def _renew(self, progress: Progress) -> None:
        is_news = progress != self._shown
        if not is_news and time.monotonic() - self._renewed_at < self._context.lease_s / 4:
            return
        jobs.renew(
            self._context.delivery,
            lease_s=self._context.lease_s,
            progress=progress if is_news else None,
        )
        self._renewed_at = time.monotonic()
        self._shown = progress

    def _insist(self) -> None:
        """End the process if the work goes on although nobody wants it any more."""
        now = time.monotonic()
        self._unwanted_since = self._unwanted_since or now
        if self._may_end_process and now - self._unwanted_since > PATIENCE_S:
            log.warning("job %d did not stop by itself, ended", self._context.job_id)
            os._exit(1)


def run(job_id: int, attempt: int) -> None:
    """Run one delivery; a stale one, cancelled or given to another since, does nothing."""
    delivery = Delivery(job_id, attempt)
    row = _claim(delivery)
    if row is None:
        log.info("delivery %s is stale", delivery.key)
        return
    with logs.job_log(jobs.log_path(job_id)) as logger:
        _run_claimed(row, _context(row, delivery, logger))


def _claim(delivery: Delivery) -> Job | None:
    lease_s = settings.snapshot().number("jobs.lease_s")
    return jobs.claim(delivery, worker=courier.own_name(), lease_s=lease_s)


def _context(row: Job, delivery: Delivery, logger: logging.Logger) -> JobContext:
    return JobContext(
        delivery=delivery,
        arguments=dict(row.arguments),
        owner_id=row.owner_id,
        settings=settings.snapshot(),
        paths=paths.current(),
        log=logger,
    )


def _run_claimed(row: Job, context: JobContext) -> None:
    label = f"job {row.id} ({row.label}), attempt {context.attempt}"
    function = row.function
    app = cast(Any, current_app)._get_current_object()
    heartbeat = Heartbeat(app, context, may_end_process="RQ_WORKER_ID" in os.environ)
    context.log.info("%s starts", label)
    started = time.monotonic()
    heartbeat.start()
    try:
        _guarded(function, context)
    finally:
        heartbeat.stop()
        context.log.log(logs.TIME, "%s took %.2f s", label, time.monotonic() - started)


def _guarded(function: str, context: JobContext) -> None:
    """Call the function and turn whatever it raises into the end of the job."""
    try:
        _call(function, context)
    except JobCancelledError:
        context.log.warning("cancelled")
        jobs.stopped(context.delivery)
    except LeaseLostError as error:
        context.log.warning("stopped without a trace: %s", error)
    except Exception as error:
        reason = _reason(error, context)
        if reason is None:
            context.log.exception("internal error")
            _fail(context, "internal error, see the job's log")
            raise
        context.log.error("failed: %s", reason)  # noqa: TRY400 - an observer's sentence
        _fail(context, reason)


def _call(function: str, context: JobContext) -> None:
    find(function)(context)
    if not context.is_finished:
        with context.finish():
            pass


def _fail(context: JobContext, reason: str) -> None:
    if context.is_finished:
        return
    jobs.fail(context.delivery, reason)


def _reason(error: Exception, context: JobContext) -> str | None:
    """Return the sentence an observer reads, None for what is our mistake."""
    if isinstance(error, (ReductionError, AppError)):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory for this job; the limit is server.worker_memory_mb"
    if isinstance(error, JobTimeoutException):
        limit = context.settings.integer("jobs.timeout_s")
        return f"took longer than {limit} s, the limit jobs.timeout_s"
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk is full: {error.filename or context.paths.data}"
    return None


def find(function: str) -> JobFunction:
    """Return the job function of a dotted name below `app.jobs`."""
    module, _, name = f"app.jobs.{function}".rpartition(".")
    return cast(JobFunction, getattr(import_module(module), name))


def work_off(limit: int = 1000) -> int:
    """Run what is due in this process, one job after the other; return how many were run."""
    for done in range(limit):
        jobs.cancel_hopeless()
        deliveries = jobs.choose(1)
        if not deliveries:
            return done
        run(deliveries[0].job_id, deliveries[0].attempt)
    return limit
