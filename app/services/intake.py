"""Judging files of RAW: each is read, alone or with others, and ends in one named state."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from app.db import utcnow
from app.models import FileState
from app.services import cameras, identity, settings
from app.services.filewalk import Seen, Unasked, cannot_be_read, look
from app.services.header_texts import KeptHeader
from app.services.outcomes import NO_HEADERS, Batch, Found, Known, ManyFiles, Outcome, Todo
from app.services.registration import clean
from reduction import fitsio, headers
from reduction.camera import CameraProfile, Observatory
from reduction.errors import BadFileError, ReductionError
from reduction.filestart import FileStart
from reduction.frameinfo import Told

log = logging.getLogger(__name__)

# What a file looks like that is still being written or copied.
_UNFINISHED: Final = frozenset({"empty", "truncated", "truncated_header"})
_BLOCK: Final = 2880  # bytes; no FITS file is smaller
# How many times the settling time an unfinished file is waited for.
PATIENCE: Final = 20
# What a header that no rule foresaw may raise; one such file must not stop a night's scan.
_UNFORESEEN: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_NS: Final = 1_000_000_000
_REGISTERED: Final = FileState.REGISTERED  # looked up once: an enum is slow to ask


_Step = Callable[[Outcome], object]


@dataclass(frozen=True, slots=True)
class Intake:
    """How files are judged, for the length of one scan."""

    raw: Path
    settle_s: float
    profiles: Sequence[CameraProfile] = ()
    site: Observatory | None = None
    now: datetime = field(default_factory=utcnow)
    has_former: bool = False  # whether digests of before are needed, too
    _rested_ns: int = field(init=False)  # files from before then need no clock to be asked
    _series: headers.Series = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rested_ns", time.time_ns() - int(self.settle_s * _NS))
        series = headers.Series(self.profiles, self.site, self.now, has_former=self.has_former)
        object.__setattr__(self, "_series", series)

    @classmethod
    def of_now(cls, raw: Path) -> "Intake":
        """Return the intake with settings and camera profiles as they stand."""
        now = settings.snapshot()
        settle_s, has_former = now.number("scan.settle_s"), identity.has_former_digests()
        return cls(raw, settle_s, cameras.profiles(), cameras.site(now), has_former=has_former)

    def judge(self, found: Iterable[tuple[Seen, Known | None]]) -> list[Outcome]:
        """Read files and say how each ends, and all that the headers of the good ones say."""
        outcomes = [Outcome(seen, known) for seen, known in found]
        self._go(outcomes, (self._admit, self._read, self._translate))
        return outcomes

    def judge_series(self, todo: Todo) -> Batch:
        """Do as `judge`, but tell at once all that are like others before them.

        Files that went away are left out, unless they are known: these are missing.
        """
        found, starts = self._begin(todo)
        runs = self._tell(starts, [seen.path.rpartition("/")[2] for seen, _ in found])
        told = frozenset([place for run in runs for place in run.places])
        left: list[Outcome] = []
        for place in [place for place in range(len(found)) if place not in told]:
            left.append(Outcome(*found[place]))
            left[-1].start = starts[place]
        self._go(left, (self._admit, self._read, self._translate))
        many = [ManyFiles([found[place] for place in run.places], run) for run in runs]
        batch = Batch(left, many, [found])
        batch.take_apart(ManyFiles.is_known)
        return batch

    def _tell(
        self, starts: Sequence[FileStart | None], names: Sequence[str]
    ) -> Sequence[headers.Run]:
        try:
            return self._series.tell(starts, names)
        except _UNFORESEEN:  # of one of them: that is named where each is looked at alone
            log.exception("%d headers could not be told at once", len(names))
            return ()

    def _begin(self, todo: Todo) -> tuple[Found, list[FileStart | None]]:
        """Read how files begin; what has to be looked at alone, whatever ails it, has no start.

        Their status is that of before: a change while they are read shows at the next scan.
        """
        found: list[tuple[Seen, Known | None]] = []
        starts: list[FileStart | None] = []
        begun = fitsio.read_starts(self.raw, [_readable(asked) for asked, _ in todo])
        for (asked, known), start in zip(todo, begun, strict=True):
            if start is None or start[1].st_ino != asked.inode:  # another lies there by now
                seen, start = self._ask(asked, known), None
            else:
                now = start[1]
                seen = Seen(asked.path, now.st_size, now.st_mtime_ns, now.st_ino)
            if seen is not None:
                found.append((seen, known))
                starts.append(start if seen.mtime_ns <= self._rested_ns else None)
        return found, starts

    def _ask(self, asked: Seen | Unasked, known: Known | None) -> Seen | None:
        if isinstance(asked, Seen):
            return asked
        seen = look(self.raw, asked.path)
        if seen is None and known is not None:  # gone: that it is missing is for `_take` to find
            return Seen(known.path, known.size, known.mtime_ns, 0)
        return seen

    def _go(self, outcomes: Iterable[Outcome], steps: Iterable[_Step]) -> Iterable[Outcome]:
        """Take every step with all files; return those that passed them.

        Going through the whole program for one file after the other takes half as long again.
        """
        for step in steps:
            there = [*outcomes]
            left = iter(there)
            while not self._take(step, left):
                pass
            outcomes = [outcome for outcome in there if outcome.state is _REGISTERED]
        return outcomes

    def _take(self, step: _Step, outcomes: Iterator[Outcome]) -> bool:
        """Take a step with each file, up to the first that fails; tell whether none did."""
        outcome: Outcome
        try:
            for outcome in outcomes:
                step(outcome)
        except FileNotFoundError:
            outcome.become(FileState.MISSING, "", "")
        except OSError as error:
            outcome.become(FileState.QUARANTINED, "unreadable", cannot_be_read(error))
        except ReductionError as error:
            self._refuse(outcome, error)
        except _UNFORESEEN:
            log.exception("the header of %s could not be translated", outcome.seen.path)
            outcome.become(FileState.QUARANTINED, "untranslatable", _UNTRANSLATABLE)
        else:
            return True
        return False

    def _admit(self, outcome: Outcome) -> None:
        seen = outcome.seen
        if seen.problem is not None:
            outcome.become(FileState.QUARANTINED, *seen.problem)
        elif seen.mtime_ns > self._rested_ns and _rest_s(outcome) < self.settle_s:
            outcome.become(FileState.WAITING, "young", _YOUNG)

    def _read(self, outcome: Outcome) -> None:
        start, outcome.start = outcome.start, None
        seen, file = outcome.seen, None if start is None else fitsio.start_headers(start)
        if file is None:
            file = fitsio.read_headers(self.raw / seen.path, n_bytes=seen.size)
        outcome.headers, outcome.header_digest = file, file.digest
        outcome.former_digest = file.former_digest if self.has_former else ""

    def _translate(self, outcome: Outcome) -> None:
        file, outcome.headers = outcome.headers, NO_HEADERS
        outcome.header = KeptHeader.of(file)
        name = outcome.seen.path.rpartition("/")[2]
        outcome.infos = headers.translate(
            file, file_name=name, profiles=self.profiles, site=self.site, now=self.now
        )
        outcome.exposures = [Told.of(info) for info in outcome.infos]
        _check_unchanged(outcome, (self.raw / outcome.seen.path).stat())
        if outcome.state is _REGISTERED and not outcome.infos:
            outcome.become(FileState.QUARANTINED, "no_image", "It holds no image.")

    def _refuse(self, outcome: Outcome, error: ReductionError) -> None:
        code = error.code if isinstance(error, BadFileError) else "no_frame"
        is_part = code in _UNFINISHED or outcome.seen.size < _BLOCK
        if is_part and _rest_s(outcome) < PATIENCE * self.settle_s:
            outcome.become(FileState.WAITING, code, f"Not whole yet: {error}")
        else:
            outcome.become(FileState.QUARANTINED, code, clean(str(error)))


def _readable(asked: Seen | Unasked) -> str | None:
    return None if isinstance(asked, Seen) and asked.problem is not None else asked.path


def _check_unchanged(outcome: Outcome, now: os.stat_result) -> None:
    """Let a file wait that is not the one that was seen, or has grown since."""
    seen = outcome.seen
    if (now.st_size, now.st_mtime_ns, now.st_ino) != (seen.size, seen.mtime_ns, seen.inode):
        outcome.become(FileState.WAITING, "changing", "It changed while it was read.")


_YOUNG: Final = "It was written a moment ago and may still be growing."
_UNTRANSLATABLE: Final = (
    "Its header holds something no rule foresaw: the log says what. Please report it."
)


def is_settled(seen: Seen, known: Known) -> bool:
    """Tell whether a file that was not touched needs no second look."""
    if not known.is_as_seen(seen) or known.state in (FileState.WAITING, FileState.MISSING):
        return False
    if known.state == FileState.REGISTERED:
        return seen.problem is None
    if seen.problem is not None:
        return known.code == seen.problem.code
    # Permissions and links change without a trace in a file's size and time.
    return known.code not in {"unreadable", "link", "outside", "not_a_file"}


def _rest_s(outcome: Outcome) -> float:
    """Return for how long a file has rested, in seconds.

    Its time of change says so, unless that lies in the future because one clock is wrong: then
    a file rests since it was first seen as it is now, whichever way the clock jumped since.
    """
    seen, known = outcome.seen, outcome.known
    age_s = (time.time_ns() - seen.mtime_ns) / _NS
    if age_s >= 0:
        return age_s
    if known is None or known.changed_at is None or not known.is_as_seen(seen):
        return 0.0
    return abs((utcnow() - known.changed_at).total_seconds())
