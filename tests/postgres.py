"""A PostgreSQL server of our own for the length of a test: no root, no port, no trace."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DATABASES = ("gw0", "gw1")  # as the test runner's processes are called


def find_binaries() -> Path | None:
    """The folder of initdb and pg_ctl: on PATH, or where Debian puts the newest version."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    return versions[-1].parent if versions else None


def _version(path: Path) -> float:
    return float(path.parent.parent.name)


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """Run a server on a socket in a folder of its own.

    Yields its SQLAlchemy URL with ``{}`` for the database: one of `DATABASES`, a process each.
    """
    # A socket has 108 bytes for its path: no deep temporary folder.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    as_user = _drop_root(folder)
    data = folder / "data"
    try:
        _run([binaries / "initdb", "-D", data, "-U", "coelostat", "-A", "trust"], as_user)
        options = f"-c listen_addresses='' -k {folder} -c fsync=off -c max_connections=60"
        start = [
            binaries / "pg_ctl",
            "-D",
            data,
            "-w",
            "-l",
            folder / "log",
            "-o",
            options,
            "start",
        ]
        _run(start, as_user)
        try:
            for name in DATABASES:
                _run([binaries / "createdb", "-h", folder, "-U", "coelostat", name], as_user)
            yield f"postgresql+psycopg://coelostat@/{{}}?host={folder}"
        finally:
            _run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], as_user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _drop_root(folder: Path) -> list[str]:
    # initdb refuses to run as root.
    if os.geteuid() != 0:
        return []
    user = next((u for u in ("postgres", "nobody") if _exists(u)), None)
    if user is None:
        raise RuntimeError("running as root and there is no user postgres or nobody to become")
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _run(command: Sequence[object], as_user: list[str]) -> None:
    with tempfile.TemporaryFile() as output:  # not a pipe: the server would hold it open
        done = subprocess.run(
            [*as_user, *map(str, command)], stdout=output, stderr=output, check=False, cwd="/"
        )
        output.seek(0)
        assert done.returncode == 0, output.read().decode()
