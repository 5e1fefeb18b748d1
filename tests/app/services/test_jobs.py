"""The life of a job, as rows."""

import os
from collections import Counter
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from flask import Flask

from app.db import db, transaction, utcnow
from app.errors import ConflictError, NotFoundError
from app.models import AuditEntry, Event, Job, JobNeed, JobState, User
from app.services import jobs, turns
from app.services.courier import Delivery
from app.services.jobs import JobCancelledError, LeaseLostError, Progress, Standing
from tests.factories import make_user

LEASE_S = 60.0


def queue(owner: User | None = None, **options: Any) -> Job:
    options = {"label": "a job", "owner": owner} | options
    return jobs.enqueue("selftest.touch", options.pop("arguments", {}), **options)


def start(job: Job) -> Delivery:
    """Move a queued job on to a worker, whatever else waits."""
    (delivery,) = [d for d in jobs.choose(1000) if d.job_id == job.id]
    assert jobs.claim(delivery, worker="here:1", lease_s=LEASE_S) is not None
    return delivery


def end(job: Job, state: JobState) -> None:
    delivery = start(job)
    if state == JobState.DONE:
        with jobs.finishing(delivery):
            pass
    else:
        jobs.fail(delivery, "no good frames")


def states(*rows: Job) -> list[str]:
    for row in rows:
        db.session.refresh(row)
    return [row.state for row in rows]


def test_job_goes_from_queued_to_done_with_its_results_in_one_transaction(app: Flask) -> None:
    job = queue(arguments={"block": 3})
    delivery = start(job)

    with jobs.finishing(delivery, {"frames": 2}):
        db.session.add(AuditEntry(action="effect", subject="1"))

    assert states(job) == ["done"]
    assert (job.result, job.progress, job.lease_until) == ({"frames": 2}, 1.0, None)
    assert job.finished_at is not None
    assert [event.subject["state"] for event in db.session.query(Event)] == ["queued", "done"]


def test_results_that_cannot_be_stored_leave_the_job_running(app: Flask) -> None:
    job = queue()
    delivery = start(job)

    with pytest.raises(ZeroDivisionError), jobs.finishing(delivery):
        db.session.add(AuditEntry(action="effect", subject="1"))
        _ = 1 / 0

    assert states(job) == ["running"]
    assert db.session.query(AuditEntry).count() == 0


def test_finished_job_cannot_start_or_finish_again(app: Flask) -> None:
    job = queue()
    delivery = start(job)
    with jobs.finishing(delivery):
        pass

    assert jobs.claim(delivery, worker="here:2", lease_s=LEASE_S) is None
    with pytest.raises(LeaseLostError), jobs.finishing(delivery):
        db.session.add(AuditEntry(action="effect", subject="again"))
    assert db.session.query(AuditEntry).count() == 0


def test_attempt_that_was_given_up_for_lost_leaves_no_trace(app: Flask) -> None:
    job = queue()
    first = start(job)
    jobs.take_back(first, max_attempts=3)
    second = start(job)

    with pytest.raises(LeaseLostError), jobs.holding(first, lease_s=LEASE_S):
        db.session.add(AuditEntry(action="effect", subject="ghost"))
    with jobs.finishing(second):
        db.session.add(AuditEntry(action="effect", subject="real"))

    assert [row.subject for row in db.session.query(AuditEntry)] == ["real"]
    assert jobs.standing(first) is Standing.LOST


def test_delivery_can_be_claimed_only_once(app: Flask) -> None:
    queue()
    (delivery,) = jobs.choose(5)

    first = jobs.claim(delivery, worker="here:1", lease_s=LEASE_S)
    second = jobs.claim(delivery, worker="here:2", lease_s=LEASE_S)

    assert first is not None
    assert (first.starts, first.worker) == (1, "here:1")
    assert second is None


def test_turns_are_shared_between_owners_not_taken_by_whoever_came_first(app: Flask) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    for _ in range(20):
        queue(alice)
    for _ in range(3):
        queue(bob)
    queue(None)

    chosen = [db.session.get_one(Job, d.job_id) for d in jobs.choose(7)]

    assert Counter(job.owner and job.owner.username for job in chosen) == {
        "alice": 3,
        "bob": 3,
        None: 1,
    }


def test_owner_with_jobs_under_way_waits_for_those_without(app: Flask) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    for _ in range(4):
        queue(alice)
    assert len(jobs.choose(2)) == 2
    for _ in range(4):
        queue(bob)

    chosen = [db.session.get_one(Job, d.job_id).owner_id for d in jobs.choose(2)]

    assert chosen == [bob.id, bob.id]


def test_nobodys_jobs_under_way_count_as_one_owners(app: Flask) -> None:
    alice = make_user("alice")
    for _ in range(3):
        queue(None)
    assert len(jobs.choose(2)) == 2
    queue(alice)

    (chosen,) = jobs.choose(1)

    assert db.session.get_one(Job, chosen.job_id).owner_id == alice.id


