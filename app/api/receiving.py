"""Files that come with a request: streamed to the disk as they arrive, never whole in memory.

They come as multipart, as a raw body named in the query string, or as either of them under the
content type of another.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, Final, cast

from flask import request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.wsgi import get_input_stream

from app.api.parsing import Fields
from app.errors import InvalidRequestError
from app.services.settings import Snapshot
from app.services.staging import MEGABYTE, Arrived, Staging, staging

NAMES: Final = ("file_name", "filename", "name")  # of a raw body, in the query string
HOW: Final = (
    "Send one or more files as multipart/form-data, "
    "or one as the body with ?file_name= in the address."
)
_CHUNK: Final = 256 * 1024
_FIELD_BYTES: Final = 4 * _CHUNK  # of a field that is no file; the parser's own buffer counts
_FRAMING: Final = MEGABYTE  # boundaries and headers of the parts
_CUT_SHORT: Final = "The body ended before its end: the connection broke. Send it again."


@dataclass(frozen=True, slots=True)
class Received:
    """What a request brought: its fields, those of the body over the query's, and its files."""

    fields: Fields
    files: list[Arrived]
    staging: Staging


@contextmanager
def received(
    at: Snapshot, *, any_name: bool = False, needs_file: bool = True
) -> Iterator[Received]:
    """Take the files of the request in; what nobody moved away is gone afterwards.

    With `any_name` they need not be called as FITS files are.

    Raises
    ------
    InvalidRequestError
        If there is no file where one is needed, or more than a request may bring; the message
        says what to do.
    """
    with staging(at, any_name=any_name) as room:
        room.check_room(min(request.content_length or 0, room.room_bytes))
        values = {**_flat(request.args), **_read(room)}
        if needs_file and not room.arrived:
            raise InvalidRequestError(file=f"There is no file in the request. {HOW}")
        fields = Fields({name: value for name, value in values.items() if value is not None})
        yield Received(fields, list(room.arrived), room)


def _read(room: Staging) -> dict[str, Any]:
    if "form" in request.__dict__:  # a browser's: the check of its token has read the body
        return _from_parsed(room)
    try:
        stream = get_input_stream(request.environ, max_content_length=room.room_bytes + _FRAMING)
        return _from_stream(stream, room)
    except RequestEntityTooLarge:
        raise InvalidRequestError(file=f"Too large: {room.limits}, little else.") from None
    except (ClientDisconnected, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # ours, not the connection's
        raise InvalidRequestError(file=_CUT_SHORT) from error


def _from_parsed(room: Staging) -> dict[str, Any]:
    for storage in request.files.values():
        if storage.filename:
            _copy(storage.stream, room.open(storage.filename))
    return _flat(request.form)


def _from_stream(stream: IO[bytes], room: Staging) -> dict[str, Any]:
    head = _first(stream)
    boundary = _boundary(head)
    if boundary is not None:
        return _from_parts(_Again(head, stream), boundary, room)
    name = next((request.args[n] for n in NAMES if request.args.get(n, "").strip()), "")
    if not head:
        return {}
    if not name:
        raise InvalidRequestError(file_name=f"The body has no name. {HOW}")
    target = room.open(name)
    _copy(_Again(head, stream), target)
    _check_whole(room.arrived[-1].size)
    return {}


def _first(stream: IO[bytes]) -> bytes:
    """Return the beginning of the body: enough to tell what it is."""
    head = b""
    while len(head) < _CHUNK and (more := stream.read(_CHUNK - len(head))):
        head += more
    return head


def _boundary(head: bytes) -> bytes | None:
    """Return what separates the parts of the body, None where it has none."""
    if request.mimetype == "multipart/form-data" and request.mimetype_params.get("boundary"):
        return request.mimetype_params["boundary"].encode("latin-1", "replace")
    first = head.lstrip(b"\r\n").split(b"\n", 1)[0].strip()
    if first[:2] == b"--" and b"content-disposition" in head[:2000].lower():
        return first[2:]
    return None


def _from_parts(stream: "_Again", boundary: bytes, room: Staging) -> dict[str, Any]:
    def begin(
        total_content_length: int | None,  # noqa: ARG001 - the parser names them all
        content_type: str | None,  # noqa: ARG001
        filename: str | None,
        content_length: int | None = None,  # noqa: ARG001
    ) -> IO[bytes]:
        return cast(IO[bytes], room.open(filename)) if filename else BytesIO()

    parser = MultiPartParser(
        stream_factory=begin,
        max_form_memory_size=_FIELD_BYTES,
        max_form_parts=room.room_files + 100,
        buffer_size=_CHUNK,
    )
    files: MultiDict[str, FileStorage]
    try:
        form, files = parser.parse(stream, boundary, request.content_length)  # type: ignore[arg-type]
    except ValueError as error:
        raise InvalidRequestError(file=_CUT_SHORT) from error
    return _flat(form)


def _copy(source: Any, target: Any) -> None:  # noqa: ANN401 - anything that reads, and writes
    while chunk := source.read(_CHUNK):
        target.write(chunk)
    target.close()


def _flat(values: MultiDict[str, str]) -> dict[str, Any]:
    """Return each field's value, a list where it was sent more than once."""
    return {name: v[0] if len(v) == 1 else v for name, v in values.to_dict(flat=False).items()}


def _check_whole(n_bytes: int) -> None:
    """Refuse a body of which only a part came."""
    if request.content_length is not None and n_bytes != request.content_length:
        raise InvalidRequestError(file=_CUT_SHORT)


class _Again:
    """A stream of which the beginning was read already."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def read(self, n_bytes: int) -> bytes:
        """Return the next bytes, first those read before."""
        if self._head:
            found, self._head = self._head[:n_bytes], self._head[n_bytes:]
            return found
        return self._rest.read(n_bytes)
