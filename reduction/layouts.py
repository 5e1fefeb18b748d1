"""The forms of headers: a camera writes the same keywords in the same order again and again."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from operator import ne
from struct import Struct
from typing import Any, Final

from reduction.cardvalues import text_of_card

CARD = 80
KEYWORD = 8
NO_VALUE = frozenset({"", "COMMENT", "HISTORY", "CONTINUE", "END"})
MAX_REMEMBERED = 65536  # bytes; a longer header is not one of a series
_COMMENTARY = frozenset({"", "COMMENT", "HISTORY", "END"})
_N_RECENT = 8  # layouts tried: a camera has a handful, a folder few cameras
_EQUALS = 0x3D
_END = b"END     "
_PRINTABLE = bytes(range(0x20, 0x7F))  # what a card may hold


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
        self._plan: Plan | None = None
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

    def match(self, buffer: bytes) -> "Match | None":
        """Compare the header `buffer` begins with; return None where it has another form.

        What changed before is compared card by card, what never did all at once.
        """
        plan = self._plan
        cards = None if plan is None else plan.match(buffer)
        return self._match_anew(buffer) if plan is None or cards is None else (plan, cards)

    def _match_anew(self, buffer: bytes) -> "Match | None":
        at = self.n_bytes
        if buffer[at : at + KEYWORD] != _END:
            return None
        changed = self.changed(self.split(buffer))
        if not all(card.startswith(self._heads[i]) for i, card in changed.items()):
            return None  # another keyword: perhaps END
        moved = () if self._plan is None else self._plan.numbers
        self._plan = plan = Plan(self, self._firsts[0], {*changed, *moved})
        return plan, plan.cards_of(buffer)

    def present(self, keywords: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of several keywords that are here, in their order."""
        found = self._present.get(keywords)
        if found is None:
            found = tuple([keyword for keyword in keywords if keyword in self.at])
            self._present[keywords] = found  # asked for by rules, of which there are so many
        return found


class Plan:
    """How a header is compared with the first of its layout.

    Attributes
    ----------
    layout : Layout
        Of both.
    numbers : tuple of int
        The cards that were not the same in all so far.
    firsts : tuple of bytes
        These, in the first header.
    cards_of : callable
        Returns these of a header.
    n_bytes : int
        What must be there to compare: the cards, and the keyword END.
    """

    __slots__ = (
        "_alike", "_alike_of", "_marks", "cards_of", "firsts", "layout", "n_bytes", "numbers"
    )  # fmt: skip

    def __init__(self, layout: Layout, first: tuple[bytes, ...], moving: set[int]) -> None:
        self.layout = layout
        self.numbers = tuple(sorted(moving))
        self._marks = [b"%d " % i for i in self.numbers]
        self.firsts = tuple([first[i] for i in self.numbers])
        self.n_bytes = layout.n_bytes + KEYWORD
        whole = b"".join(first) + _END
        ends = [(i * CARD + KEYWORD + 1, i * CARD + CARD) for i in self.numbers]
        edges = [0, *(edge for end in ends for edge in end), len(whole)]
        # What stands between the values that move: other cards, and the keywords of these.
        self._alike_of = cutter([slice(*edges[k : k + 2]) for k in range(0, len(edges), 2)])
        self._alike = self._alike_of(whole)
        self.cards_of = cutter([slice(i * CARD, i * CARD + CARD) for i in self.numbers])

    def match(self, buffer: bytes) -> tuple[bytes, ...] | None:
        """Return the cards that move of a header that is, but for these, the first one."""
        if len(buffer) < self.n_bytes or self._alike_of(buffer) != self._alike:
            return None
        return self.cards_of(buffer)

    def changed(self, cards: tuple[bytes, ...]) -> dict[int, bytes]:
        """Return those of the cards that differ from the first header's, by number."""
        told = zip(self.numbers, cards, self.firsts, strict=True)
        return {i: card for i, card, first in told if card != first}

    def changes_of(self, headers: Sequence[tuple[bytes, ...]]) -> list[str]:
        """Return what `changes_text` makes of what `changed` is of each header, at half the cost.

        A card that moves from night to night is the same in most headers of one.
        """
        told = zip(self._marks, self.firsts, zip(*headers, strict=True), strict=True)
        columns = [_lines(*one) for one in told]
        if any(lines is None for lines in columns):
            return [changes_text(self.changed(cards)) for cards in headers]
        rows = zip(*columns, strict=True) if columns else [()] * len(headers)
        return [b"".join(row)[:-1].decode("ascii") for row in rows]


def _lines(mark: bytes, first: bytes, cards: Sequence[bytes]) -> list[bytes] | None:
    """Return the line each header has for one of its cards, empty where that is the first's.

    None where one holds what no card may.
    """
    kinds = {*cards}
    is_told_often = 2 * len(kinds) < len(cards)
    some = kinds if is_told_often else cards
    lines = [b"" if card == first else mark + card.rstrip(b" ") + b"\n" for card in some]
    others = b"".join(lines).translate(None, _PRINTABLE)
    if len(others) > len(lines) - lines.count(b""):  # not the line ends alone
        return None
    if not is_told_often:
        return lines
    of_card = dict(zip(some, lines, strict=True))
    return [of_card[card] for card in cards]


# How a header that follows the plan of its layout is compared, and its cards that may differ.
Match = tuple[Plan, tuple[bytes, ...]]


def cutter(parts: list[slice]) -> Callable[[bytes], tuple[bytes, ...]]:
    """Return what cuts parts out of bytes that are long enough; they stand one behind the other."""
    form, at = "", 0
    for part in parts:
        form += f"{part.start - at}x{part.stop - part.start}s"
        at = part.stop
    return Struct(form).unpack_from


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

    def match(self, buffer: bytes) -> Match | None:
        """Find the layout of the header `buffer` begins with."""
        for layout in self.layouts:
            found = layout.match(buffer)
            if found is not None:
                return found
        return None

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


def changes_text(changed: Mapping[int, bytes]) -> str:
    """Return what `cards.changed_text` is told of the cards that differ, by their numbers."""
    return "\n".join([f"{i} {text_of_card(card)}" for i, card in changed.items()])


def lines_text(lines: list[str]) -> str:
    """Return the text of a header: its cards, one a line, and END."""
    return "\n".join([*lines, "END"])
