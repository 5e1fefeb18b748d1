"""Who is asking: tokens, sessions, and what each may not do."""

import json
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.api import throttle
from app.models import User
from app.services import accounts, browser_sessions
from tests.factories import make_user
from tests.realdata import needs_shared, shared

PASSWORD = "night-sky-7"
TOKEN_CALLS = (
    "/api/auth/token/",
    "/stdweb/api/auth/token/",
    "/api/token-auth/",
    "/forcedphot/api-token-auth/",
)


def sign_in(browser: FlaskClient, username: str = "observer", **fields: str) -> TestResponse:
    """Fill in the sign-in form as a browser does."""
    page = browser.get("/sign-in/").text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    data = {"username": username, "password": PASSWORD, "csrf_token": found[1]} | fields
    return browser.post("/sign-in/", data=data)


# Tokens


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "token", "bearer", "TOKEN"])
def test_token_is_taken_under_either_scheme(
    stranger: FlaskClient, observer: User, scheme: str
) -> None:
    key = accounts.issue_token(observer)

    response = stranger.get("/api/files/", headers={"Authorization": f"{scheme} {key}"})

    assert response.status_code == 200


@pytest.mark.parametrize("header", ["Token", "Token ", "Basic abc", "Token x y", "\xff", "é é"])
def test_bad_authorization_header_is_refused(stranger: FlaskClient, header: str) -> None:
    response = stranger.get("/api/files/", headers={"Authorization": header})

    assert response.status_code == 401
    assert response.get_json() == {"detail": "Invalid token."}


def test_bad_token_never_falls_back_to_the_cookie(stranger: FlaskClient, observer: User) -> None:
    sign_in(stranger)

    response = stranger.get("/api/files/", headers={"Authorization": "Token wrong"})

    assert response.status_code == 401


def test_csrf_header_is_ignored_with_a_token(client: FlaskClient) -> None:
    response = client.post("/reduction/auth/logout", headers={"X-CSRFToken": "anything"})

    assert response.status_code == 204


# The token calls of the faces


@pytest.mark.parametrize("address", TOKEN_CALLS)
@pytest.mark.parametrize("how", ["json", "form", "wrong type", "no slash"])
def test_token_call_gives_a_key_that_works(
    stranger: FlaskClient, observer: User, address: str, how: str
) -> None:
    fields = {"username": "observer", "password": PASSWORD}
    if how == "form":
        response = stranger.post(address, data=fields)
    elif how == "wrong type":
        form = "application/x-www-form-urlencoded"
        response = stranger.post(address, data=json.dumps(fields), content_type=form)
    else:
        slash = address.rstrip("/") if how == "no slash" else address
        response = stranger.post(slash, json=fields)

    assert response.status_code == 200
    body = response.get_json()
    assert list(body) == ["token"]
    assert re.fullmatch("[0-9a-f]{40}", body["token"])
    assert accounts.user_of_token(body["token"]) == observer


@pytest.mark.parametrize("address", TOKEN_CALLS)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"username": "observer", "password": "wrong"},
            {"non_field_errors": ["Unable to log in with provided credentials."]},
        ),
        ({}, {"username": ["This field is required."], "password": ["This field is required."]}),
        ({"username": "observer"}, {"password": ["This field is required."]}),
        ({"username": "", "password": "x"}, {"username": ["This field may not be blank."]}),
        ({"username": [], "password": "x"}, {"username": ["Not a valid string."]}),
    ],
)
def test_token_call_words_what_is_wrong(
    stranger: FlaskClient,
    observer: User,
    address: str,
    fields: dict[str, object],
    expected: dict[str, list[str]],
) -> None:
    response = stranger.post(address, json=fields)

    assert response.status_code == 400
    assert response.get_json() == expected


def test_token_call_by_get_is_not_allowed(stranger: FlaskClient) -> None:
    response = stranger.get("/forcedphot/api-token-auth/")

    assert response.status_code == 405
    assert response.get_json() == {"detail": 'Method "GET" not allowed.'}


def test_blanks_of_a_password_count(stranger: FlaskClient, app: Flask) -> None:
    make_user("blank", password=" with blanks ")

    right = stranger.post(
        "/api/token-auth/", json={"username": "blank", "password": " with blanks "}
    )
    wrong = stranger.post("/api/token-auth/", json={"username": "blank", "password": "with blanks"})

    assert (right.status_code, wrong.status_code) == (200, 400)


