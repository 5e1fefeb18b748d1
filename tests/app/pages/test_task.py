import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.models import Job, Preset, Task, User
from app.services import (
    groups,
    online_catalogues,
    presets,
    settings,
    task_files,
    task_tables,
)
from reduction.refcat.known import KNOWN
from reduction.refcat.regions import Cone
from tests.app.pages.conftest import Browser, browser_of
from tests.app.pages.taskrows import PNG, make_task, put, put_objects, put_to_work
from tests.app.services import vizierdouble
from tests.app.services.rawfiles import fits_bytes
from tests.app.services.vizierdouble import VizierDouble, stars_around
from tests.factories import make_user


@pytest.fixture
def task(observer: User) -> Task:
    return make_task(observer, title="M 51")


def address(task: Task, act: str = "") -> str:
    return f"/tasks/{task.id}/{act}"


def fresh(task: Task) -> Task:
    db.session.expire_all()
    return db.session.get_one(Task, task.id)


def opened(page: str) -> list[str]:
    """The steps whose cards are open."""
    return re.findall(r'<details class="card step" id="(\w+)" open>', page)


def test_guesses_of_the_header_stand_in_the_form_with_card_and_doubt(
    browser: Browser, observer: User
) -> None:
    task = make_task(observer, image=False)
    put(task, "image.fits", fits_bytes(EGAIN=1.75, GAIN=120, FILTER="Sloan r"))

    page = browser.text(address(task))

    assert 'placeholder="1.75"' in page
    assert "<code>EGAIN   =" in page
    assert "r, from &#39;Sloan r&#39;" in page
    assert 'placeholder="2025-11-20 23:00:15"' in page  # the middle of 30 s
    assert opened(page) == ["inspect"]


def test_image_nobody_can_read_does_not_break_its_page(browser: Browser, observer: User) -> None:
    task = make_task(observer, image=False)
    put(task, "image.fits", b"this is no image")

    assert "M 51" not in browser.text(address(task))


def test_saved_values_are_shown_and_kept_without_running(browser: Browser, task: Task) -> None:
    answer = browser.post(
        address(task, "process/"), step="inspect", do="save", gain="2.5", filter="V", target="M 51"
    )

    page = browser.text(answer.headers["Location"])
    config = fresh(task).config
    assert (config["gain"], config["filter"], config["target"]) == (2.5, "V", "M 51")
    assert config["mask_cosmics"] is False
    assert 'value="2.5"' in page
    assert "<option selected>V</option>" in page
    assert db.session.query(Job).count() == 0


def test_step_runs_with_what_its_form_says(browser: Browser, task: Task) -> None:
    browser.post(address(task, "process/"), step="inspect", do="through", gain="2.5")

    job = db.session.query(Job).one()
    assert job.arguments["steps"] == ["inspect", "photometry"]
    assert (fresh(task).state, fresh(task).job_id) == ("running", job.id)
    assert fresh(task).config["gain"] == 2.5


def test_wrong_value_is_told_at_its_field_and_nothing_runs(browser: Browser, task: Task) -> None:
    answer = browser.post(
        address(task, "process/"), step="photometry", do="run", sn="many", minarea="9"
    )

    assert answer.status_code == 400
    assert "must be a number, not &#39;many&#39;" in answer.text
    assert 'value="many"' in answer.text  # as it was typed
    assert 'value="9"' in answer.text
    assert fresh(task).config == {}
    assert db.session.query(Job).count() == 0


@pytest.mark.parametrize("step", ["", "fly", "subtraction", "simple_transients"])
def test_step_that_is_not_there_is_refused(browser: Browser, task: Task, step: str) -> None:
    answer = browser.post(address(task, "process/"), step=step)

    assert answer.status_code == 400
    assert fresh(task).state == "uploaded"


def test_task_at_work_shows_its_step_and_the_end_of_its_log(
    browser: Browser, observer: User, task: Task
) -> None:
    put(task, "inspect.log", b"gain 1.5 <from the header>\n")
    put_to_work(task, observer)

    page = browser.text(address(task))
    part = browser.part(address(task), "task-state")

    for text in (page, part.text):
        assert "gain 1.5 &lt;from the header&gt;" in text
        assert "masking cosmic rays" in text
        assert "hx-trigger" in text
    assert "HX-Trigger" not in part.headers
    assert '<meta http-equiv="refresh"' in page  # for who has no script
    assert re.search(r'value="run" disabled', page)


