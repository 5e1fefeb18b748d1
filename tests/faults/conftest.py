"""The running program, for every test of this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.program import Program, kernels_cache

SETTINGS = """
[server]
workers = 1
web_threads = 8
worker_memory_mb = 6000
stop_wait_s = 3
[jobs]
lease_s = 3
[scan]
watch = false
"""


@pytest.fixture(scope="session")
def numba_cache(pytestconfig: pytest.Config) -> Path:
    """Kernels are compiled once, not for each instance folder."""
    return kernels_cache(pytestconfig)


@pytest.fixture(scope="module")
def make_program(
    tmp_path_factory: pytest.TempPathFactory, numba_cache: Path
) -> Iterator[Callable[[str], Program]]:
    made: list[Program] = []

    def make(settings: str) -> Program:
        folder = tmp_path_factory.mktemp("program")
        made.append(Program(folder / "instance", numba_cache, settings))
        return made[-1]

    yield make
    for program in made:
        if program.runner is not None and program.runner.poll() is None:
            program.kill()


@pytest.fixture(scope="module")
def program(make_program: Callable[[str], Program]) -> Program:
    """A program with one worker, running."""
    made = make_program(SETTINGS)
    made.start()
    made.wait_until_whole(workers=1)
    return made
