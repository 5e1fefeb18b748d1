from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction, utcnow
from app.errors import InvalidRequestError, NotAllowedError, NotAuthenticatedError, NotFoundError
from app.models import AuditEntry, StoredSetting, Token, User
from app.services import accounts
from tests.factories import make_user

PASSWORD = "night-sky-7"


def live_tokens(user: User) -> list[Token]:
    return list(accounts.tokens_of(user))


def test_right_password_returns_the_user_and_notes_the_sign_in(observer: User) -> None:
    signed_in = accounts.authenticate("observer", PASSWORD)

    assert signed_in.id == observer.id
    assert signed_in.last_login is not None
    assert utcnow() - signed_in.last_login < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("observer", "wrong"),
        ("observer", ""),
        ("nobody", PASSWORD),
        ("nobody", ""),
        ("Observer", PASSWORD),
        ("obs\0erver", PASSWORD),
        ("\ud800", "\ud800"),
    ],
)
def test_anything_else_is_refused_in_the_same_words(
    observer: User, username: str, password: str
) -> None:
    with pytest.raises(NotAuthenticatedError, match="Unable to log in with provided credentials"):
        accounts.authenticate(username, password)


def test_inactive_user_is_refused_with_the_right_password(app: Flask) -> None:
    make_user("gone", is_active=False)

    with pytest.raises(NotAuthenticatedError):
        accounts.authenticate("gone", PASSWORD)


def test_user_without_password_cannot_sign_in(app: Flask) -> None:
    accounts.create_user("robot")

    with pytest.raises(NotAuthenticatedError):
        accounts.authenticate("robot", "")


def test_passwords_are_kept_as_scrypt() -> None:
    assert accounts.hash_password(PASSWORD).startswith("scrypt:")


def test_token_is_forty_hex_and_only_its_digest_is_kept(observer: User) -> None:
    key = accounts.issue_token(observer, name="notebook")

    (token,) = live_tokens(observer)
    assert len(key) == 40
    assert int(key, 16) >= 0
    assert token.name == "notebook"
    assert key.startswith(token.prefix)
    assert key not in {token.digest, token.prefix}
    assert accounts.user_of_token(key) == observer


def test_each_sign_in_makes_a_new_token_and_the_older_lives_on(observer: User) -> None:
    first = accounts.issue_token(observer)
    second = accounts.issue_token(observer)

    assert first != second
    assert accounts.user_of_token(first) == observer
    assert accounts.user_of_token(second) == observer


def test_unused_tokens_go_first_when_there_are_too_many(observer: User) -> None:
    used = accounts.issue_token(observer)
    accounts.user_of_token(used)
    oldest_unused = accounts.issue_token(observer)

    rest = [accounts.issue_token(observer) for _ in range(accounts.MAX_TOKENS - 1)]

    assert len(live_tokens(observer)) == accounts.MAX_TOKENS
    assert accounts.user_of_token(used) == observer
    assert accounts.user_of_token(oldest_unused) is None
    assert accounts.user_of_token(rest[-1]) == observer


def test_tokens_expire_where_the_site_says_so(observer: User) -> None:
    with transaction():
        db.session.add(StoredSetting(section="access", item="token_days", value=2))
    key = accounts.issue_token(observer)
    assert accounts.user_of_token(key) == observer

    with transaction():
        live_tokens(observer)[0].expires_at = utcnow() - timedelta(seconds=1)

    assert accounts.user_of_token(key) is None


def test_tokens_live_until_revoked_by_default(observer: User) -> None:
    key = accounts.issue_token(observer)

    assert live_tokens(observer)[0].expires_at is None
    accounts.revoke_token(key)
    assert accounts.user_of_token(key) is None
    assert live_tokens(observer) == []


def test_last_use_is_written_at_most_once_a_minute(observer: User) -> None:
    key = accounts.issue_token(observer)
    accounts.user_of_token(key)
    first = live_tokens(observer)[0].last_used_at

    accounts.user_of_token(key)
    again = live_tokens(observer)[0].last_used_at
    with transaction():
        live_tokens(observer)[0].last_used_at = utcnow() - timedelta(minutes=2)
    accounts.user_of_token(key)

    assert first is not None
    assert again == first
    later = live_tokens(observer)[0].last_used_at
    assert later is not None
    assert later >= first


