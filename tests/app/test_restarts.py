"""What a restart must not change: who is signed in, whose tokens are good, who was signed out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import config, create_app
from app.db import db
from app.services import accounts, browser_sessions, invitations
from tests.conftest import sign_in
from tests.factories import make_user


@contextmanager
def started(instance: Path) -> Iterator[Flask]:
    """The application, as one start of the program has it."""
    app = create_app(config.load({"COELOSTAT_INSTANCE": str(instance)}))
    with app.app_context():
        db.create_all()
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return tmp_path / "instance"


def browser_with(app: Flask, cookie: str) -> FlaskClient:
    browser = app.test_client()
    browser.set_cookie("coelostat", cookie)
    return browser


def cookie_of(browser: FlaskClient) -> str:
    cookie = browser.get_cookie("coelostat")
    assert cookie is not None
    return cookie.value


def test_sessions_tokens_and_invitations_survive_a_restart(instance: Path) -> None:
    with started(instance) as app:
        observer = make_user()
        token = accounts.issue_token(observer)
        cookie = cookie_of(sign_in(app.test_client(), observer))
        link = invitations.invite(accounts.create_user("guest"), by=None)

    with started(instance) as app:
        headers = {"Authorization": f"Token {token}"}
        assert app.test_client().get("/api/files/", headers=headers).status_code == 200
        assert browser_with(app, cookie).get("/account/").status_code == 200
        assert app.test_client().get(f"/welcome/{link}/").status_code == 200


def test_what_was_ended_stays_ended_after_a_restart(instance: Path) -> None:
    with started(instance) as app:
        observer = make_user()
        token = accounts.issue_token(observer)
        browser = sign_in(app.test_client(), observer)
        cookie = cookie_of(browser)
        link = invitations.invite(accounts.create_user("guest"), by=None)
        browser.post("/sign-out/", data={"csrf_token": "c"})
        accounts.revoke_token(token)
        invitations.accept(link, "chosen-by-me-1")

    with started(instance) as app:
        headers = {"Authorization": f"Token {token}"}
        assert app.test_client().get("/api/files/", headers=headers).status_code == 401
        assert browser_with(app, cookie).get("/account/").status_code == 302
        assert app.test_client().get(f"/welcome/{link}/").status_code == 404
        assert browser_sessions.of(accounts.find_user("observer")) == []


def test_cookie_of_another_instance_is_nobodys(tmp_path: Path) -> None:
    with started(tmp_path / "one") as app:
        cookie = cookie_of(sign_in(app.test_client(), make_user()))

    with started(tmp_path / "two") as app:
        make_user()
        assert browser_with(app, cookie).get("/account/").status_code == 302
