"""People: passwords, tokens, sessions, and who may be made by whom."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from werkzeug.security import check_password_hash, generate_password_hash

from app.db import db, transaction, utcnow
from app.errors import InvalidRequestError, NotAllowedError, NotAuthenticatedError, NotFoundError
from app.models import AuditEntry, Token, User
from app.services import settings

MAX_TOKENS: Final = 20  # live ones of a user; a script that signs in each time must not pile up
MIN_PASSWORD: Final = 8
FIRST_USER: Final = "admin"
_PREFIX: Final = 8
_USERNAME: Final = re.compile(r"[\w.@+-]{1,150}")
_TOUCH_EVERY: Final = timedelta(minutes=1)  # a write for each request would be a write too many


def hash_password(password: str) -> str:
    """Return the scrypt hash that is kept of a password."""
    return generate_password_hash(password, method="scrypt")


@cache
def _nobodys_hash() -> str:
    return hash_password(secrets.token_hex(16))


def authenticate(username: str, password: str) -> User:
    """Return the user of a name and password and note the sign-in.

    A name nobody has takes as long as a wrong password, so that the clock tells no names.
    """
    nobody = _nobodys_hash()
    user = _by_name(username)
    kept = user.password_hash if user is not None and user.password_hash else nobody
    is_right = check_password_hash(kept, _storable(password))
    if user is None or not is_right or kept == nobody or not user.is_active:
        raise NotAuthenticatedError("Unable to log in with provided credentials.")
    with transaction():
        user.last_login = utcnow()
    return user


def find_user(username: str) -> User:
    """Return the user of a name."""
    user = _by_name(username)
    if user is None:
        raise NotFoundError(f"there is no user {username!r}")
    return user


def issue_token(user: User, *, name: str = "") -> str:
    """Make a token and return it; only its digest is kept, so this is the only time it shows."""
    key = secrets.token_hex(20)
    now = utcnow()
    days = settings.snapshot().integer("access.token_days")
    with transaction():
        for spent in tokens_of(user)[MAX_TOKENS - 1 :]:
            spent.revoked_at = now
        db.session.add(
            Token(
                user_id=user.id,
                name=name.strip()[:100],
                digest=_digest(key),
                prefix=key[:_PREFIX],
                expires_at=now + timedelta(days=days) if days > 0 else None,
            )
        )
    return key


def tokens_of(user: User) -> Sequence[Token]:
    """Return the live tokens of a user, the first to give up last: never used, then oldest."""
    return db.session.scalars(
        select(Token)
        .where(Token.user_id == user.id, _is_live(utcnow()))
        .order_by(Token.last_used_at.is_(None), Token.created_at.desc(), Token.id.desc())
    ).all()


def user_of_token(key: str) -> User | None:
    """Return whose token this is, None where it is unknown, revoked, expired or its user is off."""
    now = utcnow()
    token = db.session.scalar(
        select(Token).where(Token.digest == _digest(key), _is_live(now)).join(Token.user)
    )
    if token is None or not token.user.is_active:
        return None
    if token.last_used_at is None or now - token.last_used_at >= _TOUCH_EVERY:
        with transaction():
            token.last_used_at = now
    return token.user


def user_of_session(user_id: int, epoch: int) -> User | None:
    """Return the user of a browser session, None where it was ended or its user is off."""
    user = db.session.get(User, user_id)
    if user is None or not user.is_active or user.session_epoch != epoch:
        return None
    return user


def revoke_token(key: str) -> None:
    """End the token with this key, if there is one."""
    with transaction():
        token = db.session.scalar(select(Token).where(Token.digest == _digest(key)))
        if token is not None and token.revoked_at is None:
            token.revoked_at = utcnow()


def revoke_own_token(user: User, token_id: int) -> None:
    """End one of the user's own tokens, by its number on the account page."""
    with transaction():
        token = db.session.get(Token, token_id)
        if token is None or token.user_id != user.id or token.revoked_at is not None:
            raise NotFoundError("You have no such token.")
        token.revoked_at = utcnow()


