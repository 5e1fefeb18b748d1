"""Gunicorn's threaded worker, whose threads stay a moment with the connection they answered.

Scripts ask again as soon as they have their answer. Gunicorn's own worker gives a connection back
to its main thread after every request, to be watched there and handed to the next free thread:
for a short answer that is two fifths of gunicorn's own work.
"""

import select
import threading
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

STAY_MS: Final = 5  # scripts on this network ask again sooner


class StayingWorker(ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """A threaded worker that has an answer's thread wait for the next request, if nobody else does.

    No thread stays for longer than `STAY_MS`, nor takes another request of its connection while
    one that came before it waits for a thread: the main thread has it then, as ever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*args, **kwargs)
        self._counting = threading.Lock()
        self._waiting = 0  # connections no thread has taken up yet

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Have a thread take up a connection."""
        self._count(1)
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> object:  # noqa: ANN401 - gunicorn's own
        """Answer a connection's requests; return what becomes of it, as gunicorn has it."""
        self._count(-1)
        fate: object = super().handle(conn)
        while fate is True and self._asks_again(conn):
            fate = super().handle(conn)
        return fate

    def _count(self, change: int) -> None:
        with self._counting:
            self._waiting += change

    def _asks_again(self, conn: Any) -> bool:  # noqa: ANN401 - gunicorn's own
        """Tell whether the next request, or the connection's end, comes within the moment."""
        if self._waiting or not self._goes_on() or conn.parser.unreader.buf.getvalue():
            return False
        answered = select.poll()
        answered.register(conn.sock, select.POLLIN)
        return bool(answered.poll(STAY_MS)) and not self._waiting

    def _goes_on(self) -> bool:
        """Tell whether the worker is to go on, which it is not without its parent either."""
        return bool(self.alive and self.is_parent_alive())
