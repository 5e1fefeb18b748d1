from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError, NotAllowedError, NotFoundError
from app.models import AuditEntry, Proposal, User
from app.services import accounts, groups, people
from tests.factories import make_user


@pytest.fixture
def boss(app: Flask) -> User:
    return make_user("boss", is_staff=True, is_superuser=True)


def notes() -> list[tuple[str, str]]:
    return [(row.action, row.detail) for row in db.session.scalars(select(AuditEntry))]


def test_search_finds_each_word_in_names_and_addresses(boss: User) -> None:
    make_user("ada", first_name="Ada", last_name="Lovelace", email="ada@example.org")
    make_user("vera", first_name="Vera", email="v_rubin@example.org", is_active=False)

    def found(text: str, **more: str) -> list[str]:
        return [user.username for user in people.search(boss, text, **more)]

    assert found("") == ["ada", "boss", "vera"]
    assert found("LOVE ada") == ["ada"]
    assert found("example.org") == ["ada", "vera"]
    assert found("v_r") == ["vera"]
    assert found("%") == found("nobody") == found("\0") == []
    assert found("", role="observer") == ["ada", "vera"]
    assert found("", role="superuser") == ["boss"]
    assert found("", state="closed") == ["vera"]
    assert found("example", state="open") == ["ada"]


def test_observers_find_themselves_only(boss: User, observer: User) -> None:
    assert people.search(observer, "") == [observer]


def test_person_is_found_by_name_or_address(boss: User) -> None:
    ada = make_user("ada", email="Ada@Example.org")
    make_user("twin1", email="twins@example.org")
    make_user("twin2", email="twins@example.org")

    assert people.find_person("ada") == people.find_person("ada@EXAMPLE.org") == ada
    for name in ("", "nobody", "\0", "\ud800", "x@y"):
        with pytest.raises(NotFoundError, match="nobody has"):
            people.find_person(name)
    with pytest.raises(NotFoundError, match="several people have"):
        people.find_person("twins@example.org")


def test_names_and_address_are_changed_and_noted(observer: User, staff: User) -> None:
    people.edit(observer, first_name=" Ada ", last_name="Lovelace", email="a@b", by=staff)
    people.edit(observer, first_name="Ada", last_name="Lovelace", email="a@b", by=observer)
    people.edit(observer, first_name="Ada", last_name="", email="c@d.org", by=staff)

    assert (observer.first_name, observer.last_name, observer.email) == ("Ada", "", "c@d.org")
    assert notes() == [
        ("account changed", "first name Ada; last name Lovelace; e-mail a@b"),
        ("account changed", "last name none instead of Lovelace; e-mail c@d.org instead of a@b"),
    ]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("first_name", "a\0"),
        ("last_name", "x" * 151),
        ("last_name", "a\nb"),
        ("email", "no address"),
        ("email", "a@b\0"),
        ("email", "a@" + "b" * 300),
        ("email", "é@example.org"),
        ("email", "OTHER@example.org"),
    ],
)
def test_unfit_values_are_refused_and_change_nothing(
    observer: User, staff: User, field: str, text: str
) -> None:
    make_user("other", email="other@example.org")
    values = {"first_name": "New", "last_name": "New", "email": "new@example.org"} | {field: text}

    with pytest.raises(InvalidRequestError) as refusal:
        people.edit(observer, **values, by=staff)

    assert list(refusal.value.fields) == [field]
    db.session.refresh(observer)
    assert (observer.first_name, observer.email) == ("", "")


def test_observers_take_no_address_by_which_a_proposal_would_find_them(observer: User) -> None:
    with pytest.raises(NotAllowedError, match="changed by staff"):
        people.edit(observer, first_name="A", last_name="", email="future@b.org", by=observer)

    db.session.refresh(observer)
    assert (observer.first_name, observer.email) == ("", "")


def test_staff_edit_observers_and_only_superusers_staff(
    observer: User, staff: User, boss: User
) -> None:
    names = {"first_name": "X", "last_name": "", "email": ""}

    people.edit(observer, **names, by=staff)
    people.edit(staff, **names, by=boss)
    people.edit(staff, **(names | {"first_name": "Y"}), by=staff)
    for by, whom in ((staff, boss), (observer, staff), (staff, make_user("s2", is_staff=True))):
        with pytest.raises(NotAllowedError):
            people.edit(whom, **names, by=by)

    assert (observer.first_name, staff.first_name, boss.first_name) == ("X", "Y", "")


def test_roles_are_given_by_superusers_only(observer: User, staff: User, boss: User) -> None:
    people.set_role(observer, "staff", by=boss)
    for by in (staff, observer):
        with pytest.raises(NotAllowedError):
            people.set_role(observer, "superuser", by=by)

    assert (observer.is_staff, observer.is_superuser) == (True, False)
    people.set_role(observer, "superuser", by=boss)
    assert (observer.is_staff, observer.is_superuser) == (True, True)
    people.set_role(observer, "observer", by=boss)
    assert (observer.is_staff, observer.is_superuser) == (False, False)
    assert notes()[-1] == ("role changed", "superuser is now observer")


def test_nobody_changes_their_own_role(boss: User) -> None:
    make_user("second", is_superuser=True, is_staff=True)

    with pytest.raises(InvalidRequestError, match="ask another superuser"):
        people.set_role(boss, "observer", by=boss)


@pytest.mark.parametrize("role", ["", "admin", "\0", "Staff"])
def test_unknown_role_is_refused(observer: User, boss: User, role: str) -> None:
    with pytest.raises(InvalidRequestError, match="A role is one of"):
        people.set_role(observer, role, by=boss)


def test_last_superuser_who_can_sign_in_stays_one(boss: User) -> None:
    make_user("closed", is_superuser=True, is_active=False)
    invited = accounts.create_user("invited", is_superuser=True)

    with pytest.raises(ConflictError, match="boss is the last superuser who can sign in"):
        people.set_role(boss, "staff", by=None)
    with pytest.raises(ConflictError):
        accounts.set_active(boss.id, False, by=invited)

    accounts.set_password(invited, "now-with-one-1")
    people.set_role(boss, "staff", by=None)
    assert (boss.is_superuser, boss.is_active) == (False, True)


def test_two_superusers_who_demote_each_other_at_once_leave_one(app: Flask, boss: User) -> None:
    second = make_user("second", is_staff=True, is_superuser=True)
    together = Barrier(2)

    def demote(ids: tuple[int, int]) -> bool:
        with app.app_context():
            by, whom = (accounts.user_by_id(number) for number in ids)
            together.wait(60)
            try:
                people.set_role(whom, "observer", by=by)
            except ConflictError:
                return False
            return True

    pairs = [(boss.id, second.id), (second.id, boss.id)]
    with ThreadPoolExecutor(2) as pool:
        worked = list(pool.map(demote, pairs))

    db.session.rollback()  # this thread still sees what was before
    assert sorted(worked) == [False, True]
    left = db.session.scalars(select(User).where(User.is_superuser)).all()
    assert len(left) == 1


def test_proposals_of_a_person_tell_what_they_are_on_them(observer: User, boss: User) -> None:
    group = groups.create("class", by=boss)
    groups.add_member(group, observer, by=boss)
    with transaction():
        db.session.add_all(
            [
                Proposal(code="P3", groups=[group]),
                Proposal(code="P2", members=[observer]),
                Proposal(code="P1", pi_id=observer.id),
                Proposal(code="P0"),
            ]
        )

    assert [(part.proposal.code, part.role) for part in people.proposals_of(observer)] == [
        ("P1", "principal investigator"),
        ("P2", "collaborator"),
        ("P3", "in a group"),
    ]
