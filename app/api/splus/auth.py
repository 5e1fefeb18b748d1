"""Signing in and out, and making accounts."""

from flask import request
from flask.typing import ResponseReturnValue

from app.api import throttle
from app.api.auth import came_with_token, current_user, end_session
from app.api.openapi import described
from app.api.parsing import Fields, read_fields
from app.api.splus.dialect import blueprint
from app.api.splus.documents import shape
from app.api.splus.schemas import render_user
from app.errors import InvalidRequestError, NotAllowedError, NotAuthenticatedError
from app.services import accounts

_USER = shape("id:int username:str first_name:str email:str")
_SIGNED_IN = shape("token:str", user=_USER)
_REFUSED = shape("", non_field_errors={"type": "array", "items": {"type": "string"}})


@blueprint.post("/reduction/auth/login")
@described(
    body=shape("username:str password:str") | {"required": ["username", "password"]},
    answer=_SIGNED_IN,
    refusals={400: _REFUSED, 429: shape("detail:str")},
)
def login() -> ResponseReturnValue:
    """Sign in: give a user name and a password, get a token."""
    fields = read_fields()
    username, password = _needed(fields, "username"), _needed(fields, "password")
    try:
        with throttle.sign_in(username):
            user = accounts.authenticate(username, password)
    except NotAuthenticatedError:
        return {"non_field_errors": ["Incorrect Credentials"]}, 400
    return {"user": render_user(user), "token": accounts.issue_token(user)}


@blueprint.post("/reduction/auth/register")
@described(
    body=shape("username:str password:str email:str") | {"required": ["username", "password"]},
    answer=_SIGNED_IN,
)
def register() -> ResponseReturnValue:
    """Make an account for somebody else, and a first token for them; staff only."""
    if not (current_user().is_staff or current_user().is_superuser):
        raise NotAllowedError("You do not have permission to perform this action.")
    fields = read_fields()
    user = accounts.create_user(
        _needed(fields, "username"),
        password=_needed(fields, "password"),
        email=fields.text("email") or "",
        by=current_user(),
    )
    return {"user": render_user(user), "token": accounts.issue_token(user)}


@blueprint.get("/reduction/auth/user")
@described(answer=_USER)
def user() -> ResponseReturnValue:
    """Tell who is signed in."""
    return render_user(current_user())


@blueprint.post("/reduction/auth/logout")
@described(answer={}, status=204)
def logout() -> ResponseReturnValue:
    """End the token, or the browser session, this request came with."""
    if came_with_token():
        _, _, key = request.headers["Authorization"].partition(" ")
        accounts.revoke_token(key.strip())
    else:
        end_session()
    return "", 204


def _needed(fields: Fields, name: str) -> str:
    """Return a field that must be there; a password is taken with its blanks."""
    value = fields.get(name)
    if not isinstance(value, str | int) or not str(value):
        raise InvalidRequestError(**{name: "This field is required."})
    return str(value)
