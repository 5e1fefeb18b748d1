"""Proposals: what they are called, who is on them, and when their frames become everyone's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final, TypedDict, Unpack

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from app.db import db, transaction, utcnow
from app.errors import InvalidRequestError, NotFoundError
from app.models import Frame, Group, Proposal, User
from app.services import access, accounts, audit, invitations, mail, settings
from app.services.texts import checked, storable

MAX_DAYS: Final = 36_500
_LONGEST: Final[Mapping[str, int]] = {
    "code": 100,
    "semester": 40,
    "title": 300,
    "abstract": 20_000,
}
_SHOWN: Final = 80  # characters of a new value in the audit log


class Values(TypedDict, total=False):
    """What staff may say of a proposal; `pi` is a user name or an e-mail, "" for nobody."""

    code: str
    semester: str
    title: str
    abstract: str
    pi: str
    groups: Sequence[str]
    proprietary_days: int | None


class Change(StrEnum):
    """What became of a request to put somebody on a proposal, or to take them off."""

    ADDED = "added"
    CREATED = "added and account created"
    ALREADY_ON = "already on it"
    REMOVED = "removed"
    NOT_ON = "not on it"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who it was about, as far as there is such a person, and what became of it."""

    change: Change
    who: str
    is_invited: bool = False  # a link is on its way to them by mail


@dataclass(frozen=True, slots=True)
class Release:
    """How long frames are a proposal's own, and when the newest it has become everyone's."""

    days: int
    is_sites: bool
    newest_night: date | None

    @property
    def on(self) -> date | None:
        """The day from which everyone signed in sees its newest frames."""
        return self.newest_night and self.newest_night + timedelta(self.days)

    @property
    def is_past(self) -> bool:
        """Whether that day has come."""
        return self.on is not None and self.on <= utcnow().date()


def visible(user: User, *, code: str = "", semester: str = "") -> Select[Any]:
    """Return the proposals `user` may see, to be ordered and paged."""
    query = access.visible_to(user, Proposal)
    if code:
        query = query.where(func.lower(Proposal.code) == storable(code).lower())
    if semester:
        query = query.where(func.lower(Proposal.semester) == storable(semester).lower())
    return query.options(
        selectinload(Proposal.pi), selectinload(Proposal.members), selectinload(Proposal.groups)
    )


def find(user: User) -> Sequence[Proposal]:
    """Return every proposal `user` may see, the latest semester first."""
    order = (Proposal.semester.desc(), Proposal.code)
    return db.session.scalars(visible(user).order_by(*order)).all()


def get(user: User, proposal_id: int) -> Proposal:
    """Return a proposal `user` may see.

    Raises
    ------
    NotFoundError
        If there is none of this number, or it is hidden from them.
    """
    return _one(access.visible_to(user, Proposal).where(Proposal.id == proposal_id))


def named(user: User, text: str) -> Proposal:
    """Return a proposal `user` may see by its code, else by its number."""
    seen = access.visible_to(user, Proposal)
    same = func.lower(Proposal.code) == storable(text).lower()
    found: Proposal | None = db.session.scalar(seen.where(same).order_by(Proposal.id).limit(1))
    if found is not None:
        return found
    return get(user, int(text) if text.isdecimal() and len(text) < 19 else 0)


def _one(query: Select[Any]) -> Proposal:
    found: Proposal | None = db.session.scalar(query)
    if found is None:
        raise NotFoundError("There is no such proposal.")
    return found


def create(*, by: User, **values: Unpack[Values]) -> Proposal:
    """Make a proposal; frames that name its code and have none become its own."""
    access.check_staff(by)
    if not values.get("code", "").strip():
        raise InvalidRequestError(code="This field is required.")
    with transaction():
        proposal = Proposal(code="")
        _set(proposal, values, by)
        db.session.add(proposal)
        _flush_unique(proposal)
        _adopt_frames(proposal)
        audit.note(by, "made the proposal", proposal, proposal.code)
    return proposal


def edit(proposal: Proposal, *, by: User, **values: Unpack[Values]) -> Proposal:
    """Change what is given of a proposal; what is not given stays."""
    access.check_staff(by)
    with transaction():
        _lock(proposal)
        before = _told(proposal)
        _set(proposal, values, by)
        _flush_unique(proposal)
        changed = {name: v for name, v in _told(proposal).items() if v != before[name]}
        if "code" in changed:
            _adopt_frames(proposal)
        if changed:
            audit.note(by, "changed", proposal, "; ".join(f"{n}: {v}" for n, v in changed.items()))
    return proposal


