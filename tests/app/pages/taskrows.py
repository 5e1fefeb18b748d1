"""Tasks with an image of a few pixels, and with what their steps leave behind."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.db import db, transaction
from app.models import Job, JobState, Task, User
from app.services import task_files
from tests.app.services.rawfiles import fits_bytes, store

PNG = b"\x89PNG\r\n\x1a\n"


def make_task(owner: User, *, image: bool = True, **values: Any) -> Task:
    with transaction():
        task = Task(**({"owner": owner, "state": "uploaded", "original_name": "a.fits"} | values))
        db.session.add(task)
    if image:
        store(task_files.folder(task) / task_files.IMAGE, fits_bytes())
    return task


def put(task: Task, name: str, content: bytes) -> None:
    store(task_files.folder(task) / name, content)


def put_objects(task: Task, n: int = 40) -> None:
    """Put a table of sources there, the faintest first, the brightest without a magnitude."""
    mags = np.linspace(20, 12, n)
    mags[-1] = np.nan
    columns = {
        "NUMBER": np.arange(n),
        "x": np.linspace(0, 15, n),
        "y": np.linspace(0, 11, n),
        "ra": np.linspace(10, 11, n),
        "mag_calib": mags,
        "mag": mags - 25,
    }
    pq.write_table(pa.table(columns), task_files.folder(task) / "objects.parquet")


def put_to_work(task: Task, by: User, state: str = "inspect") -> Job:
    with transaction():
        job = Job(
            function="tasks.process_task",
            arguments={"task_id": task.id},
            owner_id=by.id,
            label=f"task {task.id}: inspect",
            state=JobState.RUNNING,
            step="masking cosmic rays",
            progress=0.25,
        )
        db.session.add(job)
        db.session.flush()
        task.job_id, task.state = job.id, state
    return job
