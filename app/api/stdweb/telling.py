"""What a call was sent and does not know: refused by name, or told beside its answer."""

from collections.abc import Collection, Sequence
from typing import Final

from flask import Response, after_this_request

from app.api.parsing import Fields
from app.errors import InvalidRequestError
from app.services.task_parameters import PARAMETERS

# What browsers, their scripts and frameworks of clients add to any call.
ANYWHERE: Final = frozenset({"csrfmiddlewaretoken", "csrf_token", "format", "_"})
_LONGEST: Final = 180  # characters of a sentence in a header


def refuse_unknown(names: Collection[str], known: Collection[str], what: str = "field") -> None:
    """Refuse the first of the names that a call does not know.

    Raises
    ------
    InvalidRequestError
        With what it does know, and where a parameter of a step belongs.
    """
    named = {name for name in names if isinstance(name, str)}  # a part of a body may have no name
    strange = sorted(named - set(known) - ANYWHERE)
    if not strange:
        return
    name = strange[0]
    takes = f"these are: {', '.join(known)}"
    within = next((part for part in ("params", "config") if part in known), "")
    is_parameter = name in PARAMETERS and within
    place = f" Parameters of steps go into {within}." if is_parameter else ""
    raise InvalidRequestError(**{name[:80]: f"There is no such {what}; {takes}.{place}"})


def left_alone(fields: Fields, names: Collection[str]) -> list[str]:
    """Return a sentence for each field of these that was sent and cannot be changed."""
    return [f"{name}: cannot be written, it stays as it is." for name in names if name in fields]


def tell(sentences: Sequence[str]) -> None:
    """Add sentences to the answer as headers, where its body must be as clients know it."""
    if sentences:
        after_this_request(lambda response: _with_warnings(response, sentences))


def _with_warnings(response: Response, sentences: Sequence[str]) -> Response:
    for sentence in sentences:
        # Of a header only printable ASCII arrives everywhere; quotes end it.
        text = sentence.encode("ascii", "backslashreplace").decode()[:_LONGEST]
        plain = "".join(c if c.isprintable() else "?" for c in text).replace('"', "'")
        response.headers.add("Warning", f'299 - "{plain}"')
    return response
