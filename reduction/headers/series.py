"""Telling many files at once that differ from others before them in nothing but usual values."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final, NamedTuple

from reduction.camera import CameraProfile, Observatory
from reduction.cards import Cards
from reduction.digests import former_digest, header_digest
from reduction.filestart import FileStart
from reduction.frameinfo import FrameInfo, ToldColumns
from reduction.guard import LIMITS, known_promise
from reduction.headers.forms import Form
from reduction.headers.kinds import names_say
from reduction.headers.translate import purpose, wheres
from reduction.headers.usual import A_DAY, Usual, tell_all
from reduction.layouts import Layout, Plan, recent
from reduction.remembered import recalled

_FITS, _END_BYTES = b"SIMPLE  =", len(b"END")
_MAX_ALIKE: Final = 1024  # combinations of kind, object, band, temperature in one layout
_MovingCards = tuple[bytes, ...]


class Run(NamedTuple):
    """Files of one form, what is told of them a column each.

    Attributes
    ----------
    places : sequence of int
        Which of the files that were asked for.
    layout : Layout
        Of their headers, which are the only ones in them.
    changes : list of str
        What differs from the first header of the layout, as `FileHeaders.changes` has it.
    digests, former_digests : list of str
        Of the headers, as `FileHeaders` has them; the former only where they were asked for.
    told : ToldColumns
        What `translate` would find.
    """

    places: Sequence[int]
    layout: Layout
    changes: list[str]
    digests: list[str]
    former_digests: list[str]
    told: ToldColumns


class Series:
    """Tells the frames of files that differ from others before them in nothing but usual values.

    What `translate` learned of their camera is used; it must have the same said of the site.

    Parameters
    ----------
    profiles, site, now
        As `translate` takes them.
    has_former : bool
        Whether the digests of before are asked for, too.
    """

    __slots__ = ("_has_former", "_known", "_latest", "_where")

    def __init__(
        self,
        profiles: Sequence[CameraProfile],
        site: Observatory | None,
        now: datetime,
        *,
        has_former: bool = False,
    ) -> None:
        self._where = wheres.of(profiles, site)
        self._latest = now + A_DAY
        self._has_former = has_former
        self._known: dict[Plan, _Alike] = {}

    def tell(self, starts: Sequence[FileStart | None], file_names: Sequence[str]) -> list[Run]:
        """Tell what files hold; those in no run have to be read and translated by all rules.

        Parameters
        ----------
        starts : sequence of FileStart or None
            How the files begin; None is passed over.
        file_names : sequence of str
            Without their folders.

        Returns
        -------
        list of Run
            Each file is in one of them at most.
        """
        runs: list[Run | None] = []
        for plan, files in _matched(starts).items():
            said = names_say([file_names[place] for place in files.places])
            ones = self._ones(plan, files, said)
            sized = [*zip(ones, files.statuses, strict=True)]
            for form in dict.fromkeys([one.form for one in ones if one is not None]):
                kept = [
                    i
                    for i, (one, status) in enumerate(sized)
                    if one is not None and one.form is form and status.st_size in one.sizes
                ]
                told = [one for one in map(ones.__getitem__, kept) if one is not None]
                runs.append(self._run(plan, files.some(kept), told))
        return [run for run in runs if run is not None]

    def _ones(
        self, plan: Plan, files: "_Files", said: Sequence[str | None]
    ) -> "Sequence[_One | None]":
        """Return for each file what it has in common with others, None where that is not known."""
        alike = self._known.get(plan)
        if alike is None:
            ones: list[_One | None] = [None] * len(said)
        else:
            keys = zip(map(alike.pick, files.cards), said, strict=True)
            ones = [*map(alike.found.get, keys)]
        if None in ones:
            for i, one in enumerate(ones):
                ones[i] = one or self._look_up(plan, files.cards[i], files.heads[i], said[i])
        return ones

    def _run(self, plan: Plan, files: "_Files", ones: "Sequence[_One]") -> Run | None:
        """Tell files of one form but for those that say something in another way."""
        if not ones:
            return None
        usuals, bases = [one.usual for one in ones], [one.base for one in ones]
        kept, told = tell_all(usuals, bases, files.heads, self._latest)
        files = files.some(kept)
        if not kept:
            return None
        layout, changes = plan.layout, plan.changes_of(files.cards)
        end = layout.n_bytes + _END_BYTES
        digests = [header_digest(head[:end]) for head in files.heads]
        asked = files.heads if self._has_former else ()
        former = [former_digest(head[:end]) for head in asked]
        return Run(files.places, layout, changes, digests, former, told)

    def _look_up(
        self, plan: Plan, cards: _MovingCards, head: bytes, said: str | None
    ) -> "_One | None":
        """Find what was remembered of a header that says the same, and keep it by what it says."""
        layout, changed = plan.layout, plan.changed(cards)
        promise = known_promise(layout, changed, LIMITS)
        if promise is None:
            return None
        known = recalled(layout, changed, purpose(0, promise.shape, said, self._where))
        usual: Usual | None = None if known is None else known.found.usual
        header = Cards(head[: layout.n_bytes], known=(layout, changed))
        base = None if usual is None else usual.base_of(header)
        if known is None or usual is None or base is None:
            return None
        one = _One(promise.sizes, usual.form, usual, base)
        alike = self._known.get(plan)
        watched = promise.read | known.read | usual.read_cards
        if alike is None or not alike.watches(watched) or len(alike.found) >= _MAX_ALIKE:
            before = frozenset() if alike is None else alike.watched
            alike = self._known[plan] = _Alike(plan, watched | before)
        alike.found[alike.pick(cards), said] = one
        return one


class _Files(NamedTuple):
    """Files of one plan: which, their first bytes, status and cards that may differ from others."""

    places: Sequence[int]
    heads: Sequence[bytes]
    statuses: Sequence[os.stat_result]
    cards: Sequence[_MovingCards]

    def some(self, kept: Sequence[int]) -> "_Files":
        """Return those at some of the places."""
        if len(kept) == len(self.places):
            return self
        return _Files._make([[column[i] for i in kept] for column in self])


def _matched(starts: Sequence[FileStart | None]) -> dict[Plan, _Files]:
    """Compare the beginnings of files with headers met lately; return those that have the form.

    Most are as the one before, so that a plan is tried with all that are left.
    """
    found: dict[Plan, _Files] = {}
    left = [(place, *start) for place, start in enumerate(starts) if start is not None]
    while left:
        _, head, _ = left[0]
        match = recent.match(head) if head.startswith(_FITS) else None
        if match is None:
            del left[0]
            continue
        plan, _ = match
        tried = [(*one, plan.match(one[1])) for one in left]
        fitting = [one for one in tried if one[-1] is not None]
        left = [] if len(fitting) == len(left) else [one[:-1] for one in tried if one[-1] is None]
        found[plan] = _Files._make(zip(*fitting, strict=True))
    return found


class _One(NamedTuple):
    """What files have in common: the sizes they may have, and how they tell the rest."""

    sizes: range
    form: Form
    usual: Usual
    base: FrameInfo


class _Alike:
    """What was found of headers, by those of the cards in which they may differ that matter."""

    __slots__ = ("_plan", "found", "pick", "watched")

    def __init__(self, plan: Plan, watched: frozenset[int]) -> None:
        self.found: dict[tuple[object, str | None], _One] = {}
        self._plan = plan
        self.watched = watched
        places = [k for k, i in enumerate(plan.numbers) if i in watched]
        self.pick: Callable[[_MovingCards], object] = itemgetter(*places) if places else len

    def watches(self, numbers: frozenset[int]) -> bool:
        """Tell whether these cards are among those that are looked at."""
        return self.watched.issuperset(numbers.intersection(self._plan.numbers))
