"""The list of frames over all nights, as a page and as JSON."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.db import db, transaction
from app.models import Proposal, StoredSetting
from tests.app.pages.conftest import Browser
from tests.factories import make_camera, make_frame

JSON = {"Accept": "application/json"}
EVENING = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)


def listed(client: FlaskClient, query: str = "") -> dict[str, Any]:
    response = client.get(f"/frames/{query}", headers=JSON)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def ids(answer: dict[str, Any]) -> list[int]:
    return [record["id"] for record in answer["results"]]


def walk(client: FlaskClient, query: str) -> Iterator[dict[str, Any]]:
    """Every record, following `next`."""
    answer = listed(client, query)
    yield from answer["results"]
    while answer["next"]:
        parts = urlsplit(answer["next"])
        answer = listed(client, f"?{parts.query}")
        yield from answer["results"]


def refusal(client: FlaskClient, query: str) -> str:
    response = client.get(f"/frames/{query}", headers=JSON)
    assert response.status_code == 400, response.text
    return str(response.get_json()["detail"])


def test_record_is_json_with_times_in_utc(client: FlaskClient) -> None:
    make_frame(
        start_utc=datetime(2026, 11, 20, 22, 0, 1, 250_000, tzinfo=UTC), missing=["no flat in r"]
    )

    answer = listed(client)

    (record,) = answer["results"]
    assert answer["next"] is None
    assert record["start_utc"] == "2026-11-20T22:00:01.250000Z"
    assert record["night"] == "2026-11-20"
    assert record["missing"] == ["no flat in r"]
    assert (record["kind"], record["is_valid"], record["ra_deg"]) == ("science", True, None)


def test_hundred_at_first_and_the_rest_behind_next(client: FlaskClient) -> None:
    made = [make_frame(start_utc=EVENING + timedelta(seconds=n // 2)).id for n in range(103)]

    first = listed(client)

    assert len(first["results"]) == 100
    assert [record["id"] for record in walk(client, "")] == made[::-1]


def test_next_keeps_the_filters_the_length_and_the_format(client: FlaskClient) -> None:
    for _ in range(5):
        make_frame("flat", object_name="NGC 1")
        make_frame("bias")

    response = client.get("/frames/?kind=flat&object=ngc+1&limit=2&format=json&band=")

    query = urlsplit(response.get_json()["next"]).query
    assert query.startswith("kind=flat&object=ngc+1&limit=2&format=json&after=")
    assert len(list(walk(client, "?kind=flat&object=ngc+1&limit=2"))) == 5


def test_every_filter_of_the_address_is_honoured(client: FlaskClient) -> None:
    camera = make_camera()
    values: dict[str, Any] = {
        "night": date(2026, 11, 18),
        "start_utc": datetime(2026, 11, 19, 3, 0, tzinfo=UTC),
        "level": 2,
        "band": "V",
        "camera_id": camera.id,
        "object_name": "M 31",
        "is_valid": False,
        "is_thin": True,
        "file_name": "special.fits",
    }
    frame = make_frame("standard", **values)
    make_frame()
    filters = {
        "night": "2026-11-18",
        "to": "2026-11-18",
        "kind": "standard",
        "level": "reduced",
        "band": "V",
        "camera": "Simulated",
        "object": "m 31",
        "valid": "false",
        "state": "thin",
        "name_has": "SPECIAL",
    }

    found = {
        k: [r["id"] for r in listed(client, f"?{k}={v}")["results"]] for k, v in filters.items()
    }
    later = ids(listed(client, "?from=2026-11-19"))

    assert found == dict.fromkeys(filters, [frame.id])
    assert frame.id not in later
    assert len(later) == 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?filter=r", "filter: there is no such parameter; these are: after, band,"),
        ("?kind=dome", "kind: must be one of bias, dark,"),
        ("?level=6", "level: must be from 0 (raw) to 5"),
        ("?level=cooked", "level: must be a whole number"),
        ("?night=yesterday", "night: must be a date such as 2026-11-20"),
        ("?night=2026-11-20&to=2026-11-21", "night: cannot be given together with from or to"),
        ("?from=2026-13-01", "from: must be a date"),
        ("?camera=nowhere", "camera: there is no such camera; these are: none yet"),
        ("?valid=perhaps", "valid: must be true or false"),
        ("?state=lost", "state: must be one of invalid, unusable,"),
        ("?limit=0", "limit: must be from 1 to 1000"),
        ("?limit=1001", "limit: must be from 1 to 1000"),
        ("?limit=ten", "limit: must be a whole number"),
        ("?after=5", "after: must be taken from `next`"),
        ("?kind=bias&kind=flat", "kind: must be one value"),
        ("?format=json&format=html", "format: must be one value"),
        ("?name_has=%00", "name_has: contains characters that are not text"),
    ],
)
def test_parameter_that_cannot_be_honoured_is_refused_by_name(
    client: FlaskClient, query: str, said: str
) -> None:
    assert refusal(client, query).startswith(said)


def test_refusal_is_a_page_for_people(browser: Browser) -> None:
    response = browser.get("/frames/?format=xml")

    assert response.status_code == 400
    assert response.mimetype == "text/html"
    assert "must be one of html, json" in response.text


def test_people_get_a_page_and_programs_json(client: FlaskClient, browser: Browser) -> None:
    make_frame()

    assert browser.get("/frames/").mimetype == "text/html"
    assert client.get("/frames/").mimetype == "text/html"
    assert client.get("/frames/", headers=JSON).mimetype == "application/json"
    assert client.get("/frames/?format=json").mimetype == "application/json"
    assert client.get("/frames/?format=html", headers=JSON).mimetype == "text/html"


def test_page_shows_frames_of_all_nights_with_their_state(browser: Browser) -> None:
    camera = make_camera()
    frame = make_frame(camera_id=camera.id, object_name="<M 31>", is_valid=False)
    make_frame("bias", night=date(2026, 10, 1), missing=["no dark"])

    page = browser.text("/frames/")

    assert f'href="/frames/{frame.id}/"' in page
    assert "/night/2026-11-20/" in page
    assert "/night/2026-10-01/" in page
    assert "&lt;M 31&gt;" in page
    assert page.count('<span class="tag bad">invalid</span>') == 1
    assert page.count('<span class="tag bad">incomplete</span>') == 1
    assert "The next" not in page


def test_page_goes_on_with_the_same_filter(browser: Browser) -> None:
    made = [make_frame("flat").id for _ in range(3)]
    make_frame("bias")

    first = browser.text("/frames/?kind=flat&limit=2")
    link = first.partition("The next 2")[0].rpartition('href="')[2].partition('"')[0]
    second = browser.text(link.replace("&amp;", "&"))

    assert "<option selected>flat</option>" in second
    assert f"/frames/{made[0]}/" in second
    assert f"/frames/{made[2]}/" not in second


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "No frames yet."),
        ("?kind=arc", "No frame matches the filter."),
        ("?after=0.1", "There are no older frames."),
    ],
)
def test_page_without_frames_says_why(browser: Browser, query: str, said: str) -> None:
    assert said in browser.text(f"/frames/{query}")


def test_frames_of_others_are_in_nobodys_list(
    app: Flask, client: FlaskClient, staff_client: FlaskClient
) -> None:
    with transaction():
        proposal = Proposal(code="2026B-0001")
        db.session.add(proposal)
        db.session.add(StoredSetting(section="access", item="visibility", value="members"))
    private = make_frame(proposal_id=proposal.id)
    common = make_frame("bias")

    assert ids(listed(client)) == [common.id]
    assert private.id in ids(listed(staff_client))


def test_stranger_gets_nothing(stranger: FlaskClient) -> None:
    make_frame()

    assert stranger.get("/frames/", headers=JSON).status_code == 401
    assert stranger.get("/frames/?format=json").status_code == 302
