"""What must hold before the parts start: a folder to write to, a free port, a database, a user."""

import errno
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Final

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app import config, paths, queue_server, schema
from app.services import accounts, courier, jobs, processes
from app.services import settings as operational
from app.supervisor import ROOT, Part, own_part

WEB: Final = (
    sys.executable,
    "-m",
    "gunicorn",
    "-c",
    "python:app.web",
    "app:create_app(is_served=True)",
)
WEB_GRACE_S: Final = 8.0
IDLE_GRACE_S: Final = 3.0  # a worker without a job needs a moment to end, too
EXAMPLE: Final = ROOT / "instance" / "config.example.toml"
_EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - as settings name them
PORT_PATIENCE_S: Final = 5.0  # what a killed runner leaves is gone within this time


class RefusedError(Exception):
    """The program cannot start here; the message says why and what to do."""


def load_config() -> config.Config:
    """Return this machine's configuration; refuse an instance folder that cannot be written to."""
    try:
        settings = config.load()
        _try_to_write(settings.instance)
        _give_example(settings.instance)
    except OSError as error:
        raise RefusedError(
            f"cannot write to {error.filename} ({os.strerror(error.errno or 0)}); the instance "
            "folder must belong to the user who runs this, or COELOSTAT_INSTANCE name another"
        ) from error
    return settings


def _try_to_write(folder: Path) -> None:
    probe = folder / ".writable"
    probe.touch()
    probe.unlink()


def _give_example(instance: Path) -> None:
    """Lay the example configuration into an instance folder that has none."""
    example = instance / EXAMPLE.name
    if not example.exists() and EXAMPLE.is_file():
        shutil.copyfile(EXAMPLE, example)


def address(bind: str) -> tuple[str, int]:
    """Return host and port of a setting like ``0.0.0.0:8000``."""
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise RefusedError(f"server.bind (COELOSTAT_BIND) must be host:port, not {bind!r}")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - what the setting says


def is_for_all(bind: str) -> bool:
    """Tell whether other machines reach the server too, by whatever address this one has."""
    host, _ = address(bind)
    return host in _EVERY_ADDRESS


def local_address(bind: str) -> str:
    """Return ``host:port`` by which this machine itself reaches the server."""
    host, port = address(bind)
    if is_for_all(bind):
        host = "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refuse_busy_port(bind: str) -> None:
    """Refuse a port that something else listens on."""
    host, port = address(bind)
    give_up_at = time.monotonic() + PORT_PATIENCE_S
    while (trouble := _try_port(host, port)) is not None:
        if trouble.errno != errno.EADDRINUSE or time.monotonic() > give_up_at:
            why = os.strerror(trouble.errno or 0).lower()
            raise RefusedError(
                f"cannot serve at {host}:{port}: {why}; stop what uses it, "
                "or set COELOSTAT_BIND to another host:port"
            )
        time.sleep(0.2)


def _try_port(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def prepare_database(app: Flask, settings: config.Config) -> str | None:
    """Migrate the database and make the first user; return the password made for it, if any."""
    with app.app_context():
        try:
            schema.upgrade()
        except SQLAlchemyError as error:
            raise RefusedError(f"the database cannot be used: {error}") from error
        password = accounts.ensure_first_user(settings.admin_password)
    _recover(app, settings, is_orderly=False)
    return password


def give_back(app: Flask, settings: config.Config) -> None:
    """Queue again, without blame, the jobs that were cut short by an orderly stop."""
    _recover(app, settings, is_orderly=True)


def _recover(app: Flask, settings: config.Config, *, is_orderly: bool) -> None:
    if settings.redis_url:
        return  # workers of other machines may be alive; their leases tell
    with app.app_context():
        snapshot = operational.snapshot()
        jobs.take_back_all(
            max_attempts=snapshot.integer("jobs.max_attempts"), counts=not is_orderly
        )


def parts(settings: config.Config) -> list[Part]:
    """Return every process of the program, in the order of starting.

    All that use the queue server stop at once, before it does: what one of them still hands to
    another that is gone, the next start takes back.
    """
    queue = [] if settings.redis_url else [_queue_server(settings)]
    wait_s = max(IDLE_GRACE_S, float(settings.stop_wait_s))
    workers = [
        own_part(f"worker {number}", "worker", stage=1, grace_s=wait_s)
        for number in range(1, settings.workers + 1)
    ]
    return [
        *queue,
        *workers,
        own_part("watcher", "watcher", stage=1, grace_s=5.0),
        own_part("dispatcher", "dispatcher", stage=1, grace_s=5.0),
        Part("web", WEB, stage=1, grace_s=WEB_GRACE_S),
    ]


def _queue_server(settings: config.Config) -> Part:
    place = courier.socket_path(paths.Paths.of(settings))
    queue_server.prepare_socket(place)
    return Part("queue server", queue_server.command(place), stage=0, grace_s=3.0)


def environment(settings: config.Config) -> dict[str, str]:
    """Return what every part is started with."""
    places = paths.Paths.of(settings)
    return {
        **os.environ,
        **processes.environment(places.cache),
        "COELOSTAT_INSTANCE": str(settings.instance),
        "REDIS_URL": courier.url(settings),
    }


def reexecute_with_environment(settings: config.Config) -> None:
    """Start over with the variables that numpy and numba read when they are imported."""
    wanted = processes.environment(paths.Paths.of(settings).cache)
    if all(os.environ.get(name) == value for name, value in wanted.items()):
        return
    processes.begin_anew(wanted)
