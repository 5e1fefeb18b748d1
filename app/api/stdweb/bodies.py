"""Reading a request that may bring files, whatever content type it came under."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from flask import request
from werkzeug.datastructures import FileStorage

from app.api.parsing import BUFFERED_BYTES, Fields, read_fields
from app.api.receiving import Received, received
from app.api.stdweb.dialect import UnsupportedMediaTypeError
from app.errors import InvalidRequestError
from app.services import settings
from app.services.staging import Arrived, Staging, staging

_JSON: Final = "application/json"
_CHUNK: Final = 256 * 1024


@contextmanager
def came() -> Iterator[Received]:
    """Give the fields and files of the request; what nobody moved away is gone afterwards."""
    at = settings.snapshot()
    is_large = (request.content_length or 0) > BUFFERED_BYTES
    if request.mimetype == "multipart/form-data" or is_large:
        with received(at, any_name=True, needs_file=False) as found:
            yield found
        return
    fields = read_fields()
    with staging(at, any_name=True) as room:
        for storage in fields.files.values():
            _copy(storage, room)
        yield Received(fields, list(room.arrived), room)


def _copy(storage: FileStorage, room: Staging) -> None:
    with closing(storage):
        target = room.open(storage.filename or "")
        while chunk := storage.stream.read(_CHUNK):
            target.write(chunk)
        target.close()


def only_file(found: Received, field: str = "file") -> Arrived | None:
    """Return the one file that came, None where none did.

    Raises
    ------
    InvalidRequestError
        If several came.
    """
    if len(found.files) > 1:
        raise InvalidRequestError(**{field: "Send one file: a task has one image."})
    return found.files[0] if found.files else None


def refuse_json(fields: Fields) -> None:
    """Refuse a body of JSON where a file is wanted.

    Raises
    ------
    UnsupportedMediaTypeError
        With what came.
    """
    if request.mimetype == _JSON and not fields.files:
        raise UnsupportedMediaTypeError(f'Unsupported media type "{_JSON}" in request.')
