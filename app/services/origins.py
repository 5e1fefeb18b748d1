"""Where the values of a frame come from: its header, translated again when somebody asks."""

from typing import Any

from app.models import Frame
from app.services import cameras
from app.services.header_texts import text_of
from app.services.registration import header_columns
from reduction import headers
from reduction.cards import Cards, FileHeaders, HduHeader
from reduction.errors import ReductionError
from reduction.guard import image_shape

_BETWEEN = "\n\n"  # the headers of a file


def of(frame: Frame) -> dict[str, Any]:
    """Return card, rule and doubt of each value by its column, as far as they still hold.

    The camera profiles and the site may be others by now: the origin of a value that would be
    another today is not told.
    """
    if frame.origins or not (text := text_of(frame)):
        return frame.origins
    try:
        infos = headers.translate(
            _headers(text),
            file_name=frame.file_name,
            profiles=cameras.profiles(),
            site=cameras.site(),
        )
    except ReductionError:
        return {}
    if frame.part >= len(infos):
        return {}
    columns = header_columns(infos[frame.part])
    told: dict[str, Any] = columns["origins"]
    return {name: origin for name, origin in told.items() if _holds(frame, name, columns)}


def _holds(frame: Frame, name: str, columns: dict[str, Any]) -> bool:
    return name not in columns or getattr(frame, name) == columns[name]


def _headers(text: str) -> FileHeaders:
    parts = [Cards.from_text(part.split("\n")[:-1]) for part in text.split(_BETWEEN)]
    hdus = [HduHeader(i, cards, image_shape(cards)) for i, cards in enumerate(parts)]
    return FileHeaders(tuple(hdus), "")
