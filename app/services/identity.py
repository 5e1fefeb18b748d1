"""Telling files apart: by size and header, and by their content where those are the same."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Row, func, or_, select
from sqlalchemy.orm import aliased

from app.db import db
from app.models import FileState, Frame, ScannedFile
from app.services.filewalk import is_gone
from app.services.outcomes import Batch, Outcome
from reduction import fitsio
from reduction.digests import BEHIND_FORMER

MOVED: Final = "moved"
_REGISTERED: Final = FileState.REGISTERED  # looked up once: an enum is slow to ask
_HAS_CONTENT: Final = (str(FileState.REGISTERED), str(FileState.MISSING))


_Key = tuple[int, str]  # size and header digest


class Twin(NamedTuple):
    """A file whose size and header are those of another: stored, or of this very batch."""

    file_id: int | None
    path: str
    mtime_ns: int
    content_sha256: str
    outcome: Outcome | None = None


def _twin(outcome: Outcome) -> Twin:
    return Twin(None, outcome.seen.path, outcome.seen.mtime_ns, "", outcome)


@dataclass(slots=True)
class Comparison:
    """Finds duplicates, moved files and replaced contents among the files of one batch.

    `hashes` collects the SHA-256 of files that were stored without one, by file id.
    """

    raw: Path
    hashes: dict[int, str] = field(default_factory=dict)

    def settle(self, batch: Batch) -> None:
        """Change the outcomes of files that are not new for what they are."""
        registered = [o for o in batch.outcomes if o.state is _REGISTERED]
        digests = [outcome.header_digest for outcome in registered]
        digests += [digest for files in batch.many for digest in files.run.digests]
        former = {o.former_digest: o.header_digest for o in registered if o.former_digest}
        for run in [files.run for files in batch.many if files.run.former_digests]:
            former |= zip(run.former_digests, run.digests, strict=True)
        twins = _known_twins({*digests, *former}, former, _known_ids(registered))
        again = {digest for _, digest in twins} | _repeated(digests)
        batch.take_apart(lambda files: not again.isdisjoint(files.run.digests))
        registered = [o for o in batch.outcomes if o.state is _REGISTERED]
        self._find_replaced(registered)
        alone: dict[_Key, Outcome] = {}
        for outcome in registered:
            key = outcome.seen.size, outcome.header_digest
            alike = twins.get(key)
            if alike is None:
                first = alone.setdefault(key, outcome)
                if first is outcome:
                    continue
                alike = twins[key] = [_twin(first)]
            self._compare(outcome, alike)
            if outcome.state is _REGISTERED:
                alike.append(_twin(outcome))

    def _compare(self, outcome: Outcome, alike: Sequence[Twin]) -> None:
        others = [twin for twin in alike if twin.path != outcome.seen.path]
        gone = [twin for twin in others if is_gone(self.raw / twin.path)]
        # What lies there comes first: of two copies that moved, the second is still a copy.
        for twin in (twin for twin in others if twin not in gone):
            if self._is_same(outcome, twin):
                reason = f"The same content as {twin.path}."
                outcome.become(FileState.DUPLICATE, "duplicate", reason)
                outcome.duplicate_of = twin.path
                return
        for twin in gone:
            if twin.file_id is not None and self._has_come_from(outcome, twin):
                outcome.moved_from = twin.file_id
                return

    def _is_same(self, outcome: Outcome, twin: Twin) -> bool:
        try:
            theirs = self._hash_of(twin)
            return self._own_hash(outcome) == theirs
        except OSError:
            return False  # what cannot be compared is not called a duplicate

    def _has_come_from(self, outcome: Outcome, twin: Twin) -> bool:
        """Tell whether a file is one that is gone from its old path.

        Where the old file's content was never read, its time of change decides: moving a file
        keeps it.
        """
        if not twin.content_sha256:
            return twin.mtime_ns == outcome.seen.mtime_ns
        try:
            return self._own_hash(outcome) == twin.content_sha256
        except OSError:
            return False

    def _own_hash(self, outcome: Outcome) -> str:
        if not outcome.content_sha256:
            outcome.content_sha256 = fitsio.content_sha256(self.raw / outcome.seen.path)
        return outcome.content_sha256

    def _hash_of(self, twin: Twin) -> str:
        """Return the twin's hash as it is now: it may have been rewritten since it was stored."""
        if twin.outcome is not None:
            return self._own_hash(twin.outcome)
        path = self.raw / twin.path
        if twin.content_sha256 and path.stat().st_mtime_ns == twin.mtime_ns:
            return twin.content_sha256
        found = fitsio.content_sha256(path)
        if twin.file_id is not None and path.stat().st_mtime_ns == twin.mtime_ns:
            self.hashes[twin.file_id] = found
        return found

    def _find_replaced(self, registered: Sequence[Outcome]) -> None:
        """Mark files whose frames were made from other pixels; keep the hash of the others."""
        before = {o.known.file_id: (o, o.known) for o in registered if o.known is not None}
        for row in _contents_before(list(before)) if before else ():
            outcome, known = before[row.id]
            digests = outcome.header_digest, outcome.former_digest
            if row.header_digest not in digests or known.size != outcome.seen.size:
                outcome.is_replaced = True
            elif row.sha256 and not known.is_as_seen(outcome.seen):
                try:
                    outcome.is_replaced = self._own_hash(outcome) != row.sha256
                except OSError:
                    outcome.is_replaced = True
            else:
                outcome.content_sha256 = row.sha256 or ""


