"""Between STDWeb's wire names and the domain: what comes in, what goes out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from flask import request

from app.api.parsing import Fields
from app.errors import InvalidRequestError
from app.models import Preset, Task
from app.services import task_config, task_queue
from app.services.task_files import Entry
from app.services.task_queue import Standing
from app.services.tasks import LocalFile

_NO_LIST: Final = 'Expected a list of items but got type "{}".'
_BAD_JSON: Final = "Value must be valid JSON."
_FULL_NAME: Final = "stdweb.celery_tasks.{}"


def parse_config(fields: Fields) -> Mapping[str, Any] | None:
    """Return the configuration of a task that is made or changed, None where none was sent."""
    value = fields.get("config")
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = task_config.read(value)
        except ValueError as error:
            raise InvalidRequestError(config=_BAD_JSON) from error
    return None if value is None else task_config.checked(value)


def parse_step_config(fields: Fields) -> Mapping[str, Any] | None:
    """Return what is put over a task's configuration when it is processed."""
    value = fields.get("config")
    if isinstance(value, str):
        try:
            value = task_config.read(value) if value.strip() else None
        except ValueError as error:
            raise InvalidRequestError("Cannot parse config as JSON") from error
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidRequestError("config must be a JSON object")
    return task_config.checked(value)


def parse_groups(fields: Fields) -> Sequence[str] | None:
    """Return the names of groups, None where none were sent."""
    value = fields.get("groups")
    if value is None:
        return None
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = task_config.read(value)
        except ValueError as error:
            raise InvalidRequestError(groups=_BAD_JSON) from error
    if isinstance(value, dict):
        raise InvalidRequestError(groups=_NO_LIST.format("dict"))
    return Fields({"groups": value}).words("groups")


def parse_preset(fields: Fields) -> int | None:
    """Return the number of a preset, None where none was named."""
    text = fields.text("preset")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise InvalidRequestError(preset=f'Invalid pk "{text[:40]}" - object does not exist.')
    return int(text)


def parse_source(fields: Fields) -> LocalFile | None:
    """Return the file of the site a task is made of, None where it is made of another."""
    path = fields.text("local_file")
    ext = parse_whole(fields, "ext")
    if path:
        return LocalFile(path, ext)
    if ext is not None:
        raise InvalidRequestError(
            non_field_errors="'ext' may only be used together with 'local_file'"
        )
    return None


def parse_whole(fields: Fields, name: str) -> int | None:
    """Return a field as a whole number, in this API's words where it is none."""
    try:
        return fields.integer(name)
    except InvalidRequestError as error:
        raise InvalidRequestError(**{name: "A valid integer is required."}) from error


def parse_steps(fields: Fields) -> list[str]:
    """Return the names of steps; a mere text in JSON is taken letter by letter, as ever."""
    value = fields.get("steps")
    if isinstance(value, str) and not request.form:
        return list(value)
    if value is None:
        return []
    if isinstance(value, list):
        return [str(name) for name in value]
    return fields.words("steps")


def render_created(task: Task) -> dict[str, Any]:
    """Return a task as the call that makes one answers it."""
    return {
        "id": task.id,
        "original_name": task.original_name,
        "title": task.title,
        "config": task.config,
        "groups": [group.name for group in task.groups],
    }


def render_line(task: Task) -> dict[str, Any]:
    """Return a task as lists have it."""
    return {
        "id": task.id,
        "original_name": task.original_name,
        "title": task.title,
        "state": task.state,
        "user": task.owner.username,
        "created": render_time(task.created_at),
        "modified": render_time(task.modified_at),
    }


def render_task(task: Task) -> dict[str, Any]:
    """Return all of a task."""
    return {
        "id": task.id,
        "original_name": task.original_name,
        "title": task.title,
        "state": task.state,
        "user": task.owner.username,
        "groups": [group.name for group in task.groups],
        "created": render_time(task.created_at),
        "modified": render_time(task.modified_at),
        "completed": render_time(task.completed_at or task.created_at),
        "config": task.config,
        "celery_id": task_queue.chain_id(task),
        "path": str(task.id),
    }


def render_time(moment: datetime) -> str:
    """Return a time in UTC to the microsecond."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def render_entry(entry: Entry, zone: ZoneInfo) -> dict[str, Any]:
    """Return a file or folder; its time is the site's, without a zone."""
    return {
        "name": entry.name,
        "path": entry.path,
        "size": entry.size,
        "modified": f"{entry.modified.astimezone(zone):%Y-%m-%dT%H:%M:%S.%f}",
        "is_dir": entry.is_dir,
    }


def render_queued(entry: task_queue.Entry) -> dict[str, Any]:
    """Return one entry of the queue; what task it is of only to those who see that."""
    return {
        "id": entry.id,
        "name": entry.name,
        "full_name": _FULL_NAME.format(entry.name),
        "state": entry.state,
        "time_start": entry.started_at.timestamp() if entry.started_at else None,
        **_chain(entry),
    }


def render_standing(found: Standing) -> dict[str, Any]:
    """Return how an entry of the queue stands."""
    return {
        "id": found.id,
        "state": found.state,
        "ready": found.is_ready,
        "successful": found.state == "SUCCESS" if found.is_ready else None,
        "failed": found.state == "FAILURE" if found.is_ready else None,
        **_chain(found),
    }


def _chain(entry: task_queue.Entry | Standing) -> dict[str, Any]:
    if entry.task is None:
        return {}
    return {
        "task_id": entry.task.id,
        "task_name": entry.task.original_name,
        "chain_position": entry.place,
        "chain_total": entry.total,
    }


def render_preset(preset: Preset) -> dict[str, Any]:
    """Return a preset."""
    return {"id": preset.id, "name": preset.name, "config": preset.config}
