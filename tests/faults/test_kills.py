"""Killing any process at any time loses nothing and repeats nothing."""

import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from app.db import db, transaction
from app.jobs import selftest
from app.models import OPEN_STATES, AuditEntry, Job, JobNeed
from app.services import jobs
from tests.factories import make_user
from tests.faults.program import Program, is_alive, wait_for

log = logging.getLogger(__name__)

SEED = 20261121
JOBS, PAIRS = 240, 30
CHAOS_S, LIMIT_S = 60.0, 300.0  # far less where the machine has nothing else to do
SETTINGS = """
[server]
workers = 3
web_threads = 8
[jobs]
lease_s = 3
max_attempts = 50
[scan]
watch = false
"""
VICTIMS = (
    "web",
    "web's child",
    "worker",
    "worker's child",
    "dispatcher",
    "queue server",
    "watcher",
    "everything",
)


def queue_jobs(rng: random.Random) -> None:
    """Three owners, the first far busier than the others; some jobs need another."""
    owners = [make_user(name) for name in ("alice", "bob", "carol")]
    shares = [owners[0]] * 10 + [owners[1]] + [owners[2]]
    with transaction():
        made: list[Job] = []
        for number in range(JOBS):
            made.append(
                jobs.enqueue(
                    "selftest.touch",
                    {"seconds": round(rng.uniform(0.0, 0.3), 3)},
                    label=f"selftest {number}",
                    owner=rng.choice(shares),
                    needs=[rng.choice(made)] if 0 < number <= PAIRS else [],
                )
            )


def torment(program: Program, rng: random.Random, until: float) -> Counter[str]:
    """Kill one process after the other, each kind in turn in a random order."""
    killed: Counter[str] = Counter()
    order: list[str] = []
    while time.monotonic() < until and still_open() > JOBS // 12:
        time.sleep(rng.uniform(0.8, 2.0))
        order = order or rng.sample(VICTIMS, len(VICTIMS))
        if kill_one(program, order[0], rng):
            killed[order.pop(0)] += 1
        else:
            order.append(order.pop(0))  # there is none at this moment: later
    return killed


def kill_one(program: Program, victim: str, rng: random.Random) -> bool:
    if victim == "everything":
        below = [pid for pids in program.processes().values() for pid in pids]
        program.kill()
        wait_for(lambda: not any(is_alive(pid) for pid in below), 10)
        program.start()
        return True
    candidates = program.processes().get(victim, [])
    if not candidates:
        return False
    try:
        os.kill(rng.choice(sorted(candidates)), signal.SIGKILL)
    except ProcessLookupError:  # it has just ended by itself
        return False
    return True


def still_open() -> int:
    count = db.session.scalar(select(func.count()).where(Job.state.in_(OPEN_STATES))) or 0
    db.session.rollback()  # the next look is a new one
    return count


@pytest.mark.slow
def test_killing_every_part_at_random_loses_and_repeats_nothing(
    make_program: Callable[[str], Program],
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - which process to kill is no secret
    program = make_program(SETTINGS)
    program.start()
    program.wait_until_whole(workers=3)
    began = time.monotonic()

    with program.context():
        queue_jobs(rng)
        killed = torment(program, rng, began + CHAOS_S)
        wait_for(lambda: still_open() == 0, began + LIMIT_S - time.monotonic(), 0.5)

        effects = db.session.scalars(
            select(AuditEntry.subject).where(AuditEntry.action == selftest.ACTION)
        ).all()
        ended = Counter(db.session.scalars(select(Job.state)))
        folder = program.instance / "data" / "TMP"
        broken = [
            job_id
            for job_id in db.session.scalars(select(Job.id))
            if (folder / f"selftest-{job_id}.txt").read_text() != f"job {job_id}\n" * 1000
        ]
        early = count_started_before_their_need()
        attempts = Counter(db.session.scalars(select(Job.starts)))

    log.info("killed %s, starts %s", dict(killed), dict(attempts))
    assert ended == {"done": JOBS}
    assert len(effects) == len(set(effects)) == JOBS
    assert (broken, early) == ([], 0)
    assert set(killed) == set(VICTIMS)
    assert "database is locked" not in program.main_log + program.output.read_text()
    wait_for(lambda: program.health()[0] == 200, 60)
    assert program.stop() == 0


def count_started_before_their_need() -> int:
    job, need = aliased(Job), aliased(Job)
    query = (
        select(func.count())
        .select_from(JobNeed)
        .join(job, job.id == JobNeed.job_id)
        .join(need, need.id == JobNeed.needs_id)
        .where(job.started_at < need.finished_at)
    )
    assert db.session.scalar(select(func.count()).select_from(JobNeed)) == PAIRS
    return db.session.scalar(query) or 0
