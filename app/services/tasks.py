"""Tasks: one image each, processed in steps, with a configuration and a folder of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import joinedload

from app.db import db, transaction, utcnow
from app.errors import InvalidRequestError, NotFoundError
from app.models import Group, Task, User
from app.services import access, audit, events, jobs, presets, task_config, task_files, task_sources
from app.services.staging import Arrived
from app.services.task_runs import (
    COMING,
    PROCESS,
    STATE_OF,
    asker,
    cancel,
    check_at_rest,
    checked_steps,
    locked_row,
    open_job,
    process,
    set_state,
    settle,
    tell,
)
from app.services.task_sources import LocalFile
from app.services.texts import checked, storable

__all__ = [
    "COMING",
    "PROCESS",
    "STATE_OF",
    "LocalFile",
    "Upload",
    "asker",
    "cancel",
    "change",
    "check_at_rest",
    "checked_steps",
    "create",
    "delete",
    "duplicate",
    "exists",
    "find",
    "get",
    "groups_for",
    "open_job",
    "page",
    "process",
    "rows",
    "set_state",
    "settle",
]

MAX_TITLE: Final = 250
MOST_GROUPS: Final = 100  # a task is shared with


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a request, and waits to be moved into a task's folder."""

    arrived: Arrived


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a new task begins with, looked through."""

    original_name: str
    title: str
    config: dict[str, Any]
    groups: list[Group]


def create(  # noqa: PLR0913 - a task begins with this much, all but its owner with a default
    owner: User,
    *,
    source: Upload | LocalFile | None = None,
    original_name: str = "",
    title: str = "",
    config: Mapping[str, Any] | None = None,
    preset_id: int | None = None,
    groups: Sequence[str] = (),
) -> Task:
    """Make a task of an uploaded file, of one below the data root, or with none yet.

    Raises
    ------
    InvalidRequestError
        If a value cannot be used, or the file is no FITS image; `fields` says which.
    UnavailableError
        If the disk is full; nothing is kept then.
    """
    name = original_name or _name_of(source)
    if not name:
        raise InvalidRequestError(
            non_field_errors="'original_name' is required when no file is provided"
        )
    start = dict(presets.get(owner, preset_id).config) if preset_id is not None else {}
    draft = _Draft(
        original_name=_checked_title("original_name", name),
        title=_checked_title("title", title),
        config=task_config.checked(start | dict(config or {})),
        groups=groups_for(owner, groups),
    )
    if isinstance(source, Upload):
        task_files.check_image(source.arrived)
    elif isinstance(source, LocalFile):
        task_sources.check(owner, source)
    task = _add(owner, draft, source.path if isinstance(source, LocalFile) else "")
    if source is not None:
        _fill(task, owner, source)
    return task


def _name_of(source: Upload | LocalFile | None) -> str:
    if isinstance(source, Upload):
        return source.arrived.name
    return source.path.rstrip("/").rpartition("/")[2] if source else ""


def _add(owner: User, draft: _Draft, source: str) -> Task:
    with transaction():
        task = Task(
            owner=owner,
            original_name=draft.original_name,
            title=draft.title,
            config=draft.config,
            groups=draft.groups,
            source=task_sources.tidy(source),
        )
        db.session.add(task)
        audit.note(owner, "task made", task, draft.original_name)
        tell(task)
    return task


def _fill(task: Task, owner: User, source: Upload | LocalFile) -> None:
    """Bring a new task's image; a task that cannot have its image is none."""
    target = task_files.folder(task) / task_files.IMAGE
    try:
        if isinstance(source, Upload):
            task_files.put(target, source.arrived)
        else:
            task_sources.bring(task, owner, source, target)
    except BaseException:
        _forget(task)
        raise
    with transaction():
        task.state = "uploaded"


def _forget(task: Task) -> None:
    task_id = task.id
    with transaction():
        task.groups.clear()
        task_sources.forget(task)
        db.session.delete(task)
    task_files.discard(task_id)


def get(user: User, task_id: int) -> Task:
    """Return the task with a number.

    Raises
    ------
    NotFoundError
        If there is none, or none `user` may see.
    """
    settle()
    found: Task | None = db.session.scalar(
        access.visible_to(user, Task).where(Task.id == task_id).options(joinedload(Task.owner))
    )
    if found is None:
        raise NotFoundError("There is no such task.")
    return found


def exists(task_id: int) -> bool:
    """Tell whether there is a task of this number, whoever may see it."""
    return db.session.scalar(select(Task.id).where(Task.id == task_id)) is not None


