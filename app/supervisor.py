"""The supervisor: starts the parts of the program, restarts what dies, stops all in order."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from app.services import processes

log = logging.getLogger(__name__)

LOOK_S: Final = 0.1
PATIENCE_S: Final = 5.0  # after so long, what is waited for is told; without work it takes less
SHORTEST_PAUSE_S: Final = 0.2  # before a part that died is started again
LONGEST_PAUSE_S: Final = 10.0
STEADY_S: Final = 5.0  # a part that lived so long is not failing over and over
ROOT: Final = Path(__file__).resolve().parent.parent


class AlreadyRunningError(Exception):
    """Another runner serves this instance folder."""


@dataclass(slots=True)
class Part:
    """One process the supervisor keeps alive; `stage` orders starting, and stopping backwards."""

    name: str
    command: Sequence[str]
    stage: int
    grace_s: float = 10.0
    once: bool = False  # not started again when it ends
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    quick_deaths: int = 0
    start_at: float = 0.0

    def is_alive(self) -> bool:
        """Tell whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def has_ended(self) -> bool:
        """Tell whether its process was started and runs no more."""
        return self.process is not None and self.process.poll() is not None


@dataclass(slots=True)
class Supervisor:
    """The parts, and the environment each of them is started with.

    `say` is told what stopping waits for, `must_hurry` whether somebody will not wait any longer.
    """

    parts: Sequence[Part]
    environment: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = log.info
    must_hurry: Callable[[], bool] = bool

    def run(self, must_stop: Callable[[], bool], each_look: Callable[[], None]) -> None:
        """Keep every part alive until told to stop; then stop them, the last started first."""
        self.parts = sorted(self.parts, key=lambda part: part.stage)
        try:
            while not must_stop():
                for part in self.parts:
                    self._keep_alive(part)
                each_look()
                time.sleep(LOOK_S)
        finally:
            self.stop()

    def add(self, part: Part) -> None:
        """Have one more part from now on."""
        self.parts = [*self.parts, part]

    def _keep_alive(self, part: Part) -> None:
        if part.is_alive() or (part.once and part.process is not None):
            return
        now = time.monotonic()
        if part.process is not None:
            self._note_death(part, now)
        if now >= part.start_at:
            self._start(part)

    def _note_death(self, part: Part, now: float) -> None:
        lived_s = now - part.started_at
        part.quick_deaths = part.quick_deaths + 1 if lived_s < STEADY_S else 0
        pause_s = min(SHORTEST_PAUSE_S * 2**part.quick_deaths, LONGEST_PAUSE_S)
        part.start_at = now + pause_s
        assert part.process is not None  # noqa: S101 - for the type checker
        code = part.process.returncode
        log.warning("%s %s, starting it again in %.1f s", part.name, _ending(code), pause_s)
        part.process = None

    def _start(self, part: Part) -> None:
        # A session of its own: Ctrl-C in the terminal reaches the runner only, which stops the
        # parts in order. With the runner gone, by whatever way, the kernel ends the part.
        part.process = subprocess.Popen(  # noqa: S603 - our own commands
            part.command,
            cwd=ROOT,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=processes.die_with_parent,
        )
        part.started_at = time.monotonic()
        log.info("%s started, PID %d", part.name, part.process.pid)

    def stop(self) -> None:
        """Stop every part, stage by stage, the last started first; those of one stage together."""
        for stage in sorted({part.stage for part in self.parts}, reverse=True):
            alive = [p for p in reversed(self.parts) if p.stage == stage and p.is_alive()]
            for part in alive:
                _signal(part, signal.SIGTERM)
            told_at = time.monotonic()
            for part in alive:
                self._wait_or_kill(part, told_at)

    def _wait_or_kill(self, part: Part, told_at: float) -> None:
        """Wait until a part has ended; kill it after its grace, or when somebody is in a hurry."""
        is_told = False
        while part.is_alive():
            waited_s = time.monotonic() - told_at
            if waited_s > part.grace_s or self.must_hurry():
                _kill(part, "at once" if self.must_hurry() else f"after {part.grace_s:g} s")
            elif waited_s > PATIENCE_S and not is_told:
                is_told = True
                self.say(
                    f"waiting for {part.name} to end what it does, {part.grace_s:g} s at most; "
                    "another signal (Ctrl-C) ends it at once"
                )
            else:
                time.sleep(LOOK_S / 2)
        log.info("%s stopped", part.name)


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _signal(part: Part, number: signal.Signals) -> None:
    if part.process is not None:
        part.process.send_signal(number)


def _kill(part: Part, when: str) -> None:
    if part.process is None:
        return
    log.warning("%s did not stop by itself, killed %s", part.name, when)
    part.process.kill()
    part.process.wait()


def lock(path: Path) -> IO[str]:
    """Hold the lock of an instance folder for as long as the returned file stays open.

    Raises
    ------
    AlreadyRunningError
        If another runner holds it.
    """
    stream = path.open("a+")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        holder = stream.read().strip() or "unknown"
        stream.close()
        raise AlreadyRunningError(
            f"this instance folder is already served by the process {holder} "
            f"({path.parent.parent}); stop that one, or set COELOSTAT_INSTANCE to another folder"
        ) from None
    stream.truncate(0)
    stream.write(str(os.getpid()))
    stream.flush()
    return stream


def own_part(
    name: str, argument: str, *, stage: int, grace_s: float = 10.0, once: bool = False
) -> Part:
    """Return a part that is ``python -m app`` with an argument."""
    return Part(name, (sys.executable, "-m", "app", argument), stage, grace_s, once)