def test_inactive_user_gets_no_token_and_keeps_none(stranger: FlaskClient, observer: User) -> None:
    key = accounts.issue_token(observer)
    accounts.set_active(observer.id, False, by=make_user("boss", is_superuser=True))

    asked = stranger.post("/api/token-auth/", json={"username": "observer", "password": PASSWORD})
    used = stranger.get("/api/files/", headers={"Authorization": f"Token {key}"})

    assert (asked.status_code, used.status_code) == (400, 401)


@needs_shared
@pytest.mark.parametrize(
    ("record", "prefix"),
    [("stdweb_golden.jsonl", "/stdweb"), ("atlas_golden.jsonl", "/forcedphot")],
)
def test_token_calls_answer_as_the_recorded_servers(
    stranger: FlaskClient, observer: User, record: str, prefix: str
) -> None:
    lines = shared("contract", "golden", record).read_text().splitlines()
    recorded = [json.loads(line) for line in lines]
    exchanges = [e for e in recorded if "token" in Path(e["path"]).name and e["json"]]
    bodies = {
        "token ok": {"username": "observer", "password": PASSWORD},
        "token bad": {"username": "observer", "password": "wrong"},
        "token missing": {},
        "token GET": None,
    }

    for exchange in exchanges:
        body = next(b for label, b in bodies.items() if exchange["label"].startswith(label))
        response = stranger.open(prefix + exchange["path"], method=exchange["method"], json=body)

        assert response.status_code == exchange["status"], exchange["label"]
        assert response.mimetype == exchange["ctype"]
        given = response.get_json()
        assert given == exchange["json"] or list(given) == list(exchange["json"]) == ["token"]
    assert len(exchanges) >= 3


# Sign-in attempts


def test_attempts_for_one_name_are_throttled_across_all_doors(
    stranger: FlaskClient, observer: User
) -> None:
    wrong = {"username": "observer", "password": "wrong"}
    for number in range(throttle.PER_USERNAME.amount):
        stranger.post(TOKEN_CALLS[number % len(TOKEN_CALLS)], json=wrong)

    response = stranger.post("/api/token-auth/", json=wrong | {"password": PASSWORD})
    page = sign_in(stranger)

    assert response.status_code == 429
    wait = int(response.headers["Retry-After"])
    detail = f"Request was throttled. Expected available in {wait} seconds."
    assert response.get_json() == {"detail": detail}
    assert page.status_code == 429
    assert "Too many failed attempts" in page.text
    assert page.headers["Retry-After"]


def test_signing_in_rightly_is_never_throttled(stranger: FlaskClient, observer: User) -> None:
    right = {"username": "observer", "password": PASSWORD}

    answers = {
        stranger.post("/api/token-auth/", json=right).status_code
        for _ in range(throttle.PER_USERNAME.amount + 2)
    }

    assert answers == {200}


# Browser sessions


def test_sign_in_leads_to_where_one_was_going(stranger: FlaskClient, observer: User) -> None:
    asked = stranger.get("/jobs/?page=2")
    response = sign_in(stranger, next="/jobs/?page=2")

    assert asked.headers["Location"] == "/sign-in/?next=/jobs/?page%3D2"
    assert (response.status_code, response.headers["Location"]) == (303, "/jobs/?page=2")
    assert stranger.get("/jobs/").status_code == 200


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\tx"],
)
def test_sign_in_never_leads_to_another_server(
    stranger: FlaskClient, observer: User, elsewhere: str
) -> None:
    response = sign_in(stranger, next=elsewhere)

    assert response.headers["Location"] == "/nights/"


@pytest.mark.parametrize("username", ["observer", "nobody", ""])
def test_wrong_password_says_nothing_about_the_name(
    stranger: FlaskClient, observer: User, username: str
) -> None:
    response = sign_in(stranger, username=username, password="wrong")

    assert response.status_code == 401
    assert "Name and password do not match" in response.text
    assert stranger.get("/nights/").status_code == 302


def test_sign_in_form_of_another_site_is_refused(stranger: FlaskClient, observer: User) -> None:
    response = sign_in(stranger, csrf_token="guessed")

    assert response.status_code == 400
    assert stranger.get("/nights/").status_code == 302


def test_signing_in_leaves_nothing_of_a_session_somebody_prepared(
    stranger: FlaskClient, observer: User
) -> None:
    with stranger.session_transaction() as session:
        session["planted"] = "by somebody else"
        session["csrf"] = "known to somebody else"

    stranger.post(
        "/sign-in/",
        data={"username": "observer", "password": PASSWORD, "csrf_token": "known to somebody else"},
    )

    with stranger.session_transaction() as session:
        assert browser_sessions.user_of(session["key"]) == observer
        assert "planted" not in session
        assert session["csrf"] != "known to somebody else"


