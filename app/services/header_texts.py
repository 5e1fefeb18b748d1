"""The headers of frames as they are kept: whole, or by what differs from another of the camera."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from app.db import after_commit, db
from app.models import Frame, HeaderText
from reduction.cards import FileHeaders, changed_text
from reduction.layouts import Layout


class KeptHeader(NamedTuple):
    """The header of a file: `text` whole, or what differs from the first of a layout."""

    text: str
    layout: Layout | None = None

    @classmethod
    def of(cls, file: FileHeaders) -> "KeptHeader":
        """Return the header of a file as it is to be kept."""
        changes = file.changes()
        return cls(file.text) if changes is None else cls(changes[1], changes[0])

    @property
    def whole(self) -> str:
        """The text of all of it."""
        return self.text if self.layout is None else changed_text(self.layout.text, self.text)


NO_HEADER = KeptHeader("")


@dataclass(slots=True)
class HeaderBook:
    """The header texts stored so far that those of other frames are told by."""

    _ids: dict[Layout, int] = field(default_factory=dict)

    def ids(self, layouts: Iterable[Layout | None]) -> dict[Layout | None, int | None]:
        """Return the id of the text behind each layout, stored in the open transaction if new."""
        asked = {*layouts} - {None}
        new = [layout for layout in asked if layout is not None and layout not in self._ids]
        made = {layout: HeaderText(text=layout.text) for layout in new}
        if made:
            db.session.add_all(made.values())
            db.session.flush()
        stored = {layout: row.id for layout, row in made.items()}
        after_commit(lambda: self._ids.update(stored))
        known = self._ids | stored
        return {layout: known.get(layout) if layout else None for layout in (*asked, None)}


def text_of(frame: Frame) -> str:
    """Return the text of a frame's header, "" where none is kept."""
    if frame.header_base_id is None:
        return frame.header_text
    base = db.session.get(HeaderText, frame.header_base_id)
    return "" if base is None else changed_text(base.text, frame.header_changes)
