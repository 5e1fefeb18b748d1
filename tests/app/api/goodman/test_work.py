"""Putting files to work through the archive's API, and what a proposal sets for its own."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import db, transaction
from app.models import Block, Job, Proposal, User
from app.services import settings
from tests.app.services.test_reclassification import FLATS, raw, teach
from tests.conftest import client_of
from tests.factories import make_camera, make_frame, make_user

NIGHT = "2026-11-20"
BODIES: dict[str, dict[str, Any]] = {
    "json": {"json": {"night": NIGHT, "kind": "bias"}},
    "form": {"data": {"date": NIGHT, "kind": "bias"}},
    "multipart": {
        "data": {"start": NIGHT, "end": NIGHT, "kind": "bias"},
        "content_type": "multipart/form-data",
    },
    "form said to be json": {
        "data": f"date={NIGHT}&kind=bias",
        "content_type": "application/json",
    },
    "json said to be a form": {
        "data": f'{{"date": "{NIGHT}", "kind": "bias",}}',
        "content_type": "application/x-www-form-urlencoded",
    },
    "query": {"query_string": {"date": NIGHT, "kind": "bias"}},
}


@pytest.mark.parametrize("prefix", ["/api", "/gsp/api"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_calibrations_are_made_whatever_the_body(
    client: FlaskClient, prefix: str, body: dict[str, Any]
) -> None:
    camera = make_camera("STL-1001")
    ids = [make_frame("bias", camera_id=camera.id).id for _ in range(2)]

    response = client.post(f"{prefix}/files/calibrations/", **body)

    assert response.status_code == 202, response.text
    answer = response.get_json()
    block, job = db.session.scalars(select(Block)).one(), db.session.scalars(select(Job)).one()
    assert answer == {
        "detail": "2 files in 1 block; 1 job queued.",
        "blocks": [
            {
                "id": block.id,
                "kind": "bias",
                "filter": None,
                "camera": "STL-1001",
                "start": NIGHT,
                "end": NIGHT,
                "new": True,
                "files": ids,
            }
        ],
        "jobs": [
            {
                "id": job.id,
                "label": f"bias block {block.id}",
                "state": "queued",
                "block": block.id,
            }
        ],
        "left_out": [],
    }


def test_frames_are_reduced_by_id_or_by_what_they_show(client: FlaskClient) -> None:
    one, two = make_frame(object_name="NGC 2420"), make_frame(object_name="M 31")
    bad = make_frame(object_name="M 31", is_valid=False)

    by_id = client.post("/api/files/reduce/", json={"id": one.id}).get_json()
    by_object = client.post(
        "/api/files/reduce/", json={"date": NIGHT, "object": "m 31", "filter": "r"}
    ).get_json()

    assert by_id["blocks"][0]["files"] == [one.id]
    assert by_id["blocks"][0]["kind"] == "science"
    assert by_object["blocks"][0]["files"] == [two.id]
    assert [(o["id"], o["reason"]) for o in by_object["left_out"]] == [
        (bad.id, "it was set invalid")
    ]


@pytest.mark.parametrize(
    ("call", "body", "words"),
    [
        (
            "calibrations",
            {"date": "2026-11-21"},
            "No raw bias or dark or flat frames of 2026-11-21",
        ),
        ("calibrations", {}, "Say which files"),
        ("calibrations", {"date": NIGHT, "kind": "cake"}, "not a valid choice"),
        ("calibrations", {"date": "soon"}, "must be a date"),
        ("calibrations", {"start": "2026-11-22", "end": "2026-11-21"}, "is after the last"),
        ("calibrations", {"ids": ["x"]}, "integer"),
        ("calibrations", {"date": NIGHT, "camera": "Kodak"}, "no camera"),
        ("reduce", {}, "Say which files"),
        ("reduce", {"camera": "Simulated"}, "Say which files"),
        ("reduce", {"object": "M31"}, "No raw science frames match"),
        ("reclassify", {}, "Say which files"),
    ],
)
def test_order_that_cannot_be_met_says_why(
    client: FlaskClient, call: str, body: dict[str, Any], words: str
) -> None:
    response = client.post(f"/api/files/{call}/", json=body)

    assert response.status_code == 400
    assert words in response.text
    assert db.session.scalars(select(Job)).all() == []


def test_what_is_hidden_is_not_there_for_any_call(
    app: Flask, client: FlaskClient, staff: User
) -> None:
    with transaction():
        proposal = Proposal(code="2026A-7", pi=make_user("member"))
        db.session.add(proposal)
    hidden = make_frame(proposal_id=proposal.id, night=None).id
    settings.change("access", "visibility", "members", by=staff)

    for call in (
        *("calibrations", "reduce", "reclassify"),
        *("spectrum/extract", "spectrum/calibrate/wavelength"),
    ):
        answers = [client.post(f"/api/files/{call}/", json={"id": n}) for n in (hidden, 98765)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text == answers[1].text.replace("98765", str(hidden))


def test_reclassified_files_say_what_changed(client: FlaskClient) -> None:
    flat = raw("x-001.fits")
    teach(FLATS)

    answer = client.post("/api/files/reclassify/", json={"date": "2025-11-20"}).get_json()

    assert (answer["count"], answer["changed"]) == (1, 1)
    (result,) = answer["results"]
    assert (result["id"], result["obstype"], result["technique"]) == (flat.id, "FLAT", "Imaging")
    assert result["changed"]["kind"] == {"was": "science", "now": "flat"}


@pytest.mark.parametrize("prefix", ["/api", "/gsp/api"])
@pytest.mark.parametrize("call", ["extract", "calibrate/wavelength"])
def test_spectra_are_refused_by_the_name_of_the_file(
    client: FlaskClient, prefix: str, call: str
) -> None:
    frame = make_frame()

    by_id = client.post(f"{prefix}/files/spectrum/{call}/", json={"id": frame.id})
    by_name = client.post(f"{prefix}/files/spectrum/{call}/", data={"file_name": frame.file_name})
    neither = client.post(f"{prefix}/files/spectrum/{call}/", json={})

    for response in (by_id, by_name):
        assert response.status_code == 400
        assert response.get_json()["detail"].startswith(f"{frame.file_name} cannot be ")
        assert "later version" in response.text
    assert neither.status_code == 400
    assert neither.get_json()["detail"].startswith("A spectrum cannot be ")


# A proposal's own settings


@pytest.fixture
def proposal(app: Flask) -> Proposal:
    with transaction():
        found = Proposal(code="2026A-7", pi=make_user("leader"), members=[make_user("member")])
        db.session.add(found)
    return found


def client_named(app: Flask, name: str) -> FlaskClient:
    return client_of(app, db.session.scalars(select(User).where(User.username == name)).one())


@pytest.mark.parametrize("prefix", ["/api", "/gsp/api"])
def test_leader_sets_and_members_read_the_settings_of_a_proposal(
    app: Flask, proposal: Proposal, prefix: str
) -> None:
    call = f"{prefix}/proposals/{proposal.id}/settings/"
    leader, member = client_named(app, "leader"), client_named(app, "member")

    set_by = leader.patch(call, data={"min_bias": "10", "cosmic_ray_method": "none"})
    refused = member.patch(call, json={"min_bias": 4})
    read = member.get(call)

    assert set_by.status_code == 200, set_by.text
    assert refused.status_code == 403
    assert read.get_json() == {
        "id": proposal.id,
        "soar_id": "2026A-7",
        "settings": {
            "saturation_threshold": None,
            "cosmic_ray_method": "none",
            "technique": "default",
            "ignore_bias": False,
            "ignore_flats": False,
            "min_bias": 10,
            "min_flats": None,
        },
    }


def test_wrong_setting_is_refused_by_its_name(app: Flask, proposal: Proposal) -> None:
    call = f"/api/proposals/{proposal.id}/settings/"

    response = client_named(app, "leader").patch(
        call, json={"cosmic_ray_method": "dcr", "profile": "moffat", "min_bias": 3}
    )

    assert response.status_code == 400
    assert set(response.get_json()) == {"cosmic_ray_method", "profile"}
    assert proposal.reduction == {}


def test_settings_of_a_hidden_proposal_are_not_there(
    app: Flask, client: FlaskClient, proposal: Proposal, staff: User
) -> None:
    settings.change("access", "visibility", "members", by=staff)

    for method in (client.get, client.patch):
        here = method(f"/api/proposals/{proposal.id}/settings/", json={"min_bias": 3})
        nowhere = method("/api/proposals/98765/settings/", json={"min_bias": 3})
        assert (here.status_code, here.text) == (404, nowhere.text)
