"""People: their passwords, tokens and roles, and who may change them."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Final

from sqlalchemy import ColumnElement, bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from werkzeug.security import check_password_hash, generate_password_hash

from app.db import db, transaction, utcnow
from app.errors import ConflictError, InvalidRequestError, NotAuthenticatedError, NotFoundError
from app.models import Invitation, Token, User
from app.services import access, audit, browser_sessions, settings
from app.services.texts import checked, storable

MAX_TOKENS: Final = 20  # live ones of a user; a script that signs in each time must not pile up
MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 1000
MAX_NAME: Final = 150
MAX_TOKEN_NAME: Final = 100
MAX_EMAIL: Final = 254
FIRST_USER: Final = "admin"
_TAKEN: Final = "A user with that username already exists."
_PREFIX: Final = 8
_USERNAME: Final = re.compile(r"[\w.@+-]{1,150}")
# As browsers check it; a dome's own network has domains without a dot.
_LABEL: Final = r"[a-z\d]([a-z\d-]*[a-z\d])?"
_EMAIL: Final = re.compile(rf"[\w.!#$%&'*+/=?^`{{|}}~-]+@{_LABEL}(\.{_LABEL})*", re.A | re.I)
_UNFIT: Final = re.compile(r"[^\w.+-]")  # for a user name, of what an address may hold
_TOUCH_EVERY: Final = timedelta(minutes=1)  # a write for each request would be a write too many
_LONGEST_DAYS: Final = 36_500

# Made once, with its values to come: it runs with every request of a script.
_OF_TOKEN: Final = (
    select(User, Token.id, Token.last_used_at)
    .join(Token, Token.user_id == User.id)
    .where(
        Token.digest == bindparam("digest"),
        Token.revoked_at.is_(None),
        or_(Token.expires_at.is_(None), Token.expires_at > bindparam("now")),
        User.is_active,
    )
)


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
    is_right = check_password_hash(kept, storable(password))
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


def issue_token(
    user: User, *, name: str = "", days: int | None = None, by: User | None = None
) -> str:
    """Make a token and return it; only its digest is kept, so this is the only time it shows.

    It lives for `days`, at most for those of the site. With `by` it is noted who wanted it: the
    sign-in calls of the faces make one each time, which would fill the log.
    """
    name = checked("name", name, MAX_TOKEN_NAME)
    expires_at = _end_of_token(days)
    key = secrets.token_hex(20)
    token = Token(user_id=user.id, name=name, digest=_digest(key), prefix=key[:_PREFIX])
    token.expires_at = expires_at
    with transaction():
        for spent in tokens_of(user)[MAX_TOKENS - 1 :]:
            spent.revoked_at = utcnow()
        db.session.add(token)
        audit.note(by, "token made", user, _told(token))
    return key


def _end_of_token(days: int | None) -> datetime | None:
    most = settings.snapshot().integer("access.token_days")
    if days is None:
        return utcnow() + timedelta(days=most) if most > 0 else None
    longest = most or _LONGEST_DAYS
    if not 0 < days <= longest:
        raise InvalidRequestError(days=f"Here a token lives from 1 to {longest} days.")
    return utcnow() + timedelta(days=days)


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
    found = db.session.execute(_OF_TOKEN, {"digest": _digest(key), "now": now}).one_or_none()
    if found is None:
        return None
    user, token_id, last_used = found
    if last_used is None or now - last_used >= _TOUCH_EVERY:
        with transaction():
            touched = update(Token).where(Token.id == token_id).values(last_used_at=now)
            db.session.execute(touched)
    return user


def owner_of_token(token_id: int) -> User:
    """Return whose the token with a number is."""
    token = db.session.get(Token, token_id)
    if token is None:
        raise NotFoundError("There is no such token.")
    return token.user


def revoke_token(key: str) -> None:
    """End the token with this key, if there is one."""
    with transaction():
        token = db.session.scalar(select(Token).where(Token.digest == _digest(key)))
        if token is not None and token.revoked_at is None:
            token.revoked_at = utcnow()


def revoke_token_of(user: User, token_id: int, *, by: User | None) -> Token:
    """End one of somebody's tokens, by its number on their page."""
    access.check_account(by, user)
    with transaction():
        token = db.session.get(Token, token_id)
        if token is None or token.user_id != user.id or token.revoked_at is not None:
            raise NotFoundError("There is no such token.")
        token.revoked_at = utcnow()
        audit.note_always(by, "token revoked", user, _told(token))
    return token


def revoke_all_tokens(user: User, *, by: User | None) -> int:
    """End all tokens of a person; return how many there were."""
    access.check_account(by, user)
    with transaction():
        tokens = tokens_of(user)
        for token in tokens:
            token.revoked_at = utcnow()
        audit.note_always(by, "all tokens revoked", user, str(len(tokens)))
    return len(tokens)


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
    user = User(username=username, is_staff=is_staff or is_superuser, is_superuser=is_superuser)
    access.check_manage(by, user)
    _check_new_name(username)
    user.email = checked_email(email) if email.strip() else ""
    user.password_hash = (
        hash_password(_checked_password(password)) if password is not None else None
    )
    with transaction():
        if _is_taken(username):
            raise InvalidRequestError(username=_TAKEN)
        check_email_is_free(user.email)
        _add(user)
        audit.note_always(by, "account made", user, f"as {role_of(user)}")
    return user


