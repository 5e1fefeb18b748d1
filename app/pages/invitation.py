"""The page a link leads to by which people set their password themselves, once."""

from http import HTTPStatus

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api import throttle
from app.api.auth import check_csrf, start_session
from app.errors import InvalidRequestError, NotAllowedError
from app.models import User
from app.pages.base import blueprint
from app.services import accounts, invitations


@blueprint.get("/welcome/<key>/")
def show_welcome(key: str) -> ResponseReturnValue:
    """Ask whoever was invited for a password."""
    return _form(_invited(key), key)


@blueprint.post("/welcome/<key>/")
def accept_invitation(key: str) -> ResponseReturnValue:
    """Set the password and start a session; the link is spent."""
    user = _invited(key)
    password = request.form.get("password", "")
    try:
        check_csrf()  # or another site could set the password of somebody it sends here
        _check_again(password)
        user = invitations.accept(key, password)
    except NotAllowedError:
        return _form(user, key, {"password": "This page was open for too long. Try again."}), 400
    except InvalidRequestError as error:
        return _form(user, key, error.fields), HTTPStatus.BAD_REQUEST
    start_session(user)
    return redirect(url_for("pages.show_nights"), HTTPStatus.SEE_OTHER)


def _invited(key: str) -> User:
    with throttle.guess():
        return invitations.invited(key)


def _check_again(password: str) -> None:
    if password != request.form.get("again"):
        raise InvalidRequestError(again="The two passwords differ.")


def _form(user: User, key: str, wrong: dict[str, str] | None = None) -> str:
    return render_template(
        "invitation.html",
        invited=user,
        key=key,
        shortest=accounts.MIN_PASSWORD,
        wrong=wrong or {},
    )
