"""A FrameInfo in the making: values with the card, the rule and the doubt each came with."""

from collections.abc import Mapping
from typing import Any

from reduction.cards import Cards
from reduction.frameinfo import Note


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
    notes : dict
        Keyword, rule and doubt of each of `values`, and of values refused with a doubt.
    """

    __slots__ = ("cards", "file_name", "notes", "values")

    def __init__(
        self,
        cards: Cards,
        file_name: str,
        values: Mapping[str, Any] | None = None,
        notes: Mapping[str, Note] | None = None,
    ) -> None:
        self.cards = cards
        self.file_name = file_name
        self.values: dict[str, Any] = {} if values is None else dict(values)
        self.notes: dict[str, Note] = {} if notes is None else dict(notes)

    def put(
        self, name: str, value: object, keyword: str, rule: str, doubt: str | None = None
    ) -> None:
        """Set a field, with the keyword it came from ("" for none) and the rule that chose it."""
        self.values[name] = value
        self.notes[name] = (keyword, rule, doubt)

    def refuse(self, name: str, keyword: str, rule: str, doubt: str) -> None:
        """Note that a field stays unset because its card cannot be believed."""
        self.values.pop(name, None)
        self.notes[name] = (keyword, rule, doubt)

    def doubt(self, name: str, why: str) -> None:
        """Doubt a field that has been set."""
        keyword, rule, old = self.notes.get(name, ("", "default", None))
        self.notes[name] = (keyword, rule, why if old is None else f"{old}; {why}")

    def get(self, name: str) -> Any:  # noqa: ANN401 - a field of any type
        """Return a field set so far, None otherwise."""
        return self.values.get(name)
