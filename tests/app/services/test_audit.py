from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select

from app.db import db, transaction
from app.models import AuditEntry, Block, Frame, Group, Proposal, User
from app.services import audit
from app.services.audit import Filters
from tests.factories import make_block, make_frame, make_user


def note(by: User | None, action: str, subject: audit.Subject, detail: str = "") -> None:
    with transaction():
        audit.note(by, action, subject, detail)


def actions_of(filters: Filters) -> list[str]:
    return [entry.action for entry in audit.find(filters)]


def test_rows_are_noted_by_kind_and_number(staff: User, observer: User) -> None:
    frame, block = make_frame(), make_block("bias")
    with transaction():
        proposal, group = Proposal(code="P1"), Group(name="class")
        db.session.add_all([proposal, group])
    rows: list[Block | Frame | Proposal | User | Group] = [frame, block, proposal, observer, group]

    for row in rows:
        note(staff, "touched", row, "so")
    note(staff, "changed", "site.name", "Dome")

    kinds = ["frame", "block", "proposal", "user", "group"]
    subjects = db.session.scalars(select(AuditEntry.subject).order_by(AuditEntry.id)).all()
    assert subjects == [f"{kind} {row.id}" for kind, row in zip(kinds, rows, strict=True)] + [
        "site.name"
    ]
    for row in rows:
        (act,) = audit.of(row)
        assert (act.who, act.text) == ("staff", "touched: so")


def test_row_that_is_new_gets_its_number_first(staff: User) -> None:
    with transaction():
        group = Group(name="class")
        db.session.add(group)
        audit.note(staff, "made", group)

    assert db.session.scalars(select(AuditEntry.subject)).one() == f"group {group.id}"


def test_acts_of_the_program_are_noted_for_accounts_only(observer: User) -> None:
    note(None, "not noted", observer)
    with transaction():
        audit.note_always(None, "noted", observer)

    (act,) = audit.of(observer)
    assert (act.who, act.text) == ("the program", "noted")


def test_log_is_filtered_by_person_subject_action_and_days(staff: User, observer: User) -> None:
    frame = make_frame(file_name="flat_1.fits")
    note(staff, "one", observer, "x")
    note(observer, "two", frame)
    with transaction():
        audit.note_always(None, "three", "site.name")
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "one")).one()
        entry.at = datetime(2026, 1, 2, 23, 59, 59, tzinfo=UTC)

    assert actions_of(Filters()) == ["three", "two", "one"]
    assert actions_of(Filters(person="STAF")) == ["one"]
    assert actions_of(Filters(person="the program")) == ["three"]
    assert actions_of(Filters(person="%")) == []
    assert actions_of(Filters(subject=f"user {observer.id}")) == ["one"]
    assert actions_of(Filters(subject=f"user {observer.id}0")) == []
    assert actions_of(Filters(subject="observ")) == ["one"]
    assert actions_of(Filters(subject="flat_1.fits")) == ["two"]
    assert actions_of(Filters(subject="site")) == ["three"]
    assert actions_of(Filters(action="two")) == ["two"]
    assert actions_of(Filters(first=date(2026, 1, 2), last=date(2026, 1, 2))) == ["one"]
    assert actions_of(Filters(last=date(2026, 1, 1))) == []
    assert actions_of(Filters(first=date(2026, 1, 3))) == ["three", "two"]
    assert set(audit.actions()) == {"one", "two", "three"}


@pytest.mark.parametrize("text", ["\0", "\ud800", "user 99999999999999999999", "a" * 5000, "'\"%_"])
def test_nonsense_finds_nothing(staff: User, text: str) -> None:
    note(staff, "one", staff)

    assert actions_of(Filters(person=text)) == []
    assert actions_of(Filters(subject=text)) == []
    assert actions_of(Filters(action=text)) == []


def test_pages_go_on_behind_the_last_entry(staff: User) -> None:
    for number in range(5):
        note(staff, str(number), staff)

    first = audit.find(Filters(), limit=2)
    second = audit.find(Filters(), before=first[-1].id, limit=2)
    third = audit.find(Filters(), before=second[-1].id, limit=2)

    pages = [[entry.action for entry in page] for page in (first, second, third)]
    assert pages == [["4", "3"], ["2", "1"], ["0"]]


def test_entries_name_the_rows_that_are_still_there(staff: User) -> None:
    block = make_block("bias")
    with transaction():
        group = Group(name="class")
        db.session.add(group)
        audit.note(staff, "made", group)
    note(staff, "made", block)
    note(staff, "made", staff)
    with transaction():
        db.session.delete(group)

    entries = audit.find(Filters())

    assert [(e.kind, e.row_id, e.subject) for e in entries] == [
        ("user", staff.id, "staff"),
        ("block", block.id, f"bias {block.id}"),
        ("", 0, "group 1"),
    ]


def test_entries_by_and_about_a_person(staff: User, observer: User) -> None:
    other = make_user("other")
    note(staff, "about", observer)
    note(observer, "by", other)
    note(staff, "neither", other)

    assert [entry.action for entry in audit.by_and_about(observer)] == ["by", "about"]