# As text: to put thousands of digests into a statement takes SQLAlchemy as long as to look them
# up. It leaves the states to us: SQLite would take their index for it, and go through all files.
_FILES: Final = str(
    select(
        ScannedFile.size,
        ScannedFile.header_digest,
        ScannedFile.id,
        ScannedFile.path,
        ScannedFile.mtime_ns,
        ScannedFile.content_sha256,
        ScannedFile.state,
        ScannedFile.code,
    )
)


_FORMER: Final = (
    select(ScannedFile.id)
    .where(ScannedFile.header_digest > "", ScannedFile.header_digest < BEHIND_FORMER)
    # Of these no file is a copy. Asked for the others, SQLite would take the index of states.
    .where(ScannedFile.state.not_in((FileState.DUPLICATE, FileState.QUARANTINED)))
    .where(ScannedFile.code != MOVED)
    .limit(1)
)


def has_former_digests() -> bool:
    """Tell whether headers of stored files have the digest they had before."""
    return db.session.scalar(_FORMER) is not None


def _known_twins(
    digests: Set[str], former: Mapping[str, str], own: Set[int]
) -> dict[_Key, list[Twin]]:
    """Return stored files whose headers are among some; those with `own` ids are left out.

    `former` has the digest of today by that of before.
    """
    if not digests:
        return {}
    connection = db.session.connection()
    mark = "?" if connection.dialect.positional else "%s"
    marks = ", ".join([mark] * len(digests))
    query = f"{_FILES} WHERE header_digest IN ({marks}) ORDER BY id"
    twins: dict[_Key, list[Twin]] = {}
    for row in connection.exec_driver_sql(query, tuple(digests)):
        if row.id not in own and row.state in _HAS_CONTENT and row.code != MOVED:
            twin = Twin(row.id, row.path, row.mtime_ns, row.content_sha256)
            digest = former.get(row.header_digest, row.header_digest)
            twins.setdefault((row.size, digest), []).append(twin)
    return twins


def _known_ids(outcomes: Iterable[Outcome]) -> set[int]:
    return {outcome.known.file_id for outcome in outcomes if outcome.known is not None}


def _repeated(digests: Sequence[str]) -> set[str]:
    if len(set(digests)) == len(digests):
        return set()
    return {digest for digest, n in Counter(digests).items() if n > 1}


def _contents_before(file_ids: Sequence[int]) -> Sequence[Row[tuple[int, str, str]]]:
    """Return id, header digest and content hash of the files that have frames.

    The first job that reads a frame's pixels notes their hash with the frame.
    """
    of_frame = select(func.max(Frame.content_sha256)).where(Frame.file_id == ScannedFile.id)
    hashed = func.coalesce(func.nullif(ScannedFile.content_sha256, ""), of_frame.scalar_subquery())
    query = (
        select(ScannedFile.id, ScannedFile.header_digest, hashed.label("sha256"))
        .where(ScannedFile.id.in_(file_ids))
        .where(of_frame.exists())
    )
    return db.session.execute(query).all()


def orphans() -> Sequence[ScannedFile]:
    """Return the duplicates whose original is gone or has other content by now."""
    original = aliased(ScannedFile)
    query = (
        select(ScannedFile)
        .join(original, ScannedFile.duplicate_of_id == original.id)
        .where(ScannedFile.state == FileState.DUPLICATE)
        .where(
            or_(
                original.state.not_in((FileState.REGISTERED, FileState.DUPLICATE)),
                original.content_sha256 != ScannedFile.content_sha256,
            )
        )
        .order_by(ScannedFile.path)
    )
    return db.session.scalars(query).all()
