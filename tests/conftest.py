"""Fixtures every test may use: an application on an empty database, signed-in clients."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from app import config, create_app
from app.db import db
from app.models import User
from app.services import accounts, browser_sessions, settings
from tests.factories import make_user


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what tests counted, ``record_property("counted: ...", {...})``, in whatever process."""
    told: dict[str, Counter[str]] = {}
    for report in (one for some in terminalreporter.stats.values() for one in some):
        if getattr(report, "when", "") != "teardown":
            continue
        for name, counts in report.user_properties:
            if name.startswith("counted: "):
                told.setdefault(name.removeprefix("counted: "), Counter()).update(counts)
    for name, found in told.items():
        said = ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
        terminalreporter.write_line(f"{name}: {said}")


_MADE: set[str] = set()  # databases of a server that have their tables


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The application on a real, empty database: SQLite, or TEST_DATABASE_URL where it is set."""
    environ = {"COELOSTAT_INSTANCE": str(tmp_path / "instance")}
    if url := os.environ.get("TEST_DATABASE_URL"):
        environ["DATABASE_URL"] = url.format(os.environ.get("PYTEST_XDIST_WORKER", "gw0"))
    application = create_app(config.load(environ))
    with application.app_context():
        if not url or url not in _MADE:
            db.create_all()  # a server's tables stay: looking for each of them takes long
            _MADE.add(url or "")
        yield application
        db.session.remove()
        if url:
            empty_every_table()
        db.engine.dispose()


def empty_every_table() -> None:
    """Make a server's database as good as new; making the tables anew takes far longer."""
    names = ", ".join(table.name for table in db.metadata.sorted_tables)
    with db.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))


@pytest.fixture
def observer(app: Flask) -> User:
    return make_user()


@pytest.fixture
def staff(app: Flask) -> User:
    return make_user("staff", is_staff=True)


def client_of(app: Flask, user: User) -> FlaskClient:
    """A client that sends a token of `user`."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Token {accounts.issue_token(user)}"
    return client


def sign_in(client: FlaskClient, user: User, csrf: str = "c") -> FlaskClient:
    """Give a client the cookie of a browser `user` is signed in with, and its CSRF token."""
    key = browser_sessions.start(user, "Firefox/150.0 (X11; Linux)")
    with client.session_transaction() as session:
        session.update(key=key, csrf=csrf)
    return client


@pytest.fixture
def client(app: Flask, observer: User) -> FlaskClient:
    return client_of(app, observer)


@pytest.fixture
def members_only(staff: User) -> None:
    """Frames are their proposals' people's."""
    settings.change("access", "visibility", "members", by=staff)


@pytest.fixture
def no_settling(app: Flask, staff: User) -> None:
    """Files count as complete at once."""
    settings.change("scan", "settle_s", 0, by=staff)


@pytest.fixture
def staff_client(app: Flask, staff: User) -> FlaskClient:
    return client_of(app, staff)


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    return app.test_client()
