"""Pipeline control: the log, the queue, settings, scanning, SELECT."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import paths
from app.db import db, transaction, utcnow
from app.models import AuditEntry, Job, JobState, Level, User
from app.services import jobs, settings
from tests import select_role
from tests.app.services.skyframes import make_sky_frame
from tests.factories import make_frame, make_user

READS = {
    "get_process": {"status": True, "msg": "Available"},
    "get_logs": {"status": True, "msg": {"main": []}},
    "get_queue": {"msg": []},
    "getOperations": {"msg": []},
    "getOperation": {"msg": []},
}
STAFF_ONLY: dict[str, dict[str, Any]] = {
    "clear_logs": {},
    "reset_threads": {},
    "reset_thread": {},
    "setItemConf": {"section": "site", "item": "name", "value": "X"},
    "set_conf": {"config_name": "x"},
}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("removeQueue", {}, "Must include id in request"),
    ("setItemConf", {}, "Must fill values."),
    ("setItemConf", {"section": "site", "item": "name"}, "Must fill values."),
    ("setItemConf", {"section": "site", "value": "x"}, "Must fill values."),
    ("set_conf", {}, "Must fill config_name values."),
    ("set_conf", {"config_name": "absent"}, "Config file does not exist."),
    ("rawQuery", {}, "Must fill query"),
    ("rawQuery", {"query": "  "}, "Must fill query"),
    ("get_trilogy_image", {}, "Must fill field"),
    ("get_trilogy_image", {"field": "F"}, "Missing bands"),
    ("request_twelve_im", {}, "Must fill field"),
    ("request_twelve_im", {"field": "F"}, "Missing bands"),
]


def make_job(owner: User, state: JobState = JobState.QUEUED, **values: Any) -> Job:
    with transaction():
        job = Job(function="blocks.process_block", owner_id=owner.id, state=state, **values)
        db.session.add(job)
    return job


def post(client: FlaskClient, call: str, **fields: Any) -> Any:
    response = client.post(f"/reduction/{call}", json=fields)
    assert response.status_code == 200, response.text
    return response.get_json()


@pytest.mark.parametrize("call", READS)
def test_idle_pipeline_says_so_by_post_and_get(client: FlaskClient, call: str) -> None:
    for response in (client.post(f"/reduction/{call}/"), client.get(f"/reduction/{call}")):
        assert (response.status_code, response.get_json()) == (200, READS[call])


@pytest.mark.parametrize("call", STAFF_ONLY)
def test_observers_may_not_change_what_is_everyones(
    client: FlaskClient, stranger: FlaskClient, call: str
) -> None:
    refused = client.post(f"/reduction/{call}", json=STAFF_ONLY[call])

    assert refused.status_code == 403
    assert refused.get_json() == {"status": False, "msg": "Only staff may do this."}
    assert stranger.post(f"/reduction/{call}", json=STAFF_ONLY[call]).status_code == 401


def test_refusals_are_the_documented_ones(staff_client: FlaskClient) -> None:
    for call, fields, message in REFUSED:
        assert post(staff_client, call, **fields)["error"] == message, (call, fields)


# What runs


def test_running_step_is_told(client: FlaskClient, observer: User) -> None:
    make_job(observer, JobState.RUNNING, label="bias block 12", step="combining")

    assert post(client, "get_process")["msg"] == "bias block 12: combining"


def test_work_of_others_is_not_told_in_detail(client: FlaskClient) -> None:
    make_job(make_user("other"), JobState.RUNNING, label="secret", step="x")

    answer = post(client, "get_process")["msg"]

    assert answer != "Available"
    assert "secret" not in answer
    assert post(client, "get_queue")["msg"] == []


def test_queue_lists_and_loses_entries(
    client: FlaskClient, staff_client: FlaskClient, observer: User
) -> None:
    mine = make_job(observer, arguments={"block_id": 12, "code": "ov"})
    other = make_job(make_user("other"), arguments={})

    queue = post(client, "get_queue")["msg"]
    removed = post(client, "removeQueue", id=str(mine.id))
    foreign = post(client, "removeQueue", id=other.id)

    assert queue == [{"id": mine.id, "function": "blocks.process_block", "block": 12, "code": "ov"}]
    assert removed == {"msg": "Task removed"}
    assert "error" in foreign
    assert (mine.state, other.state) == (JobState.CANCELLED, JobState.QUEUED)
    assert [entry["id"] for entry in post(staff_client, "get_queue")["msg"]] == [other.id]


def test_job_that_does_not_exist_or_has_ended_cannot_be_removed(
    client: FlaskClient, observer: User
) -> None:
    done = make_job(observer, JobState.DONE, finished_at=utcnow())

    assert "error" in post(client, "removeQueue", id=done.id)
    assert "error" in post(client, "removeQueue", id=999999)
    assert "error" in post(client, "removeQueue", id="one")


@pytest.mark.parametrize("call", ["reset_threads", "reset_thread"])
def test_reset_empties_the_queue_of_everyone(
    staff_client: FlaskClient, observer: User, call: str
) -> None:
    waiting = make_job(observer)

    assert post(staff_client, call) == {"status": True, "msg": "reset done"}
    assert waiting.state == JobState.CANCELLED


def test_history_is_newest_first_and_as_long_as_asked(client: FlaskClient, observer: User) -> None:
    for label in ("first", "second", "third"):
        make_job(observer, JobState.DONE, label=label, finished_at=utcnow())
    make_job(observer, JobState.FAILED, label="fourth", error="no frames", finished_at=utcnow())

    history = post(client, "getOperations", nums="2")["msg"]

    assert [set(entry) for entry in history] == [{"id", "endDate", "logPath", "operation"}] * 2
    assert [entry["operation"] for entry in history] == ["fourth (failed: no frames)", "third"]
    assert len(post(client, "getOperation")["msg"]) == 4
    assert client.post("/reduction/getOperations", data="{").get_json()["msg"] != []


def test_job_log_is_at_the_path_the_history_gives(client: FlaskClient, observer: User) -> None:
    job = make_job(observer, JobState.DONE, finished_at=utcnow())
    jobs.log_path(job.id).write_text("combined 20 frames\n")

    path = post(client, "getOperations")["msg"][0]["logPath"]

    assert client.get(f"/media/{path}", buffered=True).text == "combined 20 frames\n"


def test_progress_counts_reduced_frames(client: FlaskClient) -> None:
    make_frame("science", level=Level.REDUCED)
    make_frame("science", level=Level.REDUCED, is_valid=False)
    make_frame("science")

    assert post(client, "getOperationsStats")["msg"] == {
        "Final Tiles Count": 0,
        "Fields With Coaddeds": 0,
        "Done Processed Images": 1,
        "Field with 12 filters": 0,
    }


# The log


@pytest.fixture
def main_log(app: Flask) -> Path:
    log = paths.current().main_log
    log.write_text("one\ntwo\n")
    return log


def test_log_is_newest_first(client: FlaskClient, main_log: Path) -> None:
    assert post(client, "get_logs")["msg"] == {"main": ["two", "one"]}


def test_cleared_log_begins_anew_and_loses_no_line(
    staff_client: FlaskClient, client: FlaskClient, main_log: Path
) -> None:
    job_log = jobs.log_path(1)
    job_log.write_text("kept\n")

    assert post(staff_client, "clear_logs") == {"status": True, "msg": "cleared"}
    with main_log.open("a") as stream:
        stream.write("three\n")

    assert post(client, "get_logs")["msg"] == {"main": ["three"]}
    assert main_log.read_text() == "one\ntwo\nthree\n"
    assert job_log.read_text() == "kept\n"


def test_log_that_was_set_aside_is_shown_from_its_beginning(
    staff_client: FlaskClient, main_log: Path
) -> None:
    post(staff_client, "clear_logs")
    main_log.rename(main_log.with_suffix(".1"))
    main_log.write_text("new\n")

    assert post(staff_client, "get_logs")["msg"] == {"main": ["new"]}


def test_long_log_is_cut_at_a_line(client: FlaskClient, main_log: Path) -> None:
    main_log.write_text("".join(f"line {number:07d}\n" for number in range(200_000)))

    lines = post(client, "get_logs")["msg"]["main"]

    assert lines[0] == "line 0199999"
    assert {len(line) for line in lines} == {12}
    assert 50_000 < len(lines) < 200_000


# Settings


def test_settings_are_shown_by_section_and_no_secret_among_them(client: FlaskClient) -> None:
    shown = post(client, "getConf")["msg"]

    assert shown["calibration"]["thin_frames"] == 5
    assert shown["reduction"]["cosmic_rays"] is True
    assert "server" not in shown
    assert "secret" not in str(shown)


def test_setting_is_changed_from_a_string_and_noted(staff_client: FlaskClient, staff: User) -> None:
    for value, wanted in (("false", False), (True, True), ("0", False)):
        answer = post(
            staff_client, "setItemConf", section="reduction", item="cosmic_rays", value=value
        )
        assert answer == {"msg": "Set value."}
        assert settings.snapshot().flag("reduction.cosmic_rays") is wanted
    assert {entry.user_id for entry in db.session.query(AuditEntry)} == {staff.id}


def test_a_changed_threshold_has_frames_marked_anew(staff_client: FlaskClient) -> None:
    make_sky_frame()

    post(staff_client, "setItemConf", section="quality", item="clouds_mag", value="0.2")

    assert [job.function for job in db.session.query(Job)] == ["quality.mark_all"]


@pytest.mark.parametrize(
    ("section", "item", "value"),
    [
        ("reduction", "clip_sigma", "many"),
        ("nowhere", "x", "1"),
        ("server", "database_url", "sqlite://"),
        ("jobs", "lease_s", [1]),
    ],
)
def test_setting_that_cannot_be_is_refused(
    staff_client: FlaskClient, section: str, item: str, value: object
) -> None:
    answer = post(staff_client, "setItemConf", section=section, item=item, value=value)

    assert set(answer) == {"error"}
    assert answer["error"]


@pytest.fixture
def stored(app: Flask) -> Path:
    folder = paths.current().data / "CONFIG"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("name", ["dome", "dome.toml"])
def test_named_settings_are_loaded(staff_client: FlaskClient, stored: Path, name: str) -> None:
    (stored / "dome.toml").write_text('[site]\nname = "Dome 2"\n[reduction]\nclip_sigma = 4\n')

    assert post(staff_client, "set_conf", config_name=name) == {"msg": "Loaded config file."}
    assert settings.snapshot().text("site.name") == "Dome 2"
    assert settings.snapshot().number("reduction.clip_sigma") == 4.0


@pytest.mark.parametrize(
    "text",
    [
        "[site\n",
        '[site]\nname = "X"\n[nowhere]\na = 1\n',
        '[site]\nname = "X"\n[jobs]\nlease_s = "long"\n',
        'name = "X"\n',
        '[site]\nname = "X"\n[server]\nworkers = 5\n',
    ],
)
def test_settings_with_a_mistake_are_loaded_not_at_all(
    staff_client: FlaskClient, stored: Path, text: str
) -> None:
    (stored / "dome.toml").write_text(text)

    answer = post(staff_client, "set_conf", config_name="dome")

    assert answer["error"] == "Could not load config file."
    assert answer["detail"]
    assert settings.snapshot().text("site.name") == "Observatory"


def test_no_settings_are_loaded_from_outside_the_folder(
    staff_client: FlaskClient, stored: Path
) -> None:
    outside = stored.parent.parent / "outside.toml"
    outside.write_text('[site]\nname = "Mallory"\n')
    (stored / "link.toml").symlink_to(outside)

    for name in ("../../outside", str(outside), "link", "a/b", "..", ".", "CON FIG"):
        answer = post(staff_client, "set_conf", config_name=name)
        assert answer == {"error": "Config file does not exist."}, name
    assert settings.snapshot().text("site.name") == "Observatory"


# Scanning


@pytest.mark.parametrize("path", ["RAW/2026-11-20", "2026-11-20", "RAW", ""])
def test_scan_is_queued(client: FlaskClient, path: str) -> None:
    (paths.current().raw / "2026-11-20").mkdir(parents=True)

    answer = post(client, "scan_folder", path=path, contains="bias, flat")

    assert answer["status"] is True
    assert answer["msg"]["msg"] == "Scanning..."
    assert db.session.get_one(Job, answer["msg"]["job"]).function == "ingest.scan_folder"


@pytest.mark.parametrize("path", ["..", "../../etc", "/etc", "RAW/../../..", None, "MASTERS"])
def test_nothing_outside_raw_is_scanned(client: FlaskClient, path: str | None) -> None:
    answer = post(client, "scan_folder", path=path)

    assert answer["status"] is False
    assert answer["msg"]


# SELECT


def test_select_answers_a_file_that_can_be_fetched(app: Flask, client: FlaskClient) -> None:
    select_role.set_up(app)
    make_frame("bias")
    query = "SELECT file_type, count(*) AS n FROM files_individualfiles GROUP BY file_type"

    answer = post(client, "rawQuery", query=query)

    assert (answer["msg"], answer["query"]) == ("TMP/query_result.csv", query)
    for name in (answer["msg"], answer["file"]):
        fetched = client.get(f"/media/{name}", buffered=True)
        assert fetched.text == "file_type,n\nBIAS,1\n"


@pytest.mark.parametrize(
    "query", ["drop table frames", "select * from users", "select * from nowhere", "PRAGMA x"]
)
def test_query_that_is_refused_says_why(app: Flask, client: FlaskClient, query: str) -> None:
    select_role.set_up(app)

    answer = post(client, "rawQuery", query=query)

    assert answer["error"] == "Error running query"
    assert len(answer["detail"]) > 20


def test_log_is_for_staff_where_frames_are_shown_to_members_only(
    client: FlaskClient, staff_client: FlaskClient, staff: User
) -> None:
    settings.change("access", "visibility", "members", by=staff)

    assert client.post("/reduction/get_logs").status_code == 403
    assert staff_client.post("/reduction/get_logs").status_code == 200


def test_dates_beyond_every_night_are_refused(client: FlaskClient) -> None:
    fields = {"type": "create", "startDate": "2026-01-01", "endDate": "9999-12-31"}

    answer = client.post("/reduction/biasblock", json=fields).get_json()

    assert answer["status"] is False
    assert "1900 to 2199" in answer["msg"]
