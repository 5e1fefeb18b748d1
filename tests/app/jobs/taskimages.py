"""Tasks of real and simulated images, and the catalogue of this site that knows their stars."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from app import paths
from app.db import db
from app.jobs import runner
from app.models import Job, Task, User
from app.services import refcats, task_files, tasks
from app.services.staging import Arrived
from reduction.headers.sky import wcs_cards
from reduction.imagewrite import write_image
from tests.reduction.oneimage.skies import SHAPE, WCS, Field, light_of, make_picture


def make_task(owner: User, image: Path, config: dict[str, Any], tmp_path: Path) -> Task:
    """Make a task of a copy of an image, as an upload does."""
    copy = tmp_path / f"copy of {image.name}"
    shutil.copyfile(image, copy)
    arrived = Arrived(image.name, copy, copy.stat().st_size)
    return tasks.create(owner, source=tasks.Upload(arrived), config=config)


def run(task: Task, *steps: str, by: User, config: dict[str, Any] | None = None) -> Job:
    """Run steps of a task in this process and return their job."""
    job = tasks.process(task, steps, by=by, config=config)
    runner.work_off()
    db.session.expire_all()
    found = db.session.get(Job, job.id)
    assert found is not None
    return found


def text_of(task: Task, name: str) -> str:
    return (task_files.folder(task) / name).read_text()


def load_stars(field: Field) -> None:
    """Load a field's stars as a catalogue with g and r."""
    path = paths.current().instance / "stars.csv"
    ra, dec = WCS.sky(field.x, field.y)
    rows = np.column_stack([ra, dec, field.mag + field.colour, field.mag])
    np.savetxt(path, rows, delimiter=",", header="ra,dec,g,r", comments="", fmt="%.7f")
    refcats.load_files(
        refcats.Request(
            "atlas", [path], columns="ra=ra,dec=dec,g=g,r=r", system="SDSS", covers=["150,20,0.5"]
        )
    )


def write_field(
    field: Field, path: Path, rng: np.random.Generator, *, has_place: bool = True, **how: Any
) -> Path:
    """Write an image of the field as a camera's program would, and return its path."""
    picture = make_picture(rng, light_of(field, **how))
    cards: list[Any] = [
        ("FILTER", "r", ""), ("GAIN", 1.0, ""), ("EXPTIME", 60.0, ""),
        ("DATE-OBS", "2026-01-20T03:04:05", ""), ("OBJECT", "SN 2026abc", ""),
        *(wcs_cards(WCS, SHAPE) if has_place else [("RA", 150.02, ""), ("DEC", 20.01, "")]),
        *([] if has_place else [("PIXSCALE", 0.6, "")]),
    ]  # fmt: skip
    write_image(path, picture.data, cards)
    return path
