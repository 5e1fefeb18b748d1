"""What a process of the program asks of the system for itself: limits, and not to outlive."""

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

_PR_SET_PDEATHSIG: Final = 1
_SAME_WISH_S: Final = 1.0  # signals closer than this are one wish, however many they come by
_libc: Final = ctypes.CDLL(None, use_errno=True)

# One computing thread a process: there are as many worker processes as the site wants.
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment(cache: Path) -> dict[str, str]:
    """Return the variables that must be set before numpy and numba are imported."""
    return dict.fromkeys(_ONE_THREAD, "1") | {"NUMBA_CACHE_DIR": str(cache / "numba")}


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def leave_orphanage(parent: int) -> None:
    """Die with `parent`, also where it was quicker and is gone already."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine still runs; one that only waits to be buried does not.

    A number that has gone to another process since counts as alive: who asks must bear that.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def begin_anew(variables: Mapping[str, str]) -> NoReturn:
    """Replace this process by one of the same command line, with these variables as well."""
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, {**os.environ, **variables})  # noqa: S606 - ourselves


def leave_no_dump() -> None:
    """Write no memory to the disk where this process crashes: it holds pixels of members alone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_memory(megabytes: int) -> None:
    """Let this process have so much address space and no more."""
    size = megabytes << 20
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


class Stop:
    """Whether this process was told to stop, and whether more than once: then at once."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told_at: float | None = None
        self._is_urgent = False

    def __call__(self) -> bool:
        """Tell whether it was."""
        return self._told_at is not None

    def is_urgent(self) -> bool:
        """Tell whether it was told again, by somebody who does not want to wait."""
        return self._is_urgent

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Note a signal: the terminal sends Ctrl-C, and what wraps this process sends it on."""
        now = self._monotonic()
        if self._told_at is None:
            self._told_at = now
        elif now - self._told_at >= _SAME_WISH_S:
            self._is_urgent = True


def stop_on_signals() -> Stop:
    """Return what knows whether SIGTERM or SIGINT has arrived since."""
    told = Stop()
    signal.signal(signal.SIGTERM, told.note)
    signal.signal(signal.SIGINT, told.note)
    return told


def sleep(seconds: float, must_stop: Callable[[], bool]) -> None:
    """Sleep, but not much longer than until told to stop."""
    end = time.monotonic() + seconds
    while not must_stop() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.25))
