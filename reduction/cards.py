"""FITS header cards: read lazily from their raw bytes, and the headers of a file."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any

from reduction.cardvalues import Value, decode, parse_comment, parse_text, parse_value, text_of_card

ProductCard = tuple[str, str | bool | int | float | None, str]

CARD = 80
_KEYWORD = 8
_FIELD = CARD - _KEYWORD - 1  # after the equals sign of a card with a keyword in its columns
# Where the layout of a header is remembered: a longer header is not one of a series.
_MAX_REMEMBERED_HEADER = 65536
_NO_VALUE = frozenset({"", "COMMENT", "HISTORY", "CONTINUE", "END"})
_EQUALS = 0x3D
_COMMENTARY = frozenset({"", "COMMENT", "HISTORY", "END"})
# HIERARCH cards, and keywords too long for their column: anything up to the first "=".
_LONG_CARD = re.compile(rb"\s*(?:HIERARCH\s+)?([^=/']+?)\s*=", re.IGNORECASE)


class Layout:
    """Where the keywords of a header stand; all headers of one form share it.

    Attributes
    ----------
    at : dict
        Keyword to the offset of its value field.
    plain : bool
        Whether all keywords are in their eight columns and no string is continued.
    split : callable
        Parts such a header into its cards.
    notes : dict
        What is remembered of such headers (`reduction.remembered`).
    """

    __slots__ = ("at", "notes", "plain", "split")

    def __init__(self, columns: bytes, n_cards: int) -> None:
        self.at: dict[str, int] = {}
        self.plain = True
        self.notes: dict[Any, Any] = {}
        self.split = Struct(f"{CARD}s" * n_cards).unpack_from
        column = [columns[i * n_cards : (i + 1) * n_cards] for i in range(_KEYWORD + 1)]
        for i, letters in enumerate(zip(*column, strict=True)):
            keyword = bytes(letters[:_KEYWORD]).decode("latin-1").rstrip().upper()
            if letters[_KEYWORD] == _EQUALS and keyword not in _NO_VALUE:
                self.at.setdefault(keyword, i * CARD + _KEYWORD + 1)
            elif keyword not in _COMMENTARY:
                self.plain = False


_remembered_layout = lru_cache(maxsize=128)(Layout)


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
    """

    __slots__ = (
        "_at", "_fallback", "_lines", "_long", "_plain", "_raw", "_simple", "_single", "layout"
    )  # fmt: skip

    def __init__(self, raw: bytes, fallback: "Cards | None" = None) -> None:
        self._raw = raw
        self._fallback = fallback
        self._long: dict[str, int] | None = None
        self._single: tuple[bytes, ...] | None = None
        self._lines: list[str] | None = None
        n_cards = len(raw) // CARD
        columns = b"".join([raw[i : n_cards * CARD : CARD] for i in range(_KEYWORD + 1)])
        build = _remembered_layout if len(raw) <= _MAX_REMEMBERED_HEADER else Layout
        self.layout = build(columns, n_cards)
        self._at = self.layout.at
        self._plain = self.layout.plain
        self._simple = self._plain and fallback is None

    @classmethod
    def from_text(cls, lines: "list[str] | str") -> "Cards":
        """Make cards of text, one card a line; a longer line is cut, as a file would."""
        rows = lines.splitlines() if isinstance(lines, str) else lines
        return cls(b"".join(row.encode("latin-1", "replace")[:CARD].ljust(CARD) for row in rows))

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
                if card[_KEYWORD : _KEYWORD + 1] == b"=" or b"=" not in card:
                    continue
                found = _LONG_CARD.match(card)
                if found:
                    keyword = " ".join(found[1].decode("latin-1").upper().split())
                    if keyword.split(" ")[0] not in _NO_VALUE:
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
        while parts[-1].endswith("&") and self._raw[start : start + _KEYWORD] == b"CONTINUE":
            parts[-1] = parts[-1][:-1]
            parts.append(parse_text(self._raw[start + _KEYWORD : start + CARD]))
            start += CARD
        return "".join(parts)

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
        return self.lines()[at // CARD]

    def comment(self, keyword: str) -> str:
        """Return the comment of a keyword's card, "" where it has none."""
        at = self._find(keyword)
        if at is None:
            return "" if self._fallback is None else self._fallback.comment(keyword)
        field = self._field(at)
        return parse_comment(field) if b"/" in field else ""

    def present(self, keywords: Iterable[str]) -> list[str]:
        """Return those of several keywords that are here, in their order."""
        if self._simple:
            at = self._at
            return [keyword for keyword in keywords if keyword in at]
        return [keyword for keyword in keywords if keyword in self]

    def single(self) -> tuple[bytes, ...]:
        """Return these cards one by one, as they stand in the file."""
        if self._single is None:
            self._single = self.layout.split(self._raw)
        return self._single

    def lines(self) -> list[str]:
        """Return these cards as text, one each, without trailing blanks."""
        if self._lines is None:
            self._lines = [*map(text_of_card, self.single())]
        return self._lines

    def cards(self) -> Iterator[tuple[str, Value, str]]:
        """Yield keyword, value and comment of every card here, repeated and commentary ones too."""
        for start in range(0, len(self._raw), CARD):
            card = self._raw[start : start + CARD]
            found = None if card[_KEYWORD : _KEYWORD + 1] == b"=" else _LONG_CARD.match(card)
            keyword = decode(card[:_KEYWORD]).strip().upper()
            if keyword in _NO_VALUE or (card[_KEYWORD : _KEYWORD + 1] != b"=" and not found):
                yield keyword, decode(card[_KEYWORD:]).strip(), ""
            elif found:
                name = " ".join(decode(found[1]).upper().split())
                field = start + found.end()
                yield name, self._value(field), parse_comment(self._field(field))
            else:
                field = start + _KEYWORD + 1
                yield keyword, self._value(field), parse_comment(self._field(field))

    def commentary(self, keyword: str) -> list[str]:
        """Return the texts of all cards of a commentary keyword, HISTORY say, in order."""
        word = keyword.encode("latin-1").ljust(_KEYWORD)
        if word not in self._raw:
            return []
        return [decode(one[_KEYWORD:]).strip() for one in self.single() if one.startswith(word)]

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


@dataclass(frozen=True, slots=True)
class FileHeaders:
    """All headers of a file, and the SHA-256 of their bytes."""

    hdus: tuple[HduHeader, ...]
    digest: str

    @property
    def text(self) -> str:
        """The headers as text, one card a line, an empty line between HDUs."""
        return "\n\n".join("\n".join([*hdu.cards.lines(), "END"]) for hdu in self.hdus)
