import re

import pytest
from flask import Flask

from app.db import db
from app.models import Job, Task, User
from app.pages import tasks as tasks_page
from app.services import groups, task_files
from tests.app.pages.conftest import Browser, browser_of
from tests.app.pages.taskrows import make_task, put, put_to_work
from tests.factories import make_user


def titles_of(page: str) -> list[str]:
    return re.findall(r'<td data-label="Task"><a[^>]*>([^<]*)</a>', page)


def test_empty_list_leads_to_the_upload(browser: Browser) -> None:
    page = browser.text("/tasks/")

    assert "No tasks yet" in page
    assert "/tasks/upload/" in page


def test_list_shows_ones_own_and_ones_groups_tasks_newest_first(
    app: Flask, browser: Browser, observer: User, staff: User
) -> None:
    group = groups.create("students", by=staff)
    groups.add_member(group, observer, by=staff)
    other = make_user("other")
    make_task(observer, title="mine")
    make_task(other, title="theirs")
    make_task(other, title="shared", groups=[group])

    assert titles_of(browser.text("/tasks/")) == ["shared", "mine"]
    assert titles_of(browser.text("/tasks/?whose=mine")) == ["mine"]
    assert titles_of(browser_of(app, staff).text("/tasks/")) == ["shared", "theirs", "mine"]


def test_list_is_searched_and_filtered(browser: Browser, observer: User) -> None:
    make_task(observer, title="SN 2026abc", original_name="sn_r_001.fits")
    make_task(observer, title="comet", state="inspect_failed")

    assert titles_of(browser.text("/tasks/?query=2026ABC+sn_r")) == ["SN 2026abc"]
    assert titles_of(browser.text("/tasks/?state=inspect_failed")) == ["comet"]
    assert "No task matches" in browser.text("/tasks/?query=galaxy")


def test_results_and_states_stand_in_the_list(browser: Browser, observer: User) -> None:
    config = {"filter": "r", "zp": 25.1234, "mag_limit": 19.876}
    make_task(observer, state="photometry_done", config=config)

    page = browser.text("/tasks/")

    for text in ("25.123", "19.88", '<span class="tag good">measured</span>'):
        assert text in page


def test_failed_task_says_why_and_those_alike_are_found_together(
    browser: Browser, observer: User
) -> None:
    failed = make_task(observer, title="spectrum", state="inspect_failed")
    put(failed, "inspect.log", b"image.fits: 9 x 9\nError: it is a <spectrum>\n")
    make_task(observer, title="lost", state="failed")
    make_task(observer, title="fine", state="inspect_done")
    put_to_work(make_task(observer, title="busy"), observer)

    page = browser.text("/tasks/?state=any_failed")

    assert titles_of(page) == ["lost", "spectrum"]
    assert "it is a &lt;spectrum&gt;</small>" in page
    assert "The program broke there" in page
    assert titles_of(browser.text("/tasks/?state=any_done")) == ["fine"]
    assert titles_of(browser.text("/tasks/?state=under_way")) == ["busy"]
    assert "/tasks/?state=under_way&amp;whose=mine" in browser.text("/tasks/?whose=mine")


def test_configuration_that_holds_nonsense_does_not_break_the_list(
    browser: Browser, observer: User
) -> None:
    make_task(observer, config={"zp": "high", "mag_limit": [1], "filter": {"a": 1}})

    assert titles_of(browser.text("/tasks/")) == ["a.fits"]


def test_older_tasks_are_behind_a_link(
    browser: Browser, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_page, "PAGE", 2)
    for title in ("first", "second", "third"):
        make_task(observer, title=title, image=False)

    page = browser.text("/tasks/?whose=mine")
    link = re.search(r'href="(/tasks/\?[^"]*before=\d+)"', page)

    assert titles_of(page) == ["third", "second"]
    assert link is not None
    assert "whose=mine" in link[1]
    assert titles_of(browser.text(link[1].replace("&amp;", "&"))) == ["first"]


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30])
def test_place_in_the_list_that_is_none_is_refused(browser: Browser, before: str) -> None:
    assert browser.get(f"/tasks/?before={before}").status_code == 400


def test_script_gets_only_the_table(browser: Browser, observer: User) -> None:
    make_task(observer)

    part = browser.part("/tasks/", "tasks").text

    assert part.lstrip().startswith('<section id="tasks"')
    assert "<html" not in part


def test_chosen_tasks_are_deleted_and_others_are_not_touched(
    app: Flask, browser: Browser, observer: User
) -> None:
    mine, kept = make_task(observer), make_task(observer)
    theirs = make_task(make_user("other"))
    folder = task_files.folder(mine)
    sent = {"action": "delete", "ids": [str(mine.id), str(theirs.id)], "csrf_token": "x"}
    sent["csrf_token"] = "the token of this session"

    response = browser.client.post("/tasks/actions/", data=sent, follow_redirects=True)

    assert "1 task is deleted." in response.text
    assert f"Task {theirs.id}: There is no such task." in response.text
    assert {task.id for task in db.session.query(Task)} == {kept.id, theirs.id}
    assert not folder.exists()


def test_chosen_tasks_are_cleaned_up_but_for_one_at_work(browser: Browser, observer: User) -> None:
    idle, busy = make_task(observer), make_task(observer)
    put_to_work(busy, observer)
    sent = {
        "action": "cleanup",
        "ids": [str(idle.id), str(busy.id)],
        "csrf_token": "the token of this session",
    }

    response = browser.client.post("/tasks/actions/", data=sent, follow_redirects=True)

    assert "1 task is being cleaned up." in response.text
    assert f"Task {busy.id}: Task is already being processed" in response.text
    jobs = db.session.query(Job).filter(Job.label == f"task {idle.id}: cleanup").all()
    assert [job.arguments["steps"] for job in jobs] == [["cleanup"]]


def test_unknown_act_is_refused(browser: Browser) -> None:
    assert browser.post("/tasks/actions/", action="burn", ids="1").status_code == 400
    answer = browser.post("/tasks/actions/", action="delete", ids="x")
    assert answer.status_code == 400
