import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import paths
from app.db import db
from app.models import Task, User
from app.services import groups, presets, task_files
from tests.app.pages.taskrows import make_task
from tests.app.services.rawfiles import fits_bytes
from tests.conftest import client_of, sign_in
from tests.factories import make_user

HERE = ["/api", "/stdweb/api"]


def upload(client: FlaskClient, address: str = "/api/tasks/", **fields: Any) -> Any:
    data = {"file": (io.BytesIO(fits_bytes()), "m31.fits"), **fields}
    return client.post(address, data=data)


def multipart(content: bytes) -> dict[str, Any]:
    """A form with a file, of which the test's client keeps no temporary file."""
    head = b"--xx\r\nContent-Disposition: form-data; name=file; filename=a.fits\r\n\r\n"
    kind = "multipart/form-data; boundary=xx"
    return {"data": head + content + b"\r\n--xx--\r\n", "content_type": kind}


@pytest.mark.parametrize("prefix", HERE)
def test_task_is_made_shown_and_deleted_at_both_places(client: FlaskClient, prefix: str) -> None:
    made = upload(client, f"{prefix}/tasks/", config='{"filter": "R"}').get_json()
    address = f"{prefix}/tasks/{made['id']}/"

    shown = client.get(address).get_json()
    deleted = client.delete(address)

    assert (shown["config"], shown["state"], shown["path"]) == (
        {"filter": "R"},
        "uploaded",
        str(made["id"]),
    )
    assert shown["created"].endswith("Z")
    assert (deleted.status_code, client.get(address).status_code) == (204, 404)


def test_other_peoples_task_is_refused_in_this_apis_words(app: Flask, observer: User) -> None:
    task = make_task(observer)
    other = client_of(app, make_user("other"))

    for path in ("", "state/", "files/", "files/image.fits", "preview/image.fits"):
        response = other.get(f"/api/tasks/{task.id}/{path}")
        assert response.status_code == 403
        assert response.get_json() == {"error": "Permission denied"}
    assert other.get("/api/tasks/").get_json() == []


def test_member_works_on_a_shared_task_and_cannot_delete_it(
    app: Flask, observer: User, staff: User
) -> None:
    member = make_user("member")
    groups.set_members(groups.create("collab", by=staff), [observer, member], by=staff)
    made = upload(client_of(app, observer), groups="collab").get_json()
    client = client_of(app, member)
    address = f"/api/tasks/{made['id']}/"

    changed = client.patch(address, json={"title": "ours"}).get_json()
    deleted = client.delete(address)

    assert (changed["title"], changed["groups"]) == ("ours", ["collab"])
    assert deleted.status_code == 403
    assert deleted.get_json() == {"error": "Permission denied"}


def test_browser_makes_a_task_with_its_csrf_token(app: Flask, observer: User) -> None:
    browser = sign_in(app.test_client(), observer, "right")

    refused = upload(browser)
    made = upload(browser, csrf_token="right")

    assert (refused.status_code, made.status_code) == (403, 201)


@pytest.mark.parametrize(
    "body",
    [
        {"config": {"filter": "R"}, "groups": ["collab"]},
        {"config": '{"filter": "R"}', "groups": "collab"},
        {"config": '{"filter": "R"}', "groups": '["collab"]'},
    ],
)
@pytest.mark.parametrize("kind", ["json", "data"])
def test_task_without_a_file_is_made_of_json_or_a_form(
    client: FlaskClient, observer: User, staff: User, body: dict[str, Any], kind: str
) -> None:
    if kind == "data" and not isinstance(body["config"], str):
        body = body | {"config": json.dumps(body["config"])}
    groups.set_members(groups.create("collab", by=staff), [observer], by=staff)
    preset = presets.save("usual", {"sn": 5}, by=staff)

    made = client.post(
        "/api/tasks/", **{kind: {"original_name": "x.fits", "preset": preset.id, **body}}
    )

    assert made.status_code == 201
    assert made.get_json() == {
        "id": made.get_json()["id"],
        "original_name": "x.fits",
        "title": "",
        "config": {"sn": 5, "filter": "R"},
        "groups": ["collab"],
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"original_name": "a\0b"}, "original_name"),
        ({"original_name": "x", "title": "\ud800"}, "title"),
        ({"original_name": "x", "config": {"a": "\0"}}, "config"),
        ({"original_name": "x", "config": [1]}, "config"),
        ({"original_name": "x", "groups": {"a": 1}}, "groups"),
        ({"original_name": "x", "groups": [["a"]]}, "groups"),
        ({"original_name": "x", "preset": "soon"}, "preset"),
        ({"original_name": "x", "preset": "9" * 40}, "preset"),
        ({"local_file": "a\0b"}, "local_file"),
        ({"local_file": "x", "ext": "first"}, "ext"),
        ({"title": "x"}, "non_field_errors"),
    ],
)
def test_field_nobody_can_use_is_named_with_what_is_wrong(
    client: FlaskClient, body: dict[str, Any], field: str
) -> None:
    response = client.post("/api/tasks/", json=body)

    assert response.status_code == 400
    (why,) = response.get_json()[field]
    assert why
    assert db.session.query(Task).count() == 0