def _lock(proposal: Proposal) -> None:
    """Hold the row until the transaction ends, so that nobody is put on it twice."""
    db.session.execute(select(Proposal.id).where(Proposal.id == proposal.id).with_for_update())


def _set(proposal: Proposal, values: Values, by: User) -> None:
    given: Mapping[str, Any] = values
    before = proposal.code
    for name in (n for n in _LONGEST if n in given):
        text = checked(name, given[name], _LONGEST[name], lines=name == "abstract")
        setattr(proposal, name, text)
    if not proposal.code:
        raise InvalidRequestError(code="A proposal needs a code, as the headers have it.")
    if proposal.code != before:  # one that stays may have a twin of another case, from before
        _check_code(proposal)
    if "pi" in values:
        leader = _person(values["pi"].strip(), by)
        if leader is not None and leader != proposal.pi:
            invitations.end_others(leader)
        proposal.pi = leader
    if "groups" in values:
        proposal.groups = _groups(values["groups"])
    if "proprietary_days" in values:
        proposal.proprietary_days = _checked_days(values["proprietary_days"])


def _check_code(proposal: Proposal) -> None:
    with db.session.no_autoflush:
        same = select(Proposal.code).where(func.lower(Proposal.code) == func.lower(proposal.code))
        taken = db.session.scalar(same.where(Proposal.id != (proposal.id or 0)))
    if taken is not None:
        raise InvalidRequestError(code=f"There is a proposal {taken} already.")


def _flush_unique(proposal: Proposal) -> None:
    """Write the row; a frame's header, or somebody else, may just have made one of its code."""
    code = proposal.code
    try:
        with db.session.begin_nested():
            db.session.flush()
    except IntegrityError as error:
        raise InvalidRequestError(code=f"There is a proposal {code} already.") from error


def _checked_days(days: int | None) -> int | None:
    if days is not None and not 0 <= days <= MAX_DAYS:
        raise InvalidRequestError(
            proprietary_days=f"This must be a whole number of days from 0 to {MAX_DAYS}."
        )
    return days


def _person(text: str, by: User) -> User | None:
    """Return whom a user name, a number or an e-mail means; an unknown e-mail makes a person."""
    if not text:
        return None
    known = db.session.scalar(select(User).where(User.username == storable(text)))
    if known is None and text.isdecimal() and len(text) < 19:
        known = db.session.get(User, int(text))
    if known is None and "@" not in text:
        raise InvalidRequestError(pi=f"There is no user {text[:150]!r}; give a name or an e-mail.")
    if known is not None:
        return known
    try:
        person, is_new = accounts.person_of_email(text, by=by)
    except InvalidRequestError as error:
        raise InvalidRequestError(pi=error.fields.get("email", str(error))) from error
    if is_new:
        mail.send_invitation(person, by=by)
    return person


def _groups(names: Sequence[str]) -> list[Group]:
    found = {
        group.name: group
        for group in db.session.scalars(select(Group).where(Group.name.in_(map(storable, names))))
    }
    for name in names:
        if name not in found:
            raise InvalidRequestError(groups=f"There is no group {name[:100]!r}.")
    return [found[name] for name in sorted(found)]


def _told(proposal: Proposal) -> dict[str, str]:
    """Return what the audit log tells of each value of a proposal."""
    days = proposal.proprietary_days
    told = {name: getattr(proposal, name)[:_SHOWN] for name in _LONGEST}
    return told | {
        "principal investigator": proposal.pi.username if proposal.pi else "nobody",
        "groups": ", ".join(group.name for group in proposal.groups) or "none",
        "proprietary period": "the site's" if days is None else f"{days} days",
    }


def _adopt_frames(proposal: Proposal) -> None:
    same = func.lower(Frame.proposal_code) == func.lower(proposal.code)
    of_its_code = (same, Frame.proposal_id.is_(None))
    db.session.execute(update(Frame).where(*of_its_code).values(proposal_id=proposal.id))


