"""Files below the data root, as every record names them."""

from flask import Response, request

from app.api import downloads
from app.api.auth import user_or_none
from app.api.openapi import ERROR, described
from app.api.splus.dialect import blueprint
from app.errors import NotAuthenticatedError
from app.services import media as files


@blueprint.get("/media/<path:relative>")
@described(
    answer={"type": "string", "format": "binary"},
    answer_type="application/octet-stream",
    refusals={404: ERROR},
)
def media(relative: str) -> Response:
    """Send a file: a frame, a master, a thumbnail, a log, the result of a query."""
    visitor = user_or_none()
    try:
        path = files.find(visitor, relative)
    except NotAuthenticatedError:
        if visitor is None and request.headers.get("Authorization"):
            raise NotAuthenticatedError("Invalid token.") from None
        raise
    return downloads.send(path)
