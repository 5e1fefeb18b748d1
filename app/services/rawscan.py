"""One scan of RAW from the first look to the last row: what is new is read, what is gone noted."""

import gc
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError, StatementError

from app.db import db, transaction
from app.errors import UnavailableError
from app.models import FileState, ScannedFile
from app.paths import RAW_PREFIX
from app.services import events, identity, scanned_files
from app.services.filewalk import KnownRow, Seen, Unasked, Walk, is_gone
from app.services.intake import Intake, is_settled
from app.services.outcomes import Batch, Known, Outcome, Todo
from app.services.scanned_files import Books
from app.wording import counted

log = logging.getLogger(__name__)

Progress = Callable[[float, str], object]
Check = Callable[[], object]

MISSING: Final = str(FileState.MISSING)
REGISTERED: Final = str(FileState.REGISTERED)
_MISSING: Final = FileState.MISSING
BATCH: Final = 4096  # files a transaction: a page of an index is written once for all of them
_CHUNK: Final = 32  # files read at a time: their headers stay in the processor's cache
_BATCH_S: Final = 2.0  # and no longer than this between two, so that pages see files arrive
_PULSE_S: Final = 0.5  # between two calls of `check`


class Change(NamedTuple):
    """A file whose state is not what it was before the scan."""

    path: str
    state: str
    reason: str


@dataclass(slots=True)
class ScanReport:
    """What a scan found.

    `counts` has every file of the scanned folder by its state now; `changes` those that are new
    or changed; `ignored` counts what is no image by its name; `troubles` are sentences about
    folders that could not be read.
    """

    folder: str
    counts: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    ignored: int = 0
    troubles: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def quarantined(self) -> list[Change]:
        """The files this scan put in quarantine."""
        return [change for change in self.changes if change.state == FileState.QUARANTINED]

    @property
    def message(self) -> str:
        """The scan in a sentence or two."""
        states = ", ".join(f"{self.counts[s]} {s}" for s in FileState if self.counts[s])
        where = f"{RAW_PREFIX}/{self.folder}".rstrip("/")
        text = f"{where}: {states or 'no image files'}; {len(self.changes)} new or changed"
        if self.ignored:
            text += f", {counted(self.ignored, 'other file')} ignored"
        return ". ".join([f"{text} ({self.seconds:.1f} s)", *self.troubles]) + "."

    def as_result(self) -> dict[str, Any]:
        """Return the numbers a job keeps."""
        return {
            "message": self.message,
            "counts": dict(self.counts),
            "changed": len(self.changes),
            "ignored": self.ignored,
            "troubles": self.troubles,
            "seconds": round(self.seconds, 3),
        }


