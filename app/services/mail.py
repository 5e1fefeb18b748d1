"""Mail to observers: who may write to whom, and the jobs that send it.

A letter waits as a job: to whom as user ids, so that nobody is written to under an address they
gave up meanwhile. The link of an invitation is made where it is sent, and is kept nowhere.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import CompoundSelect, Select, func, or_, select, union

from app.db import db, transaction, utcnow
from app.errors import ConflictError, InvalidRequestError, NotAllowedError, ThrottledError
from app.models import Job, Proposal, User, group_members, proposal_groups, proposal_members
from app.services import access, audit, jobs, settings
from app.services.texts import checked, storable
from app.wording import counted

MAX_SUBJECT: Final = 200
MAX_MESSAGE: Final = 20_000
SEND: Final = "mail.send"
INVITE: Final = "mail.invite"
_SOON: Final = 5  # a letter does not wait behind a night of frames
_HOUR: Final = timedelta(hours=1)
_NEEDED: Final = ("mail.smtp_host", "mail.sender")


class MailNotSetUpError(ConflictError):
    """No mail goes out of this house; whoever wants to write has the addresses to do it with."""

    def __init__(self, missing: Sequence[str], people: Sequence[User] = ()) -> None:
        self.missing = list(missing)
        self.addresses = [person.email for person in people]
        wanted = f"staff must fill in {' and '.join(missing)} on the settings page."
        yourself = f" Write to them yourself: {', '.join(self.addresses)}" if people else ""
        super().__init__(f"Mail is not set up here: {wanted}{yourself}")


@dataclass(frozen=True, slots=True)
class Letter:
    """What is written, as `written` has checked it."""

    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter that is on its way: the job that sends it, and to whom."""

    job: Job
    people: Sequence[User]


def written(subject: str, message: str) -> Letter:
    """Return a letter that can be sent: one line of subject, some lines of text.

    Raises
    ------
    InvalidRequestError
        If one of them is missing or too long, or the subject would smuggle in another header.
    """
    subject = checked("subject", subject, MAX_SUBJECT)
    message = checked("message", message.replace("\r\n", "\n"), MAX_MESSAGE, lines=True)
    missing = {n: "This field is required." for n, v in _parts(subject, message) if not v}
    if missing:
        raise InvalidRequestError(**missing)
    return Letter(subject, message)


def _parts(subject: str, message: str) -> Iterable[tuple[str, str]]:
    return (("subject", subject), ("message", message))


def missing_settings(snapshot: settings.Snapshot | None = None) -> list[str]:
    """Return which settings must be filled in before a mail can go out."""
    now = snapshot or settings.snapshot()
    return [name for name in _NEEDED if not now.text(name)]


def people_of(proposal: Proposal) -> Sequence[User]:
    """Return whom a letter to a proposal goes to: its people with an account and an address."""
    its = _people_on(select(Proposal.id).where(Proposal.id == proposal.id))
    return reachable(db.session.scalars(select(User).where(User.id.in_(its)).order_by(User.id)))


def reachable(people: Iterable[User]) -> list[User]:
    """Return those of `people` a letter can reach, each address once."""
    by_address = {
        person.email.casefold(): person for person in people if person.is_active and person.email
    }
    return list(by_address.values())


def write_to_proposal(by: User, proposal: Proposal, letter: Letter) -> Sent:
    """Send a letter to a proposal's people.

    Raises
    ------
    NotAllowedError
        If `by` is neither one of them nor staff.
    """
    if not access.is_of(by, proposal):
        raise NotAllowedError(
            "You do not have permission to perform this action. "
            f"Only the people of {proposal.code} and staff may write to them."
        )
    people = people_of(proposal)
    if not people:
        raise InvalidRequestError(proposal=f"Nobody of {proposal.code} has an e-mail address here.")
    return _send(by, letter, people, proposal)


def write_to(by: User, names: Sequence[str], letter: Letter) -> Sent:
    """Send a letter to people named by user name or e-mail: anybody for staff, else one's own.

    Raises
    ------
    InvalidRequestError
        If one of them is not known, or shares no proposal with `by`: the same words for both.
    """
    _check_number(len(names))
    people = reachable(_known(by, name) for name in names)
    return _send(by, letter, people)