def person_of_email(email: str, *, by: User | None) -> tuple[User, bool]:
    """Return whose e-mail address this is, and whether an account was made for it now.

    Such an account is open, but nobody can sign in to it before an invitation gave it a
    password. It is named by the first part of the address.
    """
    email = checked_email(email)
    with transaction():
        found = users_of_email(email)
        if len(found) > 1:
            names = ", ".join(user.username for user in found)
            why = f"Several people have this e-mail address ({names}): staff can correct that."
            raise InvalidRequestError(email=why)
        if found:
            return found[0], False
        user = User(username=_free_name(email.partition("@")[0]), email=email)
        _add(user)
        audit.note_always(by, "account made", user, f"for {email}")
    return user, True


def users_of_email(email: str) -> Sequence[User]:
    """Return who has an e-mail address, in whatever case it was written."""
    same = func.lower(User.email) == storable(email).strip().lower()
    return db.session.scalars(select(User).where(same, User.email != "").order_by(User.id)).all()


def checked_email(email: str) -> str:
    """Return an e-mail address that can be one, or refuse it."""
    email = checked("email", email, MAX_EMAIL)
    if not _EMAIL.fullmatch(email):
        raise InvalidRequestError(email="Enter a valid e-mail address, such as ada@example.org.")
    return email


def check_email_is_free(email: str, user: User | None = None) -> None:
    """Refuse the e-mail address of somebody else: by it people are put on proposals."""
    if email and any(user is None or other.id != user.id for other in users_of_email(email)):
        raise InvalidRequestError(email="Somebody else has this e-mail address.")


def change_password(user: User, *, old: str, new: str) -> None:
    """Change a user's own password; every session of theirs ends, tokens stay."""
    if not check_password_hash(user.password_hash or _nobodys_hash(), storable(old)):
        raise InvalidRequestError(old="This is not your present password.")
    set_password(user, new, by=user)


def set_password(user: User, password: str, *, by: User | None = None) -> None:
    """Give a user a new password, without asking for the old one.

    Their browsers are signed out and a link for setting a password is worth nothing any more.
    """
    access.check_account(by, user)
    set_hash(user, new_hash(password), by=by)


def new_hash(password: str) -> str:
    """Return the hash of a password that will do; it takes long, so outside of transactions."""
    return hash_password(_checked_password(password))


def set_hash(user: User, hashed: str, *, by: User | None) -> None:
    """Give a user the password of a hash, as `set_password` does."""
    with transaction():
        user.password_hash = hashed
        browser_sessions.forget(user)
        unused = update(Invitation).where(Invitation.used_at.is_(None))
        db.session.execute(unused.where(Invitation.user_id == user.id).values(used_at=utcnow()))
        audit.note_always(by, "password changed", user)


def set_active(user_id: int, is_active: bool, *, by: User) -> User:
    """Let a user in, or keep them out; their sessions end at once, their tokens rest."""
    user = user_by_id(user_id)
    access.check_manage(by, user)
    if user.id == by.id:
        raise InvalidRequestError("You cannot close your own account; ask another administrator.")
    with transaction():
        if not is_active:
            check_superuser_stays(user)
            browser_sessions.forget(user)
        user.is_active = is_active
        audit.note(by, "account opened" if is_active else "account closed", user)
    return user


def check_superuser_stays(user: User) -> None:
    """Refuse, in the open transaction, to take their rights from the last who has them all."""
    able = select(User.id).where(User.is_superuser, User.is_active, User.password_hash.is_not(None))
    others = set(db.session.scalars(able.with_for_update())) - {user.id}
    if user.is_superuser and user.is_active and not others:
        raise ConflictError(
            f"{user.username} is the last superuser who can sign in: "
            "make somebody else a superuser first."
        )


def user_by_id(user_id: int) -> User:
    """Return the user with a number."""
    user = db.session.get(User, user_id)
    if user is None:
        raise NotFoundError("There is no such user.")
    return user


def role_of(user: User) -> str:
    """Return what a person is: observer, staff or superuser."""
    if user.is_superuser:
        return "superuser"
    return "staff" if user.is_staff else "observer"


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
    return hashlib.sha256(storable(key).encode()).hexdigest()


def _is_live(now: datetime) -> ColumnElement[bool]:
    return Token.revoked_at.is_(None) & or_(Token.expires_at.is_(None), Token.expires_at > now)


def _by_name(username: str) -> User | None:
    return db.session.scalar(select(User).where(User.username == storable(username)))


def _is_taken(username: str) -> bool:
    same = select(User.id).where(func.lower(User.username) == username.lower())
    return db.session.scalar(same) is not None


def _free_name(wanted: str) -> str:
    """Return a user name like the one wanted that nobody has yet."""
    base = _UNFIT.sub("", wanted)[: MAX_NAME - 10] or "observer"
    numbered = (base if number == 1 else f"{base}{number}" for number in count(1))
    return next(name for name in numbered if not _is_taken(name))


def _add(user: User) -> None:
    try:
        db.session.add(user)
        db.session.flush()
    except IntegrityError as error:  # somebody was quicker
        raise InvalidRequestError(username=_TAKEN) from error


def _check_new_name(username: str) -> None:
    if not _USERNAME.fullmatch(username):
        raise InvalidRequestError(
            username="Enter a valid username: up to 150 letters, digits and @ . + - _ only."
        )


def _checked_password(password: str) -> str:
    why = ""
    if len(password) < MIN_PASSWORD:
        why = f"This password is too short: at least {MIN_PASSWORD} characters."
    elif len(password) > MAX_PASSWORD:
        why = f"This password is too long: at most {MAX_PASSWORD} characters."
    elif storable(password) != password:
        why = "This contains characters that are not text."
    if why:
        raise InvalidRequestError(password=why)
    return password


def _told(token: Token) -> str:
    """Return what the log says of a token: how it begins, which tells nobody the rest."""
    return f"{token.prefix}… {token.name}".strip()
