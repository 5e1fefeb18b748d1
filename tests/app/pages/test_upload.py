import io
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from app import paths
from app.db import db
from app.models import Job, Task, User
from app.services import groups, presets, settings, task_files
from tests.app.pages.conftest import CSRF, Browser
from tests.app.services.rawfiles import fits_bytes, store
from tests.factories import make_frame


def send(
    browser: Browser, content: bytes | None, name: str = "m51.fits", **fields: Any
) -> TestResponse:
    data: dict[str, Any] = {"csrf_token": CSRF, **fields}
    if content is not None:
        data["file"] = FileStorage(io.BytesIO(content), name)
    boundary, body = encode_multipart(data)
    kind = f"multipart/form-data; boundary={boundary}"
    return browser.client.post("/tasks/upload/", data=body, content_type=kind)


def the_task() -> Task:
    return db.session.query(Task).one()


def test_form_offers_presets_and_ones_own_groups(
    browser: Browser, observer: User, staff: User
) -> None:
    presets.save("wide field", {"sn": 10}, by=staff)
    groups.add_member(groups.create("students", by=staff), observer, by=staff)
    groups.create("others", by=staff)

    page = browser.text("/tasks/upload/")

    assert "wide field" in page
    assert "students" in page
    assert "others" not in page


def test_upload_becomes_a_task_with_its_image_preset_and_target(
    browser: Browser, staff: User
) -> None:
    preset = presets.save("wide field", {"sn": 10}, by=staff)
    content = fits_bytes()

    answer = send(browser, content, title="M 51", target="M 51\n\n x=3 y=4 ", preset=str(preset.id))

    task = the_task()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/tasks/{task.id}/")
    assert (task.title, task.original_name, task.state) == ("M 51", "m51.fits", "uploaded")
    assert task.config == {"sn": 10, "target": "M 51\nx=3 y=4"}
    assert (task_files.folder(task) / "image.fits").read_bytes() == content
    assert db.session.query(Job).count() == 0
    assert "correct what is wrong" in browser.text(f"/tasks/{task.id}/")


def test_steps_that_are_ticked_run_at_once_in_their_order(browser: Browser) -> None:
    send(browser, fits_bytes(), steps=["photometry", "inspect"])

    assert db.session.query(Job).one().arguments["steps"] == ["inspect", "photometry"]
    assert the_task().state == "running"


def test_our_script_is_told_where_the_task_is(browser: Browser) -> None:
    answer = browser.client.post(
        "/tasks/upload/",
        data={"file": (io.BytesIO(fits_bytes()), "a.fits")},
        content_type="multipart/form-data",
        headers={"HX-Request": "true", "X-CSRFToken": CSRF},
    )

    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"] == f"/tasks/{the_task().id}/"


def test_file_larger_than_a_form_may_be_comes_through_without_a_script(browser: Browser) -> None:
    content = fits_bytes() + bytes(9 << 20)

    answer = send(browser, content)

    assert answer.status_code == 303


def test_file_larger_than_the_setting_is_refused_by_name(browser: Browser, staff: User) -> None:
    settings.change("uploads", "max_mb", 1, by=staff)

    answer = send(browser, fits_bytes() + bytes(3 << 20))

    assert answer.status_code in {400, 413}
    assert db.session.query(Task).count() == 0


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (None, "", "Choose a file first"),
        (b"", "a.fits", "is empty"),
        (b"<html>no image</html>" * 200, "a.fits", "cannot be used"),
        (fits_bytes(), "a.txt", "is not the name of a FITS file"),
    ],
)
def test_unfit_file_is_told_on_the_form_and_leaves_nothing(
    browser: Browser, content: bytes | None, name: str, said: str
) -> None:
    answer = send(browser, content, name, title="kept as typed")

    assert answer.status_code == 400
    assert said in answer.text
    assert db.session.query(Task).count() == 0
    assert list(paths.current().tasks.iterdir()) == []


def test_what_was_typed_stays_when_the_file_is_refused(browser: Browser, observer: User) -> None:
    answer = send(browser, b"", title="kept as typed", target="M 51", steps="inspect")

    assert 'value="kept as typed"' in answer.text
    assert "M 51</textarea>" in answer.text
    assert 'value="inspect" checked' in answer.text


@pytest.mark.parametrize("name", ["title", "target", "preset", "groups"])
def test_text_that_is_none_is_refused_in_every_field(browser: Browser, name: str) -> None:
    answer = send(browser, fits_bytes(), **{name: "a\0b"})

    assert answer.status_code == 400
    assert db.session.query(Task).count() == 0


def test_form_of_another_site_uploads_nothing(browser: Browser) -> None:
    data = {"file": (io.BytesIO(fits_bytes()), "a.fits"), "csrf_token": "guessed"}

    answer = browser.client.post("/tasks/upload/", data=data)

    assert answer.status_code == 403
    assert db.session.query(Task).count() == 0


def test_file_below_the_data_root_becomes_a_task(app: Flask, browser: Browser) -> None:
    store(paths.current().raw / "2026-11-20" / "a.fits", fits_bytes())

    answer = browser.post("/tasks/", files="RAW/2026-11-20/a.fits", title="here")

    assert answer.status_code == 303
    assert the_task().source == "RAW/2026-11-20/a.fits"
    assert (task_files.folder(the_task()) / "image.fits").is_file()


def test_several_files_become_a_stack_that_runs(app: Flask, browser: Browser) -> None:
    answer = browser.post("/tasks/", files="RAW/a.fits\r\n\r\nRAW/b.fits\r\n")

    assert answer.status_code == 303
    assert the_task().config["stack_filenames"] == ["RAW/a.fits", "RAW/b.fits"]
    assert the_task().original_name == "stack of 2 images"
    assert db.session.query(Job).one().arguments["steps"] == ["stack"]


@pytest.mark.parametrize("files", ["", "RAW/none.fits", "../../etc/passwd", "/etc/passwd"])
def test_path_that_is_no_file_here_is_refused_on_the_form(browser: Browser, files: str) -> None:
    answer = browser.post("/tasks/", files=files)

    assert answer.status_code == 400
    assert 'id="why-files"' in answer.text
    assert db.session.query(Task).count() == 0


def test_frame_of_the_archive_becomes_a_task_from_its_page(app: Flask, browser: Browser) -> None:
    store(paths.current().raw / "2026-11-20" / "a.fits", fits_bytes())
    frame = make_frame(path="RAW/2026-11-20/a.fits", file_name="a.fits", object_name="NGC 1")
    assert f"/frames/{frame.id}/task/" in browser.text(f"/frames/{frame.id}/")

    answer = browser.post(f"/frames/{frame.id}/task/", back=f"/frames/{frame.id}/")

    page = browser.text(answer.headers["Location"])
    assert answer.headers["Location"] == f"/tasks/{the_task().id}/"
    assert the_task().title == "NGC 1"
    assert f'href="/frames/{frame.id}/"' in page


def test_frame_whose_file_is_gone_makes_no_task(browser: Browser) -> None:
    frame = make_frame(path="RAW/gone.fits")

    answer = browser.post(f"/frames/{frame.id}/task/")

    assert answer.status_code == 404
    assert "its file is not there now" in answer.text
    assert db.session.query(Task).count() == 0


def test_group_that_is_not_ones_own_is_refused(browser: Browser, staff: User) -> None:
    groups.create("others", by=staff)

    answer = send(browser, fits_bytes(), groups="others")

    assert answer.status_code == 400
    assert "You cannot share with group(s): others" in answer.text
    assert db.session.query(Task).count() == 0
