"""The dispatcher: sends jobs to the workers in fair turns, and mends what was lost on the way."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from flask import Flask
from redis import RedisError
from sqlalchemy.exc import OperationalError

from app.db import utcnow
from app.models import Job, JobState
from app.services import courier, events, jobs, leftovers, quality, settings, turns
from app.services.courier import BEAT_S, Delivery
from app.wording import counted

log = logging.getLogger(__name__)

LONGEST_PAUSE_S: Final = 0.5
UNKNOWN_S: Final = 1.0  # a delivery nobody knows of for this long never arrived
STOP_PATIENCE_S: Final = 2.0  # a cancelled job has this long to stop by itself
HOUSEKEEPING_S: Final = 60.0
JUMP_S: Final = 2.0  # the wall clock may drift from the steady one by this much between two looks
_ENDED_IN_QUEUE: Final = frozenset({"failed", "stopped", "canceled", "finished"})


class Dispatcher:
    """One loop over the jobs under way; the database is the truth, this memory only patience."""

    def __init__(self, app: Flask, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._monotonic = monotonic
        self._since: dict[tuple[Delivery, str], float] = {}
        self._beaten_at = self._cleaned_at = float("-inf")
        self._clock = Clock(monotonic)

    def run(self, must_stop: Callable[[], bool]) -> None:
        """Work until told to stop; a database or queue server that is away is waited for."""
        while not must_stop():
            try:
                with self._app.app_context():
                    self.step()
                    courier.wait_for_wake(LONGEST_PAUSE_S)
            except (RedisError, OperationalError) as error:
                log.warning("waiting: %s", error)
                time.sleep(LONGEST_PAUSE_S)

    def step(self) -> None:
        """Mend, cancel, send: everything that is due now."""
        snapshot = settings.snapshot()
        self._show_life()
        self._reconcile(snapshot)
        jobs.cancel_hopeless()
        room = _slots() - len(turns.under_way())
        if room > 0:
            jobs.dispatch(room, timeout_s=snapshot.integer("jobs.timeout_s"))
        self._clean_up(snapshot)

    def _show_life(self) -> None:
        if self._monotonic() - self._beaten_at >= BEAT_S:
            courier.beat("dispatcher")
            self._beaten_at = self._monotonic()

    def _reconcile(self, snapshot: settings.Snapshot) -> None:
        lease_s = snapshot.number("jobs.lease_s")
        if self._clock.jumped():
            log.warning("the clock was set; leases are trusted again in %g s", lease_s)
            self._clock.distrust(lease_s)
        rows = turns.under_way()
        self._forget_all_but(rows)
        if not rows:
            return
        if any(_is_beyond(row, 2 * lease_s) for row in rows):
            jobs.shorten_leases(lease_s)
        known = courier.statuses(Delivery(row.id, row.attempt) for row in rows)
        waiting = courier.waiting()
        for row in rows:
            delivery = Delivery(row.id, row.attempt)
            if row.state == JobState.DISPATCHED:
                is_waiting = delivery.key in waiting
                self._mend_dispatched(delivery, known[delivery], is_waiting, snapshot)
            else:
                self._mend_running(row, known[delivery], snapshot)

    def _mend_dispatched(
        self,
        delivery: Delivery,
        status: str | None,
        is_waiting: bool,
        snapshot: settings.Snapshot,
    ) -> None:
        """Queue again a delivery that lies nowhere, or with a worker that does not begin."""
        if is_waiting:
            return
        patience_s = snapshot.number("jobs.lease_s") if status == "started" else UNKNOWN_S
        if self._lasts(delivery, status or "unknown") > patience_s:
            courier.forget(delivery)
            jobs.take_back(delivery, max_attempts=snapshot.integer("jobs.max_attempts"))

    def _mend_running(self, row: Job, status: str | None, snapshot: settings.Snapshot) -> None:
        delivery = Delivery(row.id, row.attempt)
        max_attempts = snapshot.integer("jobs.max_attempts")
        is_over = self._clock.is_trusted() and not _is_beyond(row, 0.0)
        is_dead = row.worker is not None and courier.is_known_dead(row.worker)
        if is_dead or status in _ENDED_IN_QUEUE:  # whoever runs it, or its worker, saw no end of it
            jobs.take_back(delivery, max_attempts=max_attempts)
        elif is_over:
            jobs.take_back(delivery, max_attempts=max_attempts, lease_over_at=utcnow())
        elif row.cancel_requested and self._lasts(delivery, "cancelling") > STOP_PATIENCE_S:
            courier.stop(delivery)

    def _lasts(self, delivery: Delivery, what: str) -> float:
        """Return for how long this has been so, by the clock that nobody sets."""
        now = self._monotonic()
        return now - self._since.setdefault((delivery, what), now)

    def _forget_all_but(self, rows: Sequence[Job]) -> None:
        present = {Delivery(row.id, row.attempt) for row in rows}
        self._since = {key: at for key, at in self._since.items() if key[0] in present}

    def _clean_up(self, snapshot: settings.Snapshot) -> None:
        if self._monotonic() - self._cleaned_at < HOUSEKEEPING_S:
            return
        self._cleaned_at = self._monotonic()
        events.prune()
        forgotten = jobs.prune(snapshot.integer("jobs.keep_days"))
        if forgotten:
            log.info("deleted with their logs: %s", counted(forgotten, "old job"))
        leftovers.sweep()
        quality.mark_anew_if_due()  # thresholds of config.toml, or of a new version


class Clock:
    """Whether the wall clock can be believed: it is set by people, GPS boxes and batteries."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._offset = self._now()
        self._trusted_at = float("-inf")

    def _now(self) -> float:
        return time.time() - self._monotonic()

    def jumped(self) -> bool:
        """Tell whether the wall clock was set since the last question."""
        before, self._offset = self._offset, self._now()
        return abs(self._offset - before) > JUMP_S

    def distrust(self, seconds: float) -> None:
        """Judge no lease until every living worker has renewed its own by the new time."""
        self._trusted_at = self._monotonic() + seconds

    def is_trusted(self) -> bool:
        """Tell whether leases may be judged."""
        return self._monotonic() >= self._trusted_at


def _is_beyond(row: Job, seconds: float) -> bool:
    """Tell whether a lease ends more than so many seconds from now."""
    lease_until = row.lease_until or utcnow()
    return lease_until > utcnow() + timedelta(seconds=seconds)


def _slots() -> int:
    """Return how many jobs may be under way: one for each living worker, and one at the door."""
    return max(courier.alive("worker"), 1) + 1
