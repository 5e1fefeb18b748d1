"""Promises that hold for every route of the house, whoever adds the next one."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import IntegerConverter, Rule

from app.api.auth import PUBLIC
from app.models import User
from app.services import accounts
from tests.conftest import sign_in

# What must stay open; another one is added here and in `auth.PUBLIC`, each time for a reason.
OPEN = {
    "static",
    "pages.sign_in",
    "pages.submit_sign_in",
    "pages.show_welcome",
    "pages.accept_invitation",
    "health.healthz",
    "splus.login",
    "stdweb.obtain_token",
    "stdweb_prefixed.obtain_token",
    "stdweb.list_reference",
    "stdweb.show_reference",
    "stdweb_prefixed.list_reference",
    "stdweb_prefixed.show_reference",
    "bhtom.obtain_token",
    "atlas.obtain_token",
    "splus.media",
}
OUR_PAGES = "pages."


def sample(rule: Rule) -> dict[str, object]:
    """A value for each part of an address that has the type the address wants."""
    converters = rule._converters
    return {name: 1 if isinstance(c, IntegerConverter) else "x" for name, c in converters.items()}


def calls(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Endpoint, method and address of every route that is not open."""
    for rule in app.url_map.iter_rules():
        _, address = rule.build(sample(rule)) or ("", "")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if rule.endpoint not in PUBLIC:
                yield rule.endpoint, method, address


def test_open_routes_are_exactly_the_known_ones() -> None:
    assert set(PUBLIC) == OPEN


def test_every_face_answers_a_stranger_with_401(app: Flask, stranger: FlaskClient) -> None:
    answers = {
        (method, address): stranger.open(address, method=method).status_code
        for endpoint, method, address in calls(app)
        if not endpoint.startswith(OUR_PAGES)
    }

    assert len(answers) > 30
    assert {call for call, status in answers.items() if status != 401} == set()


def test_every_page_sends_a_stranger_to_sign_in(app: Flask, stranger: FlaskClient) -> None:
    wrong = []
    pages = [call for call in calls(app) if call[0].startswith(OUR_PAGES)]
    for _, method, address in pages:
        response = stranger.open(address, method=method)
        location = urlsplit(response.headers.get("Location", ""))
        wanted = "" if method != "GET" else f"next={address}"
        if (response.status_code, location.path, location.query) != (302, "/sign-in/", wanted):
            wrong.append((method, address, response.status_code, location))

    assert len(pages) > 30
    assert wrong == []


def test_every_route_refuses_a_token_nobody_has(app: Flask, stranger: FlaskClient) -> None:
    headers = {"Authorization": f"Token {'0' * 40}"}

    answers = {
        (method, address): stranger.open(address, method=method, headers=headers).status_code
        for _, method, address in calls(app)
    }

    assert {call for call, status in answers.items() if status != 401} == set()


def test_every_route_that_changes_something_wants_the_csrf_token(
    app: Flask, observer: User
) -> None:
    browser = sign_in(app.test_client(), observer, "right")

    answers = {
        (method, address): browser.open(address, method=method).status_code
        for _, method, address in calls(app)
        if method != "GET"
    }

    assert {call for call, status in answers.items() if status != 403} == set()


@pytest.mark.parametrize("address", ["/api/nothing/", "/reduction/nothing", "/forcedphot/nothing/"])
def test_unknown_address_of_a_face_is_a_json_404(client: FlaskClient, address: str) -> None:
    response = client.get(address)

    assert response.status_code == 404
    assert response.get_json() == {"detail": "Not found."}


def test_unknown_page_is_an_html_404_with_a_sentence(client: FlaskClient) -> None:
    response = client.get("/nothing/")

    assert response.status_code == 404
    assert response.mimetype == "text/html"
    assert "nothing at this address" in response.text


def test_every_answer_forbids_what_is_not_ours(stranger: FlaskClient, observer: User) -> None:
    key = accounts.issue_token(observer)
    for address in ("/sign-in/", "/nights/", "/static/style.css", "/api/files/", "/nothing/"):
        with stranger.get(address, headers={"Authorization": f"Bearer {key}"}) as response:
            headers = response.headers

        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
