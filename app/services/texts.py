"""Text that people typed: fit to be kept, or refused with the name of its field."""

import re
from typing import Final

from app.errors import InvalidRequestError

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")  # no database takes these
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def checked(field: str, text: str, most: int, *, lines: bool = False) -> str:
    """Return what was typed into a field, without blanks around it.

    Raises
    ------
    InvalidRequestError
        If it is longer than `most` characters, or holds what no text does; without `lines` a
        line break too.
    """
    text = text.strip()
    if len(text) > most:
        why = f"This is too long: {len(text)} characters, and {most} are the most."
        raise InvalidRequestError(**{field: why})
    if (_UNSTORABLE if lines else _CONTROL).search(text) or not _is_whole(text):
        raise InvalidRequestError(**{field: "This contains characters that are not text."})
    return text


def storable(text: str) -> str:
    """Return text to look for, without what no database takes: half a character, NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _is_whole(text: str) -> bool:
    return _UNSTORABLE.search(text) is None
