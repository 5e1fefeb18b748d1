import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.api import throttle
from app.models import User
from app.services import accounts, browser_sessions, invitations
from tests.app.pages.conftest import Browser, browser_of

NEW = "chosen-by-me-1"


@pytest.fixture
def guest(app: Flask) -> User:
    return accounts.create_user("guest")


@pytest.fixture
def link(guest: User, staff: User) -> str:
    return f"/welcome/{invitations.invite(guest, by=staff)}/"


def fill_in(client: FlaskClient, link: str, **fields: str) -> tuple[int, str]:
    """Fill in the form as a browser does; the status and the page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(link).text)
    assert found is not None
    data = {"csrf_token": found[1], "password": NEW, "again": NEW} | fields
    response = client.post(link, data=data)
    return response.status_code, response.text


def test_guest_sets_a_password_and_is_signed_in(stranger: FlaskClient, link: str) -> None:
    assert "guest" in stranger.get(link).text

    status, _ = fill_in(stranger, link)

    assert status == 303
    assert "guest" in stranger.get("/account/").text
    assert accounts.authenticate("guest", NEW).last_login is not None


def test_link_works_once(app: Flask, stranger: FlaskClient, link: str) -> None:
    other = app.test_client()
    other.get(link)
    fill_in(stranger, link)

    for response in (other.get(link), other.post(link, data={"password": NEW, "again": NEW})):
        assert response.status_code == 404
        assert "used, replaced or is too old" in response.text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"again": "another-one-1"}, "The two passwords differ"),
        ({"password": "short", "again": "short"}, "too short"),
        ({"password": "x" * 1001, "again": "x" * 1001}, "too long"),
        ({"password": "with-a-\0-in-it", "again": "with-a-\0-in-it"}, "not text"),
        ({"csrf_token": "guessed"}, "open for too long"),
    ],
)
def test_form_says_what_is_wrong_and_the_link_stays_good(
    stranger: FlaskClient, link: str, guest: User, fields: dict[str, str], sentence: str
) -> None:
    status, page = fill_in(stranger, link, **fields)

    assert status == 400
    assert sentence in page
    assert guest.password_hash is None
    assert fill_in(stranger, link)[0] == 303


def test_guessing_keys_is_throttled(stranger: FlaskClient, link: str) -> None:
    number = throttle.PER_ADDRESS.amount

    guesses = {stranger.get(f"/welcome/{number}/").status_code for number in range(number)}
    then = stranger.get(link)

    assert guesses == {404}
    assert then.status_code == 429
    assert then.headers["Retry-After"]


@pytest.mark.parametrize("key", ["%00", "%ED%A0%80", "x" * 3000, "é", "'--"])
def test_nonsense_for_a_key_is_a_page_that_says_so(
    stranger: FlaskClient, link: str, key: str
) -> None:
    for response in (stranger.get(f"/welcome/{key}/"), stranger.post(f"/welcome/{key}/")):
        assert response.status_code == 404
        assert "Ask staff for a new one" in response.text


def test_link_opened_by_somebody_signed_in_changes_who_is(
    app: Flask, browser: Browser, observer: User, link: str
) -> None:
    response = browser.post(link, password=NEW, again=NEW)

    assert response.status_code == 303
    assert ">guest</a>" in browser.text("/account/")
    assert browser_sessions.of(observer) == []


def test_other_browsers_of_the_account_are_signed_out(
    app: Flask, stranger: FlaskClient, guest: User, link: str
) -> None:
    elsewhere = browser_of(app, guest)

    fill_in(stranger, link)

    assert elsewhere.get("/account/").status_code == 302
    assert stranger.get("/account/").status_code == 200
