"""Repairs of a task's image before its steps: header, borders, stripes; the first one is kept."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, cast

from app.db import transaction, utcnow
from app.errors import InvalidRequestError, NotFoundError
from app.models import Task, User
from app.services import audit, placing, settings, task_files, task_runs
from app.services.staging import MEGABYTE
from reduction import filerepair, fitsio
from reduction.errors import ReductionError
from reduction.filerepair import Limits
from reduction.fitswrite import Hdu, write_hdus

ORIGINAL: Final = "image.orig.fits"
MASK: Final = "custom_mask.fits"  # lies on the image, so it is cut as that is
NO_IMAGE: Final = "Image file not found"
NO_ORIGINAL: Final = "The image has not been changed."
DIRECTIONS: Final = ("horizontal", "vertical", "both")


def fix(task: Task, *, by: User) -> None:
    """Mend the header of a task's image.

    Raises
    ------
    NotFoundError
        If it has no image.
    ConflictError
        If it is being processed.
    """
    _rewrite(task, by, "header fixed", filerepair.fixed)


def crop(task: Task, limits: Limits, *, by: User) -> None:
    """Cut all planes of a task's image, and the mask somebody gave it, to some columns and rows.

    Raises
    ------
    InvalidRequestError
        If nearly nothing would be left, or its planes cannot be cut alike.
    """
    with task_files.working(task) as place:
        shape = _shape(place / task_files.IMAGE)
        has_mask = _shape(place / MASK) == shape
    also = (MASK,) if has_mask and shape else ()
    _rewrite(task, by, "cropped", lambda path: filerepair.cropped(path, limits), also=also)


def destripe(task: Task, direction: str, *, by: User) -> None:
    """Take stripes of the readout off a task's image.

    Raises
    ------
    InvalidRequestError
        If there is no such direction, or nobody says which of several images is meant.
    """
    if direction not in DIRECTIONS:
        raise InvalidRequestError(direction=f'"{direction[:40]}" is not a valid choice.')
    along = cast(Literal["horizontal", "vertical", "both"], direction)
    _rewrite(task, by, "destriped", lambda path: filerepair.destriped(path, along))


def reset(task: Task, *, by: User) -> None:
    """Put a task's image back as it came.

    Raises
    ------
    NotFoundError
        If it was never changed.
    """
    task_runs.check_at_rest(task)
    with task_files.working(task) as place:
        if not (place / ORIGINAL).is_file():
            raise NotFoundError(NO_ORIGINAL)
        (place / ORIGINAL).replace(place / task_files.IMAGE)
    _note(task, by, "image reset")


def has_original(task: Task) -> bool:
    """Tell whether a task's image was changed, and can be put back."""
    return (task_files.folder(task) / ORIGINAL).is_file()


_Made = Sequence[Hdu]
_Change = Callable[[Path], _Made]


def _rewrite(
    task: Task, by: User, action: str, change: _Change, *, also: tuple[str, ...] = ()
) -> None:
    task_runs.check_at_rest(task)
    with task_files.working(task) as place:
        image = place / task_files.IMAGE
        if not image.is_file():
            raise NotFoundError(NO_IMAGE)
        _check_room(place, image)
        made = {name: _made(place / name, change) for name in (task_files.IMAGE, *also)}
        _keep_first(place, image)
        for name, hdus in made.items():
            write_hdus(place / name, hdus)
    _note(task, by, action)


def _made(path: Path, change: _Change) -> _Made:
    try:
        return change(path)
    except ReductionError as error:
        raise InvalidRequestError(f"{path.name}: {error}") from error


def _shape(path: Path) -> tuple[int, ...]:
    """Return the shape of the first image of a file, () where there is none."""
    if not path.is_file():
        return ()
    try:
        hdus = fitsio.read_headers(path).hdus
    except ReductionError:
        return ()
    return next((hdu.shape[-2:] for hdu in hdus if len(hdu.shape) > 1), ())


def _check_room(place: Path, image: Path) -> None:
    reserve = settings.snapshot().integer("disk.reserve_mb") * MEGABYTE
    placing.check_room(place, 2 * image.stat().st_size, reserve)


def _keep_first(place: Path, image: Path) -> None:
    """Keep the image as it came, beside the one that is changed."""
    if (place / ORIGINAL).exists():
        return
    aside = place / f".{ORIGINAL}.part"
    try:
        shutil.copyfile(image, aside)
        placing.replace(aside, place / ORIGINAL)
    finally:
        aside.unlink(missing_ok=True)


def _note(task: Task, by: User, action: str) -> None:
    with transaction():
        task.modified_at = utcnow()
        audit.note(by, action, task, task.original_name)
        task_runs.tell(task)
