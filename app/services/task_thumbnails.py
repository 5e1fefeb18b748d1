"""Small pictures of tasks' images for their list, made once and kept while the image stays."""

import os
import tempfile
from pathlib import Path
from typing import Final

from app import paths
from app.errors import InvalidRequestError
from app.models import Task
from app.services import task_files, task_pictures
from reduction import fitsio, preview
from reduction.errors import ReductionError

WIDTH: Final = 160
MOST: Final = 2000  # kept; those looked at longest ago go


def thumbnail(task: Task) -> Path:
    """Return the small picture of a task's image.

    Raises
    ------
    NotFoundError
        If there is no image.
    InvalidRequestError
        If its pixels cannot be read.
    """
    image = task_files.locate(task, task_files.IMAGE)
    kept = _folder() / f"{task.id}-{image.stat().st_mtime_ns:x}.png"
    if kept.is_file():
        os.utime(kept)
        return kept
    try:
        with task_pictures.MAKING:
            data = fitsio.read_image(image, limits=task_pictures.LIMITS).data
            made = preview.thumbnail(data, width=WIDTH)
    except (ReductionError, OSError) as error:
        raise InvalidRequestError(f"{image.name} cannot be shown: {error}") from error
    _write(kept, made)
    _forget_oldest(kept.parent)
    return kept


def _folder() -> Path:
    return paths.current().cache / "previews" / "tasks"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
        stream.write(content)
    Path(stream.name).replace(path)


def _forget_oldest(folder: Path) -> None:
    found = sorted(folder.iterdir(), key=_looked_at, reverse=True)
    for old in found[MOST:]:
        old.unlink(missing_ok=True)


def _looked_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process has just forgotten it
        return 0.0
