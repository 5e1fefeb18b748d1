import io

import pytest
from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from app.models import Task, User
from app.services import task_files
from reduction import snapshot
from tests.app.pages.conftest import CSRF, Browser, browser_of
from tests.app.pages.taskrows import PNG, make_task, put, put_objects
from tests.app.services.rawfiles import fits_bytes
from tests.factories import make_user


@pytest.fixture
def task(observer: User) -> Task:
    return make_task(observer)


def view(browser: Browser, task: Task, name: str) -> str:
    return browser.text(f"/tasks/{task.id}/view/{name}")


def add(browser: Browser, task: Task, content: bytes, name: str, kept: str = "") -> TestResponse:
    data = {"csrf_token": CSRF, "name": kept, "file": FileStorage(io.BytesIO(content), name)}
    boundary, body = encode_multipart(data)
    kind = f"multipart/form-data; boundary={boundary}"
    return browser.client.post(f"/tasks/{task.id}/files/", data=body, content_type=kind)


def test_image_is_shown_as_asked_with_its_header(browser: Browser, task: Task) -> None:
    page = view(browser, task, "image.fits?stretch=asinh&cmap=viridis&qmax=99")

    assert "<option selected>asinh</option>" in page
    assert "stretch=asinh&amp;cmap=viridis&amp;qmin=0.5&amp;qmax=99" in page
    assert "<code>OBJECT</code>" in page
    assert "<code>T</code>" in page


@pytest.mark.parametrize("query", ["", "?stretch=log&cmap=magma_r&r0=1&width=0&format=png"])
def test_preview_is_a_picture(browser: Browser, task: Task, query: str) -> None:
    answer = browser.get(f"/tasks/{task.id}/preview/image.fits{query}")

    assert answer.status_code == 200
    assert answer.mimetype == ("image/png" if query else "image/jpeg")
    assert "private" in answer.headers["Cache-Control"]


