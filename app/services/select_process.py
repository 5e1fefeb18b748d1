"""Running a program that answers one SELECT: what it is told, where it writes, when it ends."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

PATIENCE_S: Final = 5.0  # how long a query waits for its turn
_GRACE_S: Final = 10.0  # the program ends itself; this is for one that cannot


def run(
    program: Path, options: Sequence[str], order: dict[str, Any], out: IO[bytes]
) -> dict[str, Any]:
    """Run a program with `order` on its input and return what it reports.

    A report is ``{"rows", "truncated"}``, or ``{"kind", "detail"}`` of what went wrong.
    """
    child = subprocess.Popen(  # noqa: S603 - our own program, its input is data
        [sys.executable, *options, str(program)],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        start_new_session=True,
    )
    try:
        _, said = child.communicate(json.dumps(order).encode(), order["seconds"] + _GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return {"kind": "time", "detail": ""}
    return _report(child.returncode, said)


def _report(code: int, said: bytes) -> dict[str, Any]:
    """Return what the program said; one that died without a word was over its limits."""
    try:
        report = json.loads(said)
    except ValueError:
        report = None
    if code == 0 and isinstance(report, dict):
        return report
    return {"kind": "memory" if b"MemoryError" in said else "killed", "detail": f"exit {code}"}
