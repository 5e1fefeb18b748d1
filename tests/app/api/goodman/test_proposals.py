"""Proposals over the archive's API: their shape, who may what, and every way a body is sent."""

from datetime import datetime
from itertools import product
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.db import db, transaction
from app.models import Group, Proposal, User
from app.services import accounts, settings
from tests.app.pages.conftest import CSRF, browser_of
from tests.conftest import client_of
from tests.factories import make_user

PERSON = [
    "id", "username", "last_login", "first_name", "last_name", "email",
    "is_staff", "is_active", "date_joined",
]  # fmt: skip
SERIALIZED = ["id", "soar_id", "semester", "title", "abstract", "user", "collaborators"]
ADD = {"email": "user@server.net", "action": "add"}


@pytest.fixture
def pi(app: Flask) -> User:
    return make_user("pi", email="pi@site.org")


@pytest.fixture
def eva(app: Flask) -> User:
    return make_user("eva", email="eva@site.org")


@pytest.fixture
def proposal(pi: User, eva: User) -> Proposal:
    with transaction():
        made = Proposal(code="2026B-001", semester="2026B", pi=pi, members=[eva])
        db.session.add(made)
    return made


@pytest.fixture
def pi_client(app: Flask, pi: User) -> FlaskClient:
    return client_of(app, pi)


def people_at(proposal: Proposal) -> str:
    return f"/api/proposals/collaborators/{proposal.id}/"


def emails(answer: dict[str, Any]) -> list[str]:
    return [person["email"] for person in answer["collaborators"]]


def test_a_proposal_is_serialized_as_documented_with_times_in_the_sites_zone(
    pi_client: FlaskClient, proposal: Proposal, staff: User
) -> None:
    settings.change("site", "timezone", "America/Santiago", by=staff)

    answer = pi_client.get(people_at(proposal)).get_json()

    assert list(answer) == SERIALIZED
    assert list(answer["user"]) == list(answer["collaborators"][0]) == PERSON
    assert (answer["soar_id"], answer["user"]["email"]) == ("2026B-001", "pi@site.org")
    joined = datetime.fromisoformat(answer["user"]["date_joined"])
    assert joined.utcoffset() is not None
    assert answer["user"]["date_joined"][-6:] in {"-03:00", "-04:00"}
    assert answer["user"]["last_login"] is None


def test_nobody_as_investigator_is_null(staff_client: FlaskClient) -> None:
    with transaction():
        db.session.add(Proposal(code="bare"))

    answer = staff_client.get("/api/proposals/1/").get_json()

    assert answer["user"] is None
    assert answer["collaborators"] == []


@pytest.mark.parametrize("prefix", ["/api", "/gsp/api"])
def test_list_is_paged_newest_first_and_its_links_keep_filter_and_prefix(
    staff_client: FlaskClient, prefix: str
) -> None:
    with transaction():
        db.session.add_all(Proposal(code=f"p{n}", semester="2026B") for n in range(21))
        db.session.add(Proposal(code="other", semester="2020A"))

    first = staff_client.get(f"{prefix}/proposals/?semester=2026b").get_json()
    second = staff_client.get(first["next"]).get_json()

    assert (first["count"], first["previous"], second["next"]) == (21, None, None)
    assert first["next"] == f"http://localhost{prefix}/proposals/?semester=2026b&page=2"
    ids = [row["id"] for row in first["results"] + second["results"]]
    assert ids == sorted(ids, reverse=True)
    assert list(first["results"][0]) == [*SERIALIZED, "groups", "proprietary_days"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("page=9", 404),
        ("page=0", 404),
        ("page=x", 400),
        ("semster=2026B", 400),
        ("soar_id=%00", 400),
    ],
)
def test_list_refuses_pages_and_filters_there_are_not(
    staff_client: FlaskClient, query: str, status: int
) -> None:
    assert staff_client.get(f"/api/proposals/?{query}").status_code == status


@pytest.mark.usefixtures("members_only")
def test_who_is_not_on_a_proposal_finds_nothing_of_it(
    client: FlaskClient, proposal: Proposal
) -> None:
    unknown = client.get("/api/proposals/999/")

    assert client.get("/api/proposals/").get_json()["count"] == 0
    assert client.get("/api/proposals/?soar_id=2026B-001").get_json()["results"] == []
    for call in (
        client.get(f"/api/proposals/{proposal.id}/"),
        client.patch(f"/api/proposals/{proposal.id}/", json={"title": "x"}),
        client.get(people_at(proposal)),
        client.get(people_at(proposal), query_string=ADD),
        client.post(people_at(proposal), json=ADD),
    ):
        assert (call.status_code, call.get_json()) == (404, unknown.get_json())


