"""Everything the page of a task shows, looked up in one place."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from app.errors import InvalidRequestError, NotFoundError
from app.models import Job, Task, User
from app.pages.task_steps import (
    Look,
    Picture,
    is_lost,
    number,
    results,
    running_log,
    trouble,
    version_of,
    views,
)
from app.services import (
    access,
    audit,
    catalogue_choice,
    groups,
    nights,
    task_changes,
    task_files,
    task_guesses,
    task_tables,
    task_views,
    tasks,
)
from app.services.task_guesses import ImageFacts

BANDS: Final = (
    *("U", "B", "V", "R", "I", "u", "g", "r", "i", "z", "y"),
    *("G", "BP", "RP", "J", "H", "Ks"),
)
# What a configuration holds of one image: found by a step, or said of it alone.
OF_IMAGE: Final = frozenset(
    {"target", "targets", "target_ra", "target_dec", "time", "saturation", "fwhm", "pixscale"}
    | {"mag_limit", "zp", "zp_err", "field_ra", "field_dec", "field_sr", "blind_match_center"}
    | {"cat_col_mag", "cat_col_mag_err", "cat_col_color_mag1", "cat_col_color_mag2"}
    | {"stack_filenames"}
)
OBJECTS: Final = "objects.parquet"
LIGHT: Final = "target.vot"  # what was measured of the targets
_MARKED: Final = 1500  # sources that are marked on the image, the brightest
_LISTED: Final = 12  # sources in the table of the page
_USUAL_FWHM_PIX: Final = 4.0


@dataclass(frozen=True, slots=True)
class Image(Picture):
    """The image of a task, and its size where its header tells."""

    nx: int = 0
    ny: int = 0


@dataclass(frozen=True, slots=True)
class Marks:
    """Places on the image, in pixels counted from 0, and how large a mark is."""

    objects: Sequence[tuple[float, float]]
    targets: Sequence[tuple[float, float]]
    radius: float


@dataclass(frozen=True, slots=True)
class Target:
    """One target: where it is and how bright, in words."""

    name: str
    place: str
    light: str = ""
    note: str = ""
    cutout: Picture | None = None


def running(user: User, task: Task) -> dict[str, Any]:
    """Return what tells how far a task is."""
    look = _look(task)
    job = _job(user, task)
    is_running = tasks.open_job(task) is not None
    return {
        "task": task,
        "job": job,
        "is_running": is_running,
        "log": running_log(look) if is_running else "",
        "trouble": "" if is_running else trouble(look),
        "is_lost": not is_running and is_lost(look),
    }


def everything(user: User, task: Task) -> dict[str, Any]:
    """Return what the page of a task is made of."""
    look = _look(task)
    facts = _facts(look)
    columns = _table(look, OBJECTS, task_tables.BRIEF)
    light = _table(look, LIGHT)
    return running(user, task) | {
        "steps": views(look),
        "image": _image(look, facts),
        "guesses": facts.guesses,
        "marks": _marks(look, facts, columns, light),
        "objects": _objects(columns),
        "results": results(task.config),
        "targets": _targets(look, light),
        "files": [entry for entry in look.files.values() if not entry.is_dir],
        "groups": groups.find(user),
        "config_text": json.dumps(task.config, indent=2, ensure_ascii=False, sort_keys=True),
        "source_frame": task_views.source_frame(user, task),
        "may_delete": access.may_delete_task(user, task),
        "may_keep": access.is_staff(user),
        "has_original": task_changes.has_original(task),
        "acts": audit.of(task),
    }


def reusable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a configuration holds for other images too."""
    return {name: value for name, value in config.items() if name not in OF_IMAGE}


def _look(task: Task) -> Look:
    files = {entry.path: entry for entry in task_files.listing(task)}
    return Look(
        task,
        files,
        task_files.folder(task),
        {"filter": BANDS, "cat_name": catalogue_choice.names()},
    )


def _job(user: User, task: Task) -> Job | None:
    """Return the job that works on a task, None where this user may not see it."""
    if task.job_id is None:
        return None
    try:
        return nights.job(user, task.job_id)
    except NotFoundError:
        return None


