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
# Most of the time of these goes into pixels or passwords. Rows like theirs, others have:
# test_task_ends of steps, test_source_index and test_cone of sources, test_accounts of users.
LEFT_OUT = [f"jobs/test_{name}.py" for name in ("tasks", "task_online", "sky_steps", "sources")]
LEFT_OUT += ["api/test_auth.py"]


@pytest.mark.slow
def test_database_part_passes_on_postgresql() -> None:
    binaries = find_binaries()
    if binaries is None and not IN_CI:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    assert binaries is not None, "COELOSTAT_CI=1 but PostgreSQL is not installed"

    assert all((ROOT / "tests/app" / name).exists() for name in LEFT_OUT)  # nobody else would say
    with server(binaries) as url:
        environ = os.environ | {"TEST_DATABASE_URL": url}
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        command += ["-n", str(len(DATABASES)), "--dist", "loadfile"]
        command += [f"--ignore=tests/app/{name}" for name in LEFT_OUT]
        done = subprocess.run(
            [*command, *DATABASE_TESTS], cwd=ROOT, env=environ, capture_output=True, text=True
        )

    assert done.returncode == 0, done.stdout[-8000:]
