"""Which parts of the program are alive."""

from collections.abc import Mapping
from typing import Final

from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.db import db
from app.services import courier

_LOOK: Final = (
    "look into the program's log, logs/coelostat.log of the instance folder, and start the program "
    "again (scripts/run)."
)
_STAYS: Final = f"The runner starts it again within seconds; if it stays away, {_LOOK}"
# Without the first nobody knows of the others, and without the second a worker has nothing to do.
_SENTENCES: Final[Mapping[str, str]] = {
    "database": f"The database does not answer: nothing can be shown or done; {_LOOK}",
    "queue": f"The queue server does not answer: jobs wait, and nothing is reduced. {_STAYS}",
    "dispatcher": f"The dispatcher is not alive: jobs wait, and no worker gets them. {_STAYS}",
    "worker": "No worker is alive: jobs wait for nobody, and nothing is reduced. Workers get ready "
    f"within a minute of a start, at the very first one within some; if none comes, {_LOOK} On a "
    "machine for workers alone: python -m app worker.",
}


def parts() -> dict[str, int]:
    """Return how many of each part behind the web server answer."""
    return {"database": _database(), **_behind_the_queue()}


def trouble(found: Mapping[str, int] | None = None) -> str:
    """Say which part is missing and what to do about it; nothing where all are alive."""
    found = parts() if found is None else found
    return next((said for name, said in _SENTENCES.items() if not found[name]), "")


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
