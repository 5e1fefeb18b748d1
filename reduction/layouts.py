"""The forms of headers: a camera writes the same keywords in the same order again and again."""

from functools import lru_cache
from itertools import compress, pairwise
from operator import ne
from struct import Struct
from typing import Any, Final, NamedTuple

from reduction.cardvalues import text_of_card

CARD = 80
KEYWORD = 8
NO_VALUE = frozenset({"", "COMMENT", "HISTORY", "CONTINUE", "END"})
MAX_REMEMBERED = 65536  # bytes; a longer header is not one of a series
_COMMENTARY = frozenset({"", "COMMENT", "HISTORY", "END"})
_N_RECENT = 8  # layouts tried: a camera has a handful, a folder few cameras
_EQUALS = 0x3D
_END = b"END     "


class Layout:
    """Where the keywords of a header stand; all headers of one form share it.

    Attributes
    ----------
    at : dict
        Keyword to the offset of its value field.
    plain : bool
        Whether all keywords are in their eight columns and no string is continued.
    n_bytes : int
        Of its cards, without END.
    split : callable
        Parts such a header into its cards.
    notes : dict
        What is remembered of such headers (`reduction.remembered`).
    """

    __slots__ = (
        "_firsts", "_heads", "_plan", "_present", "at", "n_bytes", "notes", "plain", "split"
    )  # fmt: skip

    def __init__(self, columns: bytes, n_cards: int) -> None:
        self.at: dict[str, int] = {}
        self.plain = True
        self.n_bytes = n_cards * CARD
        self.notes: dict[Any, Any] = {}
        self.split = Struct(f"{CARD}s" * n_cards).unpack_from
        self._firsts: dict[int, tuple[bytes, ...]] = {}
        self._plan: _Plan | None = None
        self._present: dict[tuple[str, ...], tuple[str, ...]] = {}
        column = [columns[i * n_cards : (i + 1) * n_cards] for i in range(KEYWORD + 1)]
        self._heads = [bytes(letters) for letters in zip(*column, strict=True)]
        for i, letters in enumerate(zip(*column, strict=True)):
            keyword = bytes(letters[:KEYWORD]).decode("latin-1").rstrip().upper()
            if letters[KEYWORD] == _EQUALS and keyword not in NO_VALUE:
                self.at.setdefault(keyword, i * CARD + KEYWORD + 1)
            elif keyword not in _COMMENTARY:
                self.plain = False

    def changed(self, single: tuple[bytes, ...]) -> dict[int, bytes]:
        """Return the cards that differ from those of the first header of this form, by number."""
        first = self._firsts.setdefault(0, single)  # one and the same for all threads, for good
        numbers = compress(range(len(single)), map(ne, single, first))
        return {i: single[i] for i in numbers}

    @property
    def text(self) -> str:
        """The text of the first header of this form, "" where there was none yet."""
        first = self._firsts.get(0)
        return "" if first is None else lines_text([*map(text_of_card, first)])

    def match(self, buffer: bytes) -> dict[int, bytes] | None:
        """Return what changed in the header `buffer` begins with; None where it has another form.

        What changed before is compared card by card, what never did all at once.
        """
        at = self.n_bytes
        if buffer[at : at + KEYWORD] != _END:
            return None
        plan = self._plan
        if plan is None:
            return self._match_anew(buffer)
        for part, alike in plan.fixed:
            if buffer[part] != alike:
                return self._match_anew(buffer)
        changed: dict[int, bytes] = {}
        for i, part, first, head in plan.moving:
            card = buffer[part]
            if card != first:
                if not card.startswith(head):  # another keyword: perhaps END
                    return None
                changed[i] = card
        return changed

    def _match_anew(self, buffer: bytes) -> dict[int, bytes] | None:
        changed = self.changed(self.split(buffer))
        if not all(card.startswith(self._heads[i]) for i, card in changed.items()):
            return None
        moved = () if self._plan is None else self._plan.moving
        self._plan = self._plan_with({*changed, *(i for i, *_ in moved)})
        return changed

    def _plan_with(self, moving: set[int]) -> "_Plan":
        first = self._firsts[0]
        ends = [-1, *sorted(moving), len(first)]
        fixed = [
            (slice((i + 1) * CARD, j * CARD), b"".join(first[i + 1 : j]))
            for i, j in pairwise(ends)
            if j > i + 1
        ]
        cards = [
            (i, slice(i * CARD, i * CARD + CARD), first[i], self._heads[i]) for i in ends[1:-1]
        ]
        return _Plan(tuple(fixed), tuple(cards))

    def present(self, keywords: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of several keywords that are here, in their order."""
        found = self._present.get(keywords)
        if found is None:
            found = tuple([keyword for keyword in keywords if keyword in self.at])
            self._present[keywords] = found  # asked for by rules, of which there are so many
        return found


class _Plan(NamedTuple):
    """How a header is compared with the first of its layout.

    `fixed` has parts of it that were the same in all so far; `moving` number, part, first card
    and keyword of the cards that were not.
    """

    fixed: tuple[tuple[slice, bytes], ...]
    moving: tuple[tuple[int, slice, bytes, bytes], ...]


_remembered_layout = lru_cache(maxsize=128)(Layout)


def layout_of(raw: bytes) -> Layout:
    """Return the layout of a header's cards, the same for all that have it."""
    n_cards = len(raw) // CARD
    columns = b"".join([raw[i : n_cards * CARD : CARD] for i in range(KEYWORD + 1)])
    build = _remembered_layout if len(raw) <= MAX_REMEMBERED else Layout
    return build(columns, n_cards)


class _Recent:
    """The layouts met last; tried in turn, for a camera writes the same header again and again."""

    __slots__ = ("layouts", "n_bytes")

    def __init__(self) -> None:
        self.layouts: tuple[Layout, ...] = ()  # replaced, never changed, for threads
        self.n_bytes = 0  # of the longest, with its END

    def add(self, layout: Layout) -> None:
        """Look out for headers of a layout from now on."""
        if layout.plain and layout.n_bytes <= MAX_REMEMBERED:
            others = [other for other in self.layouts if other is not layout]
            self.layouts = (layout, *others[: _N_RECENT - 1])
            self.n_bytes = CARD + max(layout.n_bytes for layout in self.layouts)


recent: Final = _Recent()


def forget_layouts() -> None:
    """Forget every layout, with all that is remembered of it."""
    _remembered_layout.cache_clear()
    recent.layouts, recent.n_bytes = (), 0


def lines_text(lines: list[str]) -> str:
    """Return the text of a header: its cards, one a line, and END."""
    return "\n".join([*lines, "END"])
