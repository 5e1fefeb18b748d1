"""The log of one step of a task: a file in its folder, to be read while the step runs."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(slots=True)
class StepLog:
    """Says what a step does, a line at a time, to its own file and to the job's log."""

    file: TextIO
    job: logging.Logger
    started: float
    is_timed: bool

    def say(self, text: str) -> None:
        """Add a line; whoever reads the file sees it at once."""
        elapsed = f"[{time.monotonic() - self.started:8.2f}] " if self.is_timed else ""
        self.file.write("".join(f"{elapsed}{line}\n" for line in text.splitlines()))
        self.file.flush()
        self.job.info("%s", text)

    def doubt(self, text: str) -> None:
        """Add a line about what is not as it should be."""
        self.say(f"Warning: {text}")


@contextmanager
def step_log(path: Path, job: logging.Logger, *, is_timed: bool) -> Iterator[StepLog]:
    """Open the log of a step, in place of that of a run before."""
    with path.open("w", encoding="utf-8", errors="replace") as file:
        yield StepLog(file, job, time.monotonic(), is_timed)
