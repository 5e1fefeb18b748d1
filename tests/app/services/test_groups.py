import pytest
from sqlalchemy import select

from app.db import db, transaction
from app.errors import InvalidRequestError, NotAllowedError, NotFoundError
from app.models import AuditEntry, Group, Proposal, User
from app.services import access, groups
from tests.factories import make_user


def acts() -> list[tuple[str, str]]:
    rows = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id))
    return [(row.action, row.detail) for row in rows]


def test_group_is_made_changed_and_deleted_by_staff(staff: User, observer: User) -> None:
    group = groups.create(" class of 2026 ", description="second year", by=staff)
    groups.set_members(group, [observer, staff], by=staff)
    groups.remove_member(group, staff, by=staff)
    groups.edit(group, name="class of 2027", description="", by=staff)
    members = [user.username for user in group.members]
    groups.delete(group, by=staff)

    assert members == ["observer"]
    assert groups.find(staff) == []
    assert acts() == [
        ("group made", "class of 2026"),
        ("group members changed", "added observer, staff"),
        ("group members changed", "removed staff"),
        ("group changed", "class of 2026 is now class of 2027"),
        ("group deleted", "class of 2027"),
    ]


def test_change_that_changes_nothing_is_not_noted(staff: User, observer: User) -> None:
    group = groups.create("team", by=staff)
    groups.add_member(group, observer, by=staff)
    noted = len(acts())

    groups.add_member(group, observer, by=staff)
    groups.edit(group, name="team", description="", by=staff)

    assert len(acts()) == noted


def test_observers_change_no_groups(staff: User, observer: User) -> None:
    group = groups.create("team", by=staff)

    with pytest.raises(NotAllowedError):
        groups.create("mine", by=observer)
    with pytest.raises(NotAllowedError):
        groups.edit(group, name="mine", description="", by=observer)
    with pytest.raises(NotAllowedError):
        groups.set_members(group, [observer], by=observer)
    with pytest.raises(NotAllowedError):
        groups.delete(group, by=observer)

    assert group.members == []


def test_one_sees_the_groups_one_is_in(staff: User, observer: User) -> None:
    mine = groups.create("mine", by=staff)
    other = groups.create("other", by=staff)
    groups.add_member(mine, observer, by=staff)

    assert groups.find(observer) == [mine]
    assert groups.find(staff) == [mine, other]
    assert groups.of_person(observer) == [mine]
    with pytest.raises(NotFoundError):
        groups.get(other.id, by=observer)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "a\nb", "\ud800", "TEAM"])
def test_unfit_names_are_refused(staff: User, name: str) -> None:
    groups.create("team", by=staff)

    with pytest.raises(InvalidRequestError) as refusal:
        groups.create(name, by=staff)

    assert list(refusal.value.fields) == ["name"]
    assert len(groups.find(staff)) == 1


def test_group_keeps_its_own_name_but_takes_no_others(staff: User) -> None:
    group = groups.create("team", by=staff)
    groups.create("class", by=staff)

    groups.edit(group, name="Team", description="x", by=staff)

    assert group.name == "Team"
    with pytest.raises(InvalidRequestError, match="of this name already"):
        groups.edit(group, name="Class", description="", by=staff)


def test_name_somebody_took_meanwhile_is_refused_by_the_database(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = groups.create("team", by=staff)
    other = groups.create("class", by=staff)
    monkeypatch.setattr(groups, "_check_is_free", lambda *_: None)

    with pytest.raises(InvalidRequestError, match="of this name already"):
        groups.create("team", by=staff)
    with pytest.raises(InvalidRequestError, match="of this name already"):
        groups.edit(other, name="team", description="", by=staff)

    assert groups.find(staff) == [other, group]


def test_deleted_group_no_longer_opens_its_proposals(staff: User, observer: User) -> None:
    group = groups.create("team", by=staff)
    groups.add_member(group, observer, by=staff)
    with transaction():
        proposal = Proposal(code="P1", groups=[group])
        db.session.add(proposal)
    before = db.session.scalars(access.own_proposals(observer)).all()
    listed = groups.proposals_of([group])

    groups.delete(group, by=staff)

    assert before == [proposal.id]
    assert listed == {1: [proposal]}
    assert db.session.scalars(access.own_proposals(observer)).all() == []
    assert db.session.scalars(select(Group)).all() == []
    assert make_user("later").id > observer.id
