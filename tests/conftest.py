"""Fixtures every test may use: an application on an empty database, signed-in clients."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from app import config, create_app
from app.db import db
from app.models import User
from app.services import accounts
from tests.factories import make_user


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The application on a real, empty database: SQLite, or TEST_DATABASE_URL where it is set."""
    environ = {"COELOSTAT_INSTANCE": str(tmp_path / "instance")}
    if url := os.environ.get("TEST_DATABASE_URL"):
        environ["DATABASE_URL"] = url.format(os.environ.get("PYTEST_XDIST_WORKER", "gw0"))
    application = create_app(config.load(environ))
    with application.app_context():
        db.create_all()
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


@pytest.fixture
def client(app: Flask, observer: User) -> FlaskClient:
    return client_of(app, observer)


@pytest.fixture
def staff_client(app: Flask, staff: User) -> FlaskClient:
    return client_of(app, staff)


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    return app.test_client()
