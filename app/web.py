"""The web server's settings, as gunicorn reads them: one process with many threads.

Gunicorn takes every name here that is one of its settings, so none is imported that could be
mistaken for one. The application is made in gunicorn's worker, so that no database connection
is ever forked.
"""

import gc
import signal
from types import FrameType
from typing import Any, Final

from app.config import load
from app.logs import set_up
from app.paths import Paths
from app.services.processes import leave_orphanage

_settings: Final = load()

bind = _settings.bind
workers = 1
worker_class = "app.web_worker.StayingWorker"
threads = _settings.web_threads  # an open live page holds one
timeout = 60
graceful_timeout = 5  # for a download under way
keepalive = 5
control_socket_disable = True
loglevel = "warning"


def pre_fork(_arbiter: object, _worker: object) -> None:
    """Leave what is loaded to both processes: a look for garbage would write to all of it."""
    gc.collect()
    gc.freeze()


def post_fork(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn ships no types
    """Tie the process that serves to gunicorn's own, and send its records to the main log."""
    leave_orphanage(worker.ppid)
    set_up(Paths.of(_settings).main_log)


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn ships no types
    """Have a stop end the streams of open live pages too: it would wait for them."""
    from app.pages import live  # the application is there now, in the process that serves

    def stop(number: int, frame: FrameType | None) -> None:
        live.stop(worker.wsgi)
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, stop)
