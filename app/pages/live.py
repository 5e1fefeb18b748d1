"""What changed, told to open pages as it happens: server-sent events.

One thread a process looks at the events, as long as a page is open; every open page waits for it.
Each stream holds a thread of the web server, so there is a limit a person and one in all.
"""

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from flask import Flask, Response, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from app import config
from app.api.auth import current_user
from app.errors import ThrottledError
from app.pages.base import blueprint
from app.services import events

LOOK_S: Final = 1.0  # between two looks at the events
HEARTBEAT_S: Final = 15.0  # a silent stream says that it lives, and so finds out if it does not
LONGEST_S: Final = 600.0  # then the browser connects anew, perhaps to another process
PER_USER: Final = 8
_KEPT: Final = 1000
_EXTENSION: Final = "coelostat.live"


@dataclass(frozen=True, slots=True)
class Change:
    """One event, as pages get it."""

    id: int
    topic: str
    subject: dict[str, Any]

    def as_text(self) -> str:
        """Return it in the form of the event stream."""
        data = json.dumps({"topic": self.topic, **self.subject})
        return f"id: {self.id}\nevent: {self.topic}\ndata: {data}\n\n"


@dataclass
class Watcher:
    """Looks at the events for all open pages of this process."""

    app: Flask
    most_streams: int
    changed: threading.Condition = field(default_factory=threading.Condition)
    recent: deque[Change] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last_id: int = 0
    streams: Counter[int] = field(default_factory=Counter)
    thread: threading.Thread | None = None

    def enter(self, user_id: int) -> None:
        """Count a stream in, and start looking where it is the first."""
        newest = events.latest_id()
        with self.changed:
            if self.streams[user_id] >= PER_USER or self.streams.total() >= self.most_streams:
                raise ThrottledError(wait_s=30)
            self.streams[user_id] += 1
            if self.thread is None:
                self.last_id = newest
                self.thread = threading.Thread(target=self._watch, name="events", daemon=True)
                self.thread.start()

    def leave(self, user_id: int) -> None:
        """Count a stream out."""
        with self.changed:
            self.streams[user_id] -= 1
            self.streams += Counter()  # forget who has none

    def after(self, event_id: int, timeout_s: float) -> Sequence[Change]:
        """Return what happened after an event, waiting for it if need be."""
        with self.changed:
            self.changed.wait_for(lambda: self.last_id > event_id, timeout_s)
            return [change for change in self.recent if change.id > event_id]

    def _watch(self) -> None:
        while self._is_wanted():
            time.sleep(LOOK_S)
            try:
                with self.app.app_context():
                    self._look()
            except SQLAlchemyError as error:  # the database is busy, or away: look again
                self.app.logger.warning("live pages cannot look for news: %s", error)

    def _is_wanted(self) -> bool:
        with self.changed:
            if self.streams.total() == 0:
                self.thread = None
                return False
        return True

    def _look(self) -> None:
        found = [Change(e.id, e.topic, dict(e.subject)) for e in events.since(self.last_id)]
        if found:
            with self.changed:
                self.recent.extend(found)
                self.last_id = found[-1].id
                self.changed.notify_all()


def watcher() -> Watcher:
    """Return the watcher of this process."""
    found = current_app.extensions.get(_EXTENSION)
    if found is None:
        app = cast(Any, current_app)._get_current_object()
        half = max(1, config.current().web_threads // 2)  # the other half serves pages
        found = current_app.extensions.setdefault(_EXTENSION, Watcher(app, half))
    return cast(Watcher, found)


@blueprint.get("/events/")
def stream_events() -> ResponseReturnValue:
    """Send what changes, until the page is closed or ten minutes are over."""
    user_id, watching = current_user().id, watcher()
    watching.enter(user_id)
    response = Response(_Stream(watching, user_id), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # a proxy must pass each event on at once
    return response


class _Stream:
    """The body of one response; closing it, read or not, counts the stream out."""

    def __init__(self, watching: Watcher, user_id: int) -> None:
        self._watching = watching
        self._user_id = user_id
        self._open = True
        self._lines = self._told()

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def close(self) -> None:
        """Count the stream out, once."""
        if self._open:
            self._open = False
            self._watching.leave(self._user_id)

    def _told(self) -> Iterator[str]:
        ends = time.monotonic() + LONGEST_S
        last_id = self._watching.last_id
        yield "retry: 3000\n\n"
        while time.monotonic() < ends:
            found = self._watching.after(last_id, HEARTBEAT_S)
            last_id = found[-1].id if found else last_id
            yield "".join(change.as_text() for change in found) or ": still here\n\n"
