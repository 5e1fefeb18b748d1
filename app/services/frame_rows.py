"""The rows of new frames, made of what their headers tell: one by one, or column by column."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import select

from app.db import db
from app.models import Proposal
from app.paths import RAW_PREFIX
from app.services import proposal_code
from app.services.cameras import CameraBook
from app.services.header_texts import HeaderBook
from app.services.outcomes import ManyFiles, Outcome
from app.services.registration import (
    OWN,
    SeriesPart,
    Steady,
    first_columns,
    own_values,
    series_part,
    steady_part,
)
from reduction.frameinfo import FrameInfo
from reduction.layouts import Layout

Columns = dict[str, Any]
FrameRow = tuple[Columns, list[Any]]  # what a row shares with others of the batch, and its own

# Of a frame's columns those in which it differs from others, in the order of its row.
OWN_OF_FRAME: Final = (
    *OWN,
    *("path", "part", "file_name", "size", "content_sha256"),
    *("header_text", "header_changes", "header_base_id", "file_id"),
)
NIGHT: Final = OWN_OF_FRAME.index("night")
LINKS: Final = slice(OWN_OF_FRAME.index("header_base_id"), None)  # ids that are known last


@dataclass(frozen=True, slots=True)
class Books:
    """What is known of cameras and their headers, for the length of one scan."""

    cameras: CameraBook = field(default_factory=CameraBook)
    headers: HeaderBook = field(default_factory=HeaderBook)


class ManyRows(NamedTuple):
    """The rows of frames told at once: what each shares, and columns, those of `LINKS` not yet."""

    shared: Sequence[Columns]
    own: Sequence[Sequence[Any]]
    layout: Layout


class _Alike(NamedTuple):
    """What frames have in common: in shared columns, and in their own."""

    shared: Columns
    own: SeriesPart


class FrameRows:
    """Makes the rows of a batch's frames; what those of a camera share is made once."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._shared: dict[tuple[int, int], Columns] = {}
        self._of_series: dict[tuple[int, int], _Alike] = {}
        self._held: list[object] = []  # for their ids are keys

    def of_outcome(self, outcome: Outcome) -> list[FrameRow]:
        """Return the rows of a registered file's exposures, without the ids of other tables."""
        path, size = outcome.seen[:2]
        text, layout = outcome.header
        texts = (text, "") if layout is None else ("", text)
        own = path.rpartition("/")[2], size, outcome.content_sha256, *texts, None, None
        path = f"{RAW_PREFIX}/{path}"
        rows: list[FrameRow] = []
        for part, told in enumerate(outcome.exposures):
            shared, alike = self._alike(told.base, told.doubts)
            rows.append((shared, [*own_values(told, alike), path, part, *own]))
        return rows

    def of_many(self, files: ManyFiles) -> ManyRows:
        """Return the rows of files that were told at once."""
        _, ra, dec, airmass, start, middle, night, _ = told = files.run.told
        keys = zip(map(id, told.base), map(id, told.doubts), strict=True)
        known = [*map(self._of_series.get, keys)]
        if None in known:
            known = [*map(self._alike, told.base, told.doubts)]
        alike = [one for one in known if one is not None]
        paths, sizes, *_ = zip(*files.seen, strict=True)
        n = len(paths)
        own = (
            *(ra, dec, airmass, start, middle, night),
            *zip(*[one.own for one in alike], strict=True),
            [f"{RAW_PREFIX}/{path}" for path in paths],
            [0] * n,
            [path.rpartition("/")[2] for path in paths],
            *(sizes, [""] * n, [""] * n, files.run.changes),
        )
        return ManyRows([one.shared for one in alike], own, files.run.layout)

    def _alike(self, base: FrameInfo, doubts: Mapping[str, str]) -> _Alike:
        """Return what a frame shares with others: those of one series share it all."""
        key = id(base), id(doubts)
        alike = self._of_series.get(key)
        if alike is None:
            steady = steady_part(base)
            part = series_part(base, doubts, steady.doubts)
            alike = self._of_series[key] = _Alike(self._shared_of(base, steady), part)
            self._held += [base, doubts]
        return alike

    def _shared_of(self, info: FrameInfo, steady: Steady) -> Columns:
        columns, camera_id = steady.columns, self._books.cameras.id_of(info)
        shared = self._shared.get((id(columns), camera_id))
        if shared is None:
            shared = {**columns, **first_columns(info), "camera_id": camera_id}
            self._shared[id(columns), camera_id] = shared
            self._held.append(columns)
        return shared

    def link_proposals(self) -> None:
        """Put the ids of proposals into all rows, in the open transaction."""
        proposals = _proposals(self._shared.values())
        for shared in self._shared.values():
            shared["proposal_id"] = proposals.get(shared["proposal_code"])


def _proposals(rows: Iterable[Columns]) -> dict[str | None, int]:
    """Return the ids of the proposals the headers name; an unknown code becomes a bare one."""
    codes = {row["proposal_code"] for row in rows} - {None, ""}
    if not codes:
        return {}
    query = select(Proposal.code, Proposal.id).where(Proposal.code.in_(codes))
    ids: dict[str | None, int] = {}
    ids |= dict(db.session.execute(query).all())
    for code in sorted(codes - set(ids)):
        ids[code] = proposal_code.of_code(code).id
    return ids
