"""A new task: an image that is uploaded, one of the archive, or several to be stacked."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.parsing import Fields
from app.api.receiving import received
from app.errors import InvalidRequestError
from app.models import Task, TaskStep
from app.pages.base import blueprint, wants_fragment
from app.services import access, archive, frames, groups, ingest, presets, settings, tasks
from app.services.staging import MEGABYTE, Arrived
from app.services.task_sources import LocalFile
from app.services.tasks import Upload

_AT_ONCE: Final = (TaskStep.INSPECT, TaskStep.PHOTOMETRY)
_TYPED: Final = ("title", "target", "preset", "files")
_FIRST: Final = "This is what the header was read as; correct what is wrong, then inspect."
_FRAMING: Final = MEGABYTE  # of the fields beside the file


@blueprint.app_url_value_preprocessor
def _make_room(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Let a form without a script send its file too: what it may be is told before it is read."""
    if endpoint in {"pages.submit_upload", "pages.add_task_file"}:
        most_mb = settings.snapshot().integer("uploads.max_mb")
        request.max_content_length = most_mb * MEGABYTE + _FRAMING


@blueprint.get("/tasks/upload/")
def show_upload() -> ResponseReturnValue:
    """Show the form for a new task."""
    return _page({}, Fields({"files": request.args.get("files", "")}))


@blueprint.post("/tasks/upload/")
def submit_upload() -> ResponseReturnValue:
    """Make a task of an uploaded image; its pixels go to the disk as they come."""
    sent = Fields({})
    try:
        with received(settings.snapshot(), needs_file=False) as got:
            sent = got.fields
            return _made(_create(sent, source=Upload(_only(got.files))), sent)
    except InvalidRequestError as error:
        if wants_fragment():  # our script shows it as it is
            said = " ".join(error.fields.values()) or str(error)
            return Response(said, error.status, mimetype="text/plain")
        return _page(error.fields or {"file": str(error)}, sent), HTTPStatus.BAD_REQUEST


@blueprint.post("/tasks/")
def make_task() -> ResponseReturnValue:
    """Make a task of a file that is here already, or of several to be stacked."""
    sent = Fields(_sent_form())
    try:
        return _made_here(sent, _lines(sent, "files"))
    except InvalidRequestError as error:
        wrong = dict(error.fields) or {"files": str(error)}
        if "local_file" in wrong:
            wrong["files"] = wrong.pop("local_file")
        return _page(wrong, sent), HTTPStatus.BAD_REQUEST


def _made_here(sent: Fields, names: Sequence[str]) -> ResponseReturnValue:
    if not names:
        raise InvalidRequestError(files="Give the path of a file, below the data root.")
    if len(names) > 1:
        return _made(_create(sent, stack=names), sent, first=(TaskStep.STACK,))
    return _made(_create(sent, source=LocalFile(names[0])), sent)


@blueprint.post("/frames/<int:frame_id>/task/")
def make_task_of_frame(frame_id: int) -> ResponseReturnValue:
    """Make a task of a frame of the archive."""
    user = current_user()
    frame = frames.get(user, frame_id)
    archive.file_of(frame)  # says so where it is gone
    ext = ingest.frame_info(frame).hdus[0] if frame.part else None  # one exposure of several
    source = LocalFile(frame.path, ext)
    task = tasks.create(user, source=source, title=frame.object_name or "")
    flash(_FIRST)
    return redirect(_address(task), HTTPStatus.SEE_OTHER)


def _only(files: Sequence[Arrived]) -> Arrived:
    if len(files) != 1:
        say = "A task is one image: send one file." if files else "Choose a file first."
        raise InvalidRequestError(file=say)
    return files[0]


def _create(
    sent: Fields, *, source: Upload | LocalFile | None = None, stack: Sequence[str] = ()
) -> Task:
    config: dict[str, Any] = {}
    if target := _lines(sent, "target"):
        config["target"] = "\n".join(target)
    if stack:
        config["stack_filenames"] = list(stack)
    return tasks.create(
        current_user(),
        source=source,
        original_name=f"stack of {len(stack)} images" if stack else "",
        title=sent.text("title") or "",
        config=config,
        preset_id=sent.integer("preset"),
        groups=_chosen(sent, "groups"),
    )


def _made(task: Task, sent: Fields, *, first: Sequence[TaskStep] = ()) -> ResponseReturnValue:
    """Start what is to run at once, and lead to the task's page."""
    steps = [*first, *(step for step in _AT_ONCE if step in _chosen(sent, "steps"))]
    if steps:
        tasks.process(task, steps, by=current_user())
    else:
        flash(_FIRST)
    if wants_fragment():
        return Response("", headers={"HX-Redirect": _address(task)})
    return redirect(_address(task), HTTPStatus.SEE_OTHER)


def _page(wrong: Mapping[str, str], sent: Fields) -> str:
    user = current_user()
    typed = {name: str(sent.get(name) or "") for name in _TYPED}
    return render_template(
        "upload.html",
        wrong=wrong,
        typed=typed,
        typed_groups=_chosen(sent, "groups"),
        typed_steps=_chosen(sent, "steps"),
        presets=presets.find(user),
        groups=groups.find(user),
        may_keep=access.is_staff(user),
        max_mb=settings.snapshot().integer("uploads.max_mb"),
    )


def _sent_form() -> dict[str, Any]:
    found = request.form.to_dict(flat=False).items()
    return {name: v[0] if len(v) == 1 else v for name, v in found}


def _chosen(sent: Fields, name: str) -> list[str]:
    """Return what was ticked of several boxes of one name."""
    value = sent.get(name) or []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _lines(sent: Fields, name: str) -> list[str]:
    lines = (sent.text(name) or "").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _address(task: Task) -> str:
    return url_for("pages.show_task", task_id=task.id)