def test_part_has_the_page_fetched_once_nothing_runs(browser: Browser, task: Task) -> None:
    part = browser.part(address(task), "task-state")

    assert part.headers["HX-Trigger"] == "task-over"
    assert "hx-trigger" not in part.text


def test_nothing_is_changed_while_a_task_is_at_work(
    browser: Browser, observer: User, task: Task
) -> None:
    put_to_work(task, observer)

    answers = [
        browser.post(address(task, "process/"), step="inspect", do="save", gain="9"),
        browser.post(address(task, "process/"), step="cleanup"),
        browser.post(address(task, "config/"), config="{}"),
        browser.post(address(task, "crop/"), x1="2"),
        browser.post(address(task, "fix/")),
        browser.post(address(task, "duplicate/")),
    ]

    assert [answer.status_code for answer in answers] == [409] * 6
    assert fresh(task).config == {}


def test_running_task_is_cancelled(browser: Browser, observer: User, task: Task) -> None:
    job = put_to_work(task, observer)

    browser.post(address(task, "cancel/"))

    assert (fresh(task).state, fresh(task).job_id) == ("cancelled", None)
    assert db.session.get_one(Job, job.id).cancel_requested
    assert browser.post(address(task, "cancel/")).status_code == 400


def test_failed_step_says_why_and_is_open(browser: Browser, task: Task) -> None:
    with transaction():
        task.state = "photometry_failed"
    put(task, "inspect.log", b"fine\n")
    put(task, "photometry.log", b"12 sources\nError: no star of the\ncatalogue matches\n")

    page = browser.text(address(task))

    assert "Photometry failed: no star of the\ncatalogue matches" in page
    assert opened(page) == ["photometry"]


def test_step_that_broke_off_says_where_to_look(browser: Browser, task: Task) -> None:
    with transaction():
        task.state = "photometry_failed"
    put(task, "photometry.log", b"12 sources\n")

    assert "the log of its job" in browser.text(address(task))


def test_doubts_of_a_step_stand_on_its_card(browser: Browser, task: Task) -> None:
    with transaction():
        task.state = "inspect_done"
    put(task, "inspect.log", b"[    0.10] Warning: target left out: M 51 is unknown\nfine\n")

    page = browser.text(address(task))

    assert "<li>target left out: M 51 is unknown</li>" in page
    assert "1 doubt</span>" in page


