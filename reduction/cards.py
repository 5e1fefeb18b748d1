"""FITS header cards: read lazily from their raw bytes, and the headers of a file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reduction.cardvalues import Value, decode, parse_comment, parse_text, parse_value, text_of_card
from reduction.digests import former_digest, header_digest
from reduction.layouts import (
    CARD,
    KEYWORD,
    MAX_REMEMBERED,
    NO_VALUE,
    Layout,
    changes_text,
    layout_of,
    lines_text,
    recent,
)

ProductCard = tuple[str, str | bool | int | float | None, str]

_FIELD = CARD - KEYWORD - 1  # after the equals sign of a card with a keyword in its columns
# HIERARCH cards, and keywords too long for their column: anything up to the first "=".
_LONG_CARD = re.compile(rb"\s*(?:HIERARCH\s+)?([^=/']+?)\s*=", re.IGNORECASE)


class Cards(Mapping[str, Value]):
    """The cards of one header; a mapping from keyword to value that parses on demand.

    Keywords match without case; of a repeated keyword the first card counts (`cards` gives all).
    HIERARCH keywords are found with or without the word HIERARCH, strings are joined over their
    CONTINUE cards. A header that inherits (`inheriting`) falls back on another.

    Parameters
    ----------
    raw : bytes
        Whole cards, without END and padding.
    fallback : Cards or None
        Where a keyword that is not here is looked for.
    known : tuple or None
        Layout, and the cards that differ from its first, where they are known already.
    """

    __slots__ = (
        "_at", "_changed", "_fallback", "_lines", "_long", "_plain", "_raw", "_simple", "_single",
        "layout",
    )  # fmt: skip

    def __init__(
        self,
        raw: bytes,
        fallback: "Cards | None" = None,
        *,
        known: tuple[Layout, dict[int, bytes]] | None = None,
    ) -> None:
        self._raw = raw
        self._fallback = fallback
        self._long: dict[str, int] | None = None
        self._lines: list[str] | None = None
        self._single: tuple[bytes, ...] | None = None
        self._changed: dict[int, bytes] | None = None
        if known is None:
            self.layout = layout_of(raw)
        else:
            self.layout, self._changed = known
        self._at = self.layout.at
        self._plain = self.layout.plain
        self._simple = self._plain and fallback is None

    @classmethod
    def from_text(cls, lines: "list[str] | str") -> "Cards":
        """Make cards of text, one card a line; a longer line is cut, as a file would."""
        rows = lines.splitlines() if isinstance(lines, str) else lines
        return cls(b"".join(row.encode("latin-1", "replace")[:CARD].ljust(CARD) for row in rows))

    @classmethod
    def at_start_of(cls, buffer: bytes) -> "Cards | None":
        """Return the cards `buffer` begins with where their layout was met lately, else None.

        They end with an END card; after it may stand anything.
        """
        found = recent.match(buffer)
        if found is None:
            return None
        plan, cards = found
        known = plan.layout, plan.changed(cards)
        return cls(buffer[: plan.layout.n_bytes], known=known)

    @classmethod
    def of_new_layout(cls, raw: bytes) -> "Cards":
        """Return cards whose layout is looked out for from now on (`at_start_of`)."""
        made = cls(raw)
        made.changed()  # for it may be the first
        recent.add(made.layout)
        return made

    def inheriting(self, fallback: "Cards") -> "Cards":
        """Return these cards with those of another header behind them."""
        return Cards(self._raw, fallback)

    def _find(self, keyword: str) -> int | None:
        """Return the offset of a keyword's value field in these cards, None where it is not."""
        at = self._at.get(keyword)
        if at is not None or (self._plain and keyword.isupper()):
            return at
        keyword = keyword.upper().removeprefix("HIERARCH ")
        at = self._at.get(keyword)
        if at is None and not self._plain:
            at = self._long_index().get(" ".join(keyword.split()))
        return at

    def _long_index(self) -> dict[str, int]:
        """Return keyword to field offset of the cards whose keyword is not in eight columns."""
        if self._long is None:
            self._long = {}
            for start in range(0, len(self._raw), CARD):
                card = self._raw[start : start + CARD]
                if card[KEYWORD : KEYWORD + 1] == b"=" or b"=" not in card:
                    continue
                found = _LONG_CARD.match(card)
                if found:
                    keyword = " ".join(found[1].decode("latin-1").upper().split())
                    if keyword.split(" ")[0] not in NO_VALUE:
                        self._long.setdefault(keyword, start + found.end())
        return self._long

    def _field(self, at: int) -> bytes:
        return self._raw[at : at - at % CARD + CARD]

    def _value(self, at: int) -> Value:
        value = parse_value(self._field(at))
        if type(value) is str and value.endswith("&"):
            return self._continued(value, at)
        return value

    def _continued(self, value: str, at: int) -> str:
        """Join a string that ends with ``&`` with the CONTINUE cards that follow it."""
        start = at - at % CARD + CARD
        parts = [value]
        while parts[-1].endswith("&") and self._raw[start : start + KEYWORD] == b"CONTINUE":
            parts[-1] = parts[-1][:-1]
            parts.append(parse_text(self._raw[start + KEYWORD : start + CARD]))
            start += CARD
        return "".join(parts)

    def _end(self, start: int, at: int) -> int:
        """Return where a card's value ends: behind the last CONTINUE card that belongs to it."""
        end = start + CARD
        text = parse_text(self._raw[at:end])
        while text.endswith("&") and self._raw[end : end + KEYWORD] == b"CONTINUE":
            text = parse_text(self._raw[end + KEYWORD : end + CARD])
            end += CARD
        return end

    def _comment_up_to(self, end: int, at: int) -> str:
        """Return the comment of a value: of its own card, else of the last that continues it."""
        own = parse_comment(self._field(at))
        if own or end - CARD <= at:
            return own
        return parse_comment(self._raw[end - CARD + KEYWORD : end])

    def get(self, keyword: str, default: Value = None) -> Value:  # type: ignore[override]
        """Return the parsed value of a keyword, `default` where it is absent or has none."""
        at = self._at.get(keyword)
        if at is None:
            # Most look-ups of a translation miss: they must be over here.
            if self._simple and keyword.isupper():
                return default
            return self._get_otherwise(keyword, default)
        value = parse_value(self._raw[at : at + _FIELD])
        if type(value) is str and value.endswith("&"):
            return self._continued(value, at)
        return default if value is None else value

    def _get_otherwise(self, keyword: str, default: Value) -> Value:
        """Look for a keyword that is not written as it is spelt, or is not here."""
        at = self._find(keyword)
        if at is None:
            return default if self._fallback is None else self._fallback.get(keyword, default)
        value = self._value(at)
        return default if value is None else value

    def text(self, keyword: str) -> str:
        """Return a value as it is written ("" where absent): numbers keep all their digits."""
        at = self._at.get(keyword)
        if at is None:
            if self._simple and keyword.isupper():
                return ""
            at = self._find(keyword)
        if at is None:
            return "" if self._fallback is None else self._fallback.text(keyword)
        text = parse_text(self._field(at))
        return self._continued(text, at) if text.endswith("&") else text

    def raw(self, keyword: str) -> str:
        """Return a keyword's card as it stands in the file, "" where it is absent."""
        at = self._at.get(keyword)
        if at is None:
            at = self._find(keyword)
        if at is None:
            return "" if self._fallback is None else self._fallback.raw(keyword)
        return text_of_card(self._raw[at - at % CARD : at - at % CARD + CARD])

    def comment(self, keyword: str) -> str:
        """Return the comment of a keyword's card, "" where it has none."""
        at = self._find(keyword)
        if at is None:
            return "" if self._fallback is None else self._fallback.comment(keyword)
        field = self._field(at)
        return parse_comment(field) if b"/" in field else ""

    def present(self, keywords: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of several keywords that are here, in their order."""
        if self._simple:
            return self.layout.present(keywords)
        return tuple([keyword for keyword in keywords if keyword in self])

    def single(self) -> tuple[bytes, ...]:
        """Return these cards one by one, as they stand in the file."""
        if self._single is None:
            self._single = self.layout.split(self._raw)
        return self._single

    def changed(self) -> dict[int, bytes]:
        """Return those cards that differ from the first header of this layout, by number."""
        if self._changed is None:
            self._changed = self.layout.changed(self.single())
        return self._changed

    def lines(self) -> list[str]:
        """Return these cards as text, one each, without trailing blanks."""
        if self._lines is None:
            self._lines = [*map(text_of_card, self.single())]
        return self._lines

    def cards(self) -> Iterator[tuple[str, Value, str]]:
        """Yield keyword, value and comment of every card here, repeated and commentary ones too.

        CONTINUE cards are no cards of their own: their string and comment are those of the card
        they continue.
        """
        end = 0
        for start in range(0, len(self._raw), CARD):
            if start < end:
                continue
            card = self._raw[start : start + CARD]
            found = None if card[KEYWORD : KEYWORD + 1] == b"=" else _LONG_CARD.match(card)
            keyword = decode(card[:KEYWORD]).strip().upper()
            if keyword in NO_VALUE or (card[KEYWORD : KEYWORD + 1] != b"=" and not found):
                yield keyword, decode(card[KEYWORD:]).strip(), ""
            elif found:
                name = " ".join(decode(found[1]).upper().split())
                field = start + found.end()
                end = self._end(start, field)
                yield name, self._value(field), self._comment_up_to(end, field)
            else:
                field = start + KEYWORD + 1
                end = self._end(start, field)
                yield keyword, self._value(field), self._comment_up_to(end, field)

    def commentary(self, keyword: str) -> list[str]:
        """Return the texts of all cards of a commentary keyword, HISTORY say, in order."""
        word = keyword.encode("latin-1").ljust(KEYWORD)
        if word not in self._raw:
            return []
        return [decode(one[KEYWORD:]).strip() for one in self.single() if one.startswith(word)]

    @property
    def alone(self) -> bool:
        """Whether every value is in a card of its own, with no other header behind."""
        return self._simple

    @property
    def raw_bytes(self) -> bytes:
        """The cards as they stand in the file."""
        return self._raw

    def __getitem__(self, keyword: str) -> Value:
        if keyword not in self:
            raise KeyError(keyword)
        return self.get(keyword)

    def __contains__(self, keyword: object) -> bool:
        if not isinstance(keyword, str):
            return False
        if keyword in self._at:
            return True
        if self._simple and keyword.isupper():
            return False
        if self._find(keyword) is not None:
            return True
        return self._fallback is not None and keyword in self._fallback

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys([*self._at, *self._long_index()])
        if self._fallback is not None:
            names |= dict.fromkeys(self._fallback)
        return iter(names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Cards: {len(self._raw) // CARD} cards>"


@dataclass(frozen=True, slots=True)
class HduHeader:
    """The header of one HDU.

    Attributes
    ----------
    index : int
        Its place in the file, the primary is 0.
    cards : Cards
        Its own cards; nothing is inherited.
    shape : tuple of int
        Shape of its image in numpy's order; () where it holds no image pixels. Of a
        tile-compressed image the image's own shape.
    """

    index: int
    cards: Cards
    shape: tuple[int, ...]


class FileHeaders(NamedTuple):
    """All headers of a file, and their digest (`digests.header_digest`)."""

    hdus: tuple[HduHeader, ...]
    digest: str

    @classmethod
    def of(cls, hdus: Sequence[HduHeader]) -> "FileHeaders":
        """Return the headers of a file with their digest."""
        return cls(tuple(hdus), header_digest(_ended(hdus)))

    @property
    def former_digest(self) -> str:
        """The digest that a database of before may have of them."""
        return former_digest(_ended(self.hdus))

    @property
    def text(self) -> str:
        """The headers as text, one card a line, an empty line between HDUs."""
        return "\n\n".join(lines_text(hdu.cards.lines()) for hdu in self.hdus)

    def changes(self) -> tuple[Layout, str] | None:
        """Return how a header differs from the first of its layout: with it, `changed_text`.

        None where there are several headers, or one that is of no series.
        """
        cards = self.hdus[0].cards
        layout = cards.layout
        if len(self.hdus) > 1 or not layout.plain or layout.n_bytes > MAX_REMEMBERED:
            return None
        return layout, changes_text(cards.changed())


def _ended(hdus: Sequence[HduHeader]) -> bytes:
    return b"".join([hdu.cards.raw_bytes + b"END" for hdu in hdus])


def changed_text(first: str, changes: str) -> str:
    """Return the text of a header from that of the first of its layout.

    Parameters
    ----------
    first : str
        The text of that header (`Layout.text`).
    changes : str
        Number and text of each card that differs, one a line.

    Returns
    -------
    str
        As `FileHeaders.text` of the header itself.
    """
    lines = first.split("\n")
    for change in changes.split("\n") if changes else ():
        number, _, card = change.partition(" ")
        lines[int(number)] = card
    return "\n".join(lines)
