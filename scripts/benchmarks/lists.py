"""A page of a hundred frames out of a million, over HTTP: our list beside Django REST framework's.

Both servers read one SQLite file, answer the same fields of the same frames and run under
gunicorn with as many threads; what is told is the CPU time of the server's own processes. Ours
runs as it is shipped: it looks up a token and asks the access rule with every page. The peer is
run twice, with the tokens of its own framework and open to everybody.
"""

import base64
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import quote, urlencode

ROOT: Final = Path(__file__).resolve().parent.parent.parent
HERE: Final = Path(__file__).resolve().parent
ARMS: Final = ("list", "list_drf_tokens", "list_drf_open")
PAGES: Final = 1000
WARM: Final = 100
CONNECTIONS: Final = 4
DEPTHS: Final = 100
THREADS: Final = 64  # of our own server, and so of the other
PATIENCE_S: Final = 60.0
FIRST: Final = datetime(2020, 1, 1, tzinfo=UTC)
APART: Final = timedelta(seconds=150)

# Frame `i` of the million, as SQL over the row made first; headers are left empty, no list
# reads them.
_VALUES: Final[Mapping[str, str]] = {
    "id": "i",
    "path": "printf('RAW/%s/f_%07d.fits', date(at - 43200, 'unixepoch'), i)",
    "file_name": "printf('f_%07d.fits', i)",
    "level": "CASE WHEN i % 401 = 0 THEN 1 WHEN i % 4 = 3 THEN 2 ELSE 0 END",
    "kind": "CASE i % 6 WHEN 0 THEN 'bias' WHEN 1 THEN 'dark' ELSE 'science' END",
    "band": "substr('ugriz', i % 5 + 1, 1)",
    "exptime_s": "i % 5 * 60.0",
    "start_utc": "strftime('%Y-%m-%d %H:%M:%f000', at, 'unixepoch')",
    "night": "date(at - 43200, 'unixepoch')",
    "object_name": "'obj' || (i % 997)",
    "ra_deg": "i * 7919 % 360000 / 1000.0",
    "dec_deg": "i * 104729 % 180000 / 1000.0 - 90",
    "airmass": "1 + i * 31 % 1000 / 1000.0",
    "temp_c": "i * 17 % 1000 / 1000.0 - 100",
    "is_valid": "i % 50 != 0",
    "median": "i * 13 % 60000 / 7.0",
    "noise": "i * 11 % 1000 / 300.0",
}


def commands(folder: Path, peers_python: str | None) -> dict[str, Sequence[str]]:
    """Return the command of every arm; the peer's need its packages in `peers_python`."""
    arms = ARMS if peers_python is not None else ARMS[:1]
    command = (sys.executable, "-m", "scripts.benchmarks.lists")
    return {name: (*command, name, str(folder), peers_python or "") for name in arms}


def make(folder: Path, rows: int) -> None:
    """Make the database of the lists, if it is not there yet."""
    done = folder / "lists.done"
    if done.exists() and done.read_text() == str(rows):
        return
    print(f"making a database of {rows} frames ...", file=sys.stderr, flush=True)
    for old in (folder / "lists").glob("coelostat.sqlite*"):
        old.unlink()
    _make_instance(folder / "lists", rows)
    done.write_text(str(rows))


def _make_instance(instance: Path, rows: int) -> None:
    from app import config, create_app
    from app.db import db, transaction
    from app.models import Camera, Frame
    from app.services import accounts

    app = create_app(config.load({"COELOSTAT_INSTANCE": str(instance)}))
    with app.app_context():
        db.create_all()
        user = accounts.create_user("observer", password="of the benchmark")  # noqa: S106 - nobody's
        (instance / "token").write_text(accounts.issue_token(user))
        with transaction():
            camera = Camera(name="CAM1", instrument="CAM1", telescope="", nx=4096, ny=4096)
            first = Frame(path="0", file_name="0", kind="bias", nx=4096, ny=4096, camera=camera)
            db.session.add(first)
        columns = [column.name for column in Frame.__table__.columns]
        db.session.remove()
        db.engine.dispose()
    _fill(instance / "coelostat.sqlite", columns, rows)


