"""The database part of the tests once more, on PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import DATABASES, find_binaries, server
from tests.realdata import IN_CI

ROOT = Path(__file__).resolve().parent.parent.parent
# Everything that reads or writes rows; pages and faces are the same code above the services.
DATABASE_TESTS = ["tests/app/services", "tests/app/models", "tests/app/api", "tests/app/jobs"]
DATABASE_TESTS += ["tests/app/pages/test_form_texts.py"]  # NUL is text for SQLite, not for this
# Steps of single images: a minute of pixels each; what they leave in rows, test_task_ends has.
OF_PIXELS = ["test_tasks.py", "test_task_online.py", "test_sky_steps.py"]


@pytest.mark.slow
def test_database_part_passes_on_postgresql() -> None:
    binaries = find_binaries()
    if binaries is None and not IN_CI:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    assert binaries is not None, "COELOSTAT_CI=1 but PostgreSQL is not installed"

    with server(binaries) as url:
        environ = os.environ | {"TEST_DATABASE_URL": url}
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        command += ["-n", str(len(DATABASES)), "--dist", "loadfile"]
        command += [f"--ignore=tests/app/jobs/{name}" for name in OF_PIXELS]
        done = subprocess.run(
            [*command, *DATABASE_TESTS], cwd=ROOT, env=environ, capture_output=True, text=True
        )

    assert done.returncode == 0, done.stdout[-8000:]
