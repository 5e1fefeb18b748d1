"""The whole program as a process, for tests that hurt it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from flask import Flask

from app import config, create_app
from app.db import db
from tests.numbering import begin_anew

ROOT = Path(__file__).resolve().parent.parent.parent


class Program:
    """One instance folder and the runner that serves it."""

    def __init__(self, instance: Path, numba_cache: Path, settings: str) -> None:
        begin_anew()
        self.instance = instance
        self.port = free_port()
        (instance / "cache").mkdir(parents=True)
        (instance / "cache" / "numba").symlink_to(numba_cache)  # compiled once, not for each test
        (instance / "config.toml").write_text(settings)
        self.output = instance / "output.txt"
        self.runner: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        return {
            "COELOSTAT_INSTANCE": str(self.instance),
            "COELOSTAT_BIND": f"127.0.0.1:{self.port}",
            "COELOSTAT_ADMIN_PASSWORD": "night-sky-7",
        }

    @property
    def main_log(self) -> str:
        return (self.instance / "logs" / "coelostat.log").read_text()

    def start(self, *arguments: str) -> None:
        with self.output.open("ab") as stream:
            self.runner = subprocess.Popen(
                [sys.executable, "-m", "app", *arguments],
                cwd=ROOT,
                env={**os.environ, **self.environ},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def stop(self) -> int:
        """Stop it as systemd would, and return its exit code."""
        assert self.runner is not None
        self.runner.send_signal(signal.SIGTERM)
        return self.runner.wait(60)

    def kill(self) -> None:
        assert self.runner is not None
        self.runner.kill()
        self.runner.wait(60)

    @contextmanager
    def context(self) -> Iterator[Flask]:
        """The same database, from this process."""
        application = create_app(config.load(self.environ))
        with application.app_context():
            yield application
            db.session.remove()
            db.engine.dispose()

    def health(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/healthz", timeout=30
            ) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError as error:
            return 0, {"error": str(error)}

    def wait_until_whole(self, workers: int, limit_s: float = 600) -> None:
        def is_whole() -> bool:
            status, parts = self.health()
            return status == 200 and parts["worker"] >= workers

        try:
            wait_for(is_whole, limit_s)
        except AssertionError:
            raise AssertionError(f"not whole: {self.health()}\n{self.output.read_text()}") from None

    def processes(self) -> dict[str, list[int]]:
        """The living processes below the runner, by what they are."""
        assert self.runner is not None
        children = _children()
        found: dict[str, list[int]] = {}
        for pid in children.get(self.runner.pid, []):
            name = _part_of(_command(pid))
            found.setdefault(name, []).append(pid)
            for below in children.get(pid, []):
                found.setdefault(f"{name}'s child", []).append(below)
        return found


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            parent = _parent(folder)
            if parent is not None:
                found.setdefault(parent, []).append(int(folder.name))
    return found


def _parent(folder: Path) -> int | None:
    try:
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(parent)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _part_of(command: str) -> str:
    for name in ("worker", "dispatcher", "watcher"):
        if f"-m app {name}" in command:
            return name
    return "web" if "gunicorn" in command else "queue server"


def is_alive(pid: int) -> bool:
    return _parent(Path("/proc") / str(pid)) is not None


def wait_for(is_so: Callable[[], bool], limit_s: float, every_s: float = 0.1) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {limit_s} s"
        time.sleep(every_s)


@contextmanager
def served(
    folder: Path, pytestconfig: pytest.Config, settings: str, workers: int
) -> Iterator[Program]:
    """Run the program with an empty RAW until the tests of a module are through with it."""
    made = Program(folder / "instance", kernels_cache(pytestconfig), settings)
    made.start()
    try:
        made.wait_until_whole(workers=workers)
        yield made
    finally:
        made.stop()


def kernels_cache(pytestconfig: pytest.Config) -> Path:
    """The folder of compiled kernels: scripts/test has filled it before the tests begin."""
    if (given := os.environ.get("NUMBA_CACHE_DIR")) is not None:
        return Path(given).resolve()
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("numba")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
