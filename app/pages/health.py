"""Whether the program is whole: for monitors, containers and the runner itself."""

from http import HTTPStatus

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import paths
from app.db import db
from app.services import courier

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 where every part is alive, 503 with what is missing otherwise.

    RAW is no part of the program: without it everything but scanning goes on.
    """
    parts = {"web": 1, "database": _database(), **_behind_the_queue()}
    missing = [name for name, alive in parts.items() if not alive]
    if missing:
        return jsonify(
            status="incomplete", missing=missing, **parts, raw=_raw()
        ), HTTPStatus.SERVICE_UNAVAILABLE
    return jsonify(status="ok", **parts, raw=_raw())


def _raw() -> str:
    """Say whether RAW is there, not where: the page is open to strangers."""
    return "not there: is its disk mounted?" if paths.current().raw_trouble() else "there"


def _database() -> int:
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return 0
    return 1


def _behind_the_queue() -> dict[str, int]:
    """Return how many of each are alive; without the queue server nobody can know."""
    try:
        return {
            "queue": 1,
            "dispatcher": courier.alive("dispatcher"),
            "worker": courier.alive("worker"),
        }
    except RedisError:
        return {"queue": 0, "dispatcher": 0, "worker": 0}
