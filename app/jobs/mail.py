"""The jobs that send mail: each person once, again later while the server is away."""

import smtplib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select

from app.db import db, utcnow
from app.errors import UnavailableError
from app.jobs.runner import JobContext
from app.models import Job, User
from app.services import invitations, mail, smtp
from app.services.smtp import Mail, MailDelayedError, MailRefusedError, Server
from app.wording import counted

# Minutes until the next attempt; the last one holds from then on.
PAUSES_MIN: Final = (1, 5, 15, 30, 60)


@dataclass(slots=True)
class Round:
    """How a letter stands: who has it, who never will, and who is still to get it."""

    sent: list[int] = field(default_factory=list)  # user ids
    refused: dict[str, str] = field(default_factory=dict)  # user name: why
    left: dict[int, str] = field(default_factory=dict)  # user id: why not yet
    tries: int = 0  # before this one

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Round":
        """Return what an earlier attempt, or a worker that died, has left in the job's row."""
        sent, refused = list(kept.get("sent", ())), dict(kept.get("refused", {}))
        return cls(sent, refused, tries=int(kept.get("tries", 0)))

    def kept(self) -> dict[str, Any]:
        """Return what the next attempt has to know."""
        return {"sent": self.sent, "refused": self.refused, "tries": self.tries}


def send(context: JobContext) -> None:
    """Send a letter to everybody who does not have it yet."""
    done = Round.of(_row(context).result)
    mails = _mails(context, done)
    try:
        with smtp.connected(Server.of(context.settings)) as connection:
            for number, (person, letter) in enumerate(mails):
                context.progress(number / len(mails), f"{number} of {len(mails)} sent")
                context.look_again()
                _send_one(context, connection, done, (person, letter))
    except MailRefusedError as error:
        raise UnavailableError(f"Sent to {_people(done)}, then: {error}.") from error
    except MailDelayedError as error:
        done.left |= {person.id: str(error) for person, _ in mails}
    _conclude(context, done)


def _mails(context: JobContext, done: Round) -> list[tuple[User, Mail]]:
    people = db.session.scalars(select(User).where(User.id.in_(context.arguments["people"])))
    return [
        (person, _mail(context, person))
        for person in mail.reachable(people)
        if person.id not in done.sent and person.username not in done.refused
    ]


def _mail(context: JobContext, person: User) -> Mail:
    arguments = context.arguments
    writer = db.session.get(User, context.owner_id) if context.owner_id else None
    site = context.settings.text("site.name")
    who = writer.display_name if writer else site
    return Mail(
        to=person.email,
        subject=arguments["subject"],
        text=f"{arguments['message']}\n\n-- \nWritten by {who} at {site}.\n",
        key=f"{arguments['letter']}.{person.id}",
        reply_to=(writer and writer.email) or context.settings.text("mail.reply_to"),
    )


def _send_one(
    context: JobContext, connection: smtplib.SMTP, done: Round, one: tuple[User, Mail]
) -> None:
    """Send one mail and remember it at once; a worker that dies in between sends it twice."""
    person, letter = one
    try:
        smtp.deliver(connection, Server.of(context.settings), letter)
        done.sent.append(person.id)
        context.log.info("sent to %s", person.username)
    except MailRefusedError as error:
        done.refused[person.username] = str(error)
        context.log.warning("%s: %s", person.username, error)
    except MailDelayedError as error:
        done.left[person.id] = str(error)
        return
    with context.checkpoint():
        _row(context).result = done.kept()


def _row(context: JobContext) -> Job:
    return db.session.get_one(Job, context.job_id)


def _conclude(context: JobContext, done: Round) -> None:
    """End the job, or put it off for whoever is left, for as long as the site allows."""
    if done.left and (at := _next_attempt(context, done.tries)) is not None:
        left = counted(len(done.left), "person", "people")
        why = next(iter(done.left.values()))
        told = f"Sent to {_people(done)}, not yet to {left}: {why}. Tried again at {at:%H:%M} UTC."
        context.put_off(at, {**done.kept(), "tries": done.tries + 1, "message": told})
        return
    waiting = db.session.scalars(select(User).where(User.id.in_(done.left)))
    lost = done.refused | {person.username: done.left[person.id] for person in waiting}
    if lost:
        raise UnavailableError(f"Sent to {_people(done)}, but not to {_listed(lost)}.")
    with context.finish({**done.kept(), "message": f"Sent to {_people(done)}."}):
        pass


def _people(done: Round) -> str:
    return counted(len(done.sent), "person", "people")


def _listed(lost: Mapping[str, str]) -> str:
    return "; ".join(f"{name} ({why})" for name, why in lost.items())


def _next_attempt(context: JobContext, tries: int) -> datetime | None:
    """Return when to try again, None once it has been tried for long enough."""
    at = utcnow() + timedelta(minutes=PAUSES_MIN[min(tries, len(PAUSES_MIN) - 1)])
    limit = timedelta(hours=context.settings.number("mail.give_up_h"))
    return at if at <= _row(context).created_at + limit else None


def invite(context: JobContext) -> None:
    """Mail somebody a link to set a password by; it is made here, once the server answers."""
    person = db.session.get(User, context.arguments["person"])
    if person is None or not person.is_active or not person.email or _is_late(context, person):
        with context.finish({"message": "No link is needed any more."}):
            return
    server = Server.of(context.settings)
    try:
        with smtp.connected(server) as connection:
            context.look_again()
            smtp.deliver(connection, server, _invitation(context, person))
    except MailRefusedError as error:
        raise UnavailableError(f"The link was not sent: {error}.") from error
    except MailDelayedError as error:
        _invite_later(context, str(error))
        return
    with context.finish({"message": f"The link was sent to {person.username}."}):
        pass


def _is_late(context: JobContext, person: User) -> bool:
    """Tell whether somebody for whom this was to be the first link has got in without it."""
    return bool(context.arguments.get("is_first")) and person.password_hash is not None


def _invitation(context: JobContext, person: User) -> Mail:
    by = db.session.get(User, context.owner_id) if context.owner_id else None
    key = invitations.invite(person, by=by, is_mailed=True)
    site, days = context.settings.text("site.name"), context.settings.text("access.invitation_days")
    address = context.settings.text("site.url").rstrip("/")
    who = f"{by.display_name} has made" if by else "There is"
    return Mail(
        to=person.email,
        subject=f"Your account at {site}",
        text=(
            f"{who} an account for you at {site}; its user name is {person.username}.\n\n"
            f"Choose a password here; the link works once, within {days} days:\n\n"
            f"{address}/welcome/{key}/\n\n"
            "If this tells you nothing, do nothing: without a password nobody can use it.\n"
        ),
        key=f"invitation.{context.job_id}.{context.attempt}",
        reply_to=(by and by.email) or context.settings.text("mail.reply_to"),
        is_automatic=True,
    )


def _invite_later(context: JobContext, why: str) -> None:
    tries = int(_row(context).result.get("tries", 0))
    at = _next_attempt(context, tries)
    if at is None:
        raise UnavailableError(f"The link was not sent, and is given up: {why}.")
    told = f"Not sent yet: {why}. Tried again at {at:%H:%M} UTC."
    context.put_off(at, {"tries": tries + 1, "message": told})
