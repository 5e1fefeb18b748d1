"""Reading what a request carries, however it was sent, with one wording for what is wrong.

Bodies come as JSON, form or multipart, each also under the content type of another; scripts send
numbers and booleans as strings, and null for what was not given.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from typing import Any, Final, NoReturn

from flask import request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import FormDataParser

from app.errors import InvalidRequestError

BUFFERED_BYTES: Final = 1 << 20  # a larger body is an upload, and is read as what it says it is
LARGEST_INTEGER: Final = 2**63 - 1  # what the database can hold

NIGHTS_OF_YEARS: Final = range(1900, 2200)

_TRUE: Final = frozenset({"true", "1", "yes", "on", "t"})
_FALSE: Final = frozenset({"false", "0", "no", "off", "f"})
_BEFORE_CLOSING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])')
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")  # no database takes these
_FORM_TYPE: Final = "application/x-www-form-urlencoded"


class UnreadableBodyError(InvalidRequestError):
    """The body is in no form we read; the message says where it breaks."""


class MissingFieldError(InvalidRequestError):
    """A field that must be there is not."""


@dataclass(frozen=True, slots=True)
class Fields(Mapping[str, Any]):
    """The fields of one request. A field that is null is absent; a blank one only for `text`."""

    sent: Mapping[str, Any]
    files: MultiDict[str, FileStorage] = field(default_factory=MultiDict)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - whatever the client sent
        return self.sent[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.sent)

    def __len__(self) -> int:
        return len(self.sent)

    def given(self, *names: str) -> bool:
        """Tell whether each of `names` was sent and is not blank."""
        return all(str(self.sent.get(name, "")).strip() for name in names)

    def text(self, name: str) -> str | None:
        """Return a field as text, stripped; numbers are taken as they are written."""
        value = self.sent.get(name)
        if value is None:
            return None
        if isinstance(value, list | dict):
            _refuse(name, "must be one value, not a list or an object")
        if _UNSTORABLE.search(text := str(value)):
            _refuse(name, "contains characters that are not text")
        return text.strip()

    def integer(self, name: str) -> int | None:
        """Return a field as a whole number: 5, "5" and 5.0 alike."""
        text = self.text(name)
        if not text:
            return None
        try:
            number = int(text)
        except ValueError:
            number = _whole(name, text)
        if abs(number) > LARGEST_INTEGER:
            _refuse(name, "is too large a number")
        return number

    def number(self, name: str) -> float | None:
        """Return a field as a finite number."""
        text = self.text(name)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            _refuse(name, f"must be a number, not {text[:40]!r}")
        if not math.isfinite(number):
            _refuse(name, "must be a finite number")
        return number

    def flag(self, name: str) -> bool | None:
        """Return a field as true or false: true, 1, "1", "True", "yes" alike."""
        text = self.text(name)
        if not text:
            return None
        if text.lower() not in _TRUE | _FALSE:
            _refuse(name, f"must be true or false, not {text[:40]!r}")
        return text.lower() in _TRUE

    def day(self, name: str) -> date | None:
        """Return a field as a date; of a date with a time, the date."""
        text = self.text(name)
        if not text:
            return None
        try:
            day = date.fromisoformat(text[:10].replace("/", "-"))
        except ValueError:
            _refuse(name, f"must be a date such as 2026-11-20, not {text[:40]!r}")
        if day.year not in NIGHTS_OF_YEARS:  # the day after the last day there is breaks sums
            _refuse(name, f"must be a date of the years 1900 to 2199, not {text[:40]!r}")
        return day

    def words(self, name: str) -> list[str]:
        """Return a field that is a list, or a text with commas, as its parts without blanks."""
        value = self.sent.get(name)
        parts = value if isinstance(value, list) else (self.text(name) or "").split(",")
        if any(isinstance(part, list | dict) for part in parts):
            _refuse(name, "must be a list of words")
        words = [Fields({name: part}).text(name) or "" for part in parts]
        return [word for word in words if word]


def read_fields(*, lenient: bool = False) -> Fields:
    """Return the fields of the request, those of the body over those of the query string.

    With `lenient`, for calls all of whose fields are optional, a body nobody can read is no body.
    Text in single quotes, which only looks like JSON, is refused all the same.

    Raises
    ------
    UnreadableBodyError
        If the body looks like JSON and is not.
    """
    values, files = _read_body(lenient=lenient)
    found = _flat(request.args) | values
    return Fields({name: v for name, v in found.items() if v is not None}, files)


def parse_json_object(text: str) -> dict[str, Any]:
    """Return a JSON object; commas before a closing bracket are forgiven.

    Raises
    ------
    UnreadableBodyError
        If it is not an object in JSON; the message says where.
    """
    forgiven = _BEFORE_CLOSING.sub(lambda m: m[0] if m[0] != "," else " ", text)
    try:
        value = json.loads(forgiven, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UnreadableBodyError(_where(forgiven, error)) from error
    except (ValueError, RecursionError) as error:  # 5,000 digits; 100,000 brackets
        raise UnreadableBodyError("The body is JSON that cannot be taken in.") from error
    if not isinstance(value, dict):
        raise UnreadableBodyError("The body must be a JSON object: {...}.")
    return value


def _read_body(*, lenient: bool) -> tuple[dict[str, Any], MultiDict[str, FileStorage]]:
    length = request.content_length or 0
    if length > BUFFERED_BYTES and request.mimetype == "multipart/form-data":
        return _flat(request.form), request.files
    raw = request.get_data(cache=True, parse_form_data=False).lstrip()
    if raw[:1] not in {b"{", b"["}:
        if raw[:2] == b"--" and request.mimetype != "multipart/form-data":
            return _multipart(raw)
        if request.form or request.files:  # the content type tells the truth
            return _declared_form(lenient=lenient)
    return _text_body(raw.decode("utf-8-sig", "replace").strip(), lenient=lenient), MultiDict()


def _declared_form(*, lenient: bool) -> tuple[dict[str, Any], MultiDict[str, FileStorage]]:
    first = str(next(iter(request.form), "") or "")
    if first[:1] in {"{", "["} and not request.files:
        # curl -d '{...}' declares a form; where the body was parsed before us, its text is a name
        return _text_body(first, lenient=lenient), MultiDict()
    return _flat(request.form), request.files


def _text_body(text: str, *, lenient: bool) -> dict[str, Any]:
    if text[:1] in {"{", "["}:
        try:
            return parse_json_object(text)
        except UnreadableBodyError as error:
            if lenient and "single quote" not in str(error):
                return {}
            raise
    if "=" not in text or len(text) > BUFFERED_BYTES:
        return {}
    parsed = FormDataParser().parse(BytesIO(text.encode()), _FORM_TYPE, len(text.encode()))
    return _flat(parsed[1])


def _multipart(raw: bytes) -> tuple[dict[str, Any], MultiDict[str, FileStorage]]:
    boundary = raw.split(b"\n", 1)[0].strip()[2:].decode("latin-1")
    if not boundary or b"content-disposition" not in raw[:2000].lower():
        return {}, MultiDict()
    _, form, files = FormDataParser().parse(
        BytesIO(raw), "multipart/form-data", len(raw), {"boundary": boundary}
    )
    return _flat(form), files


def _flat(values: MultiDict[str, str]) -> dict[str, Any]:
    """Return each field's value, a list where it was sent more than once.

    A part of a multipart body may have no name: nobody asks for it.
    """
    lists = values.to_dict(flat=False).items()
    return {name: v[0] if len(v) == 1 else v for name, v in lists if isinstance(name, str)}


def _whole(name: str, text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number.is_integer()):
        _refuse(name, f"must be a whole number, not {text[:40]!r}")
    return int(number)


def _refuse(name: str, why: str) -> NoReturn:
    raise InvalidRequestError(**{name: why})


def _no_constant(name: str) -> NoReturn:
    raise UnreadableBodyError(f"The body is not JSON: {name} is not a JSON number.")


def _where(text: str, error: json.JSONDecodeError) -> str:
    place = f"line {error.lineno} column {error.colno}"
    if text[error.pos : error.pos + 1] == "'":
        return f"The body is not JSON: a single quote at {place}; JSON takes double quotes."
    return f"The body is not JSON: {error.msg} at {place}."
