import pytest
from flask import Flask

from app.db import transaction
from app.errors import NotAllowedError
from app.models import Job, JobState, Task, User
from app.services import jobs, task_queue, tasks
from tests.app.pages.taskrows import make_task
from tests.factories import make_user

STEPS = ["inspect", "photometry"]


@pytest.fixture
def task(app: Flask, observer: User) -> Task:
    return make_task(observer)


@pytest.fixture
def job(task: Task, observer: User) -> Job:
    return tasks.process(task, STEPS, by=observer)


def start(job: Job) -> None:
    (delivery,) = jobs.choose(1)
    jobs.claim(delivery, worker="w", lease_s=60)


def test_chain_has_four_entries_a_step_and_one_at_its_end(task: Task, job: Job) -> None:
    assert task_queue.chain_id(task) == f"{job.id}-9"


def test_nothing_runs_so_there_is_no_chain(task: Task) -> None:
    assert task_queue.chain_id(task) is None
    assert task_queue.n_revoked(task) == 0


def test_entry_is_the_one_the_task_is_at(task: Task, job: Job, observer: User) -> None:
    (waiting,) = task_queue.entries(observer)
    start(job)
    (first,) = task_queue.entries(observer)
    with transaction():
        tasks.set_state(task, "photometry")
    (second,) = task_queue.entries(observer)

    assert (waiting.state, waiting.place, waiting.started_at) == ("pending", 1, None)
    assert (first.state, first.name, first.place) == ("active", "task_inspect", 2)
    assert (second.name, second.place, second.total) == ("task_photometry", 6, 9)
    assert second.id == f"{job.id}-6"
    assert second.task is task


def test_entries_before_the_running_one_are_over(task: Task, job: Job, observer: User) -> None:
    start(job)
    with transaction():
        tasks.set_state(task, "photometry")

    states = [task_queue.standing(observer, f"{job.id}-{n}").state for n in (1, 2, 5, 6, 7, 9)]

    assert states == ["SUCCESS", "SUCCESS", "SUCCESS", "STARTED", "PENDING", "PENDING"]


@pytest.mark.parametrize(
    ("job_state", "said"),
    [
        (JobState.DONE, "SUCCESS"),
        (JobState.FAILED, "FAILURE"),
        (JobState.CANCELLED, "REVOKED"),
        (JobState.QUEUED, "PENDING"),
    ],
)
def test_last_entry_stands_as_its_job(
    task: Task, job: Job, observer: User, job_state: JobState, said: str
) -> None:
    entry = task_queue.chain_id(task) or ""
    with transaction():
        job.state = job_state

    found = task_queue.standing(observer, entry)

    assert (found.state, found.is_ready) == (said, said != "PENDING")
    assert (found.task is None) is found.is_ready


@pytest.mark.parametrize("entry", ["nonexistent-id", "", "-5", "9" * 40, "1-x", "77", "\u0661-1"])
def test_entry_nobody_knows_is_pending(task: Task, observer: User, entry: str) -> None:
    found = task_queue.standing(observer, entry)

    assert (found.state, found.task, found.id) == ("PENDING", None, entry)


def test_work_of_others_is_not_seen(task: Task, job: Job, staff: User) -> None:
    stranger = make_user("stranger")
    entry = task_queue.chain_id(task) or ""

    assert task_queue.entries(stranger) == []
    assert task_queue.standing(stranger, entry).state == "PENDING"
    assert [one.task for one in task_queue.entries(staff)] == [task]


def test_owner_ends_what_works_on_their_task(task: Task, job: Job, observer: User) -> None:
    ended = task_queue.terminate(observer, task_queue.chain_id(task) or "")

    assert (ended.task, ended.n_entries) == (task, 10)
    assert (task.state, job.state) == ("cancelled", JobState.CANCELLED)


def test_entries_of_steps_that_are_done_are_not_ended(task: Task, job: Job) -> None:
    start(job)
    with transaction():
        tasks.set_state(task, "photometry")

    assert task_queue.n_revoked(task) == 6


def test_others_end_nothing_and_staff_anything(
    task: Task, job: Job, observer: User, staff: User
) -> None:
    entry, stranger = task_queue.chain_id(task) or "", make_user("stranger")
    other = jobs.enqueue("blocks.process_block", {}, label="block 1", owner=observer)

    with pytest.raises(NotAllowedError, match="No permission to terminate this task"):
        task_queue.terminate(stranger, entry)
    for asked in ("nonexistent-id", str(other.id)):
        with pytest.raises(NotAllowedError, match="Staff access required"):
            task_queue.terminate(observer, asked)
    assert task_queue.terminate(staff, "nonexistent-id").task is None
    task_queue.terminate(staff, str(other.id))

    assert other.state == JobState.CANCELLED
    assert job.state == JobState.QUEUED
