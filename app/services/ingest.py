"""Ingest: scanning RAW now or as a job, and reading again what a frame's header says."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app import paths
from app.db import db
from app.errors import ConflictError, InvalidRequestError, NotFoundError, UnavailableError
from app.models import Frame, Job, ScannedFile, User
from app.paths import RAW_PREFIX
from app.services import access, cameras, jobs, unrecorded
from app.services.rawscan import Change, Check, Progress, Scan, ScanReport
from reduction import fitsio, headers
from reduction.errors import BadFileError
from reduction.frameinfo import FrameInfo

__all__ = ["Change", "ScanReport", "alone", "frame_info", "raw_folder", "request_scan", "scan"]

JOB: Final = "ingest.scan_folder"
_LOCK_WAIT_S: Final = 30.0
_LOCK_POLL_S: Final = 0.1


def scan(
    folder: str = "",
    *,
    contains: str = "",
    again: bool = False,
    progress: Progress | None = None,
    check: Check | None = None,
    wait_s: float = _LOCK_WAIT_S,
) -> ScanReport:
    """Bring the rows up to what lies in a folder of RAW; one scan at a time, whoever asks.

    `contains` is a comma list of parts of file names; `again` takes up files that have not
    changed too. `progress` is told how far it is, `check` may raise to stop it. Another scan is
    waited for `wait_s` seconds.

    Raises
    ------
    InvalidRequestError
        If the folder is not one of RAW.
    ConflictError
        If another scan is still running.
    UnavailableError
        If RAW is not there, or vanishes meanwhile: nothing is marked missing then.
    """
    check = check or _no_check
    here = paths.current()
    with _alone(here.run / "scan.lock", wait_s, check):
        report = Scan(
            root=here.raw,
            folder=raw_folder(folder),
            contains=[part.strip() for part in contains.split(",") if part.strip()],
            again=again,
            progress=progress or _no_progress,
            check=check,
        ).run()
        unrecorded.give_back()
    return report


@contextmanager
def alone() -> Iterator[None]:
    """Keep scans out while files are put into RAW and registered by hand.

    Raises
    ------
    ConflictError
        If a scan goes on for too long.
    """
    with _alone(paths.current().run / "scan.lock", _LOCK_WAIT_S, _no_check):
        yield


def request_scan(
    folder: str, *, contains: str = "", again: bool = False, owner: User | None
) -> Job:
    """Queue the scan of a folder of RAW; one already queued or running is returned instead."""
    below = _seen_folder(folder, owner)
    arguments = {"folder": below, "contains": contains, "again": again}
    return jobs.enqueue(
        JOB,
        arguments,
        label=f"scan {RAW_PREFIX}/{below}".rstrip("/"),
        owner=owner,
        dedupe_key=f"scan:{below}:{contains}:{again}",
    )


def _seen_folder(text: str, owner: User | None) -> str:
    """Return a folder as `raw_folder` does, one of which `owner` sees no file as one not there."""
    below = raw_folder(text)
    if not below or access.sees_every_frame(owner):
        return below
    inside = ScannedFile.path.startswith(f"{below}/", autoescape=True)
    if db.session.scalar(access.visible_to(owner, ScannedFile).where(inside).limit(1)) is None:
        raise _no_folder(_without_root(text.strip(), paths.current().raw))
    return below


def frame_info(frame: Frame) -> FrameInfo:
    """Translate the header of a raw frame's file again, for whoever reads its pixels.

    Raises
    ------
    BadFileError
        If the file is gone, or is no longer the one that was scanned.
    """
    name = frame.file_name
    try:
        file = fitsio.read_headers(paths.current().locate(frame.path))
    except (FileNotFoundError, NotFoundError) as error:
        raise BadFileError("missing", f"{name} is no longer at {frame.path}.") from error
    scanned = frame.file.header_digest if frame.file is not None else ""
    infos = headers.translate(
        file, file_name=name, profiles=cameras.profiles(), site=cameras.site()
    )
    is_same = scanned in ("", file.digest) or scanned == file.former_digest
    if not is_same or frame.part >= len(infos):
        raise BadFileError("changed", f"{name} changed since it was scanned: scan it again.")
    return infos[frame.part]


def raw_folder(text: str) -> str:
    """Return a folder's path relative to RAW, however it was given: ``RAW/...``, or below RAW.

    Raises
    ------
    InvalidRequestError
        If there is no such folder in RAW, or it is hidden.
    UnavailableError
        If RAW itself is not there.
    """
    raw = paths.current().raw
    if trouble := paths.current().raw_trouble():
        raise UnavailableError(trouble)
    below = _without_root(text.strip(), raw)
    if any(part.startswith(".") for part in below.split("/") if part):
        raise InvalidRequestError(path="a scan stays inside RAW and out of hidden folders")
    try:
        folder = paths.safe_join(raw, below)
        is_folder = folder.is_dir()
    except (NotFoundError, OSError, RuntimeError):  # RuntimeError: a loop of links
        is_folder = False
    if not is_folder:
        raise _no_folder(below)
    return folder.relative_to(raw.resolve()).as_posix().removeprefix(".")


def _no_folder(below: str) -> InvalidRequestError:
    return InvalidRequestError(path=f"there is no folder {below!r} in RAW")


def _without_root(text: str, raw: Path) -> str:
    if Path(text).is_relative_to(raw):
        return str(Path(text).relative_to(raw)).removeprefix(".")
    below = text.strip("/")
    return "" if below == RAW_PREFIX else below.removeprefix(f"{RAW_PREFIX}/")


@contextmanager
def _alone(lock: Path, wait_s: float, check: Check) -> Iterator[None]:
    """Hold the lock of RAW's tree; the kernel gives it up for a process that dies."""
    with lock.open("a") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ConflictError("Another scan is running: try again later.") from None
            check()
            time.sleep(_LOCK_POLL_S)
        yield


def _no_check() -> None:
    return


def _no_progress(_fraction: float, _step: str) -> None:
    return
