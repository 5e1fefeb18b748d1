"""Browsers somebody is signed in with: a row each, so that any can be signed out for good.

The cookie holds a random key of which only the SHA-256 is kept. It is signed besides, but a
signature alone could not take back a cookie that was copied.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, bindparam, delete, or_, select, update

from app.db import db, transaction, utcnow
from app.errors import NotFoundError
from app.models import BrowserSession, User
from app.services import access, audit
from app.services.texts import storable

LIFETIME: Final = timedelta(days=14)  # without a visit
_TOUCH_EVERY: Final = timedelta(minutes=1)  # a write for each request would be a write too many
_MAX_AGENT: Final = 300

# Made once, with its values to come: it runs with every request of a browser.
_OF_KEY: Final = (
    select(User, BrowserSession.id, BrowserSession.last_seen_at)
    .join(BrowserSession, BrowserSession.user_id == User.id)
    .where(
        BrowserSession.digest == bindparam("digest"),
        BrowserSession.ended_at.is_(None),
        User.is_active,
    )
)
# The first that fits tells the browser: most name several, for old servers' sake.
_BROWSERS: Final = (
    (re.compile(r"Edg[A-Za-z]*/"), "Edge"),
    (re.compile(r"OPR/|Opera"), "Opera"),
    (re.compile(r"Firefox/|FxiOS/"), "Firefox"),
    (re.compile(r"Chrom(e|ium)/|CriOS/"), "Chrome"),
    (re.compile(r"Safari/"), "Safari"),
)
_SYSTEMS: Final = (
    (re.compile("Android"), "Android"),
    (re.compile("iPhone|iPad"), "iOS"),
    (re.compile("Windows"), "Windows"),
    (re.compile("Mac OS X|Macintosh"), "macOS"),
    (re.compile("Linux|X11"), "Linux"),
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser somebody is signed in with."""

    id: int
    browser: str
    agent: str
    since: datetime
    last_seen: datetime
    is_this: bool


def start(user: User, agent: str = "") -> str:
    """Note that `user` signed in with a browser; return the key for its cookie."""
    key = secrets.token_urlsafe(32)
    with transaction():
        _prune()
        db.session.add(
            BrowserSession(user_id=user.id, digest=_digest(key), agent=storable(agent)[:_MAX_AGENT])
        )
    return key


def user_of(key: str) -> User | None:
    """Return who is signed in with this key, None where it was ended or its user is off."""
    found = db.session.execute(_OF_KEY, {"digest": _digest(key)}).one_or_none()
    if found is None:
        return None
    user, session_id, last_seen = found
    now = utcnow()
    if now - last_seen > LIFETIME:
        return None
    if now - last_seen >= _TOUCH_EVERY:
        with transaction():
            _change([BrowserSession.id == session_id], last_seen_at=now)
    return user


def of(user: User, key: str = "") -> Sequence[SignedIn]:
    """Return the browsers a person is signed in with, the last seen first; `key` is of this one."""
    live = BrowserSession.ended_at.is_(None) & (BrowserSession.last_seen_at > utcnow() - LIFETIME)
    rows = db.session.scalars(
        select(BrowserSession)
        .where(BrowserSession.user_id == user.id, live)
        .order_by(BrowserSession.last_seen_at.desc(), BrowserSession.id.desc())
    )
    digest = _digest(key)
    return [
        SignedIn(
            id=row.id,
            browser=name_of(row.agent),
            agent=row.agent,
            since=row.created_at,
            last_seen=row.last_seen_at,
            is_this=row.digest == digest,
        )
        for row in rows
    ]


def end(key: str) -> None:
    """Sign the browser with this key out, for good: a copy of its cookie is worth nothing."""
    with transaction():
        _change([BrowserSession.digest == _digest(key)], ended_at=utcnow())


def end_one(user: User, session_id: int, *, by: User) -> None:
    """Sign a person out of one browser, by its number on their page."""
    access.check_account(by, user)
    with transaction():
        row = db.session.get(BrowserSession, session_id)
        if row is None or row.user_id != user.id or row.ended_at is not None:
            raise NotFoundError("There is no such browser signed in.")
        row.ended_at = utcnow()
        audit.note(by, "browser signed out", user, name_of(row.agent))


def end_all(user: User, *, by: User | None) -> None:
    """Sign a person out of every browser."""
    access.check_account(by, user)
    with transaction():
        forget(user)
        audit.note_always(by, "signed out everywhere", user)


def forget(user: User) -> None:
    """End every session of a person in the open transaction: they are let in no more."""
    _change([BrowserSession.user_id == user.id], ended_at=utcnow())


def name_of(agent: str) -> str:
    """Return what people call a browser that says `agent` of itself."""
    browser = next((name for sign, name in _BROWSERS if sign.search(agent)), "")
    system = next((name for sign, name in _SYSTEMS if sign.search(agent)), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or agent.partition("/")[0][:40] or "unknown"


def _prune() -> None:
    """Forget what nobody can come back with."""
    long_ago = utcnow() - LIFETIME
    over = or_(BrowserSession.ended_at < long_ago, BrowserSession.last_seen_at < long_ago)
    db.session.execute(delete(BrowserSession).where(over))


def _change(conditions: Sequence[ColumnElement[bool]], **values: datetime) -> None:
    """Change the sessions that were not ended."""
    live = update(BrowserSession).where(BrowserSession.ended_at.is_(None), *conditions)
    db.session.execute(live.values(**values))


def _digest(key: str) -> str:
    return hashlib.sha256(storable(key).encode()).hexdigest()
