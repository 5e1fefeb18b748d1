"""One's own account: names, tokens, browsers and password."""

from collections.abc import Mapping
from http import HTTPStatus

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import came_with_token, current_user, session_key, start_session
from app.api.parsing import Fields
from app.errors import InvalidRequestError, NotAllowedError
from app.models import User
from app.pages.base import back, blueprint
from app.services import accounts, browser_sessions, groups, people, settings


@blueprint.get("/account/")
def show_account() -> ResponseReturnValue:
    """Show one's own names, tokens, browsers and password form."""
    return _page(current_user())


def _page(user: User, *, new_key: str = "", wrong: Mapping[str, str] | None = None) -> str:
    return render_template(
        "account.html",
        role=accounts.role_of(user),
        groups=groups.of_person(user),
        parts=people.proposals_of(user),
        tokens=accounts.tokens_of(user),
        max_tokens=accounts.MAX_TOKENS,
        token_days=settings.snapshot().integer("access.token_days"),
        browsers=browser_sessions.of(user, session_key()),
        new_key=new_key,
        wrong=wrong or {},
        typed=request.form,
    )


@blueprint.post("/account/profile/")
def edit_account() -> ResponseReturnValue:
    """Change one's own names; the e-mail address only as staff."""
    user = _at_a_browser()
    names = {name: request.form.get(name, "") for name in ("first_name", "last_name")}
    names["email"] = request.form.get("email", user.email)
    try:
        people.edit(user, **names, by=user)
    except InvalidRequestError as error:
        return _page(user, wrong=error.fields), HTTPStatus.BAD_REQUEST
    return back("Names are as shown.", url_for("pages.show_account"))


@blueprint.post("/account/tokens/")
def make_token() -> ResponseReturnValue:
    """Make a token and show it, this once."""
    user = _at_a_browser()
    try:
        days = Fields(request.form).integer("days")
        name = request.form.get("name", "")
        key = accounts.issue_token(user, name=name, days=days, by=user)
    except InvalidRequestError as error:
        return _page(user, wrong=error.fields), HTTPStatus.BAD_REQUEST
    return _page(user, new_key=key)


@blueprint.post("/account/tokens/<int:token_id>/revoke/")
def revoke_token(token_id: int) -> ResponseReturnValue:
    """End a token."""
    user = current_user()
    accounts.revoke_token_of(user, token_id, by=user)
    return back("The token is revoked.", url_for("pages.show_account"))


@blueprint.post("/account/browsers/<int:session_id>/end/")
def end_browser(session_id: int) -> ResponseReturnValue:
    """Sign out of another browser."""
    user = current_user()
    browser_sessions.end_one(user, session_id, by=user)
    return back("The browser is signed out.", url_for("pages.show_account"))


@blueprint.post("/account/password/")
def change_password() -> ResponseReturnValue:
    """Change the password; other browsers are signed out, this one stays."""
    user = _at_a_browser()
    new = request.form.get("new", "")
    if new != request.form.get("again"):
        return _page(user, wrong={"again": "The two new passwords differ."}), 400
    try:
        accounts.change_password(user, old=request.form.get("old", ""), new=new)
    except InvalidRequestError as error:
        return _page(user, wrong=error.fields), HTTPStatus.BAD_REQUEST
    start_session(user)
    return back(
        "The password is changed; every other browser is signed out.",
        url_for("pages.show_account"),
    )


def _at_a_browser() -> User:
    """Return who is asking, by a browser: a token that was found must not outlive itself."""
    user = current_user()
    if came_with_token():
        raise NotAllowedError("A token cannot change the account; sign in with a browser.")
    return user