def _facts(look: Look) -> ImageFacts:
    if task_files.IMAGE not in look.files:
        return ImageFacts()
    return task_guesses.of_image(look.folder / task_files.IMAGE)


def _image(look: Look, facts: ImageFacts) -> Image | None:
    entry = look.files.get(task_files.IMAGE)
    if entry is None:
        return None
    return Image(task_files.IMAGE, version_of(entry), facts.trouble, facts.nx, facts.ny)


def _table(look: Look, name: str, names: Sequence[str] = ()) -> task_tables.Columns:
    """Return a table of a task, nothing of one that is not there or cannot be read."""
    if name not in look.files:
        return {}
    try:
        return task_tables.read(look.folder / name, names=names)
    except InvalidRequestError:
        return {}


def _marks(
    look: Look, facts: ImageFacts, columns: task_tables.Columns, light: task_tables.Columns
) -> Marks | None:
    if not facts.nx or not {"x", "y"} <= columns.keys():
        return None
    radius = 1.5 * (number(look.task.config, "fwhm") or _USUAL_FWHM_PIX)
    # Not so small that they cannot be seen where the image is shown made smaller.
    radius = max(radius, facts.nx / 150)
    return Marks(_places(columns)[:_MARKED], _places(light), round(radius, 2))


def _places(columns: task_tables.Columns) -> list[tuple[float, float]]:
    """Return where the rows of a table are, the brightest first; it may be anybody's table."""
    x, y, mag = (_numbers(columns, name) for name in ("x", "y", "mag"))
    if x is None or y is None:
        return []
    order = slice(None) if mag is None else mag.argsort()
    pairs = zip(x[order].tolist(), y[order].tolist(), strict=True)
    return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def _numbers(columns: task_tables.Columns, name: str) -> npt.NDArray[np.float64] | None:
    """Return a column of numbers, NaN where there is none; None where it holds something else."""
    values = columns.get(name)
    if values is None or values.dtype.kind not in "iuf":
        return None
    return np.ma.filled(values.astype(np.float64), np.nan)


def _objects(columns: task_tables.Columns) -> task_tables.Shown | None:
    order = "mag_calib" if "mag_calib" in columns else "mag"
    part = task_tables.Part(order=order, count=_LISTED)
    try:
        return task_tables.part_of(OBJECTS, columns, part, names=task_tables.BRIEF)
    except InvalidRequestError:
        return None


def _targets(look: Look, light: task_tables.Columns) -> list[Target]:
    """Return the targets the inspection found, with what was measured of each."""
    said = look.task.config.get("targets")
    known = [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    return [_target(look, i, one, light) for i, one in enumerate(known)]


def _target(look: Look, i: int, one: Mapping[str, Any], light: task_tables.Columns) -> Target:
    ra, dec = number(one, "ra"), number(one, "dec")
    place = "" if ra is None or dec is None else f"{ra:.5f} {dec:+.5f}"
    row = slice(i, i + 1)  # of texts, too, without numpy's types
    measured = {n: values[row].tolist()[0] for n, values in light.items() if i < len(values)}
    said, note = _light(measured)
    name = f"targets/target_{i:04d}.cutout"
    entry = look.files.get(name)
    cutout = Picture(name, version_of(entry)) if entry else None
    return Target(str(one.get("name") or place), place, said, note, cutout)


def _light(measured: Mapping[str, Any]) -> tuple[str, str]:
    """Return how bright a target is, or how bright it is not, in words."""
    mag, error = (_real(measured.get(name)) for name in ("mag_calib", "mag_calib_err"))
    limit, band = _real(measured.get("mag_limit")), measured.get("mag_filter_name") or ""
    fainter = f"fainter than {limit:.2f} mag in {band}" if limit is not None else ""
    if mag is None or error is None:
        return fainter, "no light was found there" if fainter else ""
    if limit is not None and mag > limit:
        return fainter, f"measured {mag:.2f} ± {error:.2f}"
    return f"{mag:.3f} ± {error:.3f} mag in {band}", f"limit {limit:.2f}" if limit else ""


def _real(value: object) -> float | None:
    return value if isinstance(value, float) and value == value else None
