"""What changed, told to open pages as it happens: server-sent events.

One thread a process looks at the events, as long as a page is open; every open page waits for it.
Each stream holds a thread of the web server, so there is a limit a person and one in all.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from flask import Flask, Response, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from app import config
from app.api.auth import asker, current_user
from app.errors import ThrottledError
from app.models import Job, Task, User
from app.pages.base import blueprint
from app.services import access, events

LOOK_S: Final = 1.0  # between two looks at the events
HEARTBEAT_S: Final = 5.0  # a silent stream says that it lives, and so finds out if it does not
LONGEST_S: Final = 600.0  # then the browser connects anew, perhaps to another process
PER_USER: Final = 8
_KEPT: Final = 1000
_EXTENSION: Final = "coelostat.live"
# Changes of what somebody owns, by topic, which also names the id.
_OWNED: Final[Mapping[str, type[Task] | type[Job]]] = {"task": Task, "job": Job}


@dataclass(frozen=True, slots=True)
class Change:
    """One event, as pages get it."""

    id: int
    topic: str
    subject: dict[str, Any]

    def as_text(self, *, is_discreet: bool) -> str:
        """Return it in the form of the event stream, if need be without what it is about.

        A page that is not told looks again at what it shows, which its reader may see.
        """
        told = {} if is_discreet else self.subject
        data = json.dumps({"topic": self.topic, **told})
        return f"id: {self.id}\nevent: {self.topic}\ndata: {data}\n\n"


@dataclass
class Watcher:
    """Looks at the events for all open pages of this process."""

    app: Flask
    most_streams: int
    changed: threading.Condition = field(default_factory=threading.Condition)
    recent: deque[Change] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last_id: int = 0
    streams: list["Stream"] = field(default_factory=list)  # the oldest first
    thread: threading.Thread | None = None
    is_stopping: bool = False

    def enter(self, stream: "Stream") -> None:
        """Take a stream in, at the cost of its user's oldest where there are too many.

        A page that was left keeps its stream until the next heartbeat finds nobody there, so
        somebody who only turns pages quickly must not be refused.
        """
        newest = events.latest_id()
        with self.changed:
            own = [other for other in self.streams if other.user_id == stream.user_id]
            if len(own) >= PER_USER:
                self.streams.remove(own[0])
                own[0].is_wanted = False
            if len(self.streams) >= self.most_streams:
                raise ThrottledError(wait_s=30)
            self.streams.append(stream)
            if self.thread is None:
                self.last_id = newest
                self.thread = threading.Thread(target=self._watch, name="events", daemon=True)
                self.thread.start()
            self.changed.notify_all()

    def leave(self, stream: "Stream") -> None:
        """Let a stream go."""
        with self.changed:
            if stream in self.streams:
                self.streams.remove(stream)

    def after(self, event_id: int, stream: "Stream") -> Sequence[Change]:
        """Return what happened after an event, waiting a while for it if need be."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.last_id > event_id or not stream.is_wanted or self.is_stopping,
                HEARTBEAT_S,
            )
            return [change for change in self.recent if change.id > event_id]

    def _watch(self) -> None:
        while self._has_streams():
            time.sleep(LOOK_S)
            try:
                with self.app.app_context():
                    self._look()
            except SQLAlchemyError as error:  # the database is busy, or away: look again
                self.app.logger.warning("live pages cannot look for news: %s", error)

    def _has_streams(self) -> bool:
        with self.changed:
            if not self.streams or self.is_stopping:
                self.thread = None
                self.changed.notify_all()
            return self.thread is not None

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


def stop(app: Flask) -> None:
    """End every stream soon, for the server stops; no lock is taken, a signal may call this."""
    if (found := app.extensions.get(_EXTENSION)) is not None:
        cast(Watcher, found).is_stopping = True


class Stream:
    """The body of one response; closing it, read or not, gives its place back.

    `who` tells who is listening, None once they may not; it is asked before anything is told.
    """

    def __init__(self, watching: Watcher, user_id: int, who: Callable[[], User | None]) -> None:
        self.user_id = user_id
        self._who = who
        self.is_wanted = True
        self._watching = watching
        self._lines = self._told()
        watching.enter(self)

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def close(self) -> None:
        """Give the place back."""
        self._watching.leave(self)

    def _told(self) -> Iterator[str]:
        ends = time.monotonic() + LONGEST_S
        last_id = self._watching.last_id
        yield "retry: 3000\n\n"
        while self._goes_on() and time.monotonic() < ends:
            found = self._watching.after(last_id, self)
            last_id = found[-1].id if found else last_id
            known = self._known_of(found)
            if known is None:
                return
            said = [change.as_text(is_discreet=change.id not in known) for change in found]
            yield "".join(said) or ": still here\n\n"
        if not self.is_wanted:
            yield "event: rest\ndata: {}\n\n"  # a newer page of the same person took the place

    def _known_of(self, found: Sequence[Change]) -> Collection[int] | None:
        """Return which changes who is listening may know in full; None where nobody may."""
        try:
            with self._watching.app.app_context():
                user = self._who()
                return None if user is None else _known_to(user, found)
        except SQLAlchemyError as error:  # the browser connects anew, and is asked again
            self._watching.app.logger.warning("a live page ends, nobody can be asked: %s", error)
            return None

    def _goes_on(self) -> bool:
        return self.is_wanted and not self._watching.is_stopping


def _known_to(user: User, found: Sequence[Change]) -> Collection[int]:
    """Return the ids of the changes whose subject `user` may know.

    Staff all, others none while frames are hidden from them; of tasks and jobs, those they see.
    """
    if access.is_staff(user):
        return {change.id for change in found}
    if not access.sees_every_frame(user):
        return ()
    seen = {topic: _seen(user, topic, found) for topic in _OWNED}
    return {c.id for c in found if c.topic not in seen or c.subject.get(c.topic) in seen[c.topic]}


def _seen(user: User, topic: str, found: Sequence[Change]) -> Collection[int]:
    """Return which tasks, or jobs, of these changes `user` sees."""
    model, told = _OWNED[topic], {c.subject.get(topic) for c in found if c.topic == topic}
    if not told:
        return ()
    return access.seen_among(user, model, told)


@blueprint.get("/events/")
def stream_events() -> ResponseReturnValue:
    """Send what changes, until the page is closed or ten minutes are over."""
    stream = Stream(watcher(), current_user().id, asker())
    response = Response(stream, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # a proxy must pass each event on at once
    return response
