"""One task: its image, its steps with what may be set, what they found, and what is done to it."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.parsing import Fields
from app.errors import AppError, InvalidRequestError
from app.models import Task, TaskStep
from app.pages import task_shown
from app.pages.base import back, blueprint
from app.pages.task_fields import configured
from app.pages.task_steps import STATES
from app.services import presets, task_changes, task_config, tasks

_SIDES = ("x1", "y1", "x2", "y2")


@blueprint.get("/tasks/<int:task_id>/")
def show_task(task_id: int) -> ResponseReturnValue:
    """Show a task; for a script of ours, only how far it is."""
    task = tasks.get(current_user(), task_id)
    if request.headers.get("HX-Target") == "task-state":
        return _state_part(task)
    return _page(task)


def _state_part(task: Task) -> ResponseReturnValue:
    """Return the part about what runs; once nothing does, have the whole page fetched."""
    shown = task_shown.running(current_user(), task)
    response = make_response(render_template("parts/task_state.html", states=STATES, **shown))
    if not shown["is_running"]:
        response.headers["HX-Trigger"] = "task-over"
    return response


def _page(
    task: Task, *, wrong: Mapping[str, str] | None = None, wrong_step: str | None = None
) -> str:
    return render_template(
        "task.html",
        states=STATES,
        wrong=wrong or {},
        wrong_step=wrong_step,
        values=request.form if wrong else None,
        **task_shown.everything(current_user(), task),
    )


def _wrong(task_id: int, error: AppError, step: str) -> ResponseReturnValue:
    """Show the page again with what was wrong in one of its forms."""
    fields = error.fields if isinstance(error, InvalidRequestError) else {}
    task = tasks.get(current_user(), task_id)
    page = _page(task, wrong=fields or {"": str(error)}, wrong_step=step if fields else "")
    return page, HTTPStatus(error.status)


def _address(task_id: int) -> str:
    return url_for("pages.show_task", task_id=task_id)


@blueprint.post("/tasks/<int:task_id>/process/")
def run_step(task_id: int) -> ResponseReturnValue:
    """Keep what a step's form says, and run the step where that is asked for."""
    user = current_user()
    task = tasks.get(user, task_id)
    [step] = tasks.checked_steps([request.form.get("step", "")])
    if step is TaskStep.CLEANUP:
        tasks.process(task, [step], by=user)
        return back("Its files are being cleaned up; the image stays.", _address(task_id))
    try:
        tasks.check_at_rest(task)
        tasks.change(task, by=user, config=configured(task.config, step, request.form))
    except InvalidRequestError as error:
        return _wrong(task_id, error, step)
    return _run(task, step, request.form.get("do", "run"))


def _run(task: Task, step: TaskStep, what: str) -> ResponseReturnValue:
    place = f"{_address(task.id)}#{step}"
    if what == "save":
        return back("What the step is to do is saved.", place)
    steps = [step, TaskStep.PHOTOMETRY] if what == "through" else [step]
    tasks.process(task, steps, by=current_user())
    return back("It is in the queue.", _address(task.id))


@blueprint.post("/tasks/<int:task_id>/cancel/")
def cancel_task(task_id: int) -> ResponseReturnValue:
    """Stop what runs on a task."""
    user = current_user()
    tasks.cancel(tasks.get(user, task_id), by=user)
    return back("It is stopped.", _address(task_id))


@blueprint.post("/tasks/<int:task_id>/duplicate/")
def duplicate_task(task_id: int) -> ResponseReturnValue:
    """Make a task like this one, with copies of its files."""
    user = current_user()
    made = tasks.duplicate(tasks.get(user, task_id), by=user)
    flash(f"This is a copy of task {task_id}.")
    return redirect(_address(made.id), HTTPStatus.SEE_OTHER)


@blueprint.post("/tasks/<int:task_id>/delete/")
def delete_task(task_id: int) -> ResponseReturnValue:
    """Delete a task with all its files."""
    user = current_user()
    tasks.delete(tasks.get(user, task_id), by=user)
    return back(f"Task {task_id} is deleted.", url_for("pages.show_tasks"))


