"""What was read of one header serves every other that says the same.

The frames of one camera differ in a handful of cards. A reader is given cards that note which of
them it looked at; in another header of the same layout in which those are the same, byte for byte,
it would find, for certain, the same again.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from reduction.cards import Cards
from reduction.cardvalues import Value
from reduction.layouts import CARD, Layout

Result = TypeVar("Result")

_MAX_RESULTS = 32  # of one purpose and layout: exposures, bands and objects of a night
_MAX_PURPOSES = 64  # of one layout
_NOTHING: Any = object()


class _Watched(Cards):
    """Cards that note which of them were read."""

    __slots__ = ("read",)

    def __init__(self, cards: Cards) -> None:
        # Of the very same layout: what changed is told by its first header.
        super().__init__(cards.raw_bytes, known=(cards.layout, cards.changed()))
        self.read: dict[int, None] = {}

    def _note(self, keyword: str) -> None:
        at = self._find(keyword)
        if at is not None:
            self.read[at // CARD] = None

    def get(self, keyword: str, default: Value = None) -> Value:  # type: ignore[override]
        self._note(keyword)
        return super().get(keyword, default)

    def text(self, keyword: str) -> str:
        self._note(keyword)
        return super().text(keyword)

    def raw(self, keyword: str) -> str:
        self._note(keyword)
        return super().raw(keyword)

    def comment(self, keyword: str) -> str:
        self._note(keyword)
        return super().comment(keyword)

    def commentary(self, keyword: str) -> list[str]:
        word = keyword.encode("latin-1").ljust(8)
        self.read |= {i: None for i, one in enumerate(self.single()) if one.startswith(word)}
        return super().commentary(keyword)


class _Kept(NamedTuple):
    """Results, by the cards any of their readers looked at that differ from the layout's first.

    A reader looked at no card but those in `read`. Where a header has the same key it therefore
    differs from the one a result was made of only in cards that its reader did not look at. A
    key says nothing beside another `read`: with it all results get new keys, or are dropped.
    """

    read: frozenset[int]
    results: dict[Hashable, Any]

    def key(self, changed: Mapping[int, bytes]) -> Hashable:
        read = self.read
        if read.isdisjoint(changed):
            return ()
        found = [i for i in changed if i in read]
        return (*found, *[changed[i] for i in found])


_NOTHING_KEPT: Final = _Kept(frozenset(), {})


class _Memory:
    """The results of one purpose in one layout; `kept` is replaced where `read` grows."""

    __slots__ = ("is_useless", "kept", "n_hits", "n_results")

    def __init__(self) -> None:
        self.is_useless = False
        self.forget()

    def forget(self) -> None:
        self.kept = _NOTHING_KEPT
        self.n_hits = self.n_results = 0

    def keep(self, cards: _Watched, result: object) -> None:
        if self.n_results >= _MAX_RESULTS:
            self.is_useless = self.n_hits < self.n_results  # frames that all differ in it
            self.forget()
        kept = self.kept
        if kept is _NOTHING_KEPT or not kept.read.issuperset(cards.read):
            # What was kept was made of headers that are gone: their new keys are not known.
            kept = _Kept(kept.read.union(cards.read), {})
        kept.results[kept.key(cards.changed())] = result
        self.kept = kept
        self.n_results += 1


def remembered(cards: Cards, purpose: Hashable, read: Callable[[Cards], Result]) -> Result:
    """Return what a reader makes of cards, from memory where it cannot be anything else.

    Parameters
    ----------
    cards : Cards
        With another header behind them, or with values over several cards, they are always read.
    purpose : hashable
        Names the reader and has everything its result depends on besides the cards.
    read : callable
        Raises, or returns what nobody changes; it may look at `cards` in any way but iteration.

    Returns
    -------
    The result of `read`, of these cards or of others that say the same.
    """
    if not cards.alone or type(cards) is _Watched:  # an outer reader must see what is read
        return read(cards)
    notes = cards.layout.notes
    memory = notes.get(purpose)
    if memory is None:
        if len(notes) >= _MAX_PURPOSES:
            notes.clear()
        memory = notes[purpose] = _Memory()
    if memory.is_useless:
        return read(cards)
    kept = memory.kept
    known = kept.results.get(kept.key(cards.changed()), _NOTHING)
    if known is not _NOTHING:
        memory.n_hits += 1
        return known  # type: ignore[no-any-return]
    watched = _Watched(cards)
    result = read(watched)
    memory.keep(watched, result)
    return result


class Recalled(NamedTuple):
    """A result from memory, and the cards it and others of its purpose depend on, by number."""

    found: Any
    read: frozenset[int]


def recalled(layout: Layout, changed: Mapping[int, bytes], purpose: Hashable) -> Recalled | None:
    """Return what `remembered` has in memory for a header, None where it would read.

    Parameters
    ----------
    layout : Layout
        Of the header, which has no other behind it.
    changed : mapping
        Its cards that differ from the first of the layout, by number.
    purpose : hashable
        As `remembered` was told.
    """
    memory: _Memory | None = layout.notes.get(purpose)
    kept = _NOTHING_KEPT if memory is None else memory.kept
    found = kept.results.get(kept.key(changed), _NOTHING)
    if memory is None or found is _NOTHING:
        return None
    memory.n_hits += 1
    return Recalled(found, kept.read)
