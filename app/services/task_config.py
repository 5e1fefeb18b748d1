"""What a task's configuration may be: a JSON object that every database and reader takes."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from app.errors import InvalidRequestError
from app.services.texts import storable

MOST_BYTES: Final = 256 * 1024  # a list of a thousand files, with room
_DEEPEST: Final = 20
_LARGEST: Final = 2**63 - 1


def checked(config: object) -> dict[str, Any]:
    """Return a configuration that came from outside.

    Raises
    ------
    InvalidRequestError
        If it is no JSON object, too large, or holds what no database takes.
    """
    if not isinstance(config, Mapping):
        raise InvalidRequestError(config="config must be a JSON object")
    if reason := _what_is_wrong(config, _DEEPEST):
        raise InvalidRequestError(config=reason)
    if len(json.dumps(config)) > MOST_BYTES:
        raise InvalidRequestError(
            config=f"This is too long: {MOST_BYTES // 1024} kB of JSON are the most."
        )
    return {str(name): value for name, value in config.items()}


def read(text: str) -> object:
    """Return what a text says in JSON.

    Raises
    ------
    ValueError
        If it is not JSON, or holds NaN and the like, which are not.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _what_is_wrong(value: object, depth: int) -> str:
    if depth == 0:
        return "This is nested too deeply."
    if isinstance(value, Mapping):
        parts = [*map(str, value), *value.values()]
    elif isinstance(value, list):
        parts = value
    else:
        return _wrong_value(value)
    return next((reason for part in parts if (reason := _what_is_wrong(part, depth - 1))), "")


def _wrong_value(value: object) -> str:
    if isinstance(value, str) and storable(value) != value:
        return "This contains characters that are not text."
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "This contains a number that is too large."
    if isinstance(value, float) and not math.isfinite(value):
        return "This contains a number that is not finite."
    return ""