def create_user(
    username: str,
    *,
    password: str | None = None,
    email: str = "",
    is_staff: bool = False,
    is_superuser: bool = False,
    by: User | None = None,
) -> User:
    """Make a user; `by` None is the command line, which may do anything."""
    username = username.strip()
    if by is not None:
        _check_may_make(by, with_rights=is_staff or is_superuser)
    _check_new_name(username)
    hashed = hash_password(_checked_password(password)) if password is not None else None
    with transaction():
        if _is_taken(username):
            raise InvalidRequestError(username="A user with that username already exists.")
        user = User(
            username=username,
            password_hash=hashed,
            email=email.strip(),
            is_staff=is_staff or is_superuser,
            is_superuser=is_superuser,
        )
        db.session.add(user)
        _audit(by, "user created", username)
    return user


def change_password(user: User, *, old: str, new: str) -> None:
    """Change a user's own password; every session of theirs ends, tokens stay."""
    if not check_password_hash(user.password_hash or _nobodys_hash(), _storable(old)):
        raise InvalidRequestError(old="This is not your present password.")
    set_password(user, new, by=user)


def set_password(user: User, password: str, *, by: User | None = None) -> None:
    """Give a user a new password, without asking for the old one."""
    hashed = hash_password(_checked_password(password))
    with transaction():
        user.password_hash = hashed
        user.session_epoch += 1
        _audit(by, "password changed", user.username)


def set_active(user_id: int, is_active: bool, *, by: User) -> User:
    """Let a user in, or keep them out; their sessions end at once, their tokens rest."""
    user = db.session.get(User, user_id)
    if user is None:
        raise NotFoundError("There is no such user.")
    _check_may_make(by, with_rights=user.is_staff or user.is_superuser)
    if user.id == by.id:
        raise InvalidRequestError("You cannot deactivate yourself; ask another administrator.")
    with transaction():
        user.is_active = is_active
        user.session_epoch += 1
        _audit(by, "user activated" if is_active else "user deactivated", user.username)
    return user


def end_sessions(user: User) -> None:
    """Sign a user out of every browser."""
    with transaction():
        user.session_epoch += 1


def people() -> Sequence[User]:
    """Return every user, by name."""
    return db.session.scalars(select(User).order_by(func.lower(User.username))).all()


def ensure_first_user(password: str | None) -> str | None:
    """Make `admin` where there is no user yet; return its password if it had to be made up."""
    if db.session.scalar(select(User.id).limit(1)) is not None:
        return None
    chosen = password or secrets.token_urlsafe(9)
    hashed = hash_password(chosen)
    with transaction():
        if db.session.scalar(select(User.id).limit(1)) is not None:  # another start was quicker
            return None
        db.session.add(
            User(username=FIRST_USER, password_hash=hashed, is_staff=True, is_superuser=True)
        )
    return None if password else chosen


def _digest(key: str) -> str:
    return hashlib.sha256(_storable(key).encode()).hexdigest()


def _storable(text: str) -> str:
    """Return text from outside without what no database or hash takes: half a character, NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _is_live(now: datetime) -> ColumnElement[bool]:
    return Token.revoked_at.is_(None) & or_(Token.expires_at.is_(None), Token.expires_at > now)


def _by_name(username: str) -> User | None:
    return db.session.scalar(select(User).where(User.username == _storable(username)))


def _is_taken(username: str) -> bool:
    same = select(User.id).where(func.lower(User.username) == username.lower())
    return db.session.scalar(same) is not None


def _check_new_name(username: str) -> None:
    if not _USERNAME.fullmatch(username):
        raise InvalidRequestError(
            username="Enter a valid username: up to 150 letters, digits and @ . + - _ only."
        )


def _checked_password(password: str) -> str:
    if len(password) < MIN_PASSWORD:
        raise InvalidRequestError(
            password=f"This password is too short: at least {MIN_PASSWORD} characters."
        )
    return _storable(password)


def _check_may_make(by: User, *, with_rights: bool) -> None:
    if not by.is_staff and not by.is_superuser:
        raise NotAllowedError("You do not have permission to perform this action.")
    if with_rights and not by.is_superuser:
        raise NotAllowedError("Only a superuser may do this for staff.")


def _audit(by: User | None, action: str, subject: str) -> None:
    user_id = by.id if by is not None else None
    db.session.add(AuditEntry(user_id=user_id, action=action, subject=subject))
