"""Running arms in processes of their own, interleaved, and what they cost."""

import itertools
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_S = 900.0
REPEATS, MOMENT_S = 3, 4.0
SOON_S = 8.0  # with a process's start, imports and warming


def cpu_s() -> float:
    """Return the CPU time of this process and of those it waited for."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    """Return the largest memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass
class Meter:
    """What an arm reports: its measured section, and anything it wants checked."""

    figures: dict[str, float] = field(default_factory=dict)

    def time(self, work: Callable[[], object]) -> None:
        """Time some work: imports, compilation and warming stay outside.

        What is done in a moment is done three times, and the fastest counts: the first time in a
        process pays for memory that a worker already has.
        """
        memory = peak_mb()
        for number in range(REPEATS):
            cpu, wall = cpu_s(), time.perf_counter()
            work()
            cpu, wall = cpu_s() - cpu, time.perf_counter() - wall
            if number == 0 or cpu < self.figures["cpu_s"]:
                self.figures |= {"cpu_s": cpu, "wall_s": wall}
            if wall > MOMENT_S:
                break
        self.figures["memory_mb"] = peak_mb() - memory

    def note(self, **figures: float) -> None:
        """Add figures that are not times."""
        self.figures.update(figures)


Arm = Callable[[Meter, Path], None]


def run_arm(arms: dict[str, Arm], arguments: Sequence[str]) -> None:
    """Run one arm, named first, on the data of a folder, named second, and print its figures."""
    name, folder = arguments
    meter = Meter()
    arms[name](meter, Path(folder))
    print(json.dumps(meter.figures))


@dataclass
class Result:
    """The figures of one arm over all rounds, or why there are none."""

    runs: list[dict[str, float]] = field(default_factory=list)
    trouble: str = ""

    def median(self, figure: str) -> float:
        """Return the median of one figure."""
        return statistics.median(run[figure] for run in self.runs)


def surroundings() -> dict[str, str]:
    """Return the environment of an arm: as installed programs are run.

    Bytecode is kept from run to run, and linear algebra, which nobody here needs, starts no
    threads that wait for work.
    """
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}


def run_once(command: Sequence[str], result: Result) -> None:
    """Run one arm in a new process and add its figures, with those of the whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = surroundings()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        result.trouble = f"over {TIMEOUT_S:.0f} s"
        return
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        result.trouble = lines[-1] if lines else f"exit code {done.returncode}"
        return
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    figures["whole_cpu_s"] = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    result.runs.append(figures)


def run_rounds(
    commands: Mapping[str, Sequence[str]], rounds: int, *, passes: int = 1
) -> dict[str, Result]:
    """Run every arm once a round, one after the other, so that all see the same machine.

    What is done in milliseconds differs most from run to run, so arms that are soon done run in
    every one of a round's `passes`, the others in the first.
    """
    results = {name: Result() for name in commands}
    lasted_s = dict.fromkeys(commands, math.inf)  # the shortest so far
    for number, again in itertools.product(range(rounds), range(passes)):
        for name, command in commands.items():
            if results[name].trouble or (again and lasted_s[name] > SOON_S):
                continue
            which = f"round {number + 1} of {rounds}" + (f", pass {again + 1}" if again else "")
            print(f"  {which}: {name}", file=sys.stderr, flush=True)
            begun = time.perf_counter()
            run_once(command, results[name])
            lasted_s[name] = min(lasted_s[name], time.perf_counter() - begun)
    return results
