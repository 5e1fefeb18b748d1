"""How this API words a refusal."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api import throttle
from app.errors import AppError, InvalidRequestError, NotAuthenticatedError


def register(blueprint: APIBlueprint) -> None:
    """Word every refusal below `blueprint` as this API's clients expect it."""
    blueprint.register_error_handler(AppError, render_error)


def render_error(error: AppError) -> ResponseReturnValue:
    """Return ``{field: [why]}`` for bad parameters, else ``{"detail": why}``."""
    if isinstance(error, InvalidRequestError) and error.fields:
        return {name: [why] for name, why in error.fields.items()}, error.status
    headers = throttle.retry_headers(error)
    if isinstance(error, NotAuthenticatedError):
        headers["WWW-Authenticate"] = "Token"
    return {"detail": str(error) or HTTPStatus(error.status).phrase}, error.status, headers
