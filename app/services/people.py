"""The people of the house: finding them, their names and roles, and what they are on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, or_, select

from app.db import db, transaction
from app.errors import InvalidRequestError, NotAllowedError, NotFoundError
from app.models import Proposal, User
from app.services import access, accounts, audit
from app.services.texts import checked, storable

# The rights of each role, the least first: is_staff, is_superuser.
ROLES: Final[Mapping[str, tuple[bool, bool]]] = {
    "observer": (False, False),
    "staff": (True, False),
    "superuser": (True, True),
}
STATES: Final = ("open", "closed")
_MAX_SEARCH: Final = 200
_LABELS: Final = {"first_name": "first name", "last_name": "last name", "email": "e-mail"}
_IN_GROUP: Final = "in a group"


@dataclass(frozen=True, slots=True)
class Part:
    """What a person is on a proposal."""

    proposal: Proposal
    role: str


def search(by: User, text: str = "", *, role: str = "", state: str = "") -> Sequence[User]:
    """Return the people whose name or e-mail holds each word of a text, by user name."""
    query: Select[Any] = access.visible_to(by, User).where(*_conditions(text, role, state))
    return db.session.scalars(query.order_by(func.lower(User.username))).all()


def find_person(name_or_email: str) -> User:
    """Return who has a user name or an e-mail address.

    Raises
    ------
    NotFoundError
        If nobody has, or an address is several people's.
    """
    named = select(User).where(User.username == storable(name_or_email).strip())
    user = db.session.scalar(named)
    if user is not None:
        return user
    found = accounts.users_of_email(name_or_email)
    if len(found) != 1:
        many = "several people have" if found else "nobody has"
        raise NotFoundError(f"{many} the user name or e-mail address {name_or_email!r}")
    return found[0]


def edit(user: User, *, first_name: str, last_name: str, email: str, by: User | None) -> None:
    """Change a person's names and e-mail address; the user name stays as it is."""
    access.check_account(by, user)
    after = {
        "first_name": checked("first_name", first_name, accounts.MAX_NAME),
        "last_name": checked("last_name", last_name, accounts.MAX_NAME),
        "email": accounts.checked_email(email) if email.strip() else "",
    }
    with transaction():
        changed = {name: new for name, new in after.items() if getattr(user, name) != new}
        if not changed:
            return
        if "email" in changed:
            access.check_email(by, user)
            accounts.check_email_is_free(after["email"], user)
        told = [_told(_LABELS[name], getattr(user, name), new) for name, new in changed.items()]
        for name, new in changed.items():
            setattr(user, name, new)
        audit.note_always(by, "account changed", user, "; ".join(told))


def _told(label: str, old: str, new: str) -> str:
    return f"{label} {new or 'none'}" + (f" instead of {old}" if old else "")


def set_role(user: User, role: str, *, by: User | None) -> None:
    """Make a person an observer, staff or a superuser; superusers only, and not of oneself."""
    if role not in ROLES:
        raise InvalidRequestError(role=f"A role is one of {', '.join(ROLES)}.")
    if by is not None and not by.is_superuser:
        raise NotAllowedError("Only a superuser may say who is staff.")
    before = accounts.role_of(user)
    if by is not None and by.id == user.id and role != before:
        raise InvalidRequestError(role="You cannot change your own role; ask another superuser.")
    with transaction():
        if role == before:
            return
        accounts.check_superuser_stays(user)
        user.is_staff, user.is_superuser = ROLES[role]
        audit.note_always(by, "role changed", user, f"{before} is now {role}")


def proposals_of(user: User) -> Sequence[Part]:
    """Return the proposals a person is on, and as what."""
    query = select(Proposal).where(Proposal.id.in_(access.own_proposals(user)))
    rows = db.session.scalars(query.order_by(Proposal.code))
    return [Part(row, _part(row, user)) for row in rows]


def _part(proposal: Proposal, user: User) -> str:
    if proposal.pi_id == user.id:
        return "principal investigator"
    return "collaborator" if user in proposal.members else _IN_GROUP


def _conditions(text: str, role: str, state: str) -> list[ColumnElement[bool]]:
    conditions = [_has(word) for word in storable(text[:_MAX_SEARCH]).split()]
    if role in ROLES:
        is_staff, is_superuser = ROLES[role]
        conditions += [User.is_superuser.is_(is_superuser)]
        conditions += [] if is_superuser else [User.is_staff.is_(is_staff)]
    if state in STATES:
        conditions.append(User.is_active.is_(state == "open"))
    return conditions


def _has(word: str) -> ColumnElement[bool]:
    columns = (User.username, User.first_name, User.last_name, User.email)
    return or_(*(column.icontains(word, autoescape=True) for column in columns))