def test_session_cookie_is_kept_from_scripts_and_other_sites(
    stranger: FlaskClient, observer: User
) -> None:
    cookie = sign_in(stranger).headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_changing_something_needs_the_csrf_token_of_the_session(
    stranger: FlaskClient, observer: User
) -> None:
    sign_in(stranger)
    with stranger.session_transaction() as session:
        right = session["csrf"]

    without = stranger.post("/account/tokens/")
    other = stranger.post("/account/tokens/", data={"csrf_token": "other"})
    field = stranger.post("/account/tokens/", data={"csrf_token": right})
    header = stranger.post("/account/tokens/", headers={"X-CSRFToken": right})

    codes = [answer.status_code for answer in (without, other, field, header)]
    assert codes == [403, 403, 200, 200]


def test_signing_out_ends_the_session_of_this_browser_only(app: Flask, observer: User) -> None:
    here, there = app.test_client(), app.test_client()
    sign_in(here)
    sign_in(there)
    with here.session_transaction() as session:
        token = session["csrf"]

    response = here.post("/sign-out/", data={"csrf_token": token})

    assert response.headers["Location"] == "/sign-in/"
    assert here.get("/nights/").status_code == 302
    assert there.get("/nights/").status_code == 200


def copied(app: Flask, browser: FlaskClient) -> FlaskClient:
    """Another browser with the same cookie."""
    cookie = browser.get_cookie("coelostat")
    assert cookie is not None
    thief = app.test_client()
    thief.set_cookie("coelostat", cookie.value)
    return thief


def csrf_of(browser: FlaskClient) -> dict[str, str]:
    with browser.session_transaction() as session:
        return {"X-CSRFToken": session["csrf"]}


@pytest.mark.parametrize("way_out", ["/sign-out/", "/reduction/auth/logout"])
def test_signing_out_ends_a_copied_cookie_too(app: Flask, observer: User, way_out: str) -> None:
    here = app.test_client()
    sign_in(here)
    thief = copied(app, here)
    before = thief.get("/nights/").status_code

    here.post(way_out, headers=csrf_of(here))

    assert before == 200
    assert thief.get("/nights/").status_code == 302


def test_cookie_prepared_before_the_sign_in_is_worthless_after_it(
    app: Flask, observer: User
) -> None:
    here = app.test_client()
    here.get("/sign-in/")
    thief = copied(app, here)

    sign_in(here)

    assert here.get("/nights/").status_code == 200
    assert thief.get("/nights/").status_code == 302


def test_signing_in_anew_ends_the_session_the_browser_had(app: Flask, observer: User) -> None:
    make_user("other")
    here = app.test_client()
    sign_in(here)
    thief = copied(app, here)
    page = {"username": "other", "password": PASSWORD}

    response = here.post("/sign-in/", data=page, headers=csrf_of(here))

    assert response.status_code == 303
    assert thief.get("/nights/").status_code == 302
    assert "other" in here.get("/account/").text


def test_signing_out_everywhere_ends_a_copied_cookie_too(app: Flask, observer: User) -> None:
    here = app.test_client()
    sign_in(here)
    thief = copied(app, here)
    before = thief.get("/nights/").status_code
    with here.session_transaction() as session:
        token = session["csrf"]

    here.post("/sign-out/", data={"csrf_token": token, "everywhere": "1"})

    assert before == 200
    assert thief.get("/nights/").status_code == 302


def test_session_ends_when_the_account_is_closed(stranger: FlaskClient, observer: User) -> None:
    sign_in(stranger)

    accounts.set_active(observer.id, False, by=make_user("boss", is_superuser=True))

    assert stranger.get("/nights/").status_code == 302


def test_forged_session_cookie_is_nobodys(stranger: FlaskClient, observer: User) -> None:
    stranger.set_cookie("coelostat", "eyJ1c2VyX2lkIjoxfQ.aaaa.bbbb")

    assert stranger.get("/nights/").status_code == 302


def test_script_of_ours_is_told_where_to_sign_in(stranger: FlaskClient) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/jobs/"}

    response = stranger.get("/jobs/", headers=headers)

    assert response.status_code == 401
    assert response.headers["HX-Redirect"] == "/sign-in/?next=/jobs/"