def find(user: User | None, *, query: str = "", state: str = "", username: str = "") -> Select[Any]:
    """Return the tasks `user` may see, the newest first, as a SELECT; None is the command line.

    Each word of `query` must be in the task's name or title, its owner's name or a group's.
    """
    settle()
    seen = select(Task) if user is None else access.visible_to(user, Task)
    found = seen.join(User, User.id == Task.owner_id)
    for word in storable(query).split():
        found = found.where(_mentions(word))
    if state:
        found = found.where(Task.state == storable(state))
    if username:
        found = found.where(User.username == storable(username))
    return found.options(joinedload(Task.owner)).order_by(Task.id.desc())


def rows(found: Select[Any]) -> Sequence[Task]:
    """Return all tasks that `find` found."""
    return db.session.scalars(found).all()


def page(found: Select[Any], limit: int, offset: int) -> tuple[Sequence[Task], int]:
    """Return some of the tasks that `find` found, and how many it found in all."""
    counted = select(func.count()).select_from(found.order_by(None).subquery())
    return rows(found.limit(limit).offset(offset)), db.session.scalar(counted) or 0


def _mentions(word: str) -> ColumnElement[bool]:
    columns = (
        Task.original_name,
        Task.title,
        User.username,
        User.first_name,
        User.last_name,
    )
    in_group = Task.groups.any(Group.name.icontains(word, autoescape=True))
    return or_(*(column.icontains(word, autoescape=True) for column in columns), in_group)


def change(
    task: Task,
    *,
    by: User,
    original_name: str | None = None,
    title: str | None = None,
    config: Mapping[str, Any] | None = None,
    groups: Sequence[str] | None = None,
) -> Task:
    """Change what is given of a task; a configuration and groups take the place of the old ones."""
    values: dict[str, Any] = {}
    if original_name is not None:
        values["original_name"] = _checked_title("original_name", original_name)
    if title is not None:
        values["title"] = _checked_title("title", title)
    if config is not None:
        values["config"] = task_config.checked(config)
    if groups is not None:
        values["groups"] = groups_for(by, groups, kept=task.groups)
    if not values:
        return task
    with transaction():
        locked = locked_row(task)
        for name, value in values.items():
            setattr(locked, name, value)
        locked.modified_at = utcnow()
        audit.note(by, "task changed", locked, ", ".join(values))
        tell(locked)
    return task


def groups_for(user: User, names: Sequence[str], *, kept: Sequence[Group] = ()) -> list[Group]:
    """Return the groups `user` may share a task with, and those it is shared with already.

    Raises
    ------
    InvalidRequestError
        If one is not there, or not theirs, or they are too many.
    """
    wanted = [storable(name) for name in dict.fromkeys(names)]
    if len(wanted) > MOST_GROUPS:
        raise InvalidRequestError(groups=f"These are too many groups: {MOST_GROUPS} are the most.")
    known = {g.name: g for g in db.session.scalars(select(Group).where(Group.name.in_(wanted)))}
    for name in wanted:
        if name not in known:
            raise InvalidRequestError(groups=f"Object with name={name} does not exist.")
    own = set(db.session.scalars(access.visible_to(user, Group))) | set(kept)
    foreign = [name for name in wanted if known[name] not in own]
    if foreign:
        raise InvalidRequestError(groups=f"You cannot share with group(s): {', '.join(foreign)}")
    return [known[name] for name in wanted]


def delete(task: Task, *, by: User | None) -> None:
    """Delete a task with all its files, what runs on it is cancelled; None is the command line.

    Raises
    ------
    NotAllowedError
        If `by` is not its owner, nor staff.
    """
    if by is not None:
        access.check_delete_task(by, task)
    task_id = task.id
    with transaction():
        locked = locked_row(task)
        job = open_job(locked)
        if job is not None:
            jobs.cancel(job.id, by=by or locked.owner)
        audit.note(by, "task deleted", locked, locked.original_name)
        locked.groups.clear()
        task_sources.forget(locked)
        db.session.delete(locked)
        events.publish("task", task=task_id, state="deleted")
    task_files.discard(task_id)


def duplicate(task: Task, *, by: User) -> Task:
    """Make a task like another, with a copy of all its files.

    Raises
    ------
    ConflictError
        If it is being processed.
    """
    check_at_rest(task)
    title = f"{task.title} (copy)" if task.title else "(copy)"
    draft = _Draft(task.original_name, title[:MAX_TITLE], dict(task.config), [])
    with transaction():
        made = _add(by, draft, task.source)
        task_sources.take_as(task, made)
    try:
        task_files.copy(task, made)
    except BaseException:
        _forget(made)
        raise
    with transaction():
        made.state = "uploaded"
    return made


def _checked_title(field: str, text: str) -> str:
    if len(text.strip()) > MAX_TITLE:
        raise InvalidRequestError(
            **{field: f"Ensure this field has no more than {MAX_TITLE} characters."}
        )
    return checked(field, text, MAX_TITLE)