def test_look_that_is_refused_is_told_in_place_of_the_picture(
    browser: Browser, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = view(browser, task, "image.fits?qmax=101")

    assert "To: must be from 0 to 100" in page
    assert "/preview/" not in page
    assert 'name="qmax" value="101"' in page  # to be corrected

    monkeypatch.setattr(snapshot, "MOST_SMOOTHING", 16 * 12 * 2)
    assert "Smooth: smoothing by 3 pixels takes too long" in view(browser, task, "image.fits?r0=3")
    assert browser.get(f"/tasks/{task.id}/preview/image.fits?r0=3").status_code == 400
    assert browser.get(f"/tasks/{task.id}/preview/image.fits?r0=2").status_code == 200


@pytest.mark.parametrize("query", ["width=x", "stretch=steep", "cmap=mauve", "ext=9", "qmin=nan"])
def test_unfit_look_is_refused(browser: Browser, task: Task, query: str) -> None:
    assert browser.get(f"/tasks/{task.id}/preview/image.fits?{query}").status_code == 400


def test_file_that_is_no_image_is_said_to_be_none(browser: Browser, task: Task) -> None:
    put(task, "other.fits", b"nothing")

    assert "Header" not in view(browser, task, "other.fits")
    assert browser.get(f"/tasks/{task.id}/preview/other.fits").status_code == 400


def test_table_is_shown_in_parts_and_in_order(browser: Browser, task: Task) -> None:
    put_objects(task, 250)

    first = view(browser, task, "objects.parquet")
    last = view(browser, task, "objects.parquet?order=-x&first=200")

    assert "250 rows, 1 to 100" in first
    assert "order=&amp;first=100" in first
    assert "250 rows, 201 to 250" in last
    assert 'aria-sort="descending"' in last
    assert last.index("<td") < last.index("0.00")


@pytest.mark.parametrize("query", ["?order=nothing", "?first=x"])
def test_table_by_what_it_has_not_says_so(browser: Browser, task: Task, query: str) -> None:
    put_objects(task)

    assert 'class="problem"' in view(browser, task, f"objects.parquet{query}")


def test_broken_table_is_told_as_such(browser: Browser, task: Task) -> None:
    put(task, "objects.vot", b"<VOTABLE")

    assert "cannot be read as a table" in view(browser, task, "objects.vot")


def test_text_is_shown_as_text(browser: Browser, task: Task) -> None:
    put(task, "inspect.log", b"<script>alert(1)</script>\xff")

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in view(browser, task, "inspect.log")


def test_file_of_no_known_kind_is_only_offered(browser: Browser, task: Task) -> None:
    put(task, "notes.html", b"<script>alert(1)</script>")

    assert "download it" in view(browser, task, "notes.html")
    with browser.get(f"/tasks/{task.id}/files/notes.html") as answer:
        assert answer.mimetype == "application/octet-stream"
        assert "attachment" in answer.headers["Content-Disposition"]
    assert browser.get(f"/tasks/{task.id}/picture/notes.html").status_code == 404


def test_plot_and_thumbnail_are_sent_to_be_shown(browser: Browser, task: Task) -> None:
    put(task, "photometry.png", PNG)

    with browser.get(f"/tasks/{task.id}/picture/photometry.png?v=1") as plot:
        assert (plot.data, plot.mimetype) == (PNG, "image/png")
        assert "attachment" not in plot.headers.get("Content-Disposition", "")
        assert "max-age=3600" in plot.headers["Cache-Control"]
    with browser.get(f"/tasks/{task.id}/thumbnail.png") as small:
        assert small.data.startswith(PNG)


def test_cutout_shows_its_planes(browser: Browser, task: Task) -> None:
    put(task, "targets/target_0000.cutout", fits_bytes())

    page = view(browser, task, "targets/target_0000.cutout")

    assert f"/tasks/{task.id}/cutout/targets/target_0000.cutout?" in page
    answer = browser.get(f"/tasks/{task.id}/cutout/targets/target_0000.cutout?width=200")
    assert answer.mimetype == "image/jpeg"


@pytest.mark.parametrize(
    "name", ["none.fits", "../2/image.fits", "..%2f..%2fsecret_key", ".lock", "targets"]
)
def test_what_is_no_file_of_the_task_is_not_there(browser: Browser, task: Task, name: str) -> None:
    put(task, "targets/a.txt", b"a")

    for way in ("view", "files", "preview", "cutout", "picture"):
        assert browser.get(f"/tasks/{task.id}/{way}/{name}").status_code == 404


def test_files_of_others_are_not_there(app: Flask, task: Task) -> None:
    stranger = browser_of(app, make_user("stranger"))

    for way in ("view", "files", "preview", "cutout"):
        assert stranger.get(f"/tasks/{task.id}/{way}/image.fits").status_code == 404
    assert stranger.get(f"/tasks/{task.id}/thumbnail.png").status_code == 404
    assert add(stranger, task, fits_bytes(), "custom_mask.fits").status_code == 404


def test_mask_is_added_and_removed(browser: Browser, task: Task) -> None:
    added = add(browser, task, fits_bytes(), "mine.fits", "custom_mask.fits")
    names = {entry.name for entry in task_files.listing(task)}
    removed = browser.post(f"/tasks/{task.id}/files/remove/", name="custom_mask.fits")

    assert (added.status_code, removed.status_code) == (303, 303)
    assert names == {"image.fits", "custom_mask.fits"}
    assert {entry.name for entry in task_files.listing(task)} == {"image.fits"}


@pytest.mark.parametrize("kept", ["../image.fits", "a/../../b.fits", ".hidden.fits", "x\0y.fits"])
def test_file_cannot_be_put_elsewhere(browser: Browser, task: Task, kept: str) -> None:
    assert add(browser, task, fits_bytes(), "a.fits", kept).status_code in {400, 404}
    assert {entry.name for entry in task_files.listing(task)} == {"image.fits"}
