"""Whether the program is whole: for monitors, containers and the runner itself."""

from http import HTTPStatus

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from app import paths
from app.services import health

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 where every part is alive, 503 with what is missing otherwise.

    RAW is no part of the program: without it everything but scanning goes on.
    """
    parts = {"web": 1, **health.parts()}
    missing = [name for name, alive in parts.items() if not alive]
    if missing:
        why = health.trouble(parts)
        return jsonify(
            status="incomplete", missing=missing, detail=why, **parts, raw=_raw()
        ), HTTPStatus.SERVICE_UNAVAILABLE
    return jsonify(status="ok", **parts, raw=_raw())


def _raw() -> str:
    """Say whether RAW is there, not where: the page is open to strangers."""
    return "not there: is its disk mounted?" if paths.current().raw_trouble() else "there"
