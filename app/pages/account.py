"""One's own account: tokens and password."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import came_with_token, current_user, start_session
from app.errors import InvalidRequestError, NotAllowedError
from app.models import User
from app.pages.base import back, blueprint
from app.services import accounts


@blueprint.get("/account/")
def show_account() -> ResponseReturnValue:
    """Show the user's tokens and the password form."""
    return _page(current_user())


def _page(user: User, *, new_key: str = "", wrong: dict[str, str] | None = None) -> str:
    return render_template(
        "account.html",
        tokens=accounts.tokens_of(user),
        max_tokens=accounts.MAX_TOKENS,
        new_key=new_key,
        wrong=wrong or {},
    )


@blueprint.post("/account/tokens/")
def make_token() -> ResponseReturnValue:
    """Make a token and show it, this once."""
    user = current_user()
    return _page(user, new_key=accounts.issue_token(user, name=request.form.get("name", "")))


@blueprint.post("/account/tokens/<int:token_id>/revoke/")
def revoke_token(token_id: int) -> ResponseReturnValue:
    """End a token."""
    accounts.revoke_own_token(current_user(), token_id)
    return back("The token is revoked.", url_for("pages.show_account"))


@blueprint.post("/account/password/")
def change_password() -> ResponseReturnValue:
    """Change the password; other browsers are signed out, this one stays."""
    user = current_user()
    if came_with_token():
        raise NotAllowedError("A token cannot change the password; sign in with a browser.")
    new = request.form.get("new", "")
    if new != request.form.get("again"):
        return _page(user, wrong={"again": "The two new passwords differ."}), 400
    try:
        accounts.change_password(user, old=request.form.get("old", ""), new=new)
    except InvalidRequestError as error:
        return _page(user, wrong=error.fields), 400
    start_session(user)
    return back(
        "The password is changed; every other browser is signed out.",
        url_for("pages.show_account"),
    )
