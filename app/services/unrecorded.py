"""Uploaded files on their way to their rows: each is written down before it has its name.

A crash between a file and its rows leaves nothing wrong for good: frames that a scan makes of it
are given back to who uploaded it, and a product that has no row is removed.
"""

import json
import logging
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from sqlalchemy import select

from app import paths
from app.db import db, transaction
from app.models import Frame, User
from app.paths import RAW_PREFIX
from app.services import audit
from app.services.staging import ABANDONED_S
from app.wording import counted
from reduction import fitsio, wholefiles

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _File:
    """A file that is about to lie somewhere, and whose it is."""

    path: str  # as answers give it
    sha256: str
    user_id: int | None  # None where it stays whose it was


class Stone:
    """What is written down of one file; it goes once the file has its rows, or is gone."""

    def __init__(self, sha256: str, user_id: int | None) -> None:
        self._sha256 = sha256
        self._user_id = user_id
        self._stone = _stones() / f"{secrets.token_hex(8)}.json"
        self._path: Path | None = None

    def write(self, path: Path) -> None:
        """Write down where the file is about to lie, in place of what was written before."""
        self._path = path
        file = _File(paths.current().relative(path), self._sha256, self._user_id)
        content = json.dumps(asdict(file)).encode()
        self._stone.parent.mkdir(exist_ok=True)
        wholefiles.stage(self._stone, [memoryview(content)], size=len(content)).put()

    def __enter__(self) -> "Stone":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        if kind is None or self._path is None or not self._path.exists():
            self._stone.unlink(missing_ok=True)


def give_back() -> int:
    """Give frames a scan made of files that lost their uploader back to them; return how many.

    The lock of scans must be held: then no upload into RAW is under way.
    """
    return sum(_give_back(stone, file) for stone, file in _written(0.0) if _is_raw(file))


def _give_back(stone: Path, file: _File) -> int:
    """Give the frames of one file back; what has none yet waits for the scan that finds it."""
    path = paths.current().raw / file.path.removeprefix(f"{RAW_PREFIX}/")
    if path.exists() and not has_rows(file.path):
        return 0
    is_same = file.user_id is not None and _has_content(path, file.sha256)
    n_given = _own(file) if is_same else 0
    stone.unlink(missing_ok=True)
    return n_given


def _own(file: _File) -> int:
    """Make the frames of a file its uploader's, unless they are somebody's by now."""
    nobodys = select(Frame).where(Frame.path == file.path, Frame.owner_id.is_(None))
    with transaction():
        user = db.session.get(User, file.user_id)
        given = db.session.scalars(nobodys.order_by(Frame.part)).all() if user else ()
        for frame in given:
            frame.owner_id = file.user_id
            audit.note(user, "uploaded", frame, frame.path)
    return len(given)


def sweep(older_s: float = ABANDONED_S) -> int:
    """Remove products that were placed and never recorded; return how many there were."""
    left = [(stone, file) for stone, file in _written(older_s) if not _is_raw(file)]
    n_removed = sum(_remove(file, older_s) for _, file in left)
    for stone, _ in left:
        stone.unlink(missing_ok=True)
    if n_removed:
        log.info("removed %s without a row", counted(n_removed, "uploaded file"))
    return n_removed


def _remove(file: _File, older_s: float) -> bool:
    """Remove a file no row names; a younger one, or one of other content, is another."""
    path = paths.current().data / file.path
    if not path.is_file() or path.stat().st_mtime > time.time() - older_s:
        return False
    if has_rows(file.path) or not _has_content(path, file.sha256):
        return False
    path.unlink(missing_ok=True)
    return True


def has_rows(path: str) -> bool:
    """Tell whether a frame lies at a path, as answers give it."""
    return db.session.scalar(select(Frame.id).where(Frame.path == path).limit(1)) is not None


def _has_content(path: Path, sha256: str) -> bool:
    return path.is_file() and fitsio.content_sha256(path) == sha256


def _is_raw(file: _File) -> bool:
    return file.path.startswith(f"{RAW_PREFIX}/")


def _written(older_s: float) -> Iterator[tuple[Path, _File]]:
    """Yield what was written down so long ago; what cannot be read is dropped."""
    before = time.time() - older_s
    for stone in sorted(_stones().glob("*.json")):
        try:
            if stone.stat().st_mtime <= before:
                yield stone, _read(stone)
        except FileNotFoundError:  # its upload came to its end just now
            continue
        except (KeyError, TypeError, ValueError):
            log.warning("%s cannot be read and is dropped", stone)
            stone.unlink(missing_ok=True)


def _read(stone: Path) -> _File:
    written = json.loads(stone.read_text())
    user_id = written["user_id"]
    owner_id = None if user_id is None else int(user_id)
    return _File(str(written["path"]), str(written["sha256"]), owner_id)


def _stones() -> Path:
    return paths.current().data / ".uploaded"
