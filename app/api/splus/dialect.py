"""How this API speaks: where it is mounted, and how each kind of call words a refusal.

Calls with a `type`, and some of the others, answer ``{"status": ..., "msg": ...}``; the rest
``{"msg": ...}`` or ``{"error": ...}``. Both with HTTP 200 for what the original refuses in words.
"""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app.api.parsing import UnreadableBodyError
from app.api.throttle import retry_headers
from app.errors import (
    AppError,
    InvalidRequestError,
    NotAuthenticatedError,
    ThrottledError,
    UnavailableError,
)

Answer = dict[str, Any]
View = Callable[..., Answer]

blueprint = APIBlueprint("splus", __name__, tag="S-PLUS MAR")

# Kinds of refusal that the original also answers with a status of their own.
_SAME_IN_EVERY_CALL: Final = (NotAuthenticatedError, ThrottledError)


@blueprint.errorhandler(AppError)
def render_error(error: AppError) -> ResponseReturnValue:
    """Word a refusal as sign-in calls and files do: field errors, or a detail."""
    if isinstance(error, InvalidRequestError) and error.fields:
        return {name: [why] for name, why in error.fields.items()}, error.status
    return {"detail": str(error)}, error.status, retry_headers(error)


@blueprint.errorhandler(HTTPException)
def render_http_error(error: HTTPException) -> ResponseReturnValue:
    """Word what Flask itself refuses, a body that is too large for one."""
    return {"detail": error.description}, error.code or HTTPStatus.INTERNAL_SERVER_ERROR


def says_status(view: View) -> Callable[..., ResponseReturnValue]:
    """Word refusals of `view` as ``{"status": false, "msg": ...}``."""

    @wraps(view)
    def worded(**values: Any) -> ResponseReturnValue:  # noqa: ANN401 - from the address
        try:
            return {"status": True} | view(**values)
        except _SAME_IN_EVERY_CALL:
            raise
        except AppError as error:
            return {"status": False, "msg": str(error)}, _status_of(error)

    return worded


def says_error(view: View) -> Callable[..., ResponseReturnValue]:
    """Word refusals of `view` as ``{"error": ...}``, those of rights as the typed calls do."""

    @wraps(view)
    def worded(**values: Any) -> ResponseReturnValue:  # noqa: ANN401 - from the address
        try:
            return view(**values)
        except _SAME_IN_EVERY_CALL:
            raise
        except AppError as error:
            status = _status_of(error)
            if status == HTTPStatus.FORBIDDEN:
                return {"status": False, "msg": str(error)}, status
            return {"error": str(error)}, status

    return worded


def _status_of(error: AppError) -> int:
    """Return the HTTP status of a refusal; the original words most of them under 200."""
    has_own = isinstance(error, UnreadableBodyError | UnavailableError)
    if has_own or error.status == HTTPStatus.FORBIDDEN:
        return error.status
    return HTTPStatus.OK
