"""Numbered pages of rows; of a long list of frames, near which id a page begins.

Counting a million rows, or skipping half of them, takes too long to do for each page; what was
counted is kept for a few seconds, and a deep page is entered by its id.
"""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import current_app
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute

from app.db import db
from app.models import Frame

KEEP_S: Final = 3.0
KEEP_TIMES: Final = 20  # what took long to count is kept so many times as long
STEP: Final = 1024  # ids counted together
DEEP: Final = 4 * STEP  # rows that are skipped sooner than they are counted by their ids
_MAX_KEPT: Final = 512
_EXTENSION: Final = "coelostat.counts"


Key = InstrumentedAttribute[Any]


@dataclass(frozen=True, slots=True)
class Numbered:
    """The rows of one page, its number from 1, and how many rows there are in all."""

    rows: Sequence[Any]
    number: int
    total: int


def rows_of(
    query: Select[Any], *, key: Key, number: int, size: int, newest_first: bool = True
) -> Numbered:
    """Return page `number` of a query in the order of the unique column `key`.

    A page near the end is read from the end, so that the last costs what the first does. A
    number past the last page gives the last one.
    """
    counted = select(func.count()).select_from(query.order_by(None).subquery())
    total = db.session.scalar(counted) or 0
    number = max(1, min(number, -(-total // size)))
    first = (number - 1) * size
    length = min(size, total - first)
    from_end = total - first - length
    is_reversed = from_end < first
    descending = newest_first != is_reversed
    ordered = query.order_by(key.desc() if descending else key.asc())
    skipped = from_end if is_reversed else first
    found = db.session.scalars(ordered.offset(skipped).limit(length)).all()
    return Numbered(found[::-1] if is_reversed else found, number, total)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was counted of the frames up to an id, and until when that is good."""

    value: Any
    newest: int
    until: float


@dataclass(frozen=True, slots=True)
class Numbering:
    """The frames that fulfil some conditions, newest first; `key` stands for the conditions."""

    key: Hashable
    conditions: Sequence[ColumnElement[bool]]

    def count(self) -> int:
        """Return how many they are.

        New frames are counted at once; that an old one was changed or removed, when what is
        kept has grown old.
        """
        query = select(func.count()).select_from(Frame).where(*self.conditions)
        kept = _kept(("count", self.key), lambda: db.session.scalar(query) or 0)
        return int(kept.value) + (db.session.scalar(query.where(Frame.id > kept.newest)) or 0)

    def window(self, query: Select[Any], *, start: int, stop: int) -> Sequence[Any]:
        """Return rows `start` to `stop` of a query that fulfils the conditions."""
        total = self.count()
        if start == 0 and total < stop:
            # The search for more would go through all frames; this one may end in an index.
            query = query.where(Frame.id.in_(select(Frame.id).where(*self.conditions)))
        stop = min(stop, total)
        if total - stop < min(start, DEEP):
            backwards = query.order_by(Frame.id).offset(total - stop).limit(stop - start)
            return db.session.scalars(backwards).all()[::-1]
        if start > DEEP:
            below, passed = _entry(self._steps(), start)
            query, start, stop = query.where(Frame.id < below), start - passed, stop - passed
        query = query.order_by(Frame.id.desc()).offset(start).limit(stop - start)
        return db.session.scalars(query).all()

    def _steps(self) -> Mapping[int, int]:
        """Return how many rows there are in each `STEP` of ids."""
        step = Frame.id // STEP
        query = select(step, func.count()).where(*self.conditions).group_by(step)
        kept = _kept(("steps", self.key), lambda: _pairs(query))
        found = dict(kept.value)
        for new, n in _pairs(query.where(Frame.id > kept.newest)).items():
            found[new] = found.get(new, 0) + n
        return found


def _entry(steps: Mapping[int, int], start: int) -> tuple[int, int]:
    """Return below which id row `start` lies, and how many rows lie above that id."""
    passed = 0
    for step, n in sorted(steps.items(), reverse=True):
        if passed + n > start:
            return (step + 1) * STEP, passed
        passed += n
    return 0, passed


def _pairs(query: Select[int, int]) -> dict[int, int]:
    return {int(step): int(n) for step, n in db.session.execute(query)}


def _kept(name: Hashable, make: Callable[[], Any]) -> _Kept:
    """Return what `make` gave, not long ago."""
    store: dict[Hashable, _Kept] = current_app.extensions.setdefault(_EXTENSION, {})
    now = time.monotonic()
    kept = store.get(name)
    if kept is not None and now < kept.until:
        return kept
    newest = db.session.scalar(select(func.max(Frame.id))) or 0
    value = make()
    took = time.monotonic() - now
    if len(store) >= _MAX_KEPT:
        store.clear()
    store[name] = kept = _Kept(value, newest, now + took + max(KEEP_S, KEEP_TIMES * took))
    return kept
