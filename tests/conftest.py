"""Fixtures every test may use: an application on an empty database, signed-in clients."""

import gc
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import literal, select, text, union_all
from werkzeug.routing import Rule

from app import config, create_app
from app.db import db
from app.models import User
from app.services import accounts, browser_sessions, settings
from tests.factories import make_user
from tests.numbering import begin_anew

GARBAGE = 20_000  # objects more than there were, at which those are searched that are new


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: begun last, it would leave one process with nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and not among what is there for all tests.

    Making an application makes enough objects for several searches through everything that the
    modules of thousands of tests hold: two thirds of the time it takes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 5)


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


_MADE: dict[str, bytes] = {}  # databases that have had their tables; of SQLite, the file

_compile_builder = Rule._compile_builder
_builders: dict[tuple[object, ...], Any] = {}


def _kept_builder(rule: Rule, append_unknown: bool = True) -> Any:
    """Return what makes a rule's URLs: every test has an application with the same 250 rules,
    and compiling them anew is most of the time it takes to make one.
    """
    key = rule.rule, rule.subdomain, rule.host, repr(rule.defaults), append_unknown
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


Rule._compile_builder = _kept_builder  # type: ignore[assignment, method-assign]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The application on a real, empty database: SQLite, or TEST_DATABASE_URL where it is set."""
    environ = {"COELOSTAT_INSTANCE": str(tmp_path / "instance")}
    if url := os.environ.get("TEST_DATABASE_URL"):
        environ["DATABASE_URL"] = url.format(os.environ.get("PYTEST_XDIST_WORKER", "gw0"))
    application = create_app(config.load(environ))
    begin_anew()
    with application.app_context():
        make_tables(url or "")
        yield application
        db.session.remove()
        if url:
            empty_every_table()
        db.engine.dispose()


def make_tables(url: str = "") -> None:
    """Make the tables, once in a process: a server's stay, those of an SQLite file are copied."""
    if url not in _MADE:
        db.create_all()
        _MADE[url] = b"" if url else _whole_file()
    elif not url:
        Path(str(db.engine.url.database)).write_bytes(_MADE[url])


def _whole_file() -> bytes:
    with closing(sqlite3.connect(str(db.engine.url.database))) as connection:
        return connection.serialize()


def empty_every_table() -> None:
    """Make a server's database as good as new; making the tables anew takes far longer.

    Asking which tables have rows takes a hundredth of the time that emptying all of them does.
    """
    asked = union_all(
        *(
            select(literal(table.name)).where(select(1).select_from(table).exists())
            for table in db.metadata.sorted_tables
        )
    )
    with db.engine.begin() as connection:
        if filled := connection.scalars(asked).all():
            connection.execute(text(f"TRUNCATE {', '.join(filled)} CASCADE"))
        # Also of tables whose rows were deleted, or never committed.
        begun = "SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL"
        for sequence in connection.scalars(text(begun)).all():
            connection.execute(text(f"ALTER SEQUENCE {sequence} RESTART"))


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
