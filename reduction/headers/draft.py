"""A FrameInfo in the making: values with the card, the rule and the doubt each came with."""

from typing import Any

from reduction.cards import Cards
from reduction.frameinfo import Origin


class Draft:
    """What has been read of one exposure so far.

    Attributes
    ----------
    cards : Cards
        Of its HDU, with the primary's behind them.
    file_name : str
        Of the file, without its folder.
    values : dict
        FrameInfo fields.
    origins : dict
        One for each of `values`, and for values refused with a doubt.
    """

    __slots__ = ("cards", "file_name", "origins", "values")

    def __init__(self, cards: Cards, file_name: str) -> None:
        self.cards = cards
        self.file_name = file_name
        self.values: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}

    def put(
        self, name: str, value: object, keyword: str, rule: str, doubt: str | None = None
    ) -> None:
        """Set a field, with the card it came from ("" for none) and the rule that chose it."""
        self.values[name] = value
        card = self.cards.raw(keyword) if keyword else ""
        self.origins[name] = Origin(card, rule, doubt)

    def refuse(self, name: str, keyword: str, rule: str, doubt: str) -> None:
        """Note that a field stays unset because its card cannot be believed."""
        self.values.pop(name, None)
        self.origins[name] = Origin(self.cards.raw(keyword), rule, doubt)

    def doubt(self, name: str, why: str) -> None:
        """Doubt a field that has been set."""
        old = self.origins.get(name) or Origin("", "default")
        both = why if old.doubt is None else f"{old.doubt}; {why}"
        self.origins[name] = Origin(old.card, old.rule, both)

    def get(self, name: str) -> Any:  # noqa: ANN401 - a field of any type
        """Return a field set so far, None otherwise."""
        return self.values.get(name)
