from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select

from app.db import db, transaction, utcnow
from app.errors import NotAllowedError, NotFoundError
from app.models import AuditEntry, BrowserSession, User
from app.services import accounts, browser_sessions
from tests.factories import make_user

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101 Firefox/149.0"


def only_row() -> BrowserSession:
    return db.session.scalars(select(BrowserSession)).one()


def seen_ago(ago: timedelta) -> None:
    with transaction():
        only_row().last_seen_at = utcnow() - ago


def test_key_tells_who_is_signed_in_and_only_its_digest_is_kept(observer: User) -> None:
    key = browser_sessions.start(observer, FIREFOX)

    assert browser_sessions.user_of(key) == observer
    assert key not in str(vars(only_row()))
    assert len(key) > 40


@pytest.mark.parametrize("key", ["", "x", "\0", "\ud800", "é" * 1000])
def test_unknown_key_is_nobodys(observer: User, key: str) -> None:
    browser_sessions.start(observer)

    assert browser_sessions.user_of(key) is None


def test_ended_key_is_worth_nothing_and_others_go_on(observer: User) -> None:
    here, there = browser_sessions.start(observer), browser_sessions.start(observer)

    browser_sessions.end(here)

    assert browser_sessions.user_of(here) is None
    assert browser_sessions.user_of(there) == observer


def test_signing_out_everywhere_ends_ones_own_sessions_only(observer: User, staff: User) -> None:
    keys = [browser_sessions.start(observer) for _ in range(3)]
    other = browser_sessions.start(staff)

    browser_sessions.end_all(observer, by=observer)

    assert [browser_sessions.user_of(key) for key in keys] == [None] * 3
    assert browser_sessions.user_of(other) == staff
    assert db.session.scalars(select(AuditEntry.action)).all() == ["signed out everywhere"]


def test_closed_account_lets_no_browser_in(observer: User) -> None:
    key = browser_sessions.start(observer)

    with transaction():
        observer.is_active = False

    assert browser_sessions.user_of(key) is None


def test_session_ends_after_its_lifetime_without_a_visit(observer: User) -> None:
    key = browser_sessions.start(observer)

    seen_ago(browser_sessions.LIFETIME - timedelta(minutes=5))
    just_alive = browser_sessions.user_of(key)
    seen_ago(browser_sessions.LIFETIME + timedelta(minutes=5))

    assert just_alive == observer
    assert browser_sessions.user_of(key) is None
    assert browser_sessions.of(observer) == []


def test_visit_is_written_at_most_once_a_minute(observer: User) -> None:
    key = browser_sessions.start(observer)
    first = only_row().last_seen_at

    browser_sessions.user_of(key)
    again = only_row().last_seen_at
    seen_ago(timedelta(minutes=2))
    browser_sessions.user_of(key)

    assert again == first
    assert only_row().last_seen_at >= first


def test_look_up_is_one_statement(observer: User) -> None:
    key = browser_sessions.start(observer)
    db.session.remove()
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))

    user = browser_sessions.user_of(key)

    assert user is not None
    assert user.username == "observer"
    assert len([text for text in statements if text.startswith("SELECT")]) == 1


def test_rows_nobody_can_come_back_with_are_forgotten(observer: User) -> None:
    browser_sessions.start(observer)
    seen_ago(browser_sessions.LIFETIME + timedelta(days=1))

    browser_sessions.start(observer)

    assert only_row().last_seen_at > utcnow() - timedelta(minutes=1)


def test_list_names_browsers_and_tells_this_one(observer: User) -> None:
    browser_sessions.start(observer, "curl/8.1")
    key = browser_sessions.start(observer, FIREFOX)

    listed = browser_sessions.of(observer, key)

    assert {(one.browser, one.is_this) for one in listed} == {
        ("Firefox on Linux", True),
        ("curl", False),
    }


def test_one_browser_is_ended_by_its_owner_or_who_manages_them(observer: User, staff: User) -> None:
    keys = [browser_sessions.start(observer) for _ in range(2)]
    first, second = (one.id for one in browser_sessions.of(observer))

    browser_sessions.end_one(observer, first, by=observer)
    browser_sessions.end_one(observer, second, by=staff)

    assert [browser_sessions.user_of(key) for key in keys] == [None, None]
    with pytest.raises(NotFoundError):
        browser_sessions.end_one(observer, first, by=observer)


def test_nobody_ends_the_browser_of_another(observer: User, staff: User) -> None:
    browser_sessions.start(staff)
    (row,) = browser_sessions.of(staff)

    with pytest.raises(NotAllowedError):
        browser_sessions.end_one(staff, row.id, by=observer)
    with pytest.raises(NotFoundError):
        browser_sessions.end_one(observer, row.id, by=observer)
    with pytest.raises(NotAllowedError):
        browser_sessions.end_all(make_user("boss", is_superuser=True), by=staff)

    assert len(browser_sessions.of(staff)) == 1


def test_what_a_browser_says_of_itself_is_kept_short_and_storable(observer: User) -> None:
    browser_sessions.start(observer, "x\0\ud800" * 1000)

    assert len(only_row().agent) == 300


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/150.0 Safari/537.36 Edg/150.0", "Edge on Windows"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/150.0 Safari/537.36", "Chrome on Windows"),
        ("Mozilla/5.0 (Macintosh; Mac OS X 15) Version/18.0 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18 like Mac OS X) Safari/604", "Safari on iOS"),
        ("Mozilla/5.0 (Linux; Android 16) Chrome/150.0 Mobile", "Chrome on Android"),
        ("python-requests/2.32", "python-requests"),
        ("", "unknown"),
    ],
)
def test_browsers_have_the_names_people_know(agent: str, name: str) -> None:
    assert browser_sessions.name_of(agent) == name


def test_new_password_ends_every_session(app: Flask, observer: User) -> None:
    key = browser_sessions.start(observer)

    accounts.set_password(observer, "another-night")

    assert browser_sessions.user_of(key) is None
