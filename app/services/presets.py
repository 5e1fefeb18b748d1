"""Presets: named configurations that tasks may start from; staff keep them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, select

from app.db import db, transaction
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import Preset, User
from app.services import access, audit, task_config
from app.services.texts import checked, storable

MAX_NAME: Final = 250
_TAKEN: Final = "There is a preset of this name already."


def find(user: User) -> Sequence[Preset]:
    """Return every preset, the oldest first."""
    return db.session.scalars(access.visible_to(user, Preset).order_by(Preset.id)).all()


def get(user: User, preset_id: int) -> Preset:
    """Return one preset."""
    query = access.visible_to(user, Preset).where(Preset.id == preset_id)
    found: Preset | None = db.session.scalar(query)
    if found is None:
        raise NotFoundError("There is no such preset.")
    return found


def save(name: str, config: Mapping[str, Any], *, by: User | None) -> Preset:
    """Make a preset, or give one another configuration; staff only, None is the command line."""
    _check_staff(by)
    if not (name := checked("name", name, MAX_NAME)):
        raise InvalidRequestError(name="A preset needs a name.")
    values = task_config.checked(config)
    with transaction():
        preset = db.session.scalar(select(Preset).where(Preset.name == name))
        if preset is None:
            _check_is_free(name)
            preset = Preset(name=name)
            db.session.add(preset)
        preset.config = values
        db.session.flush()
        audit.note(by, "preset saved", f"preset {preset.id}", name)
    return preset


def rename(preset: Preset, name: str, *, by: User | None) -> None:
    """Give a preset another name; staff only."""
    _check_staff(by)
    if not (name := checked("name", name, MAX_NAME)):
        raise InvalidRequestError(name="A preset needs a name.")
    with transaction():
        if preset.name == name:
            return
        _check_is_free(name, preset)
        audit.note(by, "preset renamed", f"preset {preset.id}", f"{preset.name} is now {name}")
        preset.name = name


def delete(preset: Preset, *, by: User | None) -> None:
    """Delete a preset; tasks that began with it keep what it gave them. Staff only."""
    _check_staff(by)
    with transaction():
        audit.note(by, "preset deleted", f"preset {preset.id}", preset.name)
        db.session.delete(preset)


def _check_staff(by: User | None) -> None:
    if by is not None:
        access.check_staff(by)


def _check_is_free(name: str, preset: Preset | None = None) -> None:
    same = select(Preset.id).where(func.lower(Preset.name) == storable(name).lower())
    found = db.session.scalar(same)
    if found is not None and (preset is None or found != preset.id):
        raise ConflictError(_TAKEN)
