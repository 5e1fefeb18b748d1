"""What work that was cut short left on the disk, and may go."""

import os
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from app import paths
from app.services import deletion, placing, source_files, staging, task_files, unrecorded
from app.services.staging import ABANDONED_S

_FOLDERS: Final = ("MASTERS", "PROCESSED", "THUMBS", ".uploaded")  # where files are put whole
_PART: Final = ".*.part"  # as they are called while they are written
_LOOK_EVERY_S: Final = 3600.0  # the folders of the products are large


def sweep() -> int:
    """Remove files of deleted frames, of uploads and of products that broke off; tell how many."""
    uploads = staging.sweep() + placing.sweep() + unrecorded.sweep()
    return deletion.sweep() + uploads + task_files.sweep() + sweep_parts()


def sweep_parts(older_s: float = ABANDONED_S) -> int:
    """Remove what workers left of products when they died, at most once an hour."""
    now = time.time()
    if not _is_due(now):
        return 0
    left = [part for part in _parts() if _was_changed_before(part, now - older_s)]
    left += _unnamed(now - older_s)
    for part in left:
        part.unlink(missing_ok=True)
    return len(left)


def _unnamed(before: float) -> list[Path]:
    """Return the sources of products that got no row, or another than they were written for."""
    return source_files.orphans(p for p in source_files.files() if _was_changed_before(p, before))


def _is_due(now: float) -> bool:
    """Tell whether the last look is long ago, or was at a time that is yet to come."""
    stamp = paths.current().run / "parts-swept"
    try:
        if abs(now - stamp.stat().st_mtime) < _LOOK_EVERY_S:
            return False
    except FileNotFoundError:
        pass
    stamp.touch()
    return True


def _parts() -> Iterator[Path]:
    data = paths.current().data
    for folder in _FOLDERS:
        for place, _, names in os.walk(data / folder):
            yield from (Path(place) / name for name in names if fnmatch(name, _PART))


def _was_changed_before(part: Path, when: float) -> bool:
    try:
        return part.lstat().st_mtime < when
    except FileNotFoundError:  # it has its name by now
        return False
