"""Links by which people set a first or a forgotten password themselves, once."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, CursorResult, Select, or_, select, update

from app.db import db, transaction, utcnow
from app.errors import ConflictError, NotAllowedError, NotFoundError
from app.models import Invitation, User
from app.services import access, accounts, audit, settings
from app.services.texts import storable

_SPENT: Final = "This link was used, replaced or is too old. Ask staff for a new one."


def invite(user: User, *, by: User | None, is_mailed: bool = False) -> str:
    """Make a link's key for `user`; links made before are worth nothing any more.

    Whoever has the key can be that person: it is shown to staff who may manage the account only.
    With `is_mailed` it goes to the person's own address; so an investigator may invite who never
    had a password, but nobody is put out of an account that is in use.
    """
    _check_may_invite(by, user, is_mailed=is_mailed)
    if not user.is_active:
        raise ConflictError(f"The account of {user.username} is closed; open it first.")
    key = secrets.token_urlsafe(32)
    now = utcnow()
    days = settings.snapshot().integer("access.invitation_days")
    with transaction():
        _spend([Invitation.user_id == user.id], now)
        db.session.add(
            Invitation(
                user_id=user.id,
                made_by_id=by.id if by is not None else None,
                digest=_digest(key),
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
        )
        audit.note_always(by, "invited", user, f"by a link good for {days} days")
    return key


def end_others(user: User) -> bool:
    """End the links for a person that staff did not make; tell whether there were any.

    Who made one may no longer be all that the person's account is good for.
    """
    staff = select(User.id).where(or_(User.is_staff, User.is_superuser))
    with transaction():
        return (
            _spend([Invitation.user_id == user.id, Invitation.made_by_id.not_in(staff)], utcnow())
            > 0
        )


def open_until(user: User) -> datetime | None:
    """Return until when a link for this person is good, None where there is none."""
    return db.session.scalar(
        select(Invitation.expires_at).where(Invitation.user_id == user.id, *_good())
    )


def invited(key: str) -> User:
    """Return whom a link is for.

    Raises
    ------
    NotFoundError
        If it was used, replaced, is too old or never was, or the account is closed.
    """
    user = db.session.scalar(_of(key))
    if user is None:
        raise NotFoundError(_SPENT)
    return user


def accept(key: str, password: str) -> User:
    """Set the password a link was made for; it works this once."""
    user = invited(key)
    hashed = accounts.new_hash(password)
    with transaction():
        if not _spend([Invitation.digest == _digest(key), *_good()], utcnow()):
            raise NotFoundError(_SPENT)  # somebody was quicker with it
        accounts.set_hash(user, hashed, by=user)
        user.last_login = utcnow()
        audit.note(user, "invitation accepted", user)
    return user


def _of(key: str) -> Select[User]:
    return (
        select(User)
        .join(Invitation, Invitation.user_id == User.id)
        .where(Invitation.digest == _digest(key), User.is_active, *_good())
    )


def _good() -> list[ColumnElement[bool]]:
    return [Invitation.used_at.is_(None), Invitation.expires_at > utcnow()]


def _spend(conditions: list[ColumnElement[bool]], now: datetime) -> int:
    """Make links worth nothing; return how many they were."""
    unused = update(Invitation).where(Invitation.used_at.is_(None), *conditions)
    outcome = db.session.execute(unused.values(used_at=now))
    return outcome.rowcount if isinstance(outcome, CursorResult) else 0


def _check_may_invite(by: User | None, user: User, *, is_mailed: bool) -> None:
    if by is None or access.may_manage(by, user):
        return
    if not is_mailed:
        raise NotAllowedError("A link is shown to staff only; by mail it goes to its person.")
    if user.password_hash is not None or access.is_staff(user):
        raise NotAllowedError("This person has a password already; staff can make a new link.")


def _digest(key: str) -> str:
    return hashlib.sha256(storable(key).encode()).hexdigest()
