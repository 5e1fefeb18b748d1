"""The token calls of three faces: one exchange, worded as Django REST framework words it."""

from http import HTTPStatus
from typing import Final

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api import throttle
from app.api.parsing import read_fields
from app.errors import AppError, InvalidRequestError, NotAuthenticatedError
from app.services import accounts

_NEEDED: Final = ("username", "password")


def obtain_token() -> ResponseReturnValue:
    """Exchange a user name and password for a new token."""
    fields = read_fields()
    wrong = {name: why for name in _NEEDED if (why := _what_is_wrong(fields.get(name)))}
    if wrong:
        return {name: [why] for name, why in wrong.items()}, HTTPStatus.BAD_REQUEST
    # A password is taken as it was sent: its blanks are part of it.
    username, password = str(fields["username"]).strip(), str(fields["password"])
    try:
        with throttle.sign_in(username):
            user = accounts.authenticate(username, password)
    except NotAuthenticatedError as error:
        return {"non_field_errors": [str(error)]}, HTTPStatus.BAD_REQUEST
    return {"token": accounts.issue_token(user)}


def _what_is_wrong(value: object) -> str:
    if value is None:
        return "This field is required."
    if isinstance(value, list | dict | bool):
        return "Not a valid string."
    return "" if str(value).strip() else "This field may not be blank."


def add_token_call(blueprint: APIBlueprint, *addresses: str) -> None:
    """Give a face its token call, at each of `addresses`."""
    for address in addresses:
        blueprint.post(address)(obtain_token)


def word_refusals(blueprint: APIBlueprint) -> None:
    """Word what is refused below `blueprint` as ``{"detail": why}``."""
    blueprint.register_error_handler(AppError, render_refusal)


def render_refusal(error: AppError) -> ResponseReturnValue:
    """Return a refusal as Django REST framework words it."""
    if isinstance(error, InvalidRequestError) and error.fields:
        return {name: [why] for name, why in error.fields.items()}, error.status
    headers = throttle.retry_headers(error)
    if isinstance(error, NotAuthenticatedError):
        headers["WWW-Authenticate"] = "Token"
    return {"detail": str(error) or HTTPStatus(error.status).phrase}, error.status, headers
