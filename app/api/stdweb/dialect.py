"""How this API words a refusal, and what it answers besides: OPTIONS, and pages for browsers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, current_app, request
from flask.typing import ResponseReturnValue
from markupsafe import escape

from app.api import throttle
from app.api.parsing import UnreadableBodyError
from app.errors import (
    AppError,
    ConflictError,
    InvalidRequestError,
    NotAllowedError,
    NotAuthenticatedError,
)
from app.services.task_pictures import NotAnImageError

PARSES: Final = ("multipart/form-data", "application/x-www-form-urlencoded", "application/json")
_NOT_FITS: Final = "Cannot read FITS data from file"
_PAGE: Final = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
    '<body><p><a href="/tasks/">Tasks</a> · <a href="/docs/">Documentation</a></p>'
    "<h1>{method} {path}</h1><pre>{body}</pre></body></html>"
)


class RefusedError(NotAllowedError):
    """Refused in this API's own words, under ``error``."""


class OneOfFieldError(InvalidRequestError):
    """A field that cannot be used, worded as a text and not as a list of them."""


class UnsupportedMediaTypeError(AppError):
    """The body came as what this call does not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def register(blueprint: APIBlueprint) -> None:
    """Word every refusal below `blueprint` as this API's clients expect it."""
    blueprint.register_error_handler(AppError, render_error)
    blueprint.before_request(_describe)
    blueprint.after_request(_show)


def render_error(error: AppError) -> ResponseReturnValue:
    """Return ``{field: [why]}``, ``{"error": why}`` or ``{"detail": why}``, as each is known."""
    headers = throttle.retry_headers(error)
    if isinstance(error, NotAuthenticatedError):
        headers["WWW-Authenticate"] = "Token"
    return _body(error), error.status, headers


def _body(error: AppError) -> Any:  # noqa: ANN401 - JSON
    if isinstance(error, NotAnImageError):
        return [_NOT_FITS]
    if isinstance(error, UnreadableBodyError):
        return {"detail": _unreadable(error)}
    if isinstance(error, InvalidRequestError) and error.fields:
        as_text = isinstance(error, OneOfFieldError)
        return {name: why if as_text else [why] for name, why in error.fields.items()}
    if isinstance(error, InvalidRequestError | ConflictError | RefusedError):
        return {"error": str(error)}
    return {"detail": str(error) or HTTPStatus(error.status).phrase}


def _unreadable(error: UnreadableBodyError) -> str:
    cause = error.__cause__
    return f"JSON parse error - {cause if isinstance(cause, json.JSONDecodeError) else error}"


@contextmanager
def as_text() -> Iterator[None]:
    """Word a field that cannot be used as a text, which some calls do."""
    try:
        yield
    except NotAnImageError:
        raise
    except InvalidRequestError as error:
        if error.fields:
            raise OneOfFieldError(**error.fields) from error
        raise


@contextmanager
def in_own_words(words: str = "Permission denied") -> Iterator[None]:
    """Word what somebody may not do as this API does."""
    try:
        yield
    except NotAllowedError as error:
        raise RefusedError(words) from error


def _describe() -> ResponseReturnValue | None:
    """Answer OPTIONS: what a call is, what it reads and answers."""
    if request.method != "OPTIONS" or request.endpoint is None:
        return None
    view = current_app.view_functions[request.endpoint]
    return {
        "name": view.__name__.replace("_", " ").title(),
        "description": (view.__doc__ or "").strip(),
        "renders": ["application/json", "text/html"],
        "parses": list(PARSES),
    }


def _show(response: Response) -> Response:
    """Show an answer to a browser as a page."""
    response.headers.add("Vary", "Accept")
    offered = request.accept_mimetypes.best_match(["application/json", "text/html"])
    if request.method != "GET" or response.mimetype != "application/json" or offered is None:
        return response
    if offered == "text/html" and not response.is_streamed:
        body = json.dumps(response.get_json(), indent=2, ensure_ascii=False)
        title = f"STDWeb: {escape(request.path)}"
        page = _PAGE.format(
            title=title, method="GET", path=escape(request.full_path.rstrip("?")), body=escape(body)
        )
        response.set_data(page)
        response.mimetype = "text/html"
    return response