def _fill(file: Path, columns: Sequence[str], rows: int) -> None:
    """Copy the first frame with other values, until there are so many."""
    shown = ", ".join(_VALUES.get(name, f"first.{name}") for name in columns)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-400000")
        connection.execute(
            "WITH RECURSIVE numbers(i, at) AS (SELECT 2, ? UNION ALL "  # noqa: S608 - our own words
            "SELECT i + 1, at + ? FROM numbers WHERE i < ?) "
            f"INSERT INTO frames ({', '.join(columns)}) "
            f"SELECT {shown} FROM numbers, frames AS first WHERE first.id = 1",
            (int(_start_of(2).timestamp()), int(APART.total_seconds()), rows),
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _start_of(frame_id: int) -> datetime:
    return FIRST + APART * frame_id


@dataclass(frozen=True)
class Server:
    """A server that runs, and how its list is asked for what lies behind a frame."""

    process: subprocess.Popen[bytes]
    port: int
    headers: Mapping[str, str]

    def get(self, connection: http.client.HTTPConnection, address: str) -> bytes:
        """Return the answer at an address."""
        connection.request("GET", address, headers=dict(self.headers))
        response = connection.getresponse()
        body = response.read()
        if response.status != http.HTTPStatus.OK:
            sys.exit(f"{address}: {response.status} {body[:200]!r}")
        return body

    def cpu_s(self) -> float:
        """Return the CPU time of the server's processes."""
        ticks = sum(map(_ticks, [self.process.pid, *_children(self.process.pid)]))
        return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def served(command: Sequence[str], port: int, **environment: str) -> Iterator[Server]:
    """Start a server and stop it at the end; `AUTHORIZATION` is what its callers send."""
    sent = {"Accept": "application/json"}
    if key := environment.pop("AUTHORIZATION", ""):
        sent["Authorization"] = f"Token {key}"
    inherited = {name: text for name, text in os.environ.items() if not _is_ours(name)}
    process = subprocess.Popen(command, cwd=ROOT, env=inherited | environment)
    try:
        _wait_for(process, port)
        yield Server(process, port, sent)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def _is_ours(variable: str) -> bool:
    """Tell whether a variable would have our server serve another site's database."""
    return variable.startswith("COELOSTAT_") or variable.endswith(("DATABASE_URL", "REDIS_URL"))


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("the server does not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ours(instance: Path) -> Iterator[Server]:
    """Run our own web server, as it is shipped."""
    port = _free_port()
    bind = {"COELOSTAT_BIND": f"127.0.0.1:{port}", "COELOSTAT_INSTANCE": str(instance)}
    key = (instance / "token").read_text()
    command = (sys.executable, "-m", "app", "web")
    with served(command, port, AUTHORIZATION=key, PYTHONPATH=str(ROOT), **bind) as server:
        yield server


def drf(instance: Path, python: str, *, tokens: bool) -> Iterator[Server]:
    """Run the peer's, on the same file."""
    port = _free_port()
    where = {"FRAMES_DB": str(instance / "coelostat.sqlite"), "WITH_TOKENS": "1" if tokens else ""}
    key = ""
    if tokens:
        made = (python, str(HERE / "drf_list.py"))
        environment = os.environ | where
        done = subprocess.run(made, capture_output=True, text=True, check=True, env=environment)
        key = done.stdout.strip()
    command = (
        *(python, "-m", "gunicorn", "--worker-class", "gthread", "--threads", str(THREADS)),
        *("--keep-alive", "5", "--log-level", "error", "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--chdir", str(HERE), "drf_list:application"),
    )
    with served(command, port, AUTHORIZATION=key, **where) as server:
        yield server


def our_address(frame_id: int) -> str:
    """Return the address of the page behind a frame."""
    since = (_start_of(frame_id) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return f"/frames/?after={since}.{frame_id}"


def drf_address(frame_id: int) -> str:
    """Return the address of the peer's page behind a frame."""
    place = urlencode({"p": str(_start_of(frame_id))})
    return f"/frames/?cursor={quote(base64.b64encode(place.encode()))}"


def measure(server: Server, addresses: Mapping[int, str]) -> dict[str, float]:
    """Ask for pages over a few connections; return what they cost the server."""
    _check(server, addresses)
    _ask(server, list(addresses.values()), WARM)
    cpu, wall = server.cpu_s(), time.perf_counter()
    _ask(server, list(addresses.values()), PAGES)
    return {"wall_s": time.perf_counter() - wall, "cpu_s": server.cpu_s() - cpu, "memory_mb": 0.0}


def _check(server: Server, addresses: Mapping[int, str]) -> None:
    """See that pages are what they should be: the hundred frames behind one, in order."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for frame_id, address in list(addresses.items())[:5]:
        found = json.loads(server.get(connection, address))["results"]
        if [row["id"] for row in found] != list(range(frame_id - 1, frame_id - 101, -1)):
            sys.exit(f"{address} is not the page behind frame {frame_id}")
    connection.close()


def _ask(server: Server, addresses: Sequence[str], n: int) -> None:
    def ask(share: range) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        for k in share:
            server.get(connection, addresses[k % len(addresses)])
        connection.close()

    shares = [range(k, n, CONNECTIONS) for k in range(CONNECTIONS)]
    threads = [threading.Thread(target=ask, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(name: str, folder: Path, python: str) -> dict[str, float]:
    """Run one arm on pages at random depths."""
    rows = int((folder / "lists.done").read_text())
    depths = Random(3).sample(range(200, rows), DEPTHS)  # noqa: S311 - which pages, not secrets
    instance = folder / "lists"
    if name == "list":
        servers, address = ours(instance), our_address
    else:
        servers, address = drf(instance, python, tokens=name == "list_drf_tokens"), drf_address
    with contextmanager(lambda: servers)() as server:
        return measure(server, {frame_id: address(frame_id) for frame_id in depths})


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
