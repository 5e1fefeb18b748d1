"""Judging one file of RAW: it is read, and ends in one named state with its reason."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from app.db import utcnow
from app.models import FileState
from app.services import cameras, settings
from app.services.filewalk import Seen
from app.services.registration import clean
from reduction import fitsio, headers
from reduction.camera import CameraProfile, Observatory
from reduction.errors import BadFileError, ReductionError
from reduction.frameinfo import FrameInfo

log = logging.getLogger(__name__)

# What a file looks like that is still being written or copied.
_UNFINISHED: Final = frozenset({"empty", "truncated", "truncated_header"})
_BLOCK: Final = 2880  # bytes; no FITS file is smaller
# How many times the settling time an unfinished file is waited for.
PATIENCE: Final = 20
# What a header that no rule foresaw may raise; one such file must not stop a night's scan.
_UNFORESEEN: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_NS: Final = 1_000_000_000
_REGISTERED: Final = str(FileState.REGISTERED)  # asked once a file, where an enum is slow


class Known(NamedTuple):
    """What the database says of a path; `changed_at` only of a file that waits."""

    file_id: int
    path: str
    size: int
    mtime_ns: int
    state: str
    code: str
    changed_at: datetime | None = None

    def is_as_seen(self, seen: Seen) -> bool:
        """Tell whether the file has not been touched since."""
        return self.size == seen.size and self.mtime_ns == seen.mtime_ns


@dataclass(slots=True)
class Outcome:
    """How one file ended, and what it holds if it was registered.

    `duplicate_of` is the path of the file with the same content; `moved_from` the id of a file
    that is gone and whose content this one has: its frames are this file's now. `is_replaced`
    says that frames of this file exist whose pixels were others.
    """

    seen: Seen
    known: Known | None
    state: FileState
    code: str = ""
    reason: str = ""
    header_digest: str = ""
    header_text: str = ""
    content_sha256: str = ""
    infos: Sequence[FrameInfo] = ()
    duplicate_of: str = ""
    moved_from: int | None = None
    is_replaced: bool = False

    def become(self, state: FileState, code: str, reason: str) -> "Outcome":
        """Change how it ended; what was read of it is forgotten."""
        self.state, self.code, self.reason, self.infos = state, code, reason, ()
        return self

    @property
    def is_news(self) -> bool:
        """Tell whether the database does not say so already."""
        known = self.known
        return (
            known is None
            or self.state == FileState.REGISTERED
            or (known.state, known.code) != (self.state, self.code)
            or not known.is_as_seen(self.seen)
        )


@dataclass(frozen=True, slots=True)
class Intake:
    """How files are judged, for the length of one scan."""

    raw: Path
    settle_s: float
    profiles: Sequence[CameraProfile] = ()
    site: Observatory | None = None

    @classmethod
    def of_now(cls, raw: Path) -> "Intake":
        """Return the intake with settings and camera profiles as they stand."""
        settle_s = settings.snapshot().number("scan.settle_s")
        return cls(raw, settle_s, cameras.profiles(), cameras.site())

    def judge(self, seen: Seen, known: Known | None) -> Outcome | None:
        """Read a file and say how it ends; None where it went away meanwhile."""
        outcome = Outcome(seen, known, FileState.REGISTERED)
        if seen.problem is not None:
            return outcome.become(FileState.QUARANTINED, *seen.problem)
        rest_s = _rest_s(seen, known)
        if rest_s < self.settle_s:
            return outcome.become(FileState.WAITING, "young", _YOUNG)
        try:
            return self._read(outcome)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"It cannot be read: {error.strerror or error}."
            return outcome.become(FileState.QUARANTINED, "unreadable", reason)
        except ReductionError as error:
            return self._refused(outcome, error, rest_s)
        except _UNFORESEEN:
            log.exception("the header of %s could not be translated", seen.path)
            return outcome.become(FileState.QUARANTINED, "untranslatable", _UNTRANSLATABLE)

    def _refused(self, outcome: Outcome, error: ReductionError, rest_s: float) -> Outcome:
        code = error.code if isinstance(error, BadFileError) else "no_frame"
        is_part = code in _UNFINISHED or outcome.seen.size < _BLOCK
        if is_part and rest_s < PATIENCE * self.settle_s:
            return outcome.become(FileState.WAITING, code, f"Not whole yet: {error}")
        return outcome.become(FileState.QUARANTINED, code, clean(str(error)))

    def _read(self, outcome: Outcome) -> Outcome:
        path = self.raw / outcome.seen.path
        file = fitsio.read_headers(path)
        outcome.header_digest = file.digest
        outcome.header_text = file.text
        outcome.infos = headers.translate(
            file, file_name=path.name, profiles=self.profiles, site=self.site
        )
        status = path.stat()
        if (status.st_size, status.st_mtime_ns, status.st_ino) != _fingerprint(outcome.seen):
            return outcome.become(FileState.WAITING, "changing", "It changed while it was read.")
        if not outcome.infos:
            return outcome.become(FileState.QUARANTINED, "no_image", "It holds no image.")
        return outcome


_YOUNG: Final = "It was written a moment ago and may still be growing."
_UNTRANSLATABLE: Final = (
    "Its header holds something no rule foresaw: the log says what. Please report it."
)


def is_settled(seen: Seen, known: Known) -> bool:
    """Tell whether a file that was not touched needs no second look."""
    if known.size != seen.size or known.mtime_ns != seen.mtime_ns:
        return False
    if known.state == _REGISTERED:
        return seen.problem is None
    if known.state in (FileState.WAITING, FileState.MISSING):
        return False
    if seen.problem is not None:
        return known.code == seen.problem.code
    # Permissions and links change without a trace in a file's size and time.
    return known.code not in {"unreadable", "link", "outside", "not_a_file"}


def _rest_s(seen: Seen, known: Known | None) -> float:
    """Return for how long a file has rested, in seconds.

    Its time of change says so, unless that lies in the future because one clock is wrong: then
    a file rests since it was first seen as it is now, whichever way the clock jumped since.
    """
    age_s = (time.time_ns() - seen.mtime_ns) / _NS
    if age_s >= 0:
        return age_s
    if known is None or known.changed_at is None or not known.is_as_seen(seen):
        return 0.0
    return abs((utcnow() - known.changed_at).total_seconds())


def _fingerprint(seen: Seen) -> tuple[int, int, int]:
    return seen.size, seen.mtime_ns, seen.inode