@pytest.mark.parametrize("key", ["", "0" * 40, "\0", "\ud800", "é"])
def test_unknown_token_is_nobodys(app: Flask, key: str) -> None:
    assert accounts.user_of_token(key) is None


def test_tokens_of_an_inactive_user_rest_and_wake_with_them(observer: User) -> None:
    boss = make_user("boss", is_superuser=True)
    key = accounts.issue_token(observer)

    accounts.set_active(observer.id, False, by=boss)
    while_off = accounts.user_of_token(key)
    accounts.set_active(observer.id, True, by=boss)

    assert while_off is None
    assert accounts.user_of_token(key) == observer


def test_nobody_revokes_the_token_of_another(observer: User, staff: User) -> None:
    accounts.issue_token(staff)

    with pytest.raises(NotFoundError):
        accounts.revoke_own_token(observer, live_tokens(staff)[0].id)

    assert len(live_tokens(staff)) == 1


def test_session_holds_only_in_its_epoch(observer: User) -> None:
    epoch = observer.session_epoch
    assert accounts.user_of_session(observer.id, epoch) == observer

    accounts.end_sessions(observer)

    assert accounts.user_of_session(observer.id, epoch) is None
    assert accounts.user_of_session(observer.id + 99, epoch) is None


def test_changing_the_password_ends_sessions_and_wants_the_old_one(observer: User) -> None:
    epoch = observer.session_epoch

    with pytest.raises(InvalidRequestError):
        accounts.change_password(observer, old="wrong", new="another-night")
    accounts.change_password(observer, old=PASSWORD, new="another-night")

    assert accounts.authenticate("observer", "another-night") == observer
    assert accounts.user_of_session(observer.id, epoch) is None
    with pytest.raises(NotAuthenticatedError):
        accounts.authenticate("observer", PASSWORD)


@pytest.mark.parametrize("username", ["", " ", "a b", "x" * 151, "<b>", "a/b", "a\nb"])
def test_unfit_user_names_are_refused(app: Flask, username: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        accounts.create_user(username, password=PASSWORD)

    assert "username" in refusal.value.fields


def test_user_names_differ_by_more_than_case(observer: User) -> None:
    with pytest.raises(InvalidRequestError, match="already exists"):
        accounts.create_user("OBSERVER", password=PASSWORD)


def test_short_password_is_refused(app: Flask) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        accounts.create_user("new", password="short")

    assert "password" in refusal.value.fields


def test_staff_make_observers_and_only_superusers_make_staff(observer: User, staff: User) -> None:
    with pytest.raises(NotAllowedError):
        accounts.create_user("a", password=PASSWORD, by=observer)
    with pytest.raises(NotAllowedError):
        accounts.create_user("b", password=PASSWORD, is_staff=True, by=staff)

    made = accounts.create_user("c", password=PASSWORD, email="c@dome", by=staff)

    assert (made.is_staff, made.email) == (False, "c@dome")
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.user_id, entry.action, entry.subject) == (staff.id, "user created", "c")


def test_staff_cannot_lock_out_themselves_or_other_staff(staff: User) -> None:
    boss = make_user("boss", is_superuser=True)

    with pytest.raises(NotAllowedError):
        accounts.set_active(boss.id, False, by=staff)
    with pytest.raises(InvalidRequestError):
        accounts.set_active(boss.id, False, by=boss)


def test_first_user_is_made_once_with_a_password_that_works(app: Flask) -> None:
    password = accounts.ensure_first_user(None)

    assert password is not None
    admin = accounts.authenticate("admin", password)
    assert (admin.is_staff, admin.is_superuser) == (True, True)
    assert accounts.ensure_first_user(None) is None
    assert len(accounts.people()) == 1


def test_first_user_takes_the_password_of_an_unattended_install(app: Flask) -> None:
    assert accounts.ensure_first_user("given") is None

    assert accounts.authenticate("admin", "given").is_superuser