def test_who_sees_a_proposal_and_does_not_lead_it_gets_a_403_in_the_archives_words(
    app: Flask, client: FlaskClient, proposal: Proposal, eva: User
) -> None:
    for one in (client, client_of(app, eva)):
        for answer in (
            one.post(people_at(proposal), json=ADD),
            one.get(people_at(proposal), query_string=ADD),
            one.patch(f"/api/proposals/{proposal.id}/", json={"title": "x"}),
            one.post("/api/proposals/", json={"soar_id": "new"}),
        ):
            assert answer.status_code == 403
            assert answer.get_json()["detail"].startswith("You do not have permission")

    assert accounts.users_of_email("user@server.net") == []


def test_e_mails_are_for_the_people_of_a_proposal(
    app: Flask, client: FlaskClient, proposal: Proposal, eva: User
) -> None:
    def told(one: FlaskClient) -> set[str]:
        answers = (
            one.get(f"/api/proposals/{proposal.id}/").get_json(),
            one.get("/api/proposals/").get_json()["results"][0],
            one.get(people_at(proposal)).get_json(),
        )
        return {email for answer in answers for email in (answer["user"]["email"], *emails(answer))}

    assert told(client_of(app, eva)) == {"pi@site.org", "eva@site.org"}
    assert told(client) == {""}


WAYS: dict[str, dict[str, Any]] = {
    "json": {"json": ADD},
    "form": {"data": ADD},
    "form under JSON": {
        "data": "email=user%40server.net&action=add", "content_type": "application/json",
    },
    "JSON under form": {
        "data": '{"email": "user@server.net", "action": "add",}',
        "content_type": "application/x-www-form-urlencoded",
    },
    "trailing comma": {
        "data": '{"email": "user@server.net", "action": "add",}',
        "content_type": "application/json",
    },
    "query": {"query_string": ADD},
    "shouted": {"json": {"email": "USER@server.net", "action": "ADD"}},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_method_and_body_adds_somebody_under_both_prefixes(
    pi_client: FlaskClient, proposal: Proposal, way: str
) -> None:
    said = []
    for prefix, method in product(("/api", "/gsp/api"), ("GET", "POST", "PATCH", "PUT")):
        address = people_at(proposal).replace("/api", prefix)
        answer = pi_client.open(address, method=method, **WAYS[way])
        assert (answer.status_code, list(answer.get_json())) == (200, SERIALIZED)
        assert emails(answer.get_json())[1].lower() == "user@server.net"
        assert answer.headers["Cache-Control"] == "no-store"
        said.append(answer.headers["X-Outcome"])
        pi_client.post(address, json=ADD | {"action": "remove"})

    assert said == ["added and account created"] + ["added"] * 7


def test_removing_and_repeating_are_answered_alike(
    pi_client: FlaskClient, proposal: Proposal
) -> None:
    def do(email: str, action: str) -> str:
        answer = pi_client.get(people_at(proposal), json={"email": email, "action": action})
        assert answer.status_code == 200
        return answer.headers["X-Outcome"]

    assert [
        do("eva@site.org", "add"),
        do("eva@site.org", "remove"),
        do("eva@site.org", "remove"),
        do("never@site.org", "remove"),
    ] == ["already on it", "removed", "not on it", "not on it"]
    assert accounts.users_of_email("never@site.org") == []


def test_a_get_without_action_changes_nothing(pi_client: FlaskClient, proposal: Proposal) -> None:
    for body in ({}, {"json": {"email": "user@server.net"}}, {"json": {"action": None}}):
        assert emails(pi_client.get(people_at(proposal), **body).get_json()) == ["eva@site.org"]
    pi_client.head(people_at(proposal), query_string=ADD)

    assert accounts.users_of_email("user@server.net") == []


def test_a_get_that_changes_something_takes_a_token_and_no_browser(
    app: Flask, proposal: Proposal, pi: User
) -> None:
    browser = browser_of(app, pi)

    refused = browser.client.get(people_at(proposal), query_string=ADD)
    shown = browser.client.get(people_at(proposal))
    forged = browser.client.post(people_at(proposal), json=ADD)
    posted = browser.client.post(people_at(proposal), json=ADD, headers={"X-CSRFToken": CSRF})

    assert (refused.status_code, shown.status_code, forged.status_code) == (403, 200, 403)
    assert "takes a token" in refused.get_json()["detail"]
    assert emails(shown.get_json()) == ["eva@site.org"]
    assert posted.status_code == 200
    assert emails(posted.get_json()) == ["eva@site.org", "user@server.net"]


WRONG_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"action": "add"}, "email"),
    ({"email": "", "action": "add"}, "email"),
    ({"email": "no address", "action": "add"}, "email"),
    ({"email": "a@b\r\nc@d", "action": "add"}, "email"),
    ({"email": "nul\0@site.org", "action": "add"}, "email"),
    ({"email": ["a@b.de"], "action": "add"}, "email"),
    ({"email": "a@b.de", "action": "promote"}, "action"),
    ({"email": "a@b.de"}, "action"),
]


