from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction, utcnow
from app.errors import ConflictError, InvalidRequestError, NotAllowedError, NotFoundError
from app.models import AuditEntry, Invitation, User
from app.services import accounts, browser_sessions, invitations, settings
from tests.factories import make_user

NEW = "chosen-by-me-1"


@pytest.fixture
def guest(app: Flask) -> User:
    """Somebody who never had a password."""
    return accounts.create_user("guest", email="guest@example.org")


def test_link_sets_the_password_once(guest: User, staff: User) -> None:
    key = invitations.invite(guest, by=staff)

    assert invitations.invited(key) == guest
    assert invitations.accept(key, NEW) == guest

    assert accounts.authenticate("guest", NEW) == guest
    with pytest.raises(NotFoundError, match="used, replaced or is too old"):
        invitations.accept(key, "somebody-elses-2")
    assert accounts.authenticate("guest", NEW) == guest


def test_link_used_twice_at_once_works_once(app: Flask, guest: User, staff: User) -> None:
    key = invitations.invite(guest, by=staff)
    together = Barrier(2)

    def use(password: str) -> bool:
        with app.app_context():
            together.wait(60)
            try:
                invitations.accept(key, password)
            except NotFoundError:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        worked = list(pool.map(use, ("chosen-by-first", "chosen-by-second")))

    assert sorted(worked) == [False, True]
    chosen = "chosen-by-first" if worked[0] else "chosen-by-second"
    assert accounts.authenticate("guest", chosen).username == "guest"


def test_only_a_digest_of_the_key_is_kept(guest: User, staff: User) -> None:
    key = invitations.invite(guest, by=staff)

    rows = db.session.scalars(select(Invitation)).all()
    assert len(rows) == 1
    assert key not in str([vars(row) for row in rows])


def test_new_link_replaces_the_one_before(guest: User, staff: User) -> None:
    first = invitations.invite(guest, by=staff)
    second = invitations.invite(guest, by=staff)

    with pytest.raises(NotFoundError):
        invitations.invited(first)
    assert invitations.invited(second) == guest


def test_link_is_good_for_the_days_of_the_setting(guest: User, staff: User) -> None:
    settings.change("access", "invitation_days", 2, by=staff)
    key = invitations.invite(guest, by=staff)
    until = invitations.open_until(guest)

    with transaction():
        db.session.scalars(select(Invitation)).one().expires_at = utcnow() - timedelta(seconds=1)

    assert until is not None
    assert timedelta(days=2) - (until - utcnow()) < timedelta(minutes=1)
    assert invitations.open_until(guest) is None
    with pytest.raises(NotFoundError):
        invitations.accept(key, NEW)


@pytest.mark.parametrize("key", ["", "x", "\0", "\ud800", "é" * 5000])
def test_unknown_key_is_nobodys(guest: User, staff: User, key: str) -> None:
    invitations.invite(guest, by=staff)

    with pytest.raises(NotFoundError):
        invitations.invited(key)


def test_password_that_will_not_do_leaves_the_link_good(guest: User, staff: User) -> None:
    key = invitations.invite(guest, by=staff)

    with pytest.raises(InvalidRequestError):
        invitations.accept(key, "short")

    assert invitations.accept(key, NEW) == guest


def test_password_is_hashed_before_anything_is_locked(
    guest: User, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = invitations.invite(guest, by=staff)
    hash_slowly, was_open = accounts.hash_password, []

    def watched(password: str) -> str:
        was_open.append("after_commit" in db.session().info)
        return hash_slowly(password)

    monkeypatch.setattr(accounts, "hash_password", watched)

    invitations.accept(key, NEW)

    assert was_open == [False]


def test_link_of_a_closed_account_is_worth_nothing(guest: User, staff: User) -> None:
    key = invitations.invite(guest, by=staff)
    accounts.set_active(guest.id, False, by=staff)

    with pytest.raises(NotFoundError):
        invitations.accept(key, NEW)


def test_closed_account_gets_no_link(guest: User, staff: User) -> None:
    accounts.set_active(guest.id, False, by=staff)

    with pytest.raises(ConflictError, match="open it first"):
        invitations.invite(guest, by=staff)


def test_old_password_and_browsers_hold_until_the_link_is_used(observer: User, staff: User) -> None:
    browser = browser_sessions.start(observer)
    key = invitations.invite(observer, by=staff)
    before = accounts.authenticate("observer", "night-sky-7"), browser_sessions.user_of(browser)

    invitations.accept(key, NEW)

    assert before == (observer, observer)
    assert browser_sessions.user_of(browser) is None
    assert accounts.authenticate("observer", NEW) == observer


def test_password_set_otherwise_makes_the_link_worthless(guest: User, staff: User) -> None:
    key = invitations.invite(guest, by=staff)

    accounts.set_password(guest, "told-by-staff-1", by=staff)

    with pytest.raises(NotFoundError):
        invitations.invited(key)


def test_nobody_takes_an_account_over_by_a_link(observer: User, staff: User, guest: User) -> None:
    boss = make_user("boss", is_superuser=True)
    other = make_user("other")
    robot = accounts.create_user("robot", is_staff=True)

    for by, whom in ((observer, other), (observer, robot), (staff, boss), (staff, robot)):
        with pytest.raises(NotAllowedError):
            invitations.invite(whom, by=by)
    with pytest.raises(NotAllowedError, match="shown to staff only"):
        invitations.invite(guest, by=observer)  # whom an investigator put on a proposal
    with pytest.raises(NotAllowedError, match="has a password"):
        invitations.invite(other, by=observer, is_mailed=True)
    assert invitations.invite(guest, by=observer, is_mailed=True)


def test_links_staff_did_not_make_can_be_ended_alone(
    guest: User, staff: User, observer: User
) -> None:
    mailed = invitations.invite(guest, by=observer, is_mailed=True)

    assert invitations.end_others(guest)

    with pytest.raises(NotFoundError):
        invitations.accept(mailed, NEW)
    for by in (staff, None):
        kept = invitations.invite(guest, by=by)
        assert not invitations.end_others(guest)
        assert invitations.invited(kept) == guest


def test_invitations_are_in_the_audit_log(guest: User, staff: User) -> None:
    invitations.accept(invitations.invite(guest, by=staff), NEW)

    entries = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.user_id, entry.action) for entry in entries] == [
        (None, "account made"),
        (staff.id, "invited"),
        (guest.id, "password changed"),
        (guest.id, "invitation accepted"),
    ]
