"""Mail as a job: to each person once, whatever the server or the worker does meanwhile."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db import db, transaction, utcnow
from app.jobs import mail as job
from app.jobs import runner
from app.models import Job, JobState, Proposal, User
from app.services import accounts, invitations, jobs, mail, settings, smtp
from app.services.courier import Delivery
from app.services.smtp import Mail, Server
from tests import mailserver
from tests.factories import make_user
from tests.faults.program import free_port
from tests.mailserver import Post

pytestmark = pytest.mark.usefixtures("app")
LETTER = mail.written("Clouds", "We start again at 3 h.")


@pytest.fixture
def pi() -> User:
    return make_user("pi", first_name="Ana", last_name="Rojas", email="ana@site.org")


@pytest.fixture
def proposal(pi: User) -> Proposal:
    eva, max_ = (make_user(name, email=f"{name}@site.org") for name in ("eva", "max"))
    with transaction():
        made = Proposal(code="2026B-001", pi=pi, members=[eva, max_])
        db.session.add(made)
    return made


@pytest.fixture
def post() -> Iterator[Post]:
    arrived = Post()
    with mailserver.running(arrived) as port:
        mailserver.set_up(port)
        yield arrived


def work_off() -> list[Job]:
    """Run what is due, and return every job there is."""
    runner.work_off()
    return list(db.session.scalars(select(Job).order_by(Job.id)))


def make_due(row: Job) -> None:
    with transaction():
        row.not_before = utcnow() - timedelta(seconds=1)


def test_everybody_on_the_proposal_gets_the_letter_once_and_can_answer_its_writer(
    post: Post, proposal: Proposal, pi: User
) -> None:
    mail.write_to_proposal(pi, proposal, LETTER)

    [done] = work_off()

    assert done.state == JobState.DONE
    assert done.result["message"] == "Sent to 3 people."
    assert sorted(post.addresses) == ["ana@site.org", "eva@site.org", "max@site.org"]
    for to, message in post.arrived:
        assert message["To"] == to
        assert (message["Subject"], message["Reply-To"]) == ("Clouds", "ana@site.org")
        assert message.get_content().startswith("We start again at 3 h.")
        assert "Written by Ana Rojas at Observatory." in message.get_content()


def test_a_person_whose_account_was_closed_meanwhile_gets_nothing(
    post: Post, proposal: Proposal, pi: User
) -> None:
    mail.write_to_proposal(pi, proposal, LETTER)
    with transaction():
        proposal.members[0].is_active = False

    work_off()

    assert sorted(post.addresses) == ["ana@site.org", "max@site.org"]


def test_who_has_the_letter_does_not_get_it_again_when_the_worker_dies_in_between(
    post: Post, proposal: Proposal, pi: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = mail.write_to_proposal(pi, proposal, LETTER)
    deliver = smtp.deliver

    def die_before_the_second(connection: object, server: Server, letter: Mail) -> None:
        if post.arrived:
            raise KeyboardInterrupt
        deliver(connection, server, letter)  # type: ignore[arg-type]

    monkeypatch.setattr(smtp, "deliver", die_before_the_second)
    [first] = jobs.choose(1)
    with pytest.raises(KeyboardInterrupt):
        runner.run(first.job_id, first.attempt)
    monkeypatch.setattr(smtp, "deliver", deliver)
    jobs.take_back(Delivery(sent.job.id, first.attempt), max_attempts=3)

    [done] = work_off()

    assert done.state == JobState.DONE
    assert sorted(post.addresses) == ["ana@site.org", "eva@site.org", "max@site.org"]


def test_a_server_that_is_away_is_tried_again_later(proposal: Proposal, pi: User) -> None:
    mailserver.set_up(free_port())
    mail.write_to_proposal(pi, proposal, LETTER)

    [waiting] = work_off()

    said = r"not yet to 3 people: .* does not answer: .*Connection refused. Tried again at"
    assert re.search(said, waiting.result["message"])
    assert (waiting.state, waiting.starts) == (JobState.QUEUED, 0)
    assert waiting.not_before is not None
    assert 30 < (waiting.not_before - utcnow()).total_seconds() <= 60

    arrived = Post()
    with mailserver.running(arrived) as port:
        mailserver.set_up(port)
        make_due(waiting)
        [done] = work_off()
    assert (done.state, done.result["message"]) == (JobState.DONE, "Sent to 3 people.")
    assert sorted(arrived.addresses) == ["ana@site.org", "eva@site.org", "max@site.org"]


def test_only_who_was_put_off_is_tried_again_under_the_same_message_id(
    post: Post, proposal: Proposal, pi: User
) -> None:
    post.answers = {"eva@site.org": "450 greylisted"}
    mail.write_to_proposal(pi, proposal, LETTER)
    [waiting] = work_off()
    told = waiting.result["message"]
    post.answers = {}
    make_due(waiting)

    [done] = work_off()

    assert told.startswith("Sent to 2 people, not yet to 1 person: ")
    assert (done.state, done.result["message"]) == (JobState.DONE, "Sent to 3 people.")
    assert sorted(post.addresses) == ["ana@site.org", "eva@site.org", "max@site.org"]
    ids = {message["Message-ID"].partition(".")[0] for _, message in post.arrived}
    assert len(ids) == 1


def test_a_letter_that_waits_can_be_cancelled(proposal: Proposal, pi: User) -> None:
    mailserver.set_up(free_port())
    mail.write_to_proposal(pi, proposal, LETTER)
    [waiting] = work_off()

    jobs.cancel(waiting.id, by=pi)
    make_due(waiting)

    assert [job.state for job in work_off()] == [JobState.CANCELLED]


def test_who_is_refused_for_good_is_named_and_the_others_have_it(
    post: Post, proposal: Proposal, pi: User
) -> None:
    post.answers = {"eva@site.org": "550 no such user here"}
    mail.write_to_proposal(pi, proposal, LETTER)

    [done] = work_off()

    assert done.state == JobState.FAILED
    assert done.error is not None
    assert done.error.startswith("Sent to 2 people, but not to eva (")
    assert "550 no such user here" in done.error
    assert sorted(post.addresses) == ["ana@site.org", "max@site.org"]


def test_a_line_that_breaks_leaves_the_others_for_later(
    post: Post, proposal: Proposal, pi: User
) -> None:
    post.hang_up_after = 2
    mail.write_to_proposal(pi, proposal, LETTER)

    [waiting] = work_off()

    # The second mail had arrived when the line broke before the server could say so.
    assert waiting.result["sent"] == [pi.id]
    assert waiting.result["message"].startswith("Sent to 1 person, not yet to 2 people: ")


def test_it_is_given_up_after_the_time_the_site_allows(proposal: Proposal, pi: User) -> None:
    mailserver.set_up(free_port(), give_up_h=0)
    mail.write_to_proposal(pi, proposal, LETTER)

    [done] = work_off()

    assert done.state == JobState.FAILED
    assert done.error is not None
    assert re.search(r"Sent to 0 people, but not to .*eva \(.*does not answer", done.error)


def test_pauses_grow_and_end(proposal: Proposal, pi: User) -> None:
    mailserver.set_up(free_port(), give_up_h=2)
    mail.write_to_proposal(pi, proposal, LETTER)
    pauses = []
    for _ in range(len(job.PAUSES_MIN) + 1):
        [last] = work_off()
        assert last.not_before is not None
        pauses.append(round((last.not_before - utcnow()).total_seconds() / 60))
        make_due(last)

    assert pauses == [1, 5, 15, 30, 60, 60]


def test_a_wrong_account_at_the_server_is_said_at_once(
    post: Post, proposal: Proposal, pi: User
) -> None:
    mailserver.set_up(int(db_setting("smtp_port")), smtp_user="dome")
    mail.write_to_proposal(pi, proposal, LETTER)

    [done] = work_off()

    assert done.state == JobState.FAILED
    assert "cannot do what is asked of it" in (done.error or "")


def db_setting(item: str) -> str:

    return settings.snapshot().text(f"mail.{item}")


def test_invitation_brings_a_link_that_lets_its_reader_in_and_is_kept_nowhere(
    post: Post, pi: User
) -> None:
    mailserver.set_up(int(db_setting("smtp_port")), **{"site.url": "https://dome.site.org/"})
    guest = accounts.person_of_email("guest@site.org", by=pi)[0]
    mail.send_invitation(guest, by=pi)

    [done] = work_off()

    [(to, message)] = post.arrived
    assert (to, message["Auto-Submitted"]) == ("guest@site.org", "auto-generated")
    found = re.search(r"https://dome\.site\.org/welcome/(\S+)/\s", message.get_content())
    assert found is not None
    assert "user name is guest" in message.get_content()
    assert found[1] not in f"{done.arguments} {done.result} {done.label} {done.step}"
    assert found[1] not in jobs.log_path(done.id).read_text()
    assert invitations.accept(found[1], "night-sky-8").id == guest.id


def test_invitation_waits_for_the_server_without_ending_a_link_that_was_passed_on(
    pi: User, staff: User
) -> None:
    mailserver.set_up(free_port(), **{"site.url": "https://dome.site.org"})
    guest = accounts.person_of_email("guest@site.org", by=pi)[0]
    mail.send_invitation(guest, by=pi)
    passed_on = invitations.invite(guest, by=staff)

    [waiting] = work_off()

    assert invitations.invited(passed_on).id == guest.id
    invitations.accept(passed_on, "night-sky-8")
    arrived = Post()
    with mailserver.running(arrived) as port:
        mailserver.set_up(port)
        make_due(waiting)
        [done] = work_off()
    assert arrived.arrived == []
    assert done.result["message"] == "No link is needed any more."


def test_without_our_own_address_no_link_is_mailed(post: Post, pi: User) -> None:
    guest = accounts.person_of_email("guest@site.org", by=pi)[0]

    assert mail.send_invitation(guest, by=pi) is None
    assert work_off() == []