def test_what_cannot_be_done_is_refused_by_its_field(
    pi_client: FlaskClient, proposal: Proposal
) -> None:
    answers = [pi_client.post(people_at(proposal), json=body) for body, _ in WRONG_REQUESTS]

    assert {answer.status_code for answer in answers} == {400}
    assert [list(answer.get_json()) for answer in answers] == [[f] for _, f in WRONG_REQUESTS]
    assert all(isinstance(why, list) for one in answers for why in one.get_json().values())


def test_broken_json_is_refused_with_its_place(pi_client: FlaskClient, proposal: Proposal) -> None:
    answer = pi_client.get(
        people_at(proposal), data="{'email': 'a@b.de'}", content_type="application/json"
    )

    assert answer.status_code == 400
    assert "single quote" in answer.get_json()["detail"]


def test_staff_make_a_proposal_and_change_it(staff_client: FlaskClient, pi: User) -> None:
    with transaction():
        db.session.add(Group(name="class"))
    body = {
        "soar_id": "2026B-9",
        "title": "T",
        "user": "pi",
        "groups": "class",
        "proprietary_days": "30",
    }

    made = staff_client.post("/api/proposals/", json=body)
    address = f"/api/proposals/{made.get_json()['id']}/"
    changed = staff_client.patch(address, data={"proprietary_days": "", "semester": "2026B"})

    assert made.status_code == 201
    assert made.get_json() | {"id": 1} == changed.get_json() | {
        "id": 1, "semester": "", "proprietary_days": 30,
    }  # fmt: skip
    assert (changed.status_code, changed.get_json()["proprietary_days"]) == (200, None)
    assert changed.get_json()["user"]["username"] == "pi"
    assert changed.get_json()["groups"] == ["class"]


def test_the_investigator_is_named_in_every_way(staff_client: FlaskClient, pi: User) -> None:
    ways: list[Any] = ["pi", "PI@site.org", pi.id, {"username": "pi", "id": 7}, "new@site.org"]

    made = [
        staff_client.post("/api/proposals/", json={"soar_id": f"x{number}", "user": way})
        for number, way in enumerate(ways)
    ]

    assert [one.get_json()["user"]["username"] for one in made] == ["pi"] * 4 + ["new"]


def test_a_record_that_was_read_can_be_sent_back(
    staff_client: FlaskClient, proposal: Proposal
) -> None:
    record = staff_client.get(f"/api/proposals/{proposal.id}/").get_json()
    del record["collaborators"]

    answer = staff_client.patch(f"/api/proposals/{proposal.id}/", json=record | {"title": "New"})

    assert answer.status_code == 200
    assert answer.get_json() == staff_client.get(f"/api/proposals/{proposal.id}/").get_json()
    assert (answer.get_json()["title"], answer.get_json()["user"]["username"]) == ("New", "pi")


WRONG_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"soar_id": ""}, "soar_id"),
    ({"soar_id": "taken"}, "soar_id"),
    ({"user": "nobody"}, "user"),
    ({"user": {"id": 3}}, "user"),
    ({"user": "not@an@address"}, "user"),
    ({"user": ["pi"]}, "user"),
    ({"groups": ["none"]}, "groups"),
    ({"groups": [{}]}, "groups"),
    ({"proprietary_days": -1}, "proprietary_days"),
    ({"proprietary_days": "soon"}, "proprietary_days"),
    ({"proprietary_days": 1e30}, "proprietary_days"),
    ({"collaborators": []}, "collaborators"),
    ({"id": 77}, "id"),
    ({"titel": "x"}, "titel"),
    ({"title": "half \ud800"}, "title"),
]


def test_what_a_proposal_cannot_be_is_refused_by_the_name_of_the_wire(
    staff_client: FlaskClient, proposal: Proposal
) -> None:
    with transaction():
        db.session.add(Proposal(code="taken"))
    address = f"/api/proposals/{proposal.id}/"
    before = staff_client.get(address).get_json()

    answers = [staff_client.patch(address, json=body) for body, _ in WRONG_VALUES]

    assert {answer.status_code for answer in answers} == {400}
    assert [list(answer.get_json()) for answer in answers] == [[f] for _, f in WRONG_VALUES]
    assert staff_client.get(address).get_json() == before


def test_a_new_proposal_needs_its_code(staff_client: FlaskClient) -> None:
    answer = staff_client.post("/api/proposals/", json={"title": "x"})

    assert (answer.status_code, answer.get_json()) == (
        400,
        {"soar_id": ["This field is required."]},
    )
