import pytest

from app.db import db, transaction
from app.models import Job, User
from app.services import health, jobs
from tests.app.pages.conftest import Browser
from tests.factories import make_block, make_frame, make_user

ALIVE = {"database": 1, "queue": 1, "dispatcher": 1, "worker": 2}


def make_job(owner: User | None, **values: object) -> Job:
    with transaction():
        defaults = {"function": "blocks.process_block", "label": "bias block 12"}
        job = Job(**(defaults | values), owner_id=owner and owner.id)
        db.session.add(job)
    return job


def test_empty_queue_says_where_work_comes_from(browser: Browser) -> None:
    assert "Nothing is waiting" in browser.text("/jobs/")


def test_queue_without_a_worker_says_so_and_what_to_do(
    browser: Browser, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "parts", lambda: ALIVE | {"worker": 0})
    job = make_job(observer)

    for address in ("/jobs/", f"/jobs/{job.id}/", "/nights/", "/blocks/"):
        page = browser.text(address)
        assert "No worker is alive: jobs wait for nobody" in page
        assert "scripts/run" in page
    assert "workers are ready" not in browser.text("/jobs/")


def test_queue_with_every_part_alive_is_ready(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "parts", lambda: ALIVE)

    page = browser.text("/jobs/")

    assert "nothing runs; workers are ready" in page
    assert 'role="alert"' not in page


def test_queue_shows_progress_step_and_what_ended(browser: Browser, observer: User) -> None:
    make_job(observer, state="running", progress=0.4, step="combining 9 frames")
    make_job(observer, state="failed", label="flat block 3", error="every flat is saturated")

    page = browser.text("/jobs/")

    for text in ("bias block 12", "40 %", "combining 9 frames", "every flat is saturated"):
        assert text in page


def test_part_of_the_queue_is_sent_alone(browser: Browser, observer: User) -> None:
    make_job(observer)

    part = browser.part("/jobs/", "jobs").text

    assert "bias block 12" in part
    assert "<html" not in part


def test_jobs_of_others_are_theirs(browser: Browser) -> None:
    job = make_job(make_user("other"), label="secret")

    cancelled = browser.post(f"/jobs/{job.id}/cancel/")

    assert "secret" not in browser.text("/jobs/")
    assert browser.get(f"/jobs/{job.id}/").status_code == 404
    assert cancelled.status_code == 404
    db.session.refresh(job)
    assert job.state == "queued"


def test_waiting_job_is_cancelled(browser: Browser, observer: User) -> None:
    job = make_job(observer)

    browser.post(f"/jobs/{job.id}/cancel/")

    db.session.refresh(job)
    assert job.state == "cancelled"
    assert f"Job {job.id} is cancelled." in browser.text("/jobs/")


def test_job_that_ended_cannot_be_cancelled(browser: Browser, observer: User) -> None:
    job = make_job(observer, state="done")

    response = browser.post(f"/jobs/{job.id}/cancel/")

    assert response.status_code == 409
    assert "already done" in response.text


def test_log_is_shown_as_text(browser: Browser, observer: User) -> None:
    job = make_job(observer, state="running")
    jobs.log_path(job.id).write_text("frame 1 of 9\n<script>alert(1)</script>\n")

    page = browser.text(f"/jobs/{job.id}/")

    assert "frame 1 of 9" in page
    assert "<script>alert" not in page
    assert "hx-trigger" in browser.part(f"/jobs/{job.id}/", "job").text


def test_end_of_a_long_log_is_shown(browser: Browser, observer: User) -> None:
    job = make_job(observer, state="done")
    jobs.log_path(job.id).write_text("first line\n" + "x" * 300_000 + "\nlast line\n")

    page = browser.text(f"/jobs/{job.id}/")

    assert "last line" in page
    assert "first line" not in page
    assert "its end" in page


def test_page_of_a_job_that_ended_asks_no_more(browser: Browser, observer: User) -> None:
    job = make_job(observer, state="done")

    page = browser.text(f"/jobs/{job.id}/")

    assert "every 3s" not in page
    assert "wrote no log" in page


def test_job_whose_products_lack_something_says_so(browser: Browser, observer: User) -> None:
    product = make_frame("science", level=2, missing=["no bias: x"])
    block = make_block("sci", [make_frame("science")], status=1)
    with transaction():
        block.entries[0].product_id = product.id
    job = make_job(
        observer,
        state="done",
        arguments={"block_id": block.id},
        result={"message": "1 frame was up to date, nothing to do"},
    )

    for address in ("/jobs/", f"/jobs/{job.id}/"):
        page = browser.text(address)
        assert "incomplete: no bias" in page
        assert "1 frame was up to date" in page
