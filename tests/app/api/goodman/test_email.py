"""Mail over the archive's API: to a proposal, to a file's, to some by name."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import db, transaction
from app.models import Job, Proposal, User
from app.services import settings
from tests import mailserver
from tests.conftest import client_of
from tests.factories import make_frame, make_user

LETTER = {"subject": "Clouds", "message": "We start again at 3 h."}


@pytest.fixture
def pi(app: Flask) -> User:
    return make_user("pi", email="pi@site.org")


@pytest.fixture
def proposal(pi: User) -> Proposal:
    with transaction():
        made = Proposal(code="2026B-001", pi=pi, members=[make_user("eva", email="eva@site.org")])
        db.session.add(made)
    return made


@pytest.fixture
def pi_client(app: Flask, pi: User) -> FlaskClient:
    mailserver.set_up(2525)
    return client_of(app, pi)


def jobs() -> list[Job]:
    return list(db.session.scalars(select(Job).order_by(Job.id)))


@pytest.mark.parametrize("prefix", ["/api", "/gsp/api"])
def test_a_letter_is_put_on_its_way_and_its_job_told(
    pi_client: FlaskClient, proposal: Proposal, prefix: str
) -> None:
    ways: list[dict[str, Any]] = [
        {"proposal": proposal.id},
        {"proposal": "2026b-001"},
        {"file_id": str(make_frame(proposal_id=proposal.id).id)},
        {"to": "pi, eva@site.org"},
        {"to": ["pi", "eva"]},
    ]

    answers = [pi_client.post(f"{prefix}/email/", json=LETTER | way) for way in ways]

    assert {answer.status_code for answer in answers} == {202}
    for answer, job in zip(answers, jobs(), strict=True):
        assert answer.get_json() == {
            "detail": "On its way to 2 people.",
            "job": job.id,
            "recipients": ["pi", "eva"],
        }
        assert (job.arguments["subject"], job.arguments["message"]) == tuple(LETTER.values())


def test_a_form_is_taken_too(pi_client: FlaskClient, proposal: Proposal) -> None:
    answer = pi_client.post("/api/email/", data=LETTER | {"proposal": "2026B-001"})

    assert answer.status_code == 202


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"proposal": "1", "subject": ""}, "subject"),
    ({"proposal": "1", "subject": "a\nBcc: all@site.org"}, "subject"),
    ({"proposal": "1", "message": None}, "message"),
    ({"proposal": "1", "message": "x" * 20_001}, "message"),
    ({"proposal": "1", "message": ["x"]}, "message"),
    ({}, "detail"),
    ({"proposal": "1", "to": "eva"}, "detail"),
    ({"to": "nobody"}, "to"),
    ({"to": "observer"}, "to"),
    ({"to": [{}]}, "to"),
    ({"proposal": "1", "cc": "eva"}, "cc"),
    ({"file_id": "x"}, "file_id"),
]


def test_a_letter_that_cannot_go_out_is_refused_with_what_is_wrong(
    pi_client: FlaskClient, proposal: Proposal, observer: User
) -> None:
    with transaction():
        observer.email = "observer@site.org"
    wrong = [*WRONG, ({"file_id": make_frame().id}, "file_id")]

    answers = [pi_client.post("/api/email/", json=LETTER | body) for body, _ in wrong]

    assert {answer.status_code for answer in answers} == {400}
    assert [list(answer.get_json()) for answer in answers] == [[field] for _, field in wrong]
    assert jobs() == []


def test_others_may_not_write_to_a_proposal_they_see(
    app: Flask, proposal: Proposal, observer: User
) -> None:
    mailserver.set_up(2525)
    frame = make_frame(proposal_id=proposal.id)
    client = client_of(app, observer)

    for to in ({"proposal": proposal.id}, {"file_id": frame.id}):
        answer = client.post("/api/email/", json=LETTER | to)
        assert answer.status_code == 403
        assert "2026B-001 and staff" in answer.get_json()["detail"]

    assert jobs() == []


def test_what_is_hidden_is_not_found_whether_it_is_there_or_not(
    app: Flask, proposal: Proposal, observer: User, staff: User
) -> None:
    mailserver.set_up(2525)
    settings.change("access", "visibility", "members", by=staff)
    frame = make_frame(proposal_id=proposal.id)
    client = client_of(app, observer)

    def answer(**to: Any) -> tuple[int, Any]:
        found = client.post("/api/email/", json=LETTER | to)
        return found.status_code, found.get_json()

    assert answer(proposal=proposal.id) == answer(proposal=999) == answer(proposal="2026B-001")
    assert answer(file_id=frame.id) == answer(file_id=999)
    assert (answer(proposal=999)[0], answer(file_id=999)[0]) == (404, 404)


def test_where_mail_is_not_set_up_a_409_names_the_settings_and_the_addresses(
    app: Flask, proposal: Proposal, pi: User
) -> None:
    answer = client_of(app, pi).post("/api/email/", json=LETTER | {"proposal": proposal.id})

    assert answer.status_code == 409
    assert answer.get_json()["missing"] == ["mail.smtp_host", "mail.sender"]
    assert answer.get_json()["addresses"] == ["pi@site.org", "eva@site.org"]
    assert "eva@site.org" in answer.get_json()["detail"]


def test_whoever_writes_too_often_is_told_when_to_go_on(
    pi_client: FlaskClient, proposal: Proposal
) -> None:
    mailserver.set_up(2525, per_hour=1)
    body = LETTER | {"proposal": proposal.id}
    pi_client.post("/api/email/", json=body)

    answer = pi_client.post("/api/email/", json=body)

    assert answer.status_code == 429
    assert 3500 <= int(answer.headers["Retry-After"]) <= 3600
