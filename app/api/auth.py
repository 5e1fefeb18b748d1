"""Who is asking: a token or a browser session, checked before every view.

Routes are closed unless listed in `PUBLIC`, so that a new one cannot be open by oversight.
"""

import hmac
import secrets
from collections.abc import Callable
from typing import Final

from flask import Flask, Request, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from app.errors import NotAllowedError, NotAuthenticatedError
from app.models import User
from app.services import accounts, browser_sessions

# Endpoints that answer without a token or session, each for its reason.
PUBLIC: Final = frozenset(
    {
        "static",  # style sheets and scripts of the sign-in page
        "pages.sign_in",
        "pages.submit_sign_in",
        "pages.show_welcome",  # its address is the key
        "pages.accept_invitation",
        "health.healthz",
        "splus.login",  # the sign-in calls of the faces
        "stdweb.obtain_token",
        "stdweb_prefixed.obtain_token",
        "bhtom.obtain_token",
        "atlas.obtain_token",
        "splus.media",  # decides by the setting access.media_open
        "stdweb.list_reference",  # names of filters and catalogues, of nothing of this site
        "stdweb.show_reference",
        "stdweb_prefixed.list_reference",
        "stdweb_prefixed.show_reference",
    }
)
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY: Final = "key"
_SCHEMES: Final = frozenset({"token", "bearer"})


class CookieSessions(SecureCookieSessionInterface):
    """Flask's sessions; where no cookie came, which is so with a token, none is unsigned."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)


def init_app(app: Flask) -> None:
    """Check every request of `app`."""
    app.session_interface = CookieSessions()
    app.before_request(_check_request)


def current_user() -> User:
    """Return who is asking."""
    user: User | None = g.get("user")
    if user is None:
        raise NotAuthenticatedError("Authentication credentials were not provided.")
    return user


def user_or_none() -> User | None:
    """Return who is asking, None for a stranger on a public route."""
    user: User | None = g.get("user")
    return user


def came_with_token() -> bool:
    """Tell whether the request carried a token, not a cookie."""
    return bool(g.get("with_token", False))


def start_session(user: User) -> None:
    """Sign `user` in for this browser, under a session nobody else could have prepared."""
    end_session()
    session.permanent = True
    session[_KEY] = browser_sessions.start(user, request.user_agent.string)
    session["csrf"] = secrets.token_urlsafe(24)


def end_session() -> None:
    """Sign this browser out; what was its cookie is worth nothing any more."""
    if key := session_key():
        browser_sessions.end(key)
    session.clear()


def asker() -> Callable[[], User | None]:
    """Return what tells who is asking, None once their token or session holds no more.

    For answers that take long: it may be called after the request, in the app's context.
    """
    if came_with_token():
        key = _key_of(request.headers["Authorization"])
        return lambda: accounts.user_of_token(key)
    key = session_key()
    return lambda: browser_sessions.user_of(key)


def session_key() -> str:
    """Return the key of this browser's session, blank for a stranger and with a token."""
    return "" if came_with_token() else str(session.get(_KEY, ""))


def csrf_token() -> str:
    """Return the token that forms of this session must carry."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def check_csrf() -> None:
    """Refuse an unsafe request that does not carry its session's token."""
    sent = request.headers.get("X-CSRFToken") or request.form.get("csrf_token") or ""
    if not hmac.compare_digest(sent.encode(), csrf_token().encode()):
        raise NotAllowedError("CSRF Failed: CSRF token missing or incorrect.")


def _check_request() -> None:
    g.user, g.with_token = None, False
    if request.headers.get("Authorization"):
        g.user = _by_token(request.headers["Authorization"])
    elif key := session_key():
        g.user = browser_sessions.user_of(key)
        if g.user is not None and request.method not in _SAFE_METHODS:
            check_csrf()
    if g.user is None and request.endpoint is not None and request.endpoint not in PUBLIC:
        current_user()  # raises; an address that does not exist is a plain 404


def _key_of(header: str) -> str:
    scheme, _, key = header.partition(" ")
    return key.strip() if scheme.lower() in _SCHEMES else ""


def _by_token(header: str) -> User | None:
    key = _key_of(header)
    user = accounts.user_of_token(key) if key else None
    if user is None and request.endpoint not in PUBLIC:
        raise NotAuthenticatedError("Invalid token.")
    g.with_token = user is not None
    return user
