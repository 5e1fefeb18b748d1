"""``flask preset`` and ``flask task``: named configurations, and the tasks there are."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app.db import db
from app.errors import AppError, InvalidRequestError
from app.models import Preset, Task
from app.services import presets, task_config, task_files, task_parameters, tasks
from app.wording import counted

preset = AppGroup("preset", help="Named configurations tasks may start from.")
task = AppGroup("task", help="Images processed in steps.")


@contextmanager
def _refusals() -> Iterator[None]:
    """Say in a line what was refused, instead of with a traceback."""
    try:
        yield
    except AppError as error:
        raise click.ClickException(str(error)) from error


@preset.command("list")
def list_presets() -> None:
    """List the presets with what they set."""
    found = db.session.scalars(select(Preset).order_by(Preset.id)).all()
    for one in found:
        click.echo(f"{one.id} {one.name}: {json.dumps(one.config)}")
    if not found:
        click.echo("there is no preset")


@preset.command("save")
@click.argument("name")
@click.argument("config")
def save_preset(name: str, config: str) -> None:
    """Make the preset NAME, or change it; CONFIG is a JSON object as '{"filter": "R"}'."""
    with _refusals():
        try:
            values = task_config.read(config)
        except ValueError as error:
            raise InvalidRequestError(f"CONFIG is not JSON: {error}") from error
        made = presets.save(name, task_config.checked(values), by=None)
    click.echo(f"{made.id} {made.name}: {json.dumps(made.config)}")
    for doubt in task_parameters.unknown(made.config):
        click.echo(doubt, err=True)


@preset.command("delete")
@click.argument("name")
def delete_preset(name: str) -> None:
    """Delete the preset NAME; tasks that began with it keep what it gave them."""
    found = db.session.scalar(select(Preset).where(Preset.name == name))
    if found is None:
        raise click.ClickException(f"there is no preset {name!r}")
    presets.delete(found, by=None)
    click.echo(f"{name} is gone")


@task.command("list")
@click.option("--user", "username", default="", help="Of one person.")
@click.option("--state", default="", help="In one state: uploaded, inspect_done, ...")
def list_tasks(username: str, state: str) -> None:
    """List tasks, newest first, with the room their files take."""
    found = db.session.scalars(tasks.find(None, username=username, state=state)).all()
    for one in found:
        size_mb = sum(entry.size for entry in task_files.listing(one) if not entry.is_dir) / 1e6
        what = f"{one.original_name} {one.title}".strip()
        click.echo(f"{one.id} {one.owner.username} {one.state} {what}: {size_mb:.1f} MB")
    click.echo(counted(len(found), "task"))


@task.command("delete")
@click.argument("number", type=int)
def delete_task(number: int) -> None:
    """Delete the task of a NUMBER with all its files; what runs on it is cancelled."""
    found = db.session.get(Task, number)
    if found is None:
        raise click.ClickException(f"there is no task {number}")
    with _refusals():
        tasks.delete(found, by=None)
    click.echo(f"task {number} is gone")