def test_catalogues_are_chosen_by_the_names_observers_know(
    browser: Browser, task: Task, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    vizierdouble.install(monkeypatch, VizierDouble(stars_around(150.0, 20.0)))
    online_catalogues.fetch("atlas", Cone(150.0, 20.0, 0.2))

    here = browser.text(address(task))
    settings.change("catalogues", "online", True, by=staff)
    to_be_had = browser.text(address(task))

    assert "<option>atlas</option>" in here
    assert "<option>ps1</option>" not in here
    assert all(f"<option>{name}</option>" in to_be_had for name in KNOWN)
    assert "-online" not in here + to_be_had


def test_results_targets_plots_and_sources_are_shown(browser: Browser, observer: User) -> None:
    config = {
        "zp": 25.4321,
        "zp_err": 0.0123,
        "cat_name": "ps1",
        "mag_limit": 20.5,
        "pixscale": 1 / 3600,
        "fwhm": 3.0,
        "targets": [{"name": "SN 2026abc", "ra": 12.5, "dec": -3.25}],
    }
    task = make_task(observer, state="photometry_done", config=config)
    put_objects(task)
    put(task, "photometry.log", b"done\n")
    put(task, "inspect.log", b"done\n")
    put(task, "photometry.png", PNG)

    page = browser.text(address(task))

    for text in (
        "25.432 ± 0.012 mag",
        "20.50 mag",
        "3.00 pixels, 3.00″",
        "SN 2026abc",
        "12.50000 -3.25000",
        "Zero point of each star against its magnitude",
        "<svg",
        "40 sources",
    ):
        assert text in page
    assert page.count("<circle") == 40
    assert opened(page) == ["photometry"]


def test_configuration_that_holds_nonsense_does_not_break_the_page(
    browser: Browser, observer: User
) -> None:
    nonsense = {
        "zp": {"a": 1},
        "targets": ["x", {"name": [1]}],
        "fwhm": "wide",
        "sn": [],
        "gain": None,
    }
    task = make_task(observer, config=nonsense)
    put_objects(task)
    put(task, "target.vot", b"no table")

    assert "Photometry" in browser.text(address(task))


@pytest.mark.parametrize(
    "columns",
    [
        {"x": ["a", "b"], "y": ["c", None], "mag": ["q", None]},
        {"x": [1.0, 2.0], "y": [1.0, 2.0], "mag": [None, "z"]},
        {"x": [1.0, 2.0], "y": [1.0, None], "mag": [True, None]},
        {"x": [1.0, float("inf")], "y": [1, 2], "mag": [{"a": 1}, None]},
        {"ra": [1.0, 2.0]},
    ],
)
def test_table_of_anything_does_not_break_the_page(
    browser: Browser, task: Task, columns: dict[str, list[object]]
) -> None:
    pq.write_table(pa.table(columns), task_files.folder(task) / "objects.parquet")

    assert "M 51" in browser.text(address(task))


def test_targets_measured_in_words_do_not_break_the_page(browser: Browser, observer: User) -> None:
    task = make_task(observer, config={"targets": [{"name": "SN 2026abc"}]})
    put_objects(task)
    table = Table(
        {
            "mag_filter_name": np.array(["r"], dtype=object),
            "x": np.ma.masked_array([1], [True]),
            "y": [2],
        }
    )
    table.write(task_files.folder(task) / "target.vot", format="votable")

    assert "SN 2026abc" in browser.text(address(task))


def test_table_of_objects_is_read_once_and_of_its_known_columns(
    browser: Browser, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_objects(task)
    asked: list[tuple[str, object]] = []
    read = task_tables.read

    def noted(path: Path, *, names: Sequence[str] = ()) -> task_tables.Columns:
        asked.append((path.name, names))
        return read(path, names=names)

    monkeypatch.setattr(task_tables, "read", noted)

    assert "40 sources" in browser.text(address(task))
    assert asked == [("objects.parquet", task_tables.BRIEF)]


def test_task_without_an_image_offers_to_stack(browser: Browser, observer: User) -> None:
    page = browser.text(address(make_task(observer, image=False, state="initial")))

    assert opened(page) == ["stack"]
    assert "There is no image yet." in page


def test_title_and_sharing_are_changed(browser: Browser, observer: User, staff: User) -> None:
    groups.add_member(groups.create("students", by=staff), observer, by=staff)
    task = make_task(observer)

    browser.post(address(task, "edit/"), title="M 51 again", groups="students", with_groups="1")
    assert [group.name for group in fresh(task).groups] == ["students"]
    browser.post(address(task, "edit/"), title="M 51 alone", with_groups="1")

    assert (fresh(task).title, fresh(task).groups) == ("M 51 alone", [])


def test_title_that_is_too_long_is_told_at_its_field(browser: Browser, task: Task) -> None:
    answer = browser.post(address(task, "edit/"), title="x" * 251)

    assert answer.status_code == 400
    assert "no more than 250 characters" in answer.text
    assert fresh(task).title == "M 51"


@pytest.mark.parametrize("text", ["{", "[1]", "NaN", '{"a": NaN}', '{"a": 1e999}', '"text"', ""])
def test_configuration_that_is_no_object_is_told_and_kept_to_be_mended(
    browser: Browser, task: Task, text: str
) -> None:
    answer = browser.post(address(task, "config/"), config=text)

    assert answer.status_code == 400
    assert fresh(task).config == {}


def test_configuration_is_replaced_by_json(browser: Browser, task: Task) -> None:
    browser.post(address(task, "config/"), config=json.dumps({"sn": 4, "name": "Ångström"}))

    assert fresh(task).config == {"sn": 4, "name": "Ångström"}
    assert "Ångström" in browser.text(address(task))


def test_staff_keep_a_preset_without_what_is_of_one_image(
    app: Flask, browser: Browser, staff: User, observer: User
) -> None:
    task = make_task(observer, config={"sn": 4, "zp": 25.0, "target": "M 51", "gain": 1.5})

    refused = browser.post(address(task, "preset/"), name="deep")
    browser_of(app, staff).post(address(task, "preset/"), name="deep")

    assert refused.status_code == 403
    preset = db.session.scalars(select(Preset)).one()
    assert (preset.name, preset.config) == ("deep", {"sn": 4, "gain": 1.5})


def test_staff_delete_a_preset_from_the_form_for_new_tasks(
    app: Flask, browser: Browser, staff: User
) -> None:
    preset = presets.save("deep", {"sn": 4}, by=staff)
    bosses = browser_of(app, staff)
    act = f"/tasks/presets/{preset.id}/delete/"
    assert act in bosses.text("/tasks/upload/")
    assert act not in browser.text("/tasks/upload/")

    refused = browser.post(act)
    deleted = bosses.post(act)

    assert (refused.status_code, deleted.status_code) == (403, 303)
    assert db.session.scalars(select(Preset)).all() == []


def test_image_is_cropped_and_comes_back_as_it_was(browser: Browser, task: Task) -> None:
    image = task_files.folder(task) / "image.fits"
    before = image.read_bytes()

    browser.post(address(task, "crop/"), x1="3", x2="-2")
    cropped = image.read_bytes()
    page = browser.text(address(task))
    browser.post(address(task, "reset/"))

    assert b"NAXIS1  =                   11" in cropped
    assert address(task, "reset/") in page
    assert image.read_bytes() == before


@pytest.mark.parametrize(
    ("act", "form", "status"),
    [
        ("crop", {"x1": "a"}, 400),
        ("crop", {"x1": "14"}, 400),
        ("destripe", {"direction": "diagonal"}, 400),
        ("reset", {}, 404),
    ],
)
def test_repair_that_cannot_be_is_refused_in_words(
    browser: Browser, task: Task, act: str, form: dict[str, str], status: int
) -> None:
    before = (task_files.folder(task) / "image.fits").read_bytes()

    answer = browser.post(address(task, f"{act}/"), **form)

    assert answer.status_code == status
    assert 'class="why"' in answer.text or 'class="problem"' in answer.text
    assert (task_files.folder(task) / "image.fits").read_bytes() == before


def test_header_is_mended_and_stripes_are_taken_out(browser: Browser, task: Task) -> None:
    assert browser.post(address(task, "fix/")).status_code == 303
    assert browser.post(address(task, "destripe/"), direction="vertical").status_code == 303


def test_copy_leads_to_the_copy(browser: Browser, task: Task) -> None:
    answer = browser.post(address(task, "duplicate/"), back=address(task))

    copy = db.session.scalars(select(Task).order_by(Task.id.desc())).first()
    assert copy is not None
    assert answer.headers["Location"] == address(copy)
    assert copy.title == "M 51 (copy)"
    assert (task_files.folder(copy) / "image.fits").is_file()


def test_deleted_task_is_gone_and_only_its_owner_may(
    app: Flask, observer: User, staff: User
) -> None:
    group = groups.create("students", by=staff)
    friend = make_user("friend")
    groups.add_member(group, friend, by=staff)
    task = make_task(observer, groups=[group])
    theirs, mine = browser_of(app, friend), browser_of(app, observer)

    assert "Delete</button>" not in theirs.text(address(task))
    assert theirs.post(address(task, "delete/")).status_code == 403
    assert mine.post(address(task, "delete/")).status_code == 303

    assert mine.get(address(task)).status_code == 404


def test_task_of_others_is_not_there(app: Flask, task: Task) -> None:
    stranger = browser_of(app, make_user("stranger"))

    assert stranger.get(address(task)).status_code == 404
    assert stranger.post(address(task, "process/"), step="inspect").status_code == 404
    assert stranger.get("/tasks/99999/").status_code == 404


def test_what_was_done_to_a_task_stands_on_its_page(browser: Browser, task: Task) -> None:
    browser.post(address(task, "fix/"))

    assert "header fixed" in browser.text(address(task))


def test_image_without_a_place_leads_to_the_fields_that_give_one(
    browser: Browser, observer: User
) -> None:
    task = make_task(observer, state="photometry_failed")
    put(task, "photometry.log", b"Error: the image could not be placed on the sky: clouds\n")

    lost = browser.text(address(task))
    put(task, "image.wcs", b"x")
    placed = browser.text(address(task))

    assert 'href="#photometry-blind_match_center"' in lost
    assert "<legend>Astrometry</legend>" in lost
    assert "Nothing says how wide a pixel is on the sky" in lost
    assert 'href="#photometry-blind_match_center"' not in placed
    assert "<summary>Astrometry</summary>" in placed


def test_zero_point_says_of_what_it_is(browser: Browser, observer: User) -> None:
    config = {"zp": 25.1234, "zp_err": 0.004, "cat_name": "gaiadr3syn"}
    task = make_task(observer, config=config)

    page = browser.text(address(task))

    assert "of one count in the whole exposure, not a second; by gaiadr3syn" in page
    assert 'class="found is-first"' in page