def test_priority_comes_first_among_an_owners_jobs(app: Flask) -> None:
    queue()
    urgent = queue(priority=5)

    (chosen,) = jobs.choose(1)

    assert chosen.job_id == urgent.id


def test_job_waits_for_its_time_and_for_what_it_needs(app: Flask) -> None:
    need = queue()
    job = queue(needs=[need, need])
    later = queue(not_before=utcnow() + timedelta(hours=1))

    first = [d.job_id for d in jobs.choose(10)]
    assert jobs.claim(Delivery(need.id, 1), worker="here:1", lease_s=LEASE_S)
    with jobs.finishing(Delivery(need.id, 1)):
        pass
    second = [d.job_id for d in jobs.choose(10)]

    assert (first, second) == ([need.id], [job.id])
    assert states(later) == ["queued"]


def test_what_needs_a_failed_job_is_cancelled_with_the_reason_down_the_chain(app: Flask) -> None:
    need = queue(label="bias block 4")
    job = queue(needs=[need])
    grandchild = queue(needs=[job])
    end(need, JobState.FAILED)

    cancelled = [jobs.cancel_hopeless() for _ in range(3)]

    assert cancelled == [1, 1, 0]
    assert states(job, grandchild) == ["cancelled", "cancelled"]
    assert job.error == f"not started: job {need.id} (bias block 4), which it needs, failed"
    assert grandchild.error == f"not started: job {job.id} (a job), which it needs, was cancelled"


def test_lost_job_is_queued_again_until_it_has_been_started_too_often(app: Flask) -> None:
    job = queue()
    seen = []

    for _ in range(3):
        delivery = start(job)
        jobs.renew(delivery, lease_s=LEASE_S, progress=Progress(0.4, "combining"))
        jobs.take_back(delivery, max_attempts=3)
        seen += states(job)

    assert seen == ["queued", "queued", "failed"]
    assert job.error is not None
    assert job.error.startswith("given up: the worker running this job died 3 times")
    assert job.error.endswith("last step: combining")


def test_delivery_that_never_arrived_does_not_count_as_a_start(app: Flask) -> None:
    job = queue()

    for _ in range(5):
        (delivery,) = jobs.choose(1)
        jobs.take_back(delivery, max_attempts=3)

    assert states(job) == ["queued"]
    assert (job.attempt, job.starts) == (5, 0)


def test_lease_renewed_in_the_meantime_is_respected(app: Flask) -> None:
    job = queue()
    delivery = start(job)

    jobs.take_back(delivery, max_attempts=3, lease_over_at=utcnow())
    assert states(job) == ["running"]

    jobs.take_back(delivery, max_attempts=3, lease_over_at=utcnow() + timedelta(seconds=61))
    assert states(job) == ["queued"]


def test_lease_from_before_the_clock_was_set_back_is_cut(app: Flask) -> None:
    job = queue()
    start(job)
    with transaction():
        job.lease_until = utcnow() + timedelta(days=300)

    jobs.shorten_leases(LEASE_S)

    db.session.refresh(job)
    assert job.lease_until is not None
    assert abs((job.lease_until - utcnow()).total_seconds() - LEASE_S) < 5


def test_orderly_stop_does_not_count_against_a_job(app: Flask) -> None:
    job = queue()

    for _ in range(4):
        start(job)
        jobs.take_back_all(max_attempts=3, counts=False)

    assert states(job) == ["queued"]
    assert (job.starts, job.attempt) == (0, 4)


def test_job_that_was_put_off_starts_anew_at_its_time_with_what_it_had_done(app: Flask) -> None:
    job = queue()
    delivery = start(job)

    jobs.put_off(delivery, utcnow() + timedelta(minutes=5), {"sent": [1]})

    assert states(job) == ["queued"]
    assert (job.starts, job.lease_until, job.worker) == (0, None, None)
    assert jobs.choose(1) == []
    with pytest.raises(LeaseLostError):
        jobs.put_off(delivery, utcnow(), {})
    with transaction():
        job.not_before = utcnow() - timedelta(seconds=1)
    assert start(job).attempt == delivery.attempt + 1
    assert job.result == {"sent": [1]}


def test_job_that_is_cancelled_is_not_put_off(app: Flask, observer: User) -> None:
    job = queue(owner=observer)
    delivery = start(job)
    jobs.cancel(job.id, by=observer)

    with pytest.raises(JobCancelledError):
        jobs.put_off(delivery, utcnow(), {})


def test_waiting_job_is_cancelled_at_once(app: Flask, observer: User) -> None:
    job = queue(observer)
    (delivery,) = jobs.choose(1)

    jobs.cancel(job.id, by=observer)

    assert states(job) == ["cancelled"]
    assert job.error == "cancelled by observer"
    assert jobs.claim(delivery, worker="here:1", lease_s=LEASE_S) is None


