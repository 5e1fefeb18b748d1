"""What was read of one header serves every other that says the same.

The frames of one camera differ in a handful of cards. A reader is given cards that note which of
them it looked at; in another header of the same layout in which those are the same, byte for byte,
it would find, for certain, the same again.
"""

from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from reduction.cards import CARD, Cards
from reduction.cardvalues import Value

Result = TypeVar("Result")

_MAX_RESULTS = 32  # of one purpose and layout: exposures, bands and objects of a night
_MAX_PURPOSES = 64  # of one layout
_NOTHING: Any = object()


class _Watched(Cards):
    """Cards that note which of them were read."""

    __slots__ = ("read",)

    def __init__(self, cards: Cards) -> None:
        super().__init__(cards.raw_bytes)
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


class _Form(NamedTuple):
    """Results whose readers looked at the same cards, by what those said."""

    read: tuple[int, ...]
    looked_at: Callable[[Any], Hashable]
    results: dict[Hashable, Any]


class _Memory:
    """The results of one purpose in one layout; `forms` is replaced, never changed, for threads."""

    __slots__ = ("forms", "is_useless", "n_hits", "n_results")

    def __init__(self) -> None:
        self.is_useless = False
        self.forget()

    def forget(self) -> None:
        self.forms: tuple[_Form, ...] = ()
        self.n_hits = self.n_results = 0

    def keep(self, cards: _Watched, result: object) -> None:
        if self.n_results >= _MAX_RESULTS:
            self.is_useless = self.n_hits < self.n_results  # frames that all differ in it
            self.forget()
        read = tuple(cards.read)
        form = next((form for form in self.forms if form.read == read), None)
        if form is None:
            form = _Form(read, itemgetter(*read) if read else len, {})
            self.forms = (*self.forms, form)
        form.results[form.looked_at(cards.single())] = result
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
    single = cards.single()
    for _, looked_at, results in memory.forms:
        known = results.get(looked_at(single), _NOTHING)
        if known is not _NOTHING:
            memory.n_hits += 1
            return known  # type: ignore[no-any-return]
    watched = _Watched(cards)
    result = read(watched)
    memory.keep(watched, result)
    return result
