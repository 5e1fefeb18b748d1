"""One person's page, for staff: each act, who may, and what the log says of it."""

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db
from app.models import AuditEntry, User
from app.services import accounts, browser_sessions, groups, invitations
from tests.app.pages.conftest import Browser, browser_of
from tests.app.pages.test_people import key_in
from tests.conftest import client_of
from tests.factories import make_user

PASSWORD = "night-sky-7"


@pytest.fixture
def boss(app: Flask) -> User:
    return make_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def boss_browser(app: Flask, boss: User) -> Browser:
    return browser_of(app, boss)


def test_observers_see_and_change_no_people(browser: Browser, staff: User) -> None:
    gets = ("/people/", f"/people/{staff.id}/", "/people/groups/", "/people/audit/")
    posts = ("active", "role", "invite", "password", "profile", "sign-out", "groups")

    seen = {browser.get(address).status_code for address in gets}
    added = browser.post("/people/", username="me2", password="moonless-7", is_staff="1")
    changed = {browser.post(f"/people/{staff.id}/{what}/").status_code for what in posts}

    assert (seen, added.status_code, changed) == ({403}, 403, {403})
    assert 'href="/people/"' not in browser.text("/nights/")
    assert db.session.scalars(select(AuditEntry)).all() == []


def test_staff_may_not_touch_superusers_and_are_offered_nothing(
    staff_browser: Browser, boss: User
) -> None:
    key = accounts.issue_token(boss, name="a secret name")
    (token,) = accounts.tokens_of(boss)
    browser_sessions.start(boss)
    (row,) = browser_sessions.of(boss)
    posts = {
        "active": {"active": "0"},
        "role": {"role": "observer"},
        "invite": {},
        "password": {"password": "taken-over-1"},
        "profile": {"first_name": "X"},
        "sign-out": {"tokens": "1"},
        f"tokens/{token.id}/revoke": {},
        f"browsers/{row.id}/end": {},
    }

    answers = {
        what: staff_browser.post(f"/people/{boss.id}/{what}/", **fields).status_code
        for what, fields in posts.items()
    }
    page = staff_browser.text(f"/people/{boss.id}/")

    assert set(answers.values()) == {403}
    assert accounts.user_of_token(key) == boss
    assert len(browser_sessions.of(boss)) == 1
    assert accounts.authenticate("boss", PASSWORD) == boss
    assert "Only a superuser may change the account of staff" in page
    assert "a secret name" not in page
    assert f"/people/{boss.id}/password/" not in page


def test_page_of_a_person_shows_what_they_can_sign_in_with(
    staff_browser: Browser, observer: User, staff: User
) -> None:
    accounts.issue_token(observer, name="dome notebook", days=3, by=observer)
    browser_sessions.start(observer, "Mozilla/5.0 (X11; Linux) Firefox/149.0")
    groups.add_member(groups.create("class of 2026", by=staff), observer, by=staff)

    page = staff_browser.text(f"/people/{observer.id}/")

    for text in ("dome notebook", "Firefox on Linux", "class of 2026", "token made", "observer"):
        assert text in page
    assert staff_browser.get("/people/999/").status_code == 404


def test_account_is_closed_and_opened(staff_browser: Browser, observer: User) -> None:
    staff_browser.post(f"/people/{observer.id}/active/", active="0")
    closed = observer.is_active
    staff_browser.post(f"/people/{observer.id}/active/", active="1")

    assert closed is False
    assert observer.is_active is True


def test_names_and_address_are_edited(staff_browser: Browser, observer: User) -> None:
    address = f"/people/{observer.id}/profile/"
    fields = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}

    done = staff_browser.post(address, **fields)
    wrong = staff_browser.post(address, **(fields | {"email": "nonsense"}))

    assert (done.status_code, wrong.status_code) == (303, 400)
    assert "Enter a valid e-mail address" in wrong.text
    assert 'value="nonsense"' in wrong.text
    assert (observer.display_name, observer.email) == ("Ada Lovelace", "ada@example.org")


def test_role_is_changed_by_a_superuser_only(
    boss_browser: Browser, staff_browser: Browser, observer: User
) -> None:
    address = f"/people/{observer.id}/role/"

    refused = staff_browser.post(address, role="staff")
    done = boss_browser.post(address, role="staff")
    wrong = boss_browser.post(address, role="emperor")

    assert (refused.status_code, done.status_code, wrong.status_code) == (403, 303, 400)
    assert accounts.role_of(observer) == "staff"
    assert f'action="{address}"' not in staff_browser.text(f"/people/{observer.id}/")


def test_nobody_locks_themselves_out(boss_browser: Browser, boss: User) -> None:
    closed = boss_browser.post(f"/people/{boss.id}/active/", active="0")
    demoted = boss_browser.post(f"/people/{boss.id}/role/", role="observer")

    assert (closed.status_code, demoted.status_code) == (400, 400)
    assert "cannot close your own account" in closed.text
    assert (boss.is_active, boss.is_superuser) == (True, True)


