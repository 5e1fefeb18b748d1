"""The tasks themselves: listed, made, looked at, changed, copied, deleted."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from apiflask import APIBlueprint
from flask import request
from flask.typing import ResponseReturnValue
from sqlalchemy import Select

from app.api.auth import current_user
from app.api.openapi import described
from app.api.parsing import Fields, read_fields
from app.api.stdweb import bodies, documents, schemas, telling
from app.api.stdweb.dialect import OneOfFieldError, RefusedError, in_own_words
from app.errors import InvalidRequestError, NotFoundError
from app.models import Task
from app.services import presets, task_parameters, task_queue, tasks
from app.services.staging import Arrived

NO_TASK = "No Task matches the given query."
_WRITABLE = tuple(documents.TASK_CHANGES["properties"])
# Sent back by clients that change what they were given, and never written.
_READ_ONLY = tuple(name for name in documents.TASK["properties"] if name not in _WRITABLE)
_BOTH = "Provide either 'file' or 'local_file', not both"


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.get("/tasks/")(list_tasks)
    blueprint.post("/tasks/")(create_task)
    blueprint.get("/tasks/<int:task_id>/")(show_task)
    blueprint.route("/tasks/<int:task_id>/", methods=["PATCH", "POST"])(change_task)
    blueprint.delete("/tasks/<int:task_id>/")(delete_task)
    blueprint.get("/tasks/<int:task_id>/state/")(show_state)
    blueprint.post("/tasks/<int:task_id>/duplicate/")(duplicate_task)


def asked(task_id: int) -> Task:
    """Return the task a call is about.

    Raises
    ------
    RefusedError
        If it is other people's.
    NotFoundError
        If there is none.
    """
    try:
        return tasks.get(current_user(), task_id)
    except NotFoundError as error:
        if tasks.exists(task_id):
            raise RefusedError("Permission denied") from error
        raise NotFoundError(NO_TASK) from error


@described(query=documents.FILTERS, answer=documents.TASK_LIST, refusals={400: documents.REFUSED})
def list_tasks() -> ResponseReturnValue:
    """List the tasks the caller may see, newest first; a page of them with `limit`."""
    telling.refuse_unknown(request.args, tuple(documents.FILTERS), "parameter")
    found = tasks.find(
        current_user(),
        query=request.args.get("query", ""),
        state=request.args.get("state", ""),
        username=request.args.get("user", ""),
    )
    limit, offset = _natural("limit"), _natural("offset")
    telling.tell(_unpaged(limit, offset))
    if not limit:
        return [schemas.render_line(task) for task in tasks.rows(found)]
    return _page(found, limit, offset)


def _page(found: Select[Any], limit: int, offset: int) -> dict[str, Any]:
    rows, count = tasks.page(found, limit, offset)
    return {
        "count": count,
        "next": _link(limit, offset + limit) if offset + limit < count else None,
        "previous": _link(limit, max(0, offset - limit)) if offset else None,
        "results": [schemas.render_line(task) for task in rows],
    }


def _natural(name: str) -> int:
    """Return a whole number of the address, 0 where it is none."""
    text = request.args.get(name, "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _unpaged(limit: int, offset: int) -> list[str]:
    """Say what of `limit` and `offset` is not followed: clients of the real server rely on that."""
    said = []
    if not limit and "limit" in request.args:
        said.append("limit: is no whole number above 0, so that all tasks are listed.")
    elif not limit and "offset" in request.args:
        said.append("offset: counts only with limit; all tasks are listed.")
    elif not offset and request.args.get("offset", "0").strip() != "0":
        said.append("offset: is no whole number, so that this is the first page.")
    return said


def _link(limit: int, offset: int) -> str:
    kept = [(k, v) for k, v in request.args.items(multi=True) if k not in {"limit", "offset"}]
    moved = [("limit", str(limit)), *([("offset", str(offset))] if offset else [])]
    return f"{request.base_url}?{urlencode(sorted(kept + moved))}"


@described(
    body=documents.NEW_TASK,
    body_required=False,
    answer=documents.CREATED,
    status=201,
    refusals={400: documents.REFUSED, 503: documents.DETAIL},
)
def create_task() -> ResponseReturnValue:
    """Make a task: of an uploaded file, of one of the site, or with none yet."""
    with bodies.came() as found:
        telling.refuse_unknown(found.fields, tuple(documents.NEW_TASK["properties"]))
        task = _made(found.fields, bodies.only_file(found))
    telling.tell(task_parameters.unknown(task.config))
    return schemas.render_created(task), HTTPStatus.CREATED


def _made(fields: Fields, arrived: Arrived | None) -> Task:
    source = schemas.parse_source(fields)
    if source is not None and arrived is not None:
        raise InvalidRequestError(non_field_errors=_BOTH)
    preset_id = schemas.parse_preset(fields)
    if preset_id is not None:
        _check_preset(preset_id)
    try:
        return tasks.create(
            current_user(),
            source=tasks.Upload(arrived) if arrived else source,
            original_name=fields.text("original_name") or "",
            title=fields.text("title") or "",
            config=schemas.parse_config(fields),
            preset_id=preset_id,
            groups=schemas.parse_groups(fields) or (),
        )
    except InvalidRequestError as error:
        if "ext" in error.fields:
            raise OneOfFieldError(**error.fields) from error
        raise


def _check_preset(preset_id: int) -> None:
    try:
        presets.get(current_user(), preset_id)
    except NotFoundError as error:
        why = f'Invalid pk "{preset_id}" - object does not exist.'
        raise InvalidRequestError(preset=why) from error


@described(answer=documents.TASK, refusals=documents.NOT_YOURS)
def show_task(task_id: int) -> ResponseReturnValue:
    """Give all of a task."""
    return schemas.render_task(asked(task_id))


@described(
    body=documents.TASK_CHANGES,
    body_required=False,
    answer=documents.TASK,
    refusals={400: documents.REFUSED, **documents.NOT_YOURS},
)
def change_task(task_id: int) -> ResponseReturnValue:
    """Change what is given of a task; a configuration takes the place of the old one."""
    task, fields = asked(task_id), read_fields()
    telling.refuse_unknown(fields, (*_WRITABLE, *_READ_ONLY))
    config = schemas.parse_config(fields)
    tasks.change(
        task,
        by=current_user(),
        original_name=fields.text("original_name"),
        title=fields.text("title"),
        config=config,
        groups=schemas.parse_groups(fields),
    )
    ignored = telling.left_alone(fields, _READ_ONLY)
    telling.tell([*ignored, *task_parameters.unknown(config or {})])
    return schemas.render_task(task)


@described(answer={}, status=204, refusals=documents.NOT_YOURS)
def delete_task(task_id: int) -> ResponseReturnValue:
    """Delete a task with all its files; its owner and staff may."""
    task = asked(task_id)
    with in_own_words():
        tasks.delete(task, by=current_user())
    return "", HTTPStatus.NO_CONTENT


@described(answer=documents.STATE, refusals=documents.NOT_YOURS)
def show_state(task_id: int) -> ResponseReturnValue:
    """Give a task's state, cheaply, for who waits for it."""
    task = asked(task_id)
    return {"id": task.id, "state": task.state, "celery_id": task_queue.chain_id(task)}


@described(
    answer=documents.TASK,
    status=201,
    refusals={409: documents.ERROR, **documents.NOT_YOURS},
)
def duplicate_task(task_id: int) -> ResponseReturnValue:
    """Make a task like another, with a copy of its files."""
    made = tasks.duplicate(asked(task_id), by=current_user())
    return schemas.render_task(made), HTTPStatus.CREATED
