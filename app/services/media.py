"""Which file under the data root somebody may fetch."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, case, func, or_, select

from app import paths
from app.db import db
from app.errors import NotAuthenticatedError, NotFoundError
from app.models import Frame, Job, User
from app.paths import RAW_PREFIX
from app.services import access, jobs, queries, settings, source_files

_RESULTS: Final = "TMP"
_LOGS: Final = "LOGS"
_CONFIG: Final = "CONFIG"
_MASTERS: Final = "MASTERS"
_AT_ONCE: Final = 5000  # names in one query


def find(user: User | None, relative: str) -> Path:
    """Return the file behind a path below the data root, for `user`; None is a stranger.

    A frame's file, its thumbnail and its sources follow the frame's access rule. Query results are
    their owner's, job logs go with the job, stored settings are for staff.

    Raises
    ------
    NotAuthenticatedError
        If a stranger asks and the site has not opened its files.
    NotFoundError
        If there is no such file, or none they may see.
    """
    if user is None and not settings.snapshot().flag("access.media_open"):
        raise NotAuthenticatedError("Authentication credentials were not provided.")
    path = _located(relative)
    names = {_tidy(relative), _canonical(path)}
    if any(part.startswith(".") and part != ".." for name in names for part in name.split("/")):
        raise NotFoundError("no such file")  # hidden: a product that is still being written
    folders = {name.partition("/")[0] for name in names}
    if folders & {_RESULTS, _LOGS, _CONFIG}:
        return _private(user, path, folders)
    _check_frames(user, _as_frames(names))
    return path


def seen(user: User, relatives: Iterable[str]) -> set[str]:
    """Return which of some files `find` would give somebody, looked up together."""
    named: dict[str, set[str]] = {}
    for relative in relatives:
        with suppress(NotFoundError):
            named[relative] = _open_names(relative)
    known = _by_name(user, set().union(*named.values()))
    return {one for one, names in named.items() if _is_given(user, names, known)}


def _open_names(relative: str) -> set[str]:
    """Return under which names frames may know a file that lies where files of frames do."""
    names = {_tidy(relative), _canonical(_located(relative))}
    parts = {part for name in names for part in name.split("/")}
    folders = {name.partition("/")[0] for name in names}
    if any(p.startswith(".") and p != ".." for p in parts) or folders & {_RESULTS, _LOGS, _CONFIG}:
        raise NotFoundError("no such file")
    return _as_frames(names)


def _by_name(user: User, names: Collection[str]) -> dict[str, bool]:
    """Return of each name that frames have whether somebody sees all of these frames."""
    found: dict[str, bool] = {}
    is_seen = case((_seen_by(user), 1), else_=0)
    ordered = sorted(names)
    for start in range(0, len(ordered), _AT_ONCE):
        some = ordered[start : start + _AT_ONCE]
        holds = or_(Frame.path.in_(some), Frame.thumb.in_(some))
        for *both, is_theirs in db.session.execute(
            select(Frame.path, Frame.thumb, is_seen).where(holds)
        ):
            found |= {name: found.get(name, True) and bool(is_theirs) for name in both if name}
    return found


def _is_given(user: User, names: set[str], known: Mapping[str, bool]) -> bool:
    told = [known[name] for name in names if name in known]
    return all(told) if told else _is_open_without_row(user, names)


def frames_of(relative: str) -> Sequence[int]:
    """Return the ids of the frames whose file or thumbnail a path below the data root is."""
    names = {_tidy(relative), _canonical(_located(relative))}
    holds = or_(Frame.path.in_(names), Frame.thumb.in_(names))
    return db.session.scalars(select(Frame.id).where(holds)).all()


def _located(relative: str) -> Path:
    try:
        return paths.current().locate(relative)
    # A name no file can have, links in a circle or out of the house: whatever is not there is
    # refused in the same words.
    except (NotFoundError, OSError, RuntimeError) as error:
        raise NotFoundError("no such file") from error


def _private(user: User | None, path: Path, folders: set[str]) -> Path:
    if user is None:
        raise NotFoundError("no such file")
    if _RESULTS in folders:
        return queries.result_file(user, path.name)
    if not access.is_staff(user) and (_CONFIG in folders or not _is_log_of(user, path)):
        raise NotFoundError("no such file")
    return path


def _is_log_of(user: User, path: Path) -> bool:
    digits = path.stem.rpartition("-")[2]
    if not digits.isdecimal() or jobs.log_path(int(digits)).resolve() != path:
        return False
    mine = access.visible_to(user, Job).where(Job.id == int(digits))
    return db.session.scalar(mine) is not None


def _as_frames(names: set[str]) -> set[str]:
    """Return of a frame's sources the name of the frame: they are seen by those who see it."""
    return {source_files.product_of(name) or name for name in names}


def _check_frames(user: User | None, names: set[str]) -> None:
    """Refuse a file that belongs to a frame they may not see, or may well belong to one."""
    holds = or_(Frame.path.in_(names), Frame.thumb.in_(names))
    count = select(func.count(Frame.id)).where(holds)
    n_all = db.session.scalar(count) or 0
    n_seen = db.session.scalar(count.where(_seen_by(user))) or 0
    if n_seen < n_all:
        raise NotFoundError("no such file")
    if n_all == 0 and not _is_open_without_row(user, names):
        raise NotFoundError("no such file")


def _is_open_without_row(user: User | None, names: set[str]) -> bool:
    """Tell whether a file without a frame may go out.

    For whom frames are hidden, such a file may be a copy of one they may not see.
    """
    if user is not None and access.sees_every_frame(user):
        return True
    return all(name.startswith(f"{_MASTERS}/") for name in names)


def _seen_by(user: User | None) -> ColumnElement[bool]:
    return access.may_stranger_see() if user is None else access.may_see(user, Frame)


def _tidy(relative: str) -> str:
    return "/".join(part for part in relative.split("/") if part not in {"", "."})


def _canonical(path: Path) -> str:
    """Return the path below the data root after every link, as frames are stored."""
    here = paths.current()
    for root, prefix in ((here.raw.resolve(), f"{RAW_PREFIX}/"), (here.data.resolve(), "")):
        if path.is_relative_to(root):
            return f"{prefix}{path.relative_to(root)}"
    return str(path)