def test_two_files_are_one_too_many(client: FlaskClient) -> None:
    files = [(io.BytesIO(fits_bytes()), f"{n}.fits") for n in range(2)]

    response = client.post("/api/tasks/", data={"file": files})

    assert response.get_json() == {"file": ["Send one file: a task has one image."]}


def test_parameter_no_step_could_work_with_is_refused_by_its_name(
    client: FlaskClient, observer: User
) -> None:
    task = make_task(observer)

    refused = client.post(
        f"/api/tasks/{task.id}/process/",
        json={"steps": ["inspect", "photometry"], "config": {"refine_order": 7}},
    )

    assert refused.status_code == 400
    assert refused.get_json() == {
        "error": "refine_order: 7 cannot be used: it takes a number of at least 1 and of at most 4"
    }


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 1)


SIDE = 60_000
CARDS = {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 2, "NAXIS1": SIDE, "NAXIS2": SIDE}
PROMISES = b"".join(f"{k:8}= {v:>20}".ljust(80).encode() for k, v in CARDS.items()) + b"END   "


@pytest.mark.parametrize(("name", "content", "why"), [
    ("a.fits", b"", "The submitted file is empty."),
    ("a.fits", fits_bytes()[:3000], "a.fits cannot be used: Truncated"),
    ("a.fits.gz", gzipped(fits_bytes())[:-40], "a.fits.gz cannot be used"),
    ("a.fits.gz", gzipped(PROMISES.ljust(2880) + bytes(20_000_000)), "an image of 60000 x 60000"),
    ("a.fits", b"no FITS file" * 300, "a.fits does not begin with SIMPLE"),
])  # fmt: skip
def test_upload_that_cannot_be_used_is_refused_and_leaves_nothing(
    client: FlaskClient, name: str, content: bytes, why: str
) -> None:
    before = files_below(paths.current().instance)

    refused = upload(client, file=(io.BytesIO(content), name))

    assert refused.status_code == 400
    assert why in refused.get_json()["file"][0]
    assert db.session.query(Task).count() == 0
    assert files_below(paths.current().instance) == before