def test_running_job_that_is_cancelled_can_neither_store_nor_finish(
    app: Flask, observer: User
) -> None:
    job = queue(observer)
    delivery = start(job)

    jobs.cancel(job.id, by=observer)

    assert jobs.standing(delivery) is Standing.CANCELLED
    with pytest.raises(JobCancelledError), jobs.holding(delivery, lease_s=LEASE_S):
        pass
    with pytest.raises(JobCancelledError), jobs.finishing(delivery):
        pass
    jobs.stopped(delivery)
    assert states(job) == ["cancelled"]
    assert job.error == "cancelled by observer"


def test_cancelled_job_whose_worker_dies_ends_cancelled_not_queued(
    app: Flask, observer: User
) -> None:
    job = queue(observer)
    delivery = start(job)
    jobs.cancel(job.id, by=observer)

    jobs.take_back(delivery, max_attempts=3)

    assert states(job) == ["cancelled"]


def test_observer_cannot_cancel_what_belongs_to_another(app: Flask, observer: User) -> None:
    job = queue(make_user("alice"))

    with pytest.raises(NotFoundError):
        jobs.cancel(job.id, by=observer)

    assert states(job) == ["queued"]


def test_job_that_has_ended_cannot_be_cancelled(app: Flask, observer: User) -> None:
    job = queue(observer)
    end(job, JobState.DONE)

    with pytest.raises(ConflictError, match="already done"):
        jobs.cancel(job.id, by=observer)


def test_emptying_the_queue_spares_what_runs_and_what_others_wait_for(
    app: Flask, observer: User
) -> None:
    running = queue(observer)
    start(running)
    waiting = [queue(observer) for _ in range(3)]
    of_another = queue(make_user("alice"))

    count = jobs.cancel_all_queued(observer)

    assert count == 3
    assert states(*waiting) == ["cancelled"] * 3
    assert states(running, of_another) == ["running", "queued"]


def test_same_work_is_not_queued_twice_while_the_first_is_open(app: Flask) -> None:
    first = queue(dedupe_key="scan:")
    second = queue(dedupe_key="scan:")
    end(first, JobState.DONE)
    third = queue(dedupe_key="scan:")

    assert second.id == first.id
    assert third.id != first.id


def test_two_requests_at_the_same_moment_queue_the_same_work_once(app: Flask) -> None:
    together = Barrier(4)
    found: list[int] = []

    def ask() -> None:
        with app.app_context():
            together.wait(60)
            found.append(queue(dedupe_key="block:7").id)
            db.session.remove()

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(found) == 4
    assert len(set(found)) == 1
    assert db.session.query(Job).count() == 1


def test_work_asked_for_again_while_being_cancelled_is_queued_anew(
    app: Flask, observer: User
) -> None:
    first = queue(observer, dedupe_key="block:7")
    start(first)
    jobs.cancel(first.id, by=observer)

    second = queue(observer, dedupe_key="block:7")

    assert second.id != first.id


def test_job_of_a_transaction_that_fails_was_never_there(app: Flask) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        queue()
        _ = 1 / 0

    assert db.session.query(Job).count() == 0


def test_arguments_that_json_cannot_hold_are_refused(app: Flask) -> None:
    with pytest.raises(ValueError, match="JSON"):
        queue(arguments={"flux": float("nan")})


def test_function_outside_the_jobs_package_is_refused(app: Flask) -> None:
    with pytest.raises(ValueError, match="below app.jobs"):
        jobs.enqueue("os", {}, label="", owner=None)


def test_open_jobs_come_running_first_then_as_they_will_start(app: Flask) -> None:
    late, urgent, running = queue(), queue(priority=1), queue(priority=9)
    jobs.claim(jobs.choose(1)[0], worker="here:1", lease_s=LEASE_S)

    assert [job.id for job in turns.open_jobs()] == [running.id, urgent.id, late.id]


def test_old_jobs_and_their_logs_are_forgotten_but_not_what_is_still_needed(app: Flask) -> None:
    old, needed, recent = ended = [queue(), queue(), queue()]
    deliveries = jobs.choose(3)
    for job, delivery in zip(ended, deliveries, strict=True):
        jobs.log_path(job.id).write_text("done\n")
        jobs.claim(delivery, worker="here:1", lease_s=LEASE_S)
        with jobs.finishing(delivery):
            pass
    waiting = queue(needs=[needed])
    with transaction():
        old.finished_at = needed.finished_at = utcnow() - timedelta(days=91)
    gone, kept = old.id, {needed.id, recent.id, waiting.id}

    count = jobs.prune(90)

    assert count == 1
    assert set(db.session.scalars(db.select(Job.id))) == kept
    assert not jobs.log_path(gone).exists()
    assert jobs.log_path(recent.id).exists()
    assert db.session.query(JobNeed).count() == 1


def test_choosing_from_a_long_queue_is_quick(app: Flask) -> None:
    with transaction():
        db.session.execute(
            db.insert(Job),
            [{"function": "selftest.touch", "owner_id": None} for _ in range(2000)],
        )
    before = os.times().user

    chosen = jobs.choose(4)

    assert len(chosen) == 4
    assert os.times().user - before < 0.5
    assert len(turns.under_way()) == 4
