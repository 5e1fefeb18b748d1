"""What a browser is protected by: a token in every form, headers on every answer."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import IntegerConverter, Rule

from app.models import User
from tests.conftest import sign_in
from tests.factories import make_block, make_frame

CSRF = "csrf-of-this-session"
_OPEN_FORMS = {"pages.submit_sign_in", "pages.accept_invitation"}  # worded on the form itself


def address_of(rule: Rule) -> str:
    values: dict[str, object] = {
        name: 1 if isinstance(converter, IntegerConverter) else "2026-11-20"
        for name, converter in rule._converters.items()
    }
    return (rule.build(values) or ("", ""))[1]


def forms(app: Flask) -> Iterator[tuple[str, str, str]]:
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}:
            yield rule.endpoint, method, address_of(rule)


def pages(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or set()) and rule.endpoint != "pages.stream_events":
            yield rule.endpoint, address_of(rule)


@pytest.fixture
def browser(app: Flask, staff: User) -> FlaskClient:
    make_block("sci", [make_frame()])
    return sign_in(app.test_client(), staff, CSRF)


@pytest.mark.parametrize(
    "forged",
    [
        {},
        {"data": {"csrf_token": ""}},
        {"data": {"csrf_token": "wrong"}},
        {"headers": {"X-CSRFToken": "wrong"}},
        {"data": {"csrf_token": f"{CSRF}x"}},
        {"query_string": {"csrf_token": CSRF}},
        {"headers": {"Origin": "https://evil.example", "Referer": "https://evil.example/"}},
        {"headers": {"Content-Type": "text/plain"}, "data": f"csrf_token={CSRF}"},
        {"json": {"csrf_token": CSRF}},
        {"data": b"csrf_token=%ED%A0%80", "content_type": "application/x-www-form-urlencoded"},
    ],
    ids=lambda forged: str(forged)[:60],
)
def test_no_form_is_taken_that_another_site_could_have_sent(
    app: Flask, browser: FlaskClient, forged: dict[str, Any]
) -> None:
    known = list(forms(app))

    taken = []
    for endpoint, method, address in known:
        status = browser.open(address, method=method, **forged).status_code
        if status != 403 and not (endpoint in _OPEN_FORMS and status in {400, 403, 404}):
            taken.append((endpoint, method, status))

    assert len(known) > 80
    assert taken == []


def test_a_form_with_its_token_is_taken(browser: FlaskClient) -> None:
    form = {"csrf_token": CSRF, "comment": "good"}

    assert browser.post("/frames/1/comment/", data=form).status_code == 303
    by_header = {"X-CSRFToken": CSRF}
    assert browser.post("/frames/1/comment/", data={}, headers=by_header).status_code == 303


def test_every_answer_has_the_headers_that_keep_it_harmless(
    app: Flask, browser: FlaskClient
) -> None:
    wrong = []
    known = [*pages(app), ("nothing", "/nothing/"), ("nothing", "/api/nothing/")]
    for endpoint, address in known:
        with browser.get(address) as response:
            policy = response.headers.get("Content-Security-Policy", "")
            is_good = (
                "default-src 'self'" in policy
                and "frame-ancestors 'none'" in policy
                and "object-src 'none'" in policy
                and "base-uri 'self'" in policy
                and "form-action 'self'" in policy
                and "unsafe" not in policy
                and "*" not in policy
                and response.headers.get("X-Content-Type-Options") == "nosniff"
                and response.headers.get("X-Frame-Options") == "DENY"
                and response.headers.get("Referrer-Policy") == "same-origin"
                and "Access-Control-Allow-Origin" not in response.headers
            )
            if response.mimetype == "text/html" and endpoint != "static":
                is_good = is_good and response.headers.get("Cache-Control") == "no-store"
                text = response.get_data(as_text=True)
                is_good = is_good and not re.search(r"<script(?![^>]*\ssrc=)", text)
                is_good = is_good and not re.search(r'\son\w+="', text)
            if not is_good:
                wrong.append((address, response.status_code, dict(response.headers)))

    assert len(known) > 60
    assert wrong == []


def test_no_answer_to_one_person_is_kept_for_another(app: Flask, browser: FlaskClient) -> None:
    shared = []
    for endpoint, address in pages(app):
        with browser.get(address) as response:
            if endpoint != "static" and "public" in response.headers.get("Cache-Control", ""):
                shared.append(address)

    assert shared == []


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(
    app: Flask, stranger: FlaskClient
) -> None:
    cookie = stranger.get("/sign-in/").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_session_begins_anew_with_the_sign_in(app: Flask, observer: User) -> None:
    browser = app.test_client()
    browser.get("/sign-in/")
    with browser.session_transaction() as session:
        session["planted"] = "by another"
        before = session["csrf"]

    form = {"username": observer.username, "password": "night-sky-7", "csrf_token": before}
    assert browser.post("/sign-in/", data=form).status_code == 303

    with browser.session_transaction() as session:
        assert "planted" not in session
        assert session.get("csrf") != before


@pytest.mark.parametrize("wanted", [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)",
    "http:evil.example", "/%0d%0aSet-Cookie:x", "\t//evil.example", "/\t/evil.example",
    "///evil.example", "/\r\nLocation: https://evil.example",
])  # fmt: skip
def test_signing_in_leads_nowhere_else(app: Flask, observer: User, wanted: str) -> None:
    browser = app.test_client()
    browser.get("/sign-in/")
    with browser.session_transaction() as session:
        token = session["csrf"]

    form = {"username": observer.username, "password": "night-sky-7", "csrf_token": token}
    answer = browser.post("/sign-in/", data=form | {"next": wanted})

    location = answer.headers["Location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert location.isprintable()
