"""Who may write to whom, and what waits as a job."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import db, transaction, utcnow
from app.errors import InvalidRequestError, NotAllowedError, ThrottledError
from app.models import AuditEntry, Group, Job, Proposal, User
from app.services import mail
from app.services.mail import MailNotSetUpError
from tests import mailserver
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("app")
LETTER = mail.written("Clouds", "Later.")


@pytest.fixture
def pi() -> User:
    return make_user("pi", email="pi@site.org")


@pytest.fixture
def proposal(pi: User) -> Proposal:
    eva = make_user("eva", email="eva@site.org")
    student = make_user("student", email="student@site.org")
    with transaction():
        made = Proposal(code="2026B-001", pi=pi, members=[eva])
        made.groups = [Group(name="class", members=[student, eva])]
        db.session.add(made)
    return made


@pytest.fixture
def post(app: Flask) -> None:
    """Mail that is set up; nobody needs to listen before the job runs."""
    mailserver.set_up(2525)


def names(people: object) -> list[str]:
    assert isinstance(people, list)
    return [person.username for person in people]


def job_count() -> int:
    return len(db.session.scalars(select(Job)).all())


@pytest.mark.usefixtures("post")
def test_a_letter_to_a_proposal_goes_to_each_of_its_people_once(
    proposal: Proposal, pi: User
) -> None:
    with transaction():
        proposal.members.append(make_user("twin", email="EVA@site.org"))
        proposal.members.append(make_user("mute"))
        proposal.members.append(make_user("gone", email="gone@site.org", is_active=False))

    sent = mail.write_to_proposal(pi, proposal, LETTER)

    assert sorted(person.email.lower() for person in sent.people) == [
        "eva@site.org", "pi@site.org", "student@site.org",
    ]  # fmt: skip
    assert sent.job.function == "mail.send"
    assert sorted(sent.job.arguments["people"]) == sorted(person.id for person in sent.people)
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.user_id, entry.action) == (pi.id, "wrote a mail to 3 people")
    assert (entry.subject, entry.detail) == (f"proposal {proposal.id}", "Clouds")


@pytest.mark.usefixtures("post")
def test_its_people_and_staff_write_to_a_proposal_and_nobody_else(
    proposal: Proposal, staff: User, observer: User
) -> None:
    student = db.session.scalars(select(User).where(User.username == "student")).one()

    for by in (staff, student):
        mail.write_to_proposal(by, proposal, LETTER)
    with pytest.raises(NotAllowedError, match="people of 2026B-001 and staff"):
        mail.write_to_proposal(observer, proposal, LETTER)

    assert job_count() == 2


@pytest.mark.usefixtures("post")
def test_people_are_named_by_user_name_or_e_mail_each_once(
    proposal: Proposal, pi: User, staff: User
) -> None:
    make_user("else", email="else@site.org")

    assert names(mail.write_to(pi, ["eva", "EVA@site.org", "student"], LETTER).people) == [
        "eva", "student",
    ]  # fmt: skip
    assert names(mail.write_to(staff, ["else", "pi@site.org"], LETTER).people) == ["else", "pi"]


@pytest.mark.usefixtures("post")
def test_who_shares_no_proposal_is_as_unknown_as_who_does_not_exist(
    proposal: Proposal, pi: User
) -> None:
    make_user("else", email="else@site.org")
    said = []
    for name in ("else", "none", "else@site.org", "none@site.org"):
        with pytest.raises(InvalidRequestError) as refused:
            mail.write_to(pi, ["eva", name], LETTER)
        said.append(refused.value.fields["to"].replace(name, "X"))

    assert len(set(said)) == 1
    assert "on a proposal of yours" in said[0]
    assert job_count() == 0


WRONG = [
    ("", "text", "subject"),
    ("a\r\nBcc: all@site.org", "text", "subject"),
    ("a\u2028b", "text", "subject"),
    ("s" * 201, "text", "subject"),
    ("half \ud800", "text", "subject"),
    ("subject", " \n ", "message"),
    ("subject", "m" * 20_001, "message"),
    ("subject", "nul \0", "message"),
]


def test_a_letter_that_cannot_be_sent_is_refused_by_its_field() -> None:
    refused: list[str] = []
    for subject, message, _ in WRONG:
        with pytest.raises(InvalidRequestError) as error:
            mail.written(subject, message)
        refused += error.value.fields

    assert refused == [field for *_, field in WRONG]


def test_without_a_mail_server_the_settings_and_the_addresses_are_named(
    proposal: Proposal, pi: User
) -> None:
    with pytest.raises(MailNotSetUpError) as refused:
        mail.write_to_proposal(pi, proposal, LETTER)

    assert refused.value.missing == ["mail.smtp_host", "mail.sender"]
    assert sorted(refused.value.addresses) == ["eva@site.org", "pi@site.org", "student@site.org"]
    assert "mail.smtp_host and mail.sender" in str(refused.value)
    assert job_count() == 0


def test_one_mail_goes_to_so_many_people_only(proposal: Proposal, pi: User) -> None:
    mailserver.set_up(2525, max_recipients=2)

    with pytest.raises(InvalidRequestError, match="2 people at most"):
        mail.write_to_proposal(pi, proposal, LETTER)

    assert job_count() == 0


def test_so_many_names_are_refused_before_anybody_is_looked_for(staff: User) -> None:
    mailserver.set_up(2525, max_recipients=2)

    with pytest.raises(InvalidRequestError, match="not to 3"):
        mail.write_to(staff, ["a", "b", "c"], LETTER)


def test_no_investigator_floods_addresses_with_invitations(pi: User, staff: User) -> None:
    mailserver.set_up(2525, per_hour=1, **{"site.url": "https://dome.site.org"})
    new = [make_user(f"new{n}", email=f"new{n}@site.org") for n in range(4)]

    by_pi = [mail.send_invitation(person, by=pi) is not None for person in new[:2]]
    by_staff = [mail.send_invitation(person, by=staff) is not None for person in new[2:]]

    assert (by_pi, by_staff) == ([True, False], [True, True])


def test_so_many_mails_an_hour_and_then_it_is_said_how_long_to_wait(
    proposal: Proposal, pi: User, staff: User
) -> None:
    mailserver.set_up(2525, per_hour=2)
    first = mail.write_to_proposal(pi, proposal, LETTER)
    with transaction():
        first.job.created_at = utcnow() - timedelta(minutes=50)
    mail.write_to_proposal(pi, proposal, LETTER)

    with pytest.raises(ThrottledError) as refused:
        mail.write_to_proposal(pi, proposal, LETTER)

    assert 590 <= refused.value.wait_s <= 600
    mail.write_to_proposal(staff, proposal, LETTER)
    with transaction():
        first.job.created_at = utcnow() - timedelta(minutes=61)
    mail.write_to_proposal(pi, proposal, LETTER)


def test_a_person_is_invited_once_at_a_time(pi: User) -> None:
    mailserver.set_up(2525, **{"site.url": "https://dome.site.org"})
    new = make_user("new", email="new@site.org")

    first, again = (mail.send_invitation(new, by=pi) for _ in range(2))

    assert first is not None
    assert first == again