@contextmanager
def _swept_by_hand() -> Iterator[None]:
    """Collect garbage where that is called for, and nowhere else.

    A batch makes objects by the ten thousand and drops them all: every time, Python would go
    through all objects of the program in search of cycles, at a tenth of the scan's cost.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(slots=True)
class Scan:
    """One scan of a folder of RAW, `folder` "" for all of it.

    With `again` files are taken up that have not changed: after a camera profile was written,
    say. `contains` limits the scan to file names that hold one of these texts.
    """

    root: Path
    folder: str
    contains: Sequence[str] = ()
    again: bool = False
    progress: Progress = lambda _fraction, _step: None
    check: Check = lambda: None
    report: ScanReport = field(init=False)
    _walk: Walk = field(init=False)
    _known: dict[str, KnownRow] = field(init=False)
    _waiting: dict[str, datetime] = field(init=False)
    _books: Books = field(init=False, default_factory=Books)
    _pulse_at: float = field(init=False, default=0.0)

    @_swept_by_hand()
    def run(self) -> ScanReport:
        """Do it."""
        started = time.monotonic()
        self.report = ScanReport(self.folder)
        mounted = _mounted(self.root)
        with transaction():
            pass  # ends a reading transaction that would not see what the last scan stored
        self._known, self._waiting = self._known_files()
        self._walk = Walk(self.root, self.folder, {} if self.again else self._known)
        todo = self._look()
        _require_same(self.root, mounted)
        self._take(todo)
        _require_same(self.root, mounted)
        self._note_missing(mounted)
        if self.report.counts[FileState.DUPLICATE]:
            self._adopt_orphans()
        self.report.counts = +self.report.counts  # without the states nothing is in
        self.report.ignored = self._walk.ignored
        self.report.troubles += [
            f"{RAW_PREFIX}/{folder} could not be read: {why}"
            for folder, why in self._walk.unread.items()
        ]
        self.report.seconds = time.monotonic() - started
        if self.report.changes:
            with transaction():
                events.publish("scan", folder=self.folder, changed=len(self.report.changes))
        return self.report

    def _known_files(self) -> tuple[dict[str, KnownRow], dict[str, datetime]]:
        """Return what is known of the files asked for, by path, and since when some wait."""
        query = _KNOWN
        below = f"{self.folder}/" if self.folder else ""
        if below:
            query = query.where(ScannedFile.path.startswith(below, autoescape=True))
        with db.engine.connect() as connection:  # no snapshot is held while files are read
            known: dict[str, KnownRow] = {row[1]: row for row in connection.execute(query).all()}
            waiting = {row.path: row.changed_at for row in connection.execute(_WAITING)}
        if below or self.contains:  # LIKE takes no notice of case on SQLite
            known = {
                path: row
                for path, row in known.items()
                if path.startswith(below) and self._is_wanted(path)
            }
        return known, waiting

    def _is_wanted(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        return not self.contains or any(text in name for text in self.contains)

    def _look(self) -> Todo:
        """Walk the folder; return what has to be read, and leave in `_known` what was not seen."""
        self.progress(0.0, "looking")
        todo: list[tuple[Seen | Unasked, Known | None]] = []
        settled: list[str] = []
        for files in self._walk.files():
            self._pulse()
            for seen in sorted(self._wanted(files), key=attrgetter("path")):
                row = self._known.pop(seen.path, None)
                before = None if row is None else Known(*row, self._waiting.get(seen.path))
                if before is None or self._is_asked_for(seen, before):
                    todo.append((seen, before))
                else:
                    settled.append(before.state)
        self.report.counts.update(settled)
        self.report.counts[REGISTERED] += self._walk.untouched
        return todo

    def _is_asked_for(self, seen: Seen | Unasked, before: Known) -> bool:
        return self.again or isinstance(seen, Unasked) or not is_settled(seen, before)

    def _wanted(self, files: list[Seen | Unasked]) -> list[Seen | Unasked]:
        return [seen for seen in files if self._is_wanted(seen.path)] if self.contains else files

    def _pulse(self) -> None:
        now = time.monotonic()
        if now - self._pulse_at >= _PULSE_S:
            self._pulse_at = now
            self.check()

    def _take(self, todo: Todo) -> None:
        """Read files and store how they end, a batch at a time."""
        if not todo:
            return
        intake = Intake.of_now(self.root)
        batch = Batch()
        stored_at = time.monotonic()
        step = min(_CHUNK, BATCH)
        for start in range(0, len(todo), step):
            self._pulse()
            n_done = min(start + step, len(todo))
            batch.add(self._judged(intake, todo[start:n_done]))
            is_due = time.monotonic() - stored_at > _BATCH_S
            if len(batch) >= BATCH or is_due or n_done == len(todo):
                self._store(batch)
                self.progress(n_done / len(todo), f"{n_done} of {len(todo)} files")
                batch, stored_at = Batch(), time.monotonic()
                gc.collect(1)

    def _judged(self, intake: Intake, todo: Todo) -> Batch:
        """Read a few files; those that went away since the walk are known to be looked for."""
        batch = intake.judge_series(todo)
        for outcome in batch.outcomes:
            if outcome.state is _MISSING and outcome.known is not None:
                self._known[outcome.known.path] = outcome.known[:-1]
        batch.outcomes = [o for o in batch.outcomes if o.state is not _MISSING]
        return batch

    def _store(self, batch: Batch) -> None:
        comparison = identity.Comparison(self.root)
        comparison.settle(batch)
        is_old = [outcome for outcome in batch.outcomes if not outcome.is_news]
        is_news = [outcome for outcome in batch.outcomes if outcome.is_news]
        news = Batch(is_news, batch.many, batch.walked)
        stored = news
        try:
            scanned_files.record(news, self._books, comparison.hashes)
        except OperationalError:  # the database is locked or its disk full: no file's fault
            raise
        except _REFUSALS:
            log.warning("a batch of %s was refused; trying one by one", counted(len(news), "file"))
            news.take_apart(lambda _files: True)
            stored = Batch([outcome for outcome in news.outcomes if self._store_alone(outcome)])
        names = {state: str(state) for state in FileState}
        report = self.report
        report.counts.update([names[outcome.state] for outcome in (*is_old, *news.outcomes)])
        report.changes += [Change(o.seen.path, names[o.state], o.reason) for o in stored.outcomes]
        for files in news.many:
            report.counts[REGISTERED] += len(files.found)
            report.changes += map(Change._make, zip(files.paths, repeat(REGISTERED), repeat("")))

    def _store_alone(self, outcome: Outcome) -> bool:
        """Store one file; one whose values the database will not have is quarantined."""
        path = outcome.seen.path
        for _ in range(2):
            try:
                scanned_files.record(Batch([outcome]), self._books, {})
            except OperationalError:
                raise
            except _REFUSALS as error:
                log.warning("%s: %s", path, error)
                outcome.become(FileState.QUARANTINED, "not_stored", _NOT_STORED)
            else:
                return True
        self.report.troubles.append(f"{path} could not be recorded: two names are shown alike")
        return False

    def _note_missing(self, mounted: "Mounted") -> None:
        """Note which known files were not seen, unless they could not have been."""
        gone: dict[int, str] = {}
        for file_id, path, _, _, state, _ in self._known.values():
            is_told = state != MISSING and not self._walk.says_nothing_of(path)
            if is_told and is_gone(self.root / path):
                gone[file_id] = path
            else:
                self.report.counts[state] += 1
        _require_same(self.root, mounted)
        reasons = scanned_files.mark_missing([*gone])
        for file_id, path in gone.items():
            self.report.counts[MISSING] += 1
            self.report.changes.append(Change(path, MISSING, reasons[file_id]))

    def _adopt_orphans(self) -> None:
        """Take duplicates up again whose original is gone or has become another file."""
        todo: list[tuple[Seen | Unasked, Known | None]] = []
        for file in identity.orphans():
            if (seen := self._walk.look(file.path)) is not None:
                todo.append((seen, _known(file)))
        if todo:
            inside = [known for _, known in todo if known and self._holds(known.path)]
            self.report.counts.subtract({str(FileState.DUPLICATE): len(inside)})
            self._take(todo)

    def _holds(self, path: str) -> bool:
        return not self.folder or path.startswith(self.folder + "/")


_KNOWN: Final = select(
    ScannedFile.id,
    ScannedFile.path,
    ScannedFile.size,
    ScannedFile.mtime_ns,
    ScannedFile.state,
    ScannedFile.code,
)
_WAITING: Final = select(ScannedFile.path, ScannedFile.changed_at).where(
    ScannedFile.state == FileState.WAITING
)
# What a database says of values it cannot hold, and the driver before it.
_REFUSALS: Final = (StatementError, OverflowError, UnicodeError)
_NOT_STORED: Final = "The database refused the values of its header: the log says which."


class Mounted(NamedTuple):
    """What RAW is, as long as nobody unmounts it."""

    device: int
    inode: int


def _mounted(root: Path) -> Mounted:
    """Return what RAW is; refuse one that looks like an empty mount point.

    Raises
    ------
    UnavailableError
        If RAW is not there, or is empty though files of it are known.
    """
    try:
        status = root.stat()
        with os.scandir(root) as entries:
            is_empty = all(entry.name.startswith(".") for entry in entries)
    except OSError as error:
        why = error.strerror or error
        raise UnavailableError(
            f"The RAW folder {root} cannot be read ({why}). Is its disk mounted? "
            "Nothing was marked missing."
        ) from error
    if is_empty and (n_known := _count_known()):
        raise UnavailableError(
            f"The RAW folder {root} is empty, but {n_known} of its files are known. "
            "Is its disk mounted? Nothing was marked missing."
        )
    return Mounted(status.st_dev, status.st_ino)


def _require_same(root: Path, mounted: Mounted) -> None:
    if _mounted(root) != mounted:
        raise UnavailableError(
            f"The RAW folder {root} was replaced by another during the scan. "
            "Nothing was marked missing; scan again."
        )


def _count_known() -> int:
    query = select(func.count()).where(ScannedFile.state != FileState.MISSING)
    return db.session.scalar(query) or 0


def _known(file: ScannedFile) -> Known:
    return Known(file.id, file.path, file.size, file.mtime_ns, file.state, file.code)
