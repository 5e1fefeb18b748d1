from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select

from app.db import db, transaction, utcnow
from app.errors import InvalidRequestError, NotAllowedError, NotAuthenticatedError, NotFoundError
from app.models import AuditEntry, StoredSetting, Token, User
from app.services import accounts, browser_sessions, settings
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


def test_look_up_is_one_statement(observer: User) -> None:
    key = accounts.issue_token(observer)
    accounts.user_of_token(key)  # its first use is written
    db.session.remove()
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))

    user = accounts.user_of_token(key)

    assert user is not None
    assert user.username == "observer"
    assert [text.split()[0] for text in statements if text != "BEGIN"] == ["SELECT"]


def test_token_lives_as_long_as_its_owner_wants_but_no_longer_than_the_site(
    observer: User, staff: User
) -> None:
    key = accounts.issue_token(observer, days=30, by=observer)
    token = live_tokens(observer)[0]
    settings.change("access", "token_days", 7, by=staff)

    for days in (0, -1, 8):
        with pytest.raises(InvalidRequestError, match="from 1 to 7 days"):
            accounts.issue_token(observer, days=days)

    assert token.expires_at is not None
    assert timedelta(days=30) - (token.expires_at - utcnow()) < timedelta(minutes=1)
    assert accounts.user_of_token(key) == observer


@pytest.mark.parametrize("name", ["x" * 101, "a\0", "a\nb", "\ud800"])
def test_unfit_token_names_are_refused(observer: User, name: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        accounts.issue_token(observer, name=name)

    assert list(refusal.value.fields) == ["name"]
    assert live_tokens(observer) == []


def test_all_tokens_of_a_person_are_revoked_at_once(observer: User, staff: User) -> None:
    keys = [accounts.issue_token(observer) for _ in range(3)]
    others = accounts.issue_token(staff)

    with pytest.raises(NotAllowedError):
        accounts.revoke_all_tokens(staff, by=observer)

    assert accounts.revoke_all_tokens(observer, by=staff) == 3
    assert [accounts.user_of_token(key) for key in keys] == [None] * 3
    assert accounts.user_of_token(others) == staff


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
        accounts.revoke_token_of(observer, live_tokens(staff)[0].id, by=observer)
    with pytest.raises(NotAllowedError):
        accounts.revoke_token_of(staff, live_tokens(staff)[0].id, by=observer)

    assert len(live_tokens(staff)) == 1


def test_changing_the_password_ends_sessions_and_wants_the_old_one(observer: User) -> None:
    key = browser_sessions.start(observer)

    with pytest.raises(InvalidRequestError):
        accounts.change_password(observer, old="wrong", new="another-night")
    accounts.change_password(observer, old=PASSWORD, new="another-night")

    assert accounts.authenticate("observer", "another-night") == observer
    assert browser_sessions.user_of(key) is None
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


@pytest.mark.parametrize("password", ["x" * 1001, "long-enough\0", "long-enough\ud800"])
def test_unfit_passwords_are_refused(observer: User, password: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        accounts.set_password(observer, password)

    assert list(refusal.value.fields) == ["password"]


@pytest.mark.parametrize("email", ["x", "a@", "@b", "a b@c", "a@b\0", "a@-\n", "é@b.org", "a@b..c"])
def test_unfit_addresses_are_refused(app: Flask, email: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        accounts.create_user("new", email=email)
    with pytest.raises(InvalidRequestError) as other_refusal:
        accounts.person_of_email(email, by=None)

    assert list(refusal.value.fields) == list(other_refusal.value.fields) == ["email"]
    assert accounts.people() == []


def test_address_of_somebody_else_is_refused_whatever_its_case(app: Flask) -> None:
    accounts.create_user("ada", email="Ada@example.org")

    with pytest.raises(InvalidRequestError, match="Somebody else has this e-mail address"):
        accounts.create_user("other", email="ada@EXAMPLE.org")


def test_unknown_address_makes_an_account_named_by_it(observer: User) -> None:
    made = [
        accounts.person_of_email(email, by=observer)
        for email in ("ada@a.org", "ADA@b.org", "o'neil+x@c.org", "!@d.org", "ada@A.org")
    ]

    assert [(user.username, is_new) for user, is_new in made] == [
        ("ada", True),
        ("ADA2", True),
        ("oneil+x", True),
        ("observer2", True),
        ("ada", False),
    ]
    assert all(user.is_active and user.password_hash is None for user, _ in made)
    entries = db.session.scalars(select(AuditEntry)).all()
    assert [(entry.user_id, entry.action) for entry in entries] == [
        (observer.id, "account made")
    ] * 4


def test_name_somebody_took_meanwhile_is_refused_by_the_database(
    observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "_is_taken", lambda _: False)

    with pytest.raises(InvalidRequestError, match="already exists"):
        accounts.create_user("observer", password=PASSWORD)
    with pytest.raises(InvalidRequestError, match="already exists"):
        accounts.person_of_email("observer@example.org", by=None)

    assert len(accounts.people()) == 1


def test_address_of_several_people_is_refused_with_who_they_are(app: Flask) -> None:
    make_user("twin1", email="twins@example.org")
    make_user("twin2", email="Twins@example.org")

    with pytest.raises(InvalidRequestError, match="twin1, twin2"):
        accounts.person_of_email("twins@example.org", by=None)


def test_staff_make_observers_and_only_superusers_make_staff(observer: User, staff: User) -> None:
    with pytest.raises(NotAllowedError):
        accounts.create_user("a", password=PASSWORD, by=observer)
    with pytest.raises(NotAllowedError):
        accounts.create_user("b", password=PASSWORD, is_staff=True, by=staff)

    made = accounts.create_user("c", password=PASSWORD, email="c@dome", by=staff)

    assert (made.is_staff, made.email) == (False, "c@dome")
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.user_id, entry.action, entry.subject) == (
        staff.id,
        "account made",
        f"user {made.id}",
    )


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
