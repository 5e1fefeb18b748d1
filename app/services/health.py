"""Which parts of the program are alive."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Final, cast

from flask import current_app
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

_EXTENSION: Final = "coelostat.health"
_KEPT_S: Final = 3.0  # so long an answer is good enough for a page; monitors always get a new one


@dataclass(slots=True)
class _Kept:
    """The last answer, and until when it holds."""

    said: str | None = None
    until: float = 0.0
    asking: Lock = field(default_factory=Lock)


def parts() -> dict[str, int]:
    """Return how many of each part behind the web server answer."""
    return {"database": _database(), **_behind_the_queue()}


def trouble(found: Mapping[str, int] | None = None) -> str:
    """Say which part is missing and what to do about it; nothing where all are alive.

    Without `found`, as every page asks, what was found some seconds ago is good enough.
    """
    if found is None:
        return _lately()
    return next((said for name, said in _SENTENCES.items() if not found[name]), "")


def _lately() -> str:
    """Return the kept answer, renewed where it is old by the first thread that comes by.

    The others meanwhile take the old one: a queue server that hangs holds up one page, not all.
    """
    kept = cast(_Kept, current_app.extensions.setdefault(_EXTENSION, _Kept()))
    is_old = kept.said is None or monotonic() >= kept.until
    if is_old and kept.asking.acquire(blocking=kept.said is None):
        try:
            _renew(kept)
        finally:
            kept.asking.release()
    return kept.said or ""


def _renew(kept: _Kept) -> None:
    if kept.said is None or monotonic() >= kept.until:  # nobody has while this thread waited
        kept.said = trouble(parts())
        kept.until = monotonic() + _KEPT_S


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
