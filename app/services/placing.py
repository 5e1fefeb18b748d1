"""Putting a staged file where it stays: whole or not at all, and never over another."""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Container, Iterator
from itertools import count
from pathlib import Path
from typing import Final

from app import paths
from app.errors import ConflictError, UnavailableError
from app.services.staging import ABANDONED_S, MEGABYTE, SUFFIXES

RAW_FOLDER: Final = "uploads"  # below RAW
PRODUCT_FOLDER: Final = "PROCESSED/UPLOADS"  # below the data root
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# Some disks have no second name for a file: those of Windows machines, and memory sticks.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


Before = Callable[[Path], object]


def place(
    source: Path,
    folder: Path,
    name: str,
    *,
    taken: Container[str] = (),
    before: Before = lambda _path: None,
) -> Path:
    """Move a file into a folder, which is made where it is not there; return where it lies.

    A name that is taken, there or among `taken`, gets a number appended. `before` is told where
    it is about to lie, each time a name is tried.

    Raises
    ------
    ConflictError
        If the folder cannot be written to.
    UnavailableError
        If the disk is full.
    """
    aside = folder / f".{secrets.token_hex(8)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _bring(source, aside)
        target = _named(aside, (folder / n for n in _numbered(name) if n not in taken), before)
        sync(folder)
    except OSError as error:
        raise _refusal(folder, error) from error
    finally:
        _discard(aside)
    return target


def replace(source: Path, target: Path) -> None:
    """Move a file to where it stays, in place of any of this name: whole or not at all.

    Raises
    ------
    ConflictError
        If its folder cannot be made or written to.
    UnavailableError
        If the disk is full.
    """
    aside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _bring(source, aside)
        _sync_file(aside)  # its content before its name: a power cut must not leave it empty
        aside.replace(target)
        sync(target.parent)
    except OSError as error:
        raise _refusal(target.parent, error) from error
    finally:
        _discard(aside)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder into another, all but what is hidden, and have it on the disk.

    Raises
    ------
    ConflictError
        If the folder cannot be made or written to.
    UnavailableError
        If the disk is full.
    """
    try:
        for place, folders, names in os.walk(source):
            folders[:] = _shown(folders)
            _copy_all(Path(place), _shown(names), target / Path(place).relative_to(source))
        sync(target.parent)
    except OSError as error:
        raise _refusal(target, error) from error


def _shown(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def _copy_all(source: Path, names: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy2(source / name, target / name)
        _sync_file(target / name)
    sync(target)


def sweep(older_s: float = ABANDONED_S) -> int:
    """Remove what a power cut left of files that were being placed; return how many there were."""
    here, before = paths.current(), time.time() - older_s
    folders = (here.raw / RAW_FOLDER, here.data / PRODUCT_FOLDER)
    parts = [part for folder in folders for part in folder.glob("*/.*.part")]
    left = [part for part in parts if part.lstat().st_mtime < before]
    for part in left:
        _discard(part)
    return len(left)


def check_room(folder: Path, n_bytes: int, reserve_bytes: int) -> None:
    """Refuse to fill the disk a folder is on beyond what is kept free."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free - n_bytes < reserve_bytes:
        raise UnavailableError(
            f"The disk of {there} is full: {free // MEGABYTE} MB are free and "
            f"{reserve_bytes // MEGABYTE} MB are kept free (setting disk.reserve_mb). "
            "Make room and send it again."
        )


def _bring(source: Path, aside: Path) -> None:
    """Move a file under a hidden name of the folder; across disks it is copied, and kept safe."""
    try:
        source.rename(aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with source.open("rb") as old, aside.open("xb") as new:
            shutil.copyfileobj(old, new, MEGABYTE)
            new.flush()
            os.fsync(new.fileno())


def _named(aside: Path, targets: Iterator[Path], before: Before) -> Path:
    """Give a file the first name that is free: a link never replaces what is there."""
    for target in targets:
        if target.exists():
            continue
        before(target)
        try:
            target.hardlink_to(aside)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            aside.rename(target)
        return target
    raise AssertionError("numbers do not end")


def _numbered(name: str) -> Iterator[str]:
    """Yield a name, and then the same with a number before its suffix."""
    suffix = max((s for s in SUFFIXES if name.lower().endswith(s)), key=len, default="")
    stem, ending = name[: len(name) - len(suffix)], name[len(name) - len(suffix) :]
    yield name
    yield from (f"{stem}_{number}{ending}" for number in count(1))


def _sync_file(path: Path) -> None:
    """Have a file's content on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Have the folder's own entries on the disk: a power cut must not take the name away."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(aside: Path) -> None:
    try:
        aside.unlink(missing_ok=True)
    except OSError:  # the folder is not there, or not ours: then nothing lies in it
        return


def _refusal(folder: Path, error: OSError) -> ConflictError | UnavailableError:
    if error.errno in _FULL:
        return UnavailableError(
            f"The disk of {folder} is full: make room and send it again. Nothing was kept."
        )
    return ConflictError(
        f"The folder {folder} cannot be written to ({error.strerror or error}). "
        "Nothing was kept: have it made writable for the server and send it again."
    )