def add_collaborator(proposal: Proposal, email: str, *, by: User) -> Outcome:
    """Put somebody on a proposal by their e-mail; one nobody has makes an account and a link.

    Raises
    ------
    NotAllowedError
        If `by` does not lead it.
    InvalidRequestError
        If this is no e-mail, or several people's.
    """
    access.check_lead(by, proposal)
    with transaction():
        _lock(proposal)
        person, is_new = accounts.person_of_email(email, by=by)
        if person.id == proposal.pi_id or person in proposal.members:
            return Outcome(Change.ALREADY_ON, person.display_name)
        proposal.members.append(person)
        audit.note(by, "added a collaborator", proposal, person.username)
        is_due = invitations.end_others(person) or is_new  # what others had of them must not stay
        is_invited = is_due and mail.send_invitation(person, by=by) is not None
    return Outcome(Change.CREATED if is_new else Change.ADDED, person.display_name, is_invited)


def remove_collaborator(proposal: Proposal, email: str, *, by: User) -> Outcome:
    """Take somebody off a proposal by their e-mail; whoever is not on it stays off.

    Raises
    ------
    NotAllowedError
        If `by` does not lead it.
    InvalidRequestError
        If the e-mail is that of several of its people.
    """
    access.check_lead(by, proposal)
    wanted = email.strip().casefold()
    with transaction():
        _lock(proposal)
        of_it = [person for person in proposal.members if person.email.casefold() == wanted]
        if len(of_it) > 1:
            names = ", ".join(person.username for person in of_it)
            raise InvalidRequestError(
                email=f"This is the e-mail of {names}; take one of them off on the page."
            )
        if not wanted or not of_it:
            return Outcome(Change.NOT_ON, email.strip())
        return _take_off(proposal, of_it[0], by)


def remove_person(proposal: Proposal, user_id: int, *, by: User) -> Outcome:
    """Take somebody off a proposal by their number, as its page does."""
    access.check_lead(by, proposal)
    with transaction():
        _lock(proposal)
        person = next((one for one in proposal.members if one.id == user_id), None)
        if person is None:
            return Outcome(Change.NOT_ON, f"Person {user_id}")
        return _take_off(proposal, person, by)


def _take_off(proposal: Proposal, person: User, by: User) -> Outcome:
    proposal.members.remove(person)
    audit.note(by, "removed a collaborator", proposal, person.username)
    return Outcome(Change.REMOVED, person.display_name)


def check_invite(proposal: Proposal, user_id: int, *, by: User) -> User:
    """Return one of a proposal's people for whom `by` may have a new link.

    Raises
    ------
    NotFoundError
        If there is none such on it.
    NotAllowedError
        If this is for staff to do.
    """
    access.check_lead(by, proposal)
    on_it = [*proposal.members, *([proposal.pi] if proposal.pi else [])]
    person = next((one for one in on_it if one.id == user_id), None)
    if person is None:
        raise NotFoundError("There is no such person on this proposal.")
    access.check_invite(by, person)
    return person


def frame_counts(user: User, found: Sequence[Proposal]) -> Mapping[int, int]:
    """Return how many frames of each proposal `user` may see."""
    ids = [proposal.id for proposal in found]
    query = (
        select(Frame.proposal_id, func.count())
        .where(Frame.proposal_id.in_(ids), access.may_see(user, Frame))
        .group_by(Frame.proposal_id)
    )
    return {number: count for number, count in db.session.execute(query) if number is not None}


def releases(found: Sequence[Proposal]) -> Mapping[int, Release]:
    """Return for each proposal when what it has becomes everyone's."""
    usual = settings.snapshot().integer("access.proprietary_days")
    ids = [proposal.id for proposal in found]
    nights = select(Frame.proposal_id, func.max(Frame.night)).where(Frame.proposal_id.in_(ids))
    rows = db.session.execute(nights.group_by(Frame.proposal_id))
    newest = {number: night for number, night in rows if number is not None}
    return {one.id: _release(one, usual, newest.get(one.id)) for one in found}


def _release(proposal: Proposal, usual: int, newest: date | None) -> Release:
    days = proposal.proprietary_days
    return Release(usual if days is None else days, days is None, newest)


def not_signed_in(people: Sequence[User]) -> set[int]:
    """Return which of these people have not signed in yet, and cannot without a link."""
    return {one.id for one in people if one.password_hash is None and one.last_login is None}