def files_below(folder: Path) -> set[str]:
    """Return the files there, but for the database's own and the logs."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if "sqlite" not in name and not name.endswith(".log")}


def test_file_under_another_content_type_is_taken(client: FlaskClient) -> None:
    body = multipart(fits_bytes())["data"]

    response = client.post("/api/tasks/", data=body, content_type="application/octet-stream")

    assert (response.status_code, response.get_json()["original_name"]) == (201, "a.fits")


def test_list_is_whole_or_a_page_of_it(client: FlaskClient, observer: User) -> None:
    ids = [make_task(observer, title=f"t{n}").id for n in range(5)]
    address = "/api/tasks/?query=a.fits&limit=2"

    first = client.get(address).get_json()
    middle = client.get(first["next"]).get_json()
    last = client.get(middle["next"]).get_json()

    assert [line["id"] for line in client.get("/api/tasks/").get_json()] == ids[::-1]
    assert [line["id"] for line in middle["results"]] == [ids[2], ids[1]]
    assert (first["count"], first["previous"], last["next"]) == (5, None, None)
    assert middle["previous"].endswith("/api/tasks/?limit=2&query=a.fits")
    for limit in ("abc", "0", "-1", "1e3", "9" * 30):
        assert isinstance(client.get(f"/api/tasks/?limit={limit}").get_json(), list)


def test_browser_is_shown_a_page_that_runs_nothing(client: FlaskClient, observer: User) -> None:
    make_task(observer, title="<script>alert(1)</script>")

    page = client.get("/api/tasks/?query=<b>", headers={"Accept": "text/html,*/*;q=0.8"})

    assert page.mimetype == "text/html"
    assert "<script>" not in page.text
    assert "<b>" not in page.text
    assert client.get("/api/tasks/", headers={"Accept": "*/*"}).mimetype == "application/json"


def test_call_says_what_it_is(client: FlaskClient) -> None:
    told = client.options("/api/tasks/").get_json()

    assert list(told) == ["name", "description", "renders", "parses"]
    assert "tasks" in told["description"]


def test_malformed_json_is_refused_with_its_place(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)

    response = client.patch(f"/api/tasks/{task.id}/", data="{bad", content_type="application/json")

    assert response.status_code == 400
    assert response.get_json()["detail"].startswith("JSON parse error - Expecting property name")


def test_upload_too_large_and_disk_too_full_are_said_clearly(
    client: FlaskClient, staff_client: FlaskClient
) -> None:
    big = fits_bytes() + b"\0" * 3_000_000
    set_item: dict[str, Any] = {"section": "uploads", "item": "max_mb", "value": "1"}
    staff_client.post("/reduction/setItemConf", json=set_item)

    large = client.post("/api/tasks/", **multipart(big))
    set_item = {"section": "disk", "item": "reserve_mb", "value": 10**9}
    staff_client.post("/reduction/setItemConf", json=set_item)
    full = upload(client)

    assert large.status_code == 400
    assert "Too large: 1 MB (setting uploads.max_mb)" in large.get_json()["file"][0]
    assert full.status_code == 503
    assert "disk is full" in full.get_json()["detail"]
    assert db.session.query(Task).count() == 0


# Files


def test_files_are_put_listed_fetched_and_removed(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)
    address = f"/api/tasks/{task.id}/files/"

    stored = client.post(
        f"{address}sub/notes.txt", data={"file": (io.BytesIO(b"words"), "other.txt")}
    )
    listed = client.get(address).get_json()
    with client.get(f"{address}sub/notes.txt") as fetched:
        assert (fetched.data, fetched.mimetype) == (b"words", "application/octet-stream")
        assert "attachment" in fetched.headers["Content-Disposition"]
    removed = client.delete(f"{address}sub")

    assert (stored.status_code, stored.get_json()) == (201, {"path": "sub/notes.txt", "size": 5})
    assert [one["path"] for one in listed] == ["image.fits", "sub", "sub/notes.txt"]
    assert "Z" not in listed[0]["modified"]
    assert removed.status_code == 204
    assert client.delete(f"{address}sub").get_json() == {"detail": "File not found"}


def test_large_file_goes_to_the_disk(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)
    content = b"0123456789" * 1_000_000  # more than a request without a file may have

    stored = client.post(f"/api/tasks/{task.id}/files/table.csv", **multipart(content))

    assert stored.get_json() == {"path": "table.csv", "size": len(content)}
    assert task_files.locate(task, "table.csv").read_bytes() == content


def test_cutout_and_preview_are_pictures(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)

    for call in ("preview", "cutout"):
        response = client.get(f"/api/tasks/{task.id}/{call}/image.fits?format=png")
        assert (response.status_code, response.mimetype) == (200, "image/png")


def test_file_below_a_file_is_refused(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)

    answer = client.post(
        f"/api/tasks/{task.id}/files/image.fits/x.txt", data={"file": (io.BytesIO(b"x"), "x.txt")}
    )

    assert answer.status_code == 400
    assert str(task_files.folder(task)) not in answer.text


def test_groups_nested_too_deeply_are_no_json(client: FlaskClient) -> None:
    answer = client.post("/api/tasks/", data={"original_name": "x", "groups": "[" * 200_000})

    assert answer.status_code == 400
    assert answer.get_json() == {"groups": ["Value must be valid JSON."]}


# Steps


def test_step_that_comes_later_is_refused_by_its_name(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)

    response = client.post(f"/api/tasks/{task.id}/process/", json={"steps": ["subtraction"]})

    assert response.status_code == 400
    assert response.get_json()["error"].startswith("The step subtraction is not there yet")


@pytest.mark.parametrize("steps", ["inspect", "inspect,photometry"])
def test_steps_come_in_a_form_too(client: FlaskClient, observer: User, steps: str) -> None:
    task = make_task(observer)

    answer = client.post(f"/api/tasks/{task.id}/process/", data={"steps": steps}).get_json()

    assert answer["steps"] == steps.split(",")
    assert answer["celery_id"] == f"{task.job_id}-{4 * len(answer['steps']) + 1}"


def test_crop_without_a_body_and_with_too_much(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)

    assert client.post(f"/api/tasks/{task.id}/crop/").get_json()["status"] == "cropped"
    response = client.post(f"/api/tasks/{task.id}/crop/", data={"x1": "15"})

    assert response.status_code == 400
    assert "columns would be left" in response.get_json()["error"]


# The unofficial calls


def test_upload_with_steps_and_parameters_begins_at_once(client: FlaskClient) -> None:
    made = upload(
        client,
        "/api/tasks/upload/",
        target="M 31",
        do_inspect="on",
        do_photometry="true",
        sn="3.5",
        use_color="false",
        filter="R",
    )

    task = made.get_json()["task"]
    assert made.status_code == 201
    assert (task["state"], "inspect, photometry" in made.get_json()["message"]) == ("running", True)
    assert task["config"] == {"target": "M 31", "sn": 3.5, "use_color": False, "filter": "R"}


def test_upload_keeps_no_secret_of_the_form_and_ends_its_sentence_before_the_next(
    client: FlaskClient,
) -> None:
    made = upload(
        client, "/api/tasks/upload/", csrf_token="secret", zz="1", template_catalog="ps1"
    ).get_json()

    assert made["task"]["config"] == {"zz": 1, "template": "ps1"}
    assert f"Task {made['task']['id']} made. config: no step knows 'zz'" in made["message"]


def test_upload_with_a_step_that_comes_later_makes_no_task(client: FlaskClient) -> None:
    refused = upload(client, "/api/tasks/upload/", do_inspect="1", do_subtraction="1")

    assert refused.status_code == 400
    assert "subtraction" in refused.get_json()["error"]
    assert db.session.query(Task).count() == 0


@pytest.mark.parametrize("params", [{"sn": 3}, '{"sn": 3}'])
def test_action_queues_one_step_with_its_parameters(
    client: FlaskClient, observer: User, params: object
) -> None:
    task = make_task(observer)
    body = {"action": "photometry", "params": params, "template_catalog": "ps1"}

    answer = client.post(f"/api/tasks/{task.id}/action/", json=body)

    assert (answer.status_code, list(answer.get_json())) == (200, ["message"])
    assert (task.state, task.config) == ("running", {"sn": 3, "template": "ps1"})


def test_parameter_beside_those_of_an_action_is_told_its_place(
    client: FlaskClient, observer: User
) -> None:
    task = make_task(observer)
    body = {"action": "photometry", "params": {"template_catalog": "ps1"}}

    strange = client.post(f"/api/tasks/{task.id}/action/", json=body | {"sn": 3})
    taken = client.post(f"/api/tasks/{task.id}/action/", json=body)

    assert "go into params" in strange.get_json()["sn"][0]
    assert (taken.status_code, task.config) == (200, {"template": "ps1"})


@pytest.mark.parametrize("action", ["burn", "", "transients_simple"])
def test_action_that_cannot_be_done_is_refused(
    client: FlaskClient, observer: User, action: str
) -> None:
    task = make_task(observer)

    answer = client.post(f"/api/tasks/{task.id}/action/", json={"action": action})

    assert answer.status_code == 400
    assert answer.get_json()["error"]
    assert task.state == "uploaded"


def test_template_is_put_where_its_step_looks_for_it(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)
    address = f"/api/tasks/{task.id}/upload_template/"

    refused = client.post(address, data={"template_file": (io.BytesIO(b"no"), "t.fits")})
    taken = client.post(address, data={"template_file": (io.BytesIO(fits_bytes()), "t.fits")})

    assert (refused.status_code, taken.status_code) == (400, 200)
    assert task_files.locate(task, "custom_template.fits").read_bytes() == fits_bytes()


def test_log_of_acts_leads_to_the_task(
    client: FlaskClient, staff_client: FlaskClient, observer: User
) -> None:
    made = upload(client).get_json()

    page = staff_client.get("/people/audit/?action=task+made").text

    assert f"/tasks/{made['id']}/" in page
    assert "m31.fits" in page


def warnings_of(response: Any) -> str:
    """What an answer says beside its body."""
    return " ".join(response.headers.getlist("Warning"))


def test_field_that_process_does_not_know_is_refused_by_name(
    client: FlaskClient, observer: User
) -> None:
    task = make_task(observer)

    wrong = client.post(f"/api/tasks/{task.id}/process/", json={"steps": ["cleanup"], "sn": 3})
    stray = client.post(f"/api/tasks/{task.id}/process/", json={"steps": ["cleanup"], "stpes": 1})

    assert wrong.status_code == stray.status_code == 400
    said = "There is no such field; these are: steps, config. Parameters of steps go into config."
    assert wrong.get_json() == {"sn": [said]}
    assert stray.get_json() == {"stpes": ["There is no such field; these are: steps, config."]}
    db.session.refresh(task)
    assert task.job_id is None


@pytest.mark.parametrize(
    ("call", "body"),
    [("crop", {"x3": 1}), ("destripe", {"axis": "x"}), ("action", {"action": "inspect", "sn": 3})],
)
def test_field_that_a_repair_does_not_know_is_refused(
    client: FlaskClient, observer: User, call: str, body: dict[str, Any]
) -> None:
    task = make_task(observer)

    response = client.post(f"/api/tasks/{task.id}/{call}/", json=body)

    assert response.status_code == 400
    assert "There is no such field" in response.text


def test_parameter_that_no_step_knows_is_kept_and_told(client: FlaskClient, observer: User) -> None:
    task = make_task(observer)
    body = {"steps": ["inspect"], "config": {"spatial_ordr": 1, "sn": 4}}

    answer = client.post(f"/api/tasks/{task.id}/process/", json=body)
    quiet = client.post(
        f"/api/tasks/{make_task(observer).id}/process/", json={"steps": ["inspect"]}
    )

    (doubt,) = answer.get_json()["warnings"]
    assert answer.status_code == 200
    assert "'spatial_ordr'" in doubt
    assert "Is spatial_order meant?" in doubt
    assert "warnings" not in quiet.get_json()


def test_configuration_with_a_strange_name_is_stored_with_a_word_beside_the_answer(
    client: FlaskClient, observer: User
) -> None:
    task = make_task(observer)
    config = {"filter": "V", 'zz\u00e9\n"': 1}

    changed = client.patch(f"/api/tasks/{task.id}/", json={"config": config, "state": "x"})
    made = client.post("/api/tasks/", json={"original_name": "x.fits", "config": config})
    plain = client.patch(f"/api/tasks/{task.id}/", json={"config": {"filter": "V"}})

    assert changed.get_json()["config"] == made.get_json()["config"] == config
    assert "state: cannot be written" in warnings_of(changed)
    assert "no step knows 'zz\\xe9" in warnings_of(changed)
    assert "no step knows" in warnings_of(made)
    assert warnings_of(plain) == ""


def test_what_is_told_beside_an_answer_fits_the_headers_a_proxy_takes(
    client: FlaskClient, observer: User
) -> None:
    config = {f"{number:02d}" + "\u661f" * 60: 1 for number in range(12)}

    changed = client.patch(f"/api/tasks/{make_task(observer).id}/", json={"config": config})

    assert 0 < len(warnings_of(changed)) < 2500


def test_task_is_not_made_of_fields_nobody_knows(client: FlaskClient) -> None:
    response = client.post("/api/tasks/", json={"original_name": "x.fits", "filter": "R"})

    assert response.status_code == 400
    assert "go into config" in response.get_json()["filter"][0]
    assert db.session.query(Task).count() == 0


def test_list_refuses_a_filter_it_does_not_know(client: FlaskClient) -> None:
    response = client.get("/api/tasks/?username=alice")

    assert response.status_code == 400
    assert "query, state, user, limit, offset" in response.get_json()["username"][0]
    assert client.get("/api/tasks/?format=json").status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=abc", "limit: is no whole number"),
        ("limit=-5", "limit: is no whole number"),
        ("offset=1", "offset: counts only with limit"),
        ("limit=1&offset=x", "offset: is no whole number"),
        ("limit=1&offset=0", ""),
        ("", ""),
    ],
)
def test_page_that_cannot_be_given_is_told_beside_the_list(
    client: FlaskClient, observer: User, query: str, said: str
) -> None:
    make_task(observer)

    response = client.get(f"/api/tasks/?{query}")

    assert response.status_code == 200
    assert said in warnings_of(response)
    assert bool(said) == bool(warnings_of(response))


def test_filter_nothing_is_calibrated_in_is_refused_at_once(
    client: FlaskClient, observer: User
) -> None:
    task = make_task(observer)
    ask = f"/api/tasks/{task.id}/process/"

    wrong = client.post(ask, json={"steps": ["inspect"], "config": {"filter": "Q7"}})
    cleaned = client.post(ask, json={"steps": ["cleanup"], "config": {"filter": "Q7"}})

    assert wrong.status_code == 400
    assert wrong.get_json()["error"].startswith("filter: 'Q7' is none that is known here")
    assert " V R I " in wrong.get_json()["error"]
    assert cleaned.status_code == 200


@pytest.mark.parametrize("given", ["V", "sdssr", "Rc", "clear", "ZTF_g", " g "])
def test_filter_in_any_spelling_is_taken(client: FlaskClient, observer: User, given: str) -> None:
    ask = f"/api/tasks/{make_task(observer).id}/process/"

    response = client.post(ask, json={"steps": ["inspect"], "config": {"filter": given}})

    assert response.status_code == 200
