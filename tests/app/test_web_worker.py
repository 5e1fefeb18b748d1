"""Threads stay a moment with the connection they answered, and keep nobody waiting by it."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app.web_worker import STAY_MS
from tests.faults.program import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20.0
# Answers how often the main thread has handed a connection to a thread so far.
TOLD = """
from app.web_worker import StayingWorker

class Worker(StayingWorker):
    handed = 0

    def enqueue_req(self, conn):
        Worker.handed += 1
        super().enqueue_req(conn)

def app(environ, start_response):
    body = str(Worker.handed).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@dataclass
class Server:
    """Gunicorn with the worker, and the connections to it."""

    process: subprocess.Popen[bytes]
    port: int
    connections: list[HTTPConnection] = field(default_factory=list)

    def connect(self) -> HTTPConnection:
        """Return a connection to the server, which may be starting still."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        self.connections.append(connection)
        give_up_at = time.monotonic() + PATIENCE_S
        while connection.sock is None:
            try:
                connection.connect()
            except OSError:
                assert time.monotonic() < give_up_at, "the server does not start"
                time.sleep(0.05)
        return connection

    def end(self) -> None:
        for connection in self.connections:
            connection.close()
        self.process.kill()
        self.process.wait()


Start = Callable[[int], Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def start_server(threads: int) -> Server:
        port = free_port()
        (tmp_path / "told.py").write_text(TOLD)
        command = [
            *(sys.executable, "-m", "gunicorn", "told:app", "--worker-class", "told.Worker"),
            *("--threads", str(threads), "--bind", f"127.0.0.1:{port}", "--keep-alive", "60"),
            *("--pythonpath", f"{tmp_path},{ROOT}", "--no-control-socket", "--log-level", "error"),
        ]
        servers.append(Server(subprocess.Popen(command, cwd=tmp_path), port))
        return servers[-1]

    yield start_server
    for server in servers:
        server.end()


def ask(connection: HTTPConnection) -> int:
    connection.request("GET", "/")
    response = connection.getresponse()
    assert response.status == 200
    return int(response.read())


def test_thread_that_answered_takes_the_next_request_itself(start: Start) -> None:
    connection = start(4).connect()

    handed = [ask(connection) for _ in range(50)]

    assert handed[-1] < 50


def test_connection_that_pauses_is_watched_and_answered_again(start: Start) -> None:
    connection = start(1).connect()
    first = ask(connection)

    time.sleep(20 * STAY_MS / 1000)

    assert ask(connection) == first + 1


def test_nobody_waits_for_one_who_asks_without_a_pause(start: Start) -> None:
    server = start(1)
    greedy, other = server.connect(), server.connect()
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(lambda: [ask(other) for _ in range(20)])
        n = 0
        while not answered.done():
            ask(greedy)
            n += 1

    assert len(answered.result()) == 20
    assert n > 0


def test_requests_sent_in_one_go_are_all_answered(start: Start) -> None:
    server = start(2)
    server.connect().close()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        raw.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: raw.recv(65536), b""))

    assert answers.count(b"HTTP/1.1 200 OK") == 3


def test_client_that_leaves_disturbs_nobody(start: Start) -> None:
    server = start(1)
    for _ in range(5):
        leaving = server.connect()
        ask(leaving)
        leaving.close()

    assert ask(server.connect()) >= 6


def test_stop_does_not_wait_for_open_connections(start: Start) -> None:
    server = start(2)
    ask(server.connect())

    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(PATIENCE_S) == 0