def test_link_resets_a_password_the_staff_never_know(
    staff_browser: Browser, observer: User
) -> None:
    page = staff_browser.post(f"/people/{observer.id}/invite/").text

    invitations.accept(key_in(page), "chosen-by-me-1")

    assert accounts.authenticate("observer", "chosen-by-me-1") == observer


def test_password_is_set_and_browsers_are_signed_out(
    app: Flask, staff_browser: Browser, observer: User
) -> None:
    theirs = browser_of(app, observer)
    address = f"/people/{observer.id}/password/"

    short = staff_browser.post(address, password="short")
    done = staff_browser.post(address, password="told-by-staff-1")

    assert (short.status_code, done.status_code) == (400, 303)
    assert accounts.authenticate("observer", "told-by-staff-1") == observer
    assert theirs.get("/account/").status_code == 302


def test_person_is_signed_out_everywhere_with_tokens_where_wanted(
    app: Flask, staff_browser: Browser, observer: User
) -> None:
    theirs, key = browser_of(app, observer), accounts.issue_token(observer)
    address = f"/people/{observer.id}/sign-out/"

    staff_browser.post(address)
    browser_after, token_after = theirs.get("/nights/").status_code, accounts.user_of_token(key)
    staff_browser.post(address, tokens="1")

    assert (browser_after, token_after) == (302, observer)
    assert accounts.user_of_token(key) is None


def test_signing_oneself_out_everywhere_here_keeps_this_browser(
    app: Flask, staff_browser: Browser, staff: User
) -> None:
    elsewhere = browser_of(app, staff)

    staff_browser.client.post(
        f"/people/{staff.id}/sign-out/", data={"csrf_token": "the token of this session"}
    )

    assert elsewhere.get("/nights/").status_code == 302
    assert staff_browser.get("/nights/").status_code == 200


def test_token_and_browser_of_a_person_are_ended(
    app: Flask, staff_browser: Browser, observer: User, staff: User
) -> None:
    key, theirs = accounts.issue_token(observer), browser_of(app, observer)
    (token,), (row,) = accounts.tokens_of(observer), browser_sessions.of(observer)

    wrong = staff_browser.post(f"/people/{staff.id}/tokens/{token.id}/revoke/")
    staff_browser.post(f"/people/{observer.id}/tokens/{token.id}/revoke/")
    staff_browser.post(f"/people/{observer.id}/browsers/{row.id}/end/")

    assert wrong.status_code == 404
    assert accounts.user_of_token(key) is None
    assert theirs.get("/nights/").status_code == 302


def test_person_is_put_into_a_group_and_taken_out(
    staff_browser: Browser, observer: User, staff: User
) -> None:
    group = groups.create("class", by=staff)
    address, number = f"/people/{observer.id}/groups/", str(group.id)

    none = staff_browser.post(address, group="")
    unknown = staff_browser.post(address, group="999")
    staff_browser.post(address, group=number)
    inside = groups.of_person(observer)
    staff_browser.post(address, group=number, action="remove")

    assert (none.status_code, unknown.status_code) == (400, 404)
    assert inside == [group]
    assert groups.of_person(observer) == []


def test_passwords_are_not_changed_by_token(app: Flask, staff: User, observer: User) -> None:
    client = client_of(app, staff)

    password = client.post(f"/people/{observer.id}/password/", data={"password": "by-token-1"})
    link = client.post(f"/people/{observer.id}/invite/")

    assert (password.status_code, link.status_code) == (403, 403)
    assert accounts.authenticate("observer", PASSWORD) == observer


def test_every_act_is_in_the_audit_log(boss_browser: Browser, boss: User, observer: User) -> None:
    group = groups.create("class", by=boss)
    accounts.issue_token(observer)
    browser_sessions.start(observer)
    (token,), (row,) = accounts.tokens_of(observer), browser_sessions.of(observer)
    page = f"/people/{observer.id}"

    boss_browser.post(f"{page}/profile/", first_name="Ada")
    boss_browser.post(f"{page}/groups/", group=str(group.id))
    boss_browser.post(f"{page}/tokens/{token.id}/revoke/")
    boss_browser.post(f"{page}/browsers/{row.id}/end/")
    boss_browser.post(f"{page}/invite/")
    boss_browser.post(f"{page}/password/", password="told-by-boss-1")
    boss_browser.post(f"{page}/sign-out/", tokens="1")
    boss_browser.post(f"{page}/active/", active="0")
    boss_browser.post(f"{page}/active/", active="1")
    boss_browser.post(f"{page}/role/", role="staff")

    rows = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert {row.user_id for row in rows} == {boss.id}
    assert [row.action for row in rows] == [
        "group made",
        "account changed",
        "group members changed",
        "token revoked",
        "browser signed out",
        "invited",
        "password changed",
        "signed out everywhere",
        "all tokens revoked",
        "account closed",
        "account opened",
        "role changed",
    ]
    assert "role changed" in boss_browser.text(f"{page}/")
