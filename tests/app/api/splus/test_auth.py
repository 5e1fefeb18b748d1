"""Signing in by the S-PLUS calls, and what tokens do there."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.db import db
from app.models import Token, User
from tests.conftest import sign_in

GOOD = {"username": "observer", "password": "night-sky-7"}
USER_KEYS = {"id", "username", "first_name", "email"}


def test_login_answers_user_and_token(stranger: FlaskClient, observer: User) -> None:
    for sent in ({"json": GOOD}, {"data": GOOD}, {"json": GOOD | {"first_name": None}}):
        response = stranger.post("/reduction/auth/login", **sent)

        answer = response.get_json()
        assert response.status_code == 200
        assert set(answer) == {"user", "token"}
        assert set(answer["user"]) == USER_KEYS
        assert re.fullmatch("[0-9a-f]{40}", answer["token"])


def test_both_schemes_are_taken(stranger: FlaskClient, observer: User) -> None:
    token = stranger.post("/reduction/auth/login/", json=GOOD).get_json()["token"]

    for scheme in ("Token", "Bearer", "bearer", "TOKEN"):
        headers = {"Authorization": f"{scheme} {token}"}
        answer = stranger.get("/reduction/auth/user", headers=headers)
        assert (answer.status_code, answer.get_json()["username"]) == (200, "observer")
    assert stranger.get("/reduction/auth/user").status_code == 401


@pytest.mark.parametrize(
    "sent", [{**GOOD, "password": "wrong"}, {**GOOD, "username": "nobody"}, {**GOOD, "username": 5}]
)
def test_wrong_credentials_are_one_answer(
    stranger: FlaskClient, observer: User, sent: dict[str, str]
) -> None:
    response = stranger.post("/reduction/auth/login", json=sent)

    assert response.status_code == 400
    assert response.get_json() == {"non_field_errors": ["Incorrect Credentials"]}


@pytest.mark.parametrize(("field", "left"), [("username", "password"), ("password", "username")])
def test_missing_credential_is_named(stranger: FlaskClient, field: str, left: str) -> None:
    for sent in ({left: GOOD[left]}, {left: GOOD[left], field: None}, {left: "x", field: ""}):
        response = stranger.post("/reduction/auth/login", json=sent)
        assert response.status_code == 400
        assert response.get_json() == {field: ["This field is required."]}


def test_guessing_is_slowed_down(stranger: FlaskClient, observer: User) -> None:
    for _ in range(5):
        stranger.post("/reduction/auth/login", json={**GOOD, "password": "wrong"})

    response = stranger.post("/reduction/auth/login", json=GOOD)

    wait = int(response.headers["Retry-After"])
    assert response.status_code == 429
    assert 0 < wait <= 60
    assert response.get_json() == {
        "detail": f"Request was throttled. Expected available in {wait} seconds."
    }


def test_logout_ends_the_token_it_came_with_only(stranger: FlaskClient, observer: User) -> None:
    tokens = [stranger.post("/reduction/auth/login", json=GOOD).get_json()["token"] for _ in "ab"]
    first, second = ({"Authorization": f"Token {token}"} for token in tokens)

    response = stranger.post("/reduction/auth/logout", headers=first)

    assert (response.status_code, response.data) == (204, b"")
    gone = stranger.get("/reduction/auth/user", headers=first)
    assert (gone.status_code, gone.get_json()) == (401, {"detail": "Invalid token."})
    assert stranger.get("/reduction/auth/user", headers=second).status_code == 200


def test_staff_make_accounts(staff_client: FlaskClient, stranger: FlaskClient) -> None:
    new = {"username": "amy", "email": "amy@example.org", "password": "long-enough-9"}

    made = staff_client.post("/reduction/auth/register", json=new)
    again = staff_client.post("/reduction/auth/register", json=new)

    assert made.status_code == 200
    assert set(made.get_json()["user"]) == USER_KEYS
    headers = {"Authorization": f"Bearer {made.get_json()['token']}"}
    assert stranger.get("/reduction/auth/user", headers=headers).get_json()["username"] == "amy"
    assert (again.status_code, list(again.get_json())) == (400, ["username"])


def test_observers_make_no_accounts(client: FlaskClient, stranger: FlaskClient) -> None:
    new = {"username": "amy", "email": "", "password": "long-enough-9"}

    assert client.post("/reduction/auth/register", json=new).status_code == 403
    assert stranger.post("/reduction/auth/register", json=new).status_code == 401
    assert db.session.query(User).filter_by(username="amy").count() == 0


def test_only_a_digest_of_the_token_is_kept(stranger: FlaskClient, observer: User) -> None:
    token = stranger.post("/reduction/auth/login", json=GOOD).get_json()["token"]

    assert token not in str([vars(row) for row in db.session.query(Token)])


def test_cookie_changes_nothing_without_its_csrf_token(app: Flask, observer: User) -> None:
    browser = sign_in(app.test_client(), observer, "c")

    without = browser.post("/reduction/auth/logout")
    with_it = browser.post("/reduction/auth/logout", headers={"X-CSRFToken": "c"})

    assert without.status_code == 403
    assert with_it.status_code == 204
    assert browser.get("/reduction/auth/user").status_code == 401
