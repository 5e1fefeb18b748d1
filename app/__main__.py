"""``python -m app``: the runner, or one part of the program.

Without arguments it starts queue server, web server, dispatcher, watcher and workers, and keeps
them alive. Each part can be started by itself, for a site that outgrows one machine.
"""

import argparse
import errno
import json
import logging
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.error import HTTPError, URLError

from app import config, create_app, logs, queue_server, schema, startup, supervisor
from app.errors import AppError
from app.jobs import dispatcher, watcher
from app.paths import Paths
from app.services import accounts, processes
from app.supervisor import Part, Supervisor, own_part

log = logging.getLogger(__name__)

PARTS: Final = ("web", "dispatcher", "worker", "watcher", "demo")
REFUSED: Final = 2  # exit code
TIDY_S: Final = 60.0
ASK_S: Final = 0.5
SILENCE_S: Final = 60.0  # after so long, what is still missing is named
_NOBODY_LISTENS: Final = frozenset({errno.EPIPE, errno.EIO})  # a pipe's reader, a terminal left


def main() -> int:
    """Start what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Coelostat")
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this part; default: all")
    parser.add_argument("--demo", action="store_true", help="simulate a night and reduce it")
    chosen = parser.parse_args()
    try:
        settings = startup.load_config()
        startup.reexecute_with_environment(settings)
        Paths.of(settings).make()
        if chosen.part is None:
            run_all(settings, with_demo=chosen.demo)
        else:
            run_part(chosen.part, settings)
    except (
        startup.RefusedError,
        AppError,
        config.ConfigError,
        schema.SchemaError,
        supervisor.AlreadyRunningError,
        queue_server.NoQueueServerError,
    ) as error:
        sys.stderr.write(f"coelostat: {error}\n")
        return REFUSED
    return 0


def run_part(part: str, settings: config.Config) -> None:
    """Run one part in this process until it is told to stop."""
    if part == "web":
        startup.refuse_busy_port(settings.bind)
        os.execv(startup.WEB[0], startup.WEB)  # noqa: S606 - gunicorn with our settings
    logs.set_up(Paths.of(settings).main_log)
    app = create_app(settings, is_served=False)
    if part == "worker":
        from app.jobs import worker  # numba and astropy: a second, and 100 MB the others save

        worker.run(app)
    elif part == "dispatcher":
        dispatcher.Dispatcher(app).run(processes.stop_on_signals())
    elif part == "watcher":
        watcher.Watcher(app).run(processes.stop_on_signals())
    else:
        from app import demo  # the simulator, likewise

        demo.run(app, startup.local_address(settings.bind), say)


def run_all(settings: config.Config, *, with_demo: bool) -> None:
    """Start every part, keep them alive, and stop them in order when told to."""
    places = Paths.of(settings)
    with supervisor.lock(places.run / "runner.lock"):
        must_stop = processes.stop_on_signals()
        logs.set_up(places.main_log)
        startup.refuse_busy_port(settings.bind)
        app = create_app(settings, is_served=False)
        password = startup.prepare_database(app, settings)
        first_user = _first_user(password)
        say_all(first_user)  # now already: the start may fail, and this is kept nowhere
        environment = startup.environment(settings)
        crew = Supervisor(startup.parts(settings), environment, _tell, must_stop.is_urgent)
        try:
            crew.run(must_stop, Watch(crew, settings, with_demo=with_demo, last_words=first_user))
        finally:
            startup.give_back(app, settings)
        say("stopped")


def _first_user(password: str | None) -> list[str]:
    if password is None:
        return []
    return [f"first user: {accounts.FIRST_USER}, password: {password} (told at this start only)"]


def say_all(lines: Sequence[str]) -> None:
    """Tell several lines."""
    for line in lines:
        say(line)


def _tell(text: str) -> None:
    """Tell whoever started the program, and the log."""
    log.info("%s", text)
    say(text)


def say(text: str) -> None:
    """Tell whoever started the program; one who has gone away must not end it."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        log.info("nobody was told, standard output is broken: %s", error)  # not what: a password
        if error.errno in _NOBODY_LISTENS:
            _tell_nobody()


def _tell_nobody() -> None:
    """Drop what is told from now on, and what is left in the buffer: Python fails on it at exit."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@dataclass(slots=True)
class Watch:
    """What the runner does between its looks at the parts: tidy the log, say when all is up."""

    crew: Supervisor
    settings: config.Config
    with_demo: bool
    last_words: Sequence[str] = ()  # repeated when all is up, so that they are not buried
    demo: Part | None = None
    is_up: bool = False
    tidied_at: float = 0.0
    asked_at: float = 0.0
    began_at: float = field(default_factory=time.monotonic)

    def __call__(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if now - self.tidied_at > TIDY_S:
            self.tidied_at = now
            logs.set_aside(Paths.of(self.settings).main_log)
        if not self.is_up and now - self.asked_at > ASK_S:
            self.asked_at = now
            self._ask(now)
        if self.demo is not None and self.demo.has_ended():
            self.demo = None
            say_all(self.last_words)

    def _ask(self, now: float) -> None:
        missing = missing_parts(self.settings.bind)
        if not missing:
            self._announce()
        elif now - self.began_at > SILENCE_S:
            self.began_at = now
            main_log = Paths.of(self.settings).main_log
            say(f"still waiting for: {', '.join(missing)} (see {main_log})")

    def _announce(self) -> None:
        self.is_up = True
        if trouble := Paths.of(self.settings).raw_trouble():
            say(trouble)
        say_all([*addresses(self.settings.bind), *self.last_words])
        if self.with_demo:
            self.demo = own_part("demo", "demo", stage=9, once=True)
            self.crew.add(self.demo)


def addresses(bind: str) -> list[str]:
    """Return lines that say where the pages are, for other machines only where they are served."""
    _, port = startup.address(bind)
    lines = [f"Coelostat is at http://{startup.local_address(bind)}/"]
    if startup.is_for_all(bind):
        lines.append(f"from the LAN: http://{socket.gethostname()}:{port}/")
    return lines


def missing_parts(bind: str) -> list[str]:
    """Return which parts the program's own health page misses."""
    try:
        with urllib.request.urlopen(f"http://{startup.local_address(bind)}/healthz", timeout=ASK_S):
            return []
    except HTTPError as error:
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
            return [str(name) for name in json.load(error)["missing"]]
        return [f"web (it answers {error.code})"]
    except (URLError, TimeoutError, ConnectionError):
        return ["web"]


if __name__ == "__main__":
    sys.exit(main())