@blueprint.post("/tasks/<int:task_id>/edit/")
def edit_task(task_id: int) -> ResponseReturnValue:
    """Change a task's title, and with whom it is shared."""
    user = current_user()
    task = tasks.get(user, task_id)
    groups = request.form.getlist("groups") if "with_groups" in request.form else None
    try:
        tasks.change(task, by=user, title=request.form.get("title"), groups=groups)
    except InvalidRequestError as error:
        return _wrong(task_id, error, "edit")
    return back("The task is changed.", _address(task_id))


@blueprint.post("/tasks/<int:task_id>/config/")
def set_task_config(task_id: int) -> ResponseReturnValue:
    """Take the configuration as JSON, in place of the one there is."""
    user = current_user()
    task = tasks.get(user, task_id)
    try:
        tasks.check_at_rest(task)
        tasks.change(task, by=user, config=_read_config(request.form.get("config", "")))
    except InvalidRequestError as error:
        return _wrong(task_id, error, "config")
    return back("The configuration is saved.", _address(task_id))


def _read_config(text: str) -> dict[str, Any]:
    try:
        return task_config.checked(task_config.read(text))
    except json.JSONDecodeError as error:
        why = f"This is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise InvalidRequestError(config=why) from error
    except ValueError as error:
        raise InvalidRequestError(config=f"This is not JSON: {error}.") from error


@blueprint.post("/tasks/<int:task_id>/preset/")
def keep_preset(task_id: int) -> ResponseReturnValue:
    """Keep a task's configuration for others to start from, without what is of its image; staff."""
    user = current_user()
    task = tasks.get(user, task_id)
    config = task_shown.reusable(task.config)
    try:
        preset = presets.save(request.form.get("name", ""), config, by=user)
    except InvalidRequestError as error:
        return _wrong(task_id, error, "preset")
    return back(f"The preset {preset.name} is saved.", _address(task_id))


@blueprint.post("/tasks/presets/<int:preset_id>/delete/")
def delete_preset(preset_id: int) -> ResponseReturnValue:
    """Delete a preset; staff only. Tasks that began with it keep what it gave them."""
    user = current_user()
    preset = presets.get(user, preset_id)
    name = preset.name
    presets.delete(preset, by=user)
    return back(f"The preset {name} is deleted.", url_for("pages.show_upload"))


@blueprint.post("/tasks/<int:task_id>/fix/")
def fix_task(task_id: int) -> ResponseReturnValue:
    """Mend the header of a task's image."""
    user = current_user()
    task_changes.fix(tasks.get(user, task_id), by=user)
    return back("The header is mended.", _address(task_id))


@blueprint.post("/tasks/<int:task_id>/crop/")
def crop_task(task_id: int) -> ResponseReturnValue:
    """Cut the image of a task."""
    user = current_user()
    task = tasks.get(user, task_id)
    try:
        sent = Fields(request.form)
        x1, y1, x2, y2 = (sent.integer(side) for side in _SIDES)
        task_changes.crop(task, (x1, y1, x2, y2), by=user)
    except InvalidRequestError as error:
        return _wrong(task_id, error, "repair")
    return back("The image is cropped.", _address(task_id))


@blueprint.post("/tasks/<int:task_id>/destripe/")
def destripe_task(task_id: int) -> ResponseReturnValue:
    """Take stripes out of the image of a task."""
    user = current_user()
    task = tasks.get(user, task_id)
    try:
        task_changes.destripe(task, request.form.get("direction", "both"), by=user)
    except InvalidRequestError as error:
        return _wrong(task_id, error, "repair")
    return back("The stripes are taken out.", _address(task_id))


@blueprint.post("/tasks/<int:task_id>/reset/")
def reset_task(task_id: int) -> ResponseReturnValue:
    """Put the image of a task back as it came."""
    user = current_user()
    task_changes.reset(tasks.get(user, task_id), by=user)
    return back("The image is as it came.", _address(task_id))
