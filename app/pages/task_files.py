"""The files of a task: looked at, downloaded, added and removed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api import downloads
from app.api.auth import current_user
from app.api.parsing import Fields
from app.api.receiving import received
from app.errors import AppError, InvalidRequestError, NotFoundError
from app.models import Task
from app.pages.base import back, blueprint
from app.pages.task_steps import tail, version_of
from app.services import (
    settings,
    task_files,
    task_guesses,
    task_pictures,
    task_tables,
    task_thumbnails,
    tasks,
)
from app.services.task_files import Entry
from app.services.task_guesses import Plane
from reduction import preview

_PICTURES: Final = (".png", ".jpg", ".jpeg")
_TEXTS: Final = (".log", ".txt", ".reg", ".json", ".wcs", ".csv", ".dat")
# Between percentiles, which settle the limits here: those with rules of their own are left out.
_STRETCHES: Final = tuple(s for s in preview.STRETCHES if s not in {"zscale", "minmax"})
_ROWS: Final = 100
_LOOK: Final[Mapping[str, str]] = {
    "ext": "",
    "stretch": "linear",
    "cmap": "gray",
    "qmin": "0.5",
    "qmax": "99.5",
    "r0": "",
    "width": "1000",
}
_LABELS: Final = {"r0": "Smooth", "qmin": "From", "qmax": "To", "cmap": "Colours"}
_MAX_AGE_S: Final = 3600


@blueprint.get("/tasks/<int:task_id>/view/<path:name>")
def show_task_file(task_id: int, name: str) -> ResponseReturnValue:
    """Show one file of a task: its picture, its table or its text."""
    task = tasks.get(current_user(), task_id)
    file = _entry(task, name)
    kind = kind_of(file.path)
    try:
        shown = {"problem": ""} | _shown(task, file, kind)
    except AppError as error:
        shown = {"problem": str(error)}
    return render_template("task_file.html", task=task, file=file, kind=kind, **shown)


def kind_of(name: str) -> str:
    """Return how a file is shown, blank where it is not."""
    lower = name.lower()
    for kind, endings in (
        ("cutout", (".cutout",)),
        ("table", task_tables.SUFFIXES),
        ("picture", _PICTURES),
        ("text", _TEXTS),
        ("fits", (".fits", ".fit", ".fts", ".fits.gz", ".fits.fz")),
    ):
        if lower.endswith(endings):
            return kind
    return ""


def _entry(task: Task, name: str) -> Entry:
    path = task_files.locate(task, name)
    entry = task_files.entry_of(path, task_files.folder(task).resolve())
    if entry is None:
        raise NotFoundError("File not found")
    return entry


def _shown(task: Task, file: Entry, kind: str) -> dict[str, Any]:
    path = task_files.locate(task, file.path)
    if kind == "text":
        return {"text": tail(path)}
    if kind == "table":
        return _table(task, file)
    if kind == "picture":
        return {"picture": _address("send_task_picture", task, file)}
    if kind == "cutout":
        picture = _address("send_task_cutout", task, file, width="480", cmap="gray")
        return {"picture": picture, "cards": task_guesses.cards_of(path)}
    return _fits(task, file) if kind == "fits" else {}


def _fits(task: Task, file: Entry) -> dict[str, Any]:
    path = task_files.locate(task, file.path)
    look = {name: request.args.get(name, "") or usual for name, usual in _LOOK.items()}
    planes = task_guesses.planes_of(path)
    return {
        "look": look,
        "problem": _refused(look, planes),
        "hdus": planes,
        "stretches": _STRETCHES,
        "colour_maps": preview.COLOUR_MAPS,
        "picture": _address("send_task_preview", task, file, **look),
        "cards": task_guesses.cards_of(path),
    }


def _refused(look: Mapping[str, str], planes: Sequence[Plane]) -> str:
    """Return why no picture is made as asked for, in words; empty where one is."""
    chosen = next((one for one in planes if str(one.number) == look["ext"]), None)
    shape = chosen.shape if chosen else planes[0].shape if planes else (1, 1)
    try:
        task_pictures.check_look(shape, look)
    except InvalidRequestError as error:
        return "; ".join(f"{_LABELS.get(name, name)}: {why}" for name, why in error.fields.items())
    return ""


def _table(task: Task, file: Entry) -> dict[str, Any]:
    asked = Fields(request.args)
    first = max(0, asked.integer("first") or 0)
    order = asked.text("order") or ""
    part = task_tables.Part(order, first, _ROWS)
    found = task_tables.shown(task_files.locate(task, file.path), part)
    base = url_for("pages.show_task_file", task_id=task.id, name=file.path)

    def at(place: int) -> str:
        return f"{base}?{urlencode({'order': order, 'first': place})}"

    return {
        "table": replace(found, name=file.path),
        "link": base,
        "earlier": at(max(0, first - _ROWS)) if first else "",
        "later": at(first + _ROWS) if first + _ROWS < found.total else "",
    }


def _address(endpoint: str, task: Task, file: Entry, **more: str) -> str:
    kept = {name: value for name, value in more.items() if value}
    version = version_of(file)
    base = url_for(f"pages.{endpoint}", task_id=task.id, name=file.path)
    return f"{base}?{urlencode({'v': version} | kept)}"


@blueprint.get("/tasks/<int:task_id>/files/<path:name>")
def send_task_file(task_id: int, name: str) -> ResponseReturnValue:
    """Send one file of a task."""
    task = tasks.get(current_user(), task_id)
    return downloads.send(task_files.locate(task, name), as_attachment=True)


@blueprint.get("/tasks/<int:task_id>/picture/<path:name>")
def send_task_picture(task_id: int, name: str) -> ResponseReturnValue:
    """Send a picture of a task to be shown in a page; nothing else goes this way."""
    if kind_of(name) != "picture":
        raise NotFoundError("File not found")
    task = tasks.get(current_user(), task_id)
    return _kept(downloads.send(task_files.locate(task, name)))


@blueprint.get("/tasks/<int:task_id>/preview/<path:name>")
def send_task_preview(task_id: int, name: str) -> ResponseReturnValue:
    """Send a picture of a FITS image of a task, as the query says."""
    path = task_files.locate(tasks.get(current_user(), task_id), name)
    asked = {**_LOOK, **request.args.to_dict()}
    content, kind = task_pictures.picture(path, asked)
    return _kept(Response(content, mimetype=kind))


@blueprint.get("/tasks/<int:task_id>/cutout/<path:name>")
def send_task_cutout(task_id: int, name: str) -> ResponseReturnValue:
    """Send the planes of a cutout beside each other."""
    path = task_files.locate(tasks.get(current_user(), task_id), name)
    content, kind = task_pictures.cutout(path, request.args.to_dict())
    return _kept(Response(content, mimetype=kind))


def _kept(response: Response) -> Response:
    """Let the browser keep a picture whose address says which version of its file it is."""
    if "v" in request.args:
        response.cache_control.max_age = _MAX_AGE_S
        response.cache_control.no_cache = None
    response.cache_control.private = True
    return response


@blueprint.post("/tasks/<int:task_id>/files/")
def add_task_file(task_id: int) -> ResponseReturnValue:
    """Put a file into a task's folder, in place of any of its name."""
    user = current_user()
    task = tasks.get(user, task_id)
    with received(settings.snapshot()) as got:
        if len(got.files) > 1:
            raise InvalidRequestError(file="Send one file at a time.")
        [arrived] = got.files
        path = task_files.store(task, got.fields.text("name") or arrived.name, arrived)
    return back(f"{path.name} is added.", url_for("pages.show_task", task_id=task_id))


@blueprint.post("/tasks/<int:task_id>/files/remove/")
def remove_task_file(task_id: int) -> ResponseReturnValue:
    """Remove a file of a task."""
    task = tasks.get(current_user(), task_id)
    name = request.form.get("name", "")
    task_files.remove(task, name)
    return back(f"{name} is removed.", url_for("pages.show_task", task_id=task_id))


@blueprint.get("/tasks/<int:task_id>/thumbnail.png")
def send_task_thumbnail(task_id: int) -> ResponseReturnValue:
    """Send the small picture of a task's image."""
    path = task_thumbnails.thumbnail(tasks.get(current_user(), task_id))
    return _kept(downloads.send(path))
