"""The list of tasks: searched, filtered, and several of them cleaned up or deleted at once."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.errors import AppError, InvalidRequestError
from app.models import Task, TaskStep, User
from app.pages.base import back, blueprint, refuse_unknown, row_number
from app.pages.task_steps import STATES, cause
from app.services import task_files, task_views, tasks
from app.wording import counted

PAGE: Final = 50
_FILTERS: Final = ("query", "state", "whose", "before")
_MOST_CHOSEN: Final = 200
_DONE: Final = {"cleanup": "is being cleaned up", "delete": "is deleted"}
_DONE_MANY: Final = {"cleanup": "are being cleaned up", "delete": "are deleted"}


@blueprint.get("/tasks/")
def show_tasks() -> ResponseReturnValue:
    """List the tasks one may see, newest first; for a script of ours, only their table."""
    user = current_user()
    refuse_unknown(_FILTERS)
    filters = {name: request.args.get(name, "") for name in _FILTERS}
    rows = _rows(user, filters)
    shown, more = rows[:PAGE], len(rows) > PAGE
    images = {task.id: task_files.folder(task) / task_files.IMAGE for task in shown}
    name = "tasks.html" if request.headers.get("HX-Target") != "tasks" else "parts/task_list.html"
    return render_template(
        name,
        rows=shown,
        filters=filters,
        states=STATES,
        causes={task.id: cause(task, task_files.folder(task)) for task in shown},
        kinds={"": "all", **task_views.KINDS},
        with_image={task_id for task_id, path in images.items() if path.is_file()},
        versions={task.id: int(task.modified_at.timestamp()) for task in shown},
        next_link=_older(filters, shown[-1].id) if more else None,
    )


def _rows(user: User, filters: dict[str, str]) -> Sequence[Task]:
    """Return the tasks of a page, and one more where there are older ones."""
    return task_views.page(
        user,
        query=filters["query"],
        state=filters["state"],
        is_own=filters["whose"] == "mine",
        before=_number(filters["before"]) if filters["before"] else None,
        count=PAGE + 1,
    )


def _number(text: str) -> int:
    try:
        return row_number(text)
    except ValueError:
        raise InvalidRequestError(before="must be the number of a task") from None


def _older(filters: dict[str, str], last_id: int) -> str:
    kept: dict[str, Any] = {name: text for name, text in filters.items() if text}
    return f"{url_for('pages.show_tasks')}?{urlencode(kept | {'before': last_id})}"


@blueprint.post("/tasks/actions/")
def act_on_tasks() -> ResponseReturnValue:
    """Clean up or delete the chosen tasks; one that cannot be is told, the others are done."""
    user, action = current_user(), request.form.get("action", "")
    if action not in _DONE:
        raise InvalidRequestError(action=f"must be one of {', '.join(_DONE)}")
    chosen = [_number(text) for text in request.form.getlist("ids")[:_MOST_CHOSEN]]
    done, said = 0, []
    for task_id in chosen:
        try:
            _act(user, tasks.get(user, task_id), action)
            done += 1
        except AppError as error:
            said.append(f"Task {task_id}: {error}")
    words = _DONE[action] if done == 1 else _DONE_MANY[action]
    said.insert(0, f"{counted(done, 'task')} {words}." if done else "Nothing was done.")
    return back(" ".join(said), url_for("pages.show_tasks"))


def _act(user: User, task: Task, action: str) -> None:
    if action == "delete":
        tasks.delete(task, by=user)
    else:
        tasks.process(task, [TaskStep.CLEANUP], by=user)