def _known(by: User, name: str) -> User:
    wanted = storable(name.strip())
    same = or_(User.username == wanted, func.lower(User.email) == wanted.lower())
    query = select(User).where(same, User.email != "", User.is_active.is_(True))
    if not access.is_staff(by):
        query = query.where(User.id.in_(_people_on(access.own_proposals(by))))
    found = db.session.scalars(query.order_by(User.username != wanted, User.id).limit(1)).first()
    if found is None:
        who = "known here" if access.is_staff(by) else "on a proposal of yours"
        raise InvalidRequestError(to=f"Nobody {who} is {name[:150]!r}, or has no e-mail address.")
    return found


def _people_on(proposals: Select[int]) -> CompoundSelect[Any]:
    """Return the ids of everybody on these proposals: investigators, by name, in a group."""
    by_name = proposal_members.c
    in_group = (
        select(group_members.c.user_id)
        .join(proposal_groups, proposal_groups.c.group_id == group_members.c.group_id)
        .where(proposal_groups.c.proposal_id.in_(proposals))
    )
    leading = select(Proposal.pi_id).where(Proposal.id.in_(proposals), Proposal.pi_id.is_not(None))
    named = select(by_name.user_id).where(by_name.proposal_id.in_(proposals))
    return union(named, in_group, leading)


def _check_number(number: int) -> None:
    most = settings.snapshot().integer("mail.max_recipients")
    if number > most:
        raise InvalidRequestError(
            f"One mail goes to {most} people at most (mail.max_recipients), not to {number}."
        )


def _send(
    by: User, letter: Letter, people: Sequence[User], proposal: Proposal | None = None
) -> Sent:
    _check_number(len(people))
    if missing := missing_settings():
        raise MailNotSetUpError(missing, people)
    several = counted(len(people), "person", "people")
    with transaction():
        _throttle(by)
        whom = f"the people of {proposal.code}" if proposal else several
        job = _enqueue(by, letter, people, f"mail to {whom}")
        audit.note(by, f"wrote a mail to {several}", proposal or "mail", letter.subject)
    return Sent(job, people)


def _enqueue(by: User, letter: Letter, people: Sequence[User], label: str) -> Job:
    arguments = {
        "subject": letter.subject,
        "message": letter.message,
        "people": [person.id for person in people],
        "letter": secrets.token_hex(8),  # what tells a mail that is sent once more
    }
    return jobs.enqueue(SEND, arguments, label=label, owner=by, priority=_SOON)


def _throttle(by: User) -> None:
    """Refuse one letter too many in an hour; counted in the database, so by every process.

    Raises
    ------
    ThrottledError
        With how long to wait.
    """
    db.session.execute(select(User.id).where(User.id == by.id).with_for_update())  # in turns
    if (wait := _wait(by, SEND)) is not None:
        raise ThrottledError(max(1, round(wait.total_seconds())))


def _wait(by: User, function: str) -> timedelta | None:
    """Return until when somebody has had their mails of this hour, None where one is free."""
    now, per_hour = utcnow(), settings.snapshot().integer("mail.per_hour")
    recent = (
        select(Job.created_at)
        .where(Job.function == function, Job.owner_id == by.id, Job.created_at > now - _HOUR)
        .order_by(Job.created_at.desc())
        .limit(per_hour)
    )
    times = db.session.scalars(recent).all()
    return times[-1] + _HOUR - now if len(times) >= per_hour else None


def sends_links() -> bool:
    """Tell whether links can be mailed: mail and our own address are set up."""
    snapshot = settings.snapshot()
    return not missing_settings(snapshot) and bool(snapshot.text("site.url"))


def send_invitation(person: User, *, by: User | None) -> Job | None:
    """Mail somebody a link to set a password by.

    None where mail or our own address is not set up, and for whoever is not staff and has sent
    many in this hour: an account is made at any address, and must not be a way to flood it.
    """
    if not sends_links() or not person.email:
        return None
    if by is not None and not access.is_staff(by) and _wait(by, INVITE) is not None:
        return None
    return jobs.enqueue(
        INVITE,
        {"person": person.id, "is_first": person.password_hash is None},
        label=f"invitation of {person.username}",
        owner=by,
        priority=_SOON,
        dedupe_key=f"invite-{person.id}",
    )
