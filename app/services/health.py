"""Which parts of the program are alive."""

from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.db import db
from app.services import courier


def parts() -> dict[str, int]:
    """Return how many of each part behind the web server answer."""
    return {"database": _database(), **_behind_the_queue()}


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
