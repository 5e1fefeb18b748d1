"""Looking at and steering the whole pipeline: what runs, what ran, the log, named settings."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, select

from app import paths
from app.config import OPERATIONAL
from app.db import db, transaction
from app.errors import InvalidRequestError, NotFoundError
from app.models import OPEN_STATES, Frame, Job, JobState, Level, User
from app.services import access, frames, settings, turns
from app.services.frames import FrameFilters

IDLE: Final = "Available"
_CONFIG_NAME: Final = re.compile(r"[\w][\w.-]{0,99}")
_LOG_TAIL_BYTES: Final = 1 << 20
_CLEARED: Final = "main-log-cleared"  # below run/: which log file, and up to where


def individual_files(
    user: User, *, frame_id: int | None = None, filters: FrameFilters
) -> Sequence[Frame]:
    """Return raw and reduced frames as the archive of single files has them, oldest first."""
    query = access.visible_to(user, Frame).where(
        Frame.level.in_((Level.RAW, Level.REDUCED)), *frames.conditions(**filters)
    )
    if frame_id is not None:
        query = query.where(Frame.id == frame_id)
    return db.session.scalars(query.order_by(Frame.start_utc, Frame.id)).all()


def running_step(user: User) -> str:
    """Return in words what is being worked on, `IDLE` where nothing is."""
    running = select(Job).where(Job.state == JobState.RUNNING).order_by(Job.started_at)
    mine = db.session.scalars(running.where(access.may_see(user, Job))).all()
    if mine:
        return "; ".join(f"{job.label}: {job.step}" if job.step else job.label for job in mine)
    is_busy = db.session.scalar(running.with_only_columns(Job.id).limit(1)) is not None
    return "Busy with the work of other observers" if is_busy else IDLE


def queued(user: User) -> Sequence[Job]:
    """Return the jobs `user` may see that have not ended, in the order they run."""
    seen = access.visible_to(user, Job).where(Job.state.in_(OPEN_STATES))
    visible = {job.id for job in db.session.scalars(seen)}
    return [job for job in turns.open_jobs() if job.id in visible]


def ended(user: User, limit: int) -> Sequence[Job]:
    """Return the last jobs `user` may see that ended, newest first."""
    states = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
    query = access.visible_to(user, Job).where(Job.state.in_(states))
    newest = query.order_by(Job.finished_at.desc(), Job.id.desc())
    return db.session.scalars(newest.limit(max(0, min(limit, 10_000)))).all()


def count_reduced(user: User) -> int:
    """Return how many good reduced frames `user` may see."""
    query = select(func.count(Frame.id)).where(
        access.may_see(user, Frame), Frame.level == Level.REDUCED, Frame.is_valid.is_(True)
    )
    return db.session.scalar(query) or 0


def log_lines() -> list[str]:
    """Return the main log since it was last cleared, newest line first, at most a megabyte."""
    path = paths.current().main_log
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            size = stream.tell()
            start = max(_cleared_up_to(path.stat().st_ino, size), size - _LOG_TAIL_BYTES)
            stream.seek(start)
            raw = stream.read(_LOG_TAIL_BYTES)
    except FileNotFoundError:
        return []
    lines = raw.decode("utf-8", "replace").splitlines()
    is_cut = start > 0 and start == size - _LOG_TAIL_BYTES
    return lines[: 0 if is_cut else None : -1]


def clear_log() -> None:
    """Hide what the main log holds now. No line is lost: other processes are writing to it."""
    path = paths.current().main_log
    marker = paths.current().run / _CLEARED
    try:
        stat = path.stat()
    except FileNotFoundError:
        return
    partial = marker.with_suffix(".partial")
    partial.write_text(f"{stat.st_ino} {stat.st_size}")
    partial.replace(marker)


def _cleared_up_to(inode: int, size: int) -> int:
    try:
        marked, offset = map(int, (paths.current().run / _CLEARED).read_text().split())
    except (FileNotFoundError, ValueError):
        return 0
    return offset if marked == inode and offset <= size else 0


def visible_settings() -> dict[str, dict[str, Any]]:
    """Return every operational setting that is no secret, as section and item."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in settings.snapshot().values.items():
        setting = OPERATIONAL[name]
        if not setting.secret:
            found.setdefault(setting.section, {})[setting.item] = value
    return found


def load_settings(name: str, *, by: User) -> int:
    """Take over every setting the file CONFIG/<name>.toml gives, or none; return how many.

    Raises
    ------
    NotFoundError
        If there is no such file in that folder.
    InvalidRequestError
        If it is not TOML, or one of its settings is unknown or of the wrong type.
    """
    table = _read_settings(name)
    with transaction():
        for section, items in table.items():
            for item, value in items.items():
                settings.change(section, item, value, by=by)
    return sum(len(items) for items in table.values())


def _read_settings(name: str) -> dict[str, Mapping[str, Any]]:
    stem = name.removesuffix(".toml")
    if not _CONFIG_NAME.fullmatch(stem):
        raise NotFoundError("Config file does not exist.")
    try:
        path = paths.safe_join(paths.current().data / "CONFIG", f"{stem}.toml")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, RuntimeError, NotFoundError) as error:
        raise NotFoundError("Config file does not exist.") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise InvalidRequestError(f"{stem}.toml is not good TOML: {error}") from error
    for section, items in table.items():
        if not isinstance(items, Mapping):
            raise InvalidRequestError(f"{stem}.toml: {section!r} must be a table")
    return table
