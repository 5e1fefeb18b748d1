"""How files of RAW end: one by one, or many that were told at once; what is stored of a scan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Final, NamedTuple

from app.models import FileState
from app.services.filewalk import Seen, Unasked
from app.services.header_texts import NO_HEADER, KeptHeader
from reduction import headers
from reduction.cards import FileHeaders
from reduction.filestart import FileStart
from reduction.frameinfo import FrameInfo, Told

_REGISTERED: Final = FileState.REGISTERED  # looked up once: an enum is slow to ask
NO_HEADERS: Final = FileHeaders((), "")


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


class Outcome:
    """How one file ended, and what it holds if it was registered.

    What is not said of a file stands in the class: most is said of few, and a scan makes
    thousands.

    Attributes
    ----------
    former_digest : str
        Of its headers, where the database may have it in the place of `header_digest`.
    duplicate_of : str
        The path of the file with the same content.
    moved_from : int or None
        The id of a file that is gone and whose content this one has: its frames are this file's
        now.
    is_replaced : bool
        Whether frames of this file exist whose pixels were others.
    exposures, infos : sequence
        What it holds; `infos` are empty where it was told as one of many.
    start, headers
        Only there between their reading and their translation. A file that went away meanwhile is
        missing.
    """

    state: FileState = _REGISTERED
    code: str = ""
    reason: str = ""
    header_digest: str = ""
    former_digest: str = ""
    header: KeptHeader = NO_HEADER
    content_sha256: str = ""
    start: FileStart | None = None
    headers: FileHeaders = NO_HEADERS
    exposures: Sequence[Told] = ()
    infos: Sequence[FrameInfo] = ()
    duplicate_of: str = ""
    moved_from: int | None = None
    is_replaced: bool = False

    def __init__(self, seen: Seen, known: Known | None) -> None:
        self.seen = seen
        self.known = known

    def become(self, state: FileState, code: str, reason: str) -> None:
        """Change how it ended; what was read of it is forgotten."""
        self.state, self.code, self.reason = state, code, reason
        self.exposures = self.infos = ()

    @property
    def is_news(self) -> bool:
        """Tell whether the database does not say so already."""
        known = self.known
        return (
            known is None
            or self.state is _REGISTERED
            or (known.state, known.code) != (self.state, self.code)
            or not known.is_as_seen(self.seen)
        )


Todo = Sequence[tuple[Seen | Unasked, Known | None]]
Found = Sequence[tuple[Seen, Known | None]]


class ManyFiles(NamedTuple):
    """Registered files, told all at once by what differs between them."""

    found: Found
    run: headers.Run

    @property
    def seen(self) -> list[Seen]:
        """What was seen of them."""
        return [seen for seen, _ in self.found]

    @property
    def paths(self) -> list[str]:
        """Their paths, relative to RAW."""
        return [seen.path for seen, _ in self.found]

    def is_known(self) -> bool:
        """Tell whether the database has any of them."""
        return [known for _, known in self.found] != [None] * len(self.found)

    def outcomes(self) -> list[Outcome]:
        """Return how each of them ended."""
        return [self._outcome(i) for i in range(len(self.found))]

    def _outcome(self, i: int) -> Outcome:
        outcome, run = Outcome(*self.found[i]), self.run
        outcome.header = KeptHeader(run.changes[i], run.layout)
        outcome.header_digest = run.digests[i]
        outcome.former_digest = run.former_digests[i] if run.former_digests else ""
        outcome.exposures = (run.told.one(i),)
        return outcome


@dataclass(slots=True)
class Batch:
    """Files that were judged and are to be stored together, one by one or many at once.

    `walked` are the same files in the order they were met. Those that go one by one are stored
    before those that were told at once.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    many: list[ManyFiles] = field(default_factory=list)
    walked: list[Found] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.outcomes) + sum([len(files.found) for files in self.many])

    def add(self, other: "Batch") -> None:
        """Take in the files of another."""
        self.outcomes += other.outcomes
        self.many += other.many
        self.walked += other.walked

    def take_apart(self, is_to_be: Callable[[ManyFiles], bool]) -> None:
        """Go on one by one with files that were told at once but cannot be stored so."""
        parted = [files for files in self.many if is_to_be(files)]
        if parted:
            self.many = [files for files in self.many if not is_to_be(files)]
            self.outcomes += [outcome for files in parted for outcome in files.outcomes()]
            walked = enumerate(chain.from_iterable(self.walked))
            places = {seen.path: place for place, (seen, _) in walked}
            self.outcomes.sort(key=lambda outcome: places.get(outcome.seen.path, 0))
