"""A job that does nothing but leave exactly one trace: whether the whole chain works."""

import os
import time
from typing import Final

from app.db import db
from app.jobs.runner import JobContext
from app.models import AuditEntry

ACTION: Final = "selftest"
STEPS: Final = 10


def touch(context: JobContext) -> None:
    """Write a file and a row, after `seconds` of steps in which it can be stopped."""
    for step in range(STEPS):
        context.check()
        context.progress(step / STEPS, f"step {step + 1} of {STEPS}")
        time.sleep(float(context.arguments.get("seconds", 0.0)) / STEPS)
    name = f"selftest-{context.job_id}.txt"
    _write_whole(context, name)
    with context.finish({"file": name}):
        entry = AuditEntry(
            user_id=context.owner_id,
            action=ACTION,
            subject=str(context.job_id),
            detail=f"attempt {context.attempt}",
        )
        db.session.add(entry)


def _write_whole(context: JobContext, name: str) -> None:
    """Write as products are written: under another name, to the disk, then renamed."""
    target = context.paths.tmp_results / name
    part = target.with_name(f".{name}.{context.attempt}")
    with part.open("w") as stream:
        stream.write(f"job {context.job_id}\n" * 1000)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(target)
