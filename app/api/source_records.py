"""Sources as records and as lines of text, with what is told of their frames."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import csv

from app.services.cone import Found, Looked
from reduction.photometry.kinds import words_of
from reduction.photometry.sourcetable import Column

_MJD_UNIX: Final = 40_587.0
_DAY_S: Final = 86_400.0
_AS_JSON: Final = orjson.OPT_SERIALIZE_NUMPY
KIND: Final = "kind"
# Of its frame, in every line of a text; in JSON these are told once a frame.
_OF_FRAME: Final = ("file_name", "night", "mjd", "band", "exptime_s")


def page_of(found: Found, following: str | None) -> bytes:
    """Return what a search found as a JSON object: the frames looked at, and rows of sources."""
    answer = {
        "count": len(found),
        "next": following,
        "frames": [frame_record(frame) for frame in found.looked],
        "without_sources": list(found.unread),
        "results": _rows(found),
    }
    return orjson.dumps(answer, option=_AS_JSON)


def frames_of(frames: Sequence[Looked]) -> dict[str, Any]:
    """Return the frames that show a place."""
    return {"count": len(frames), "frames": [frame_record(frame) for frame in frames]}


def frame_record(frame: Looked) -> dict[str, Any]:
    """Return what is told of a frame that shows a place."""
    return {
        "id": frame.id,
        "file_name": frame.file_name,
        "night": frame.night.isoformat() if frame.night else None,
        "mjd": mjd_of(frame.mid_utc),
        "band": frame.band,
        "exptime_s": frame.exptime_s,
        "limit_mag": frame.limit_mag,
        "outdated": frame.outdated,
    }


def mjd_of(moment: datetime | None) -> float | None:
    """Return a time as a modified Julian date, to a tenth of a millisecond."""
    return round(moment.timestamp() / _DAY_S + _MJD_UNIX, 9) if moment else None


def _rows(found: Found) -> list[dict[str, Any]]:
    ids = [frame.id for frame in found.looked]
    times = [mjd_of(frame.mid_utc) for frame in found.looked]
    names = list(found.columns)
    columns = [_values(name, column) for name, column in found.columns.items()]
    return [
        {"frame": ids[at], "mjd": times[at], **dict(zip(names, values, strict=True))}
        for at, *values in zip(found.frame_of.tolist(), *columns, strict=True)
    ]


def lines_of(found: Found) -> bytes:
    """Return what a search found as text with commas, a line a source."""
    frames = [frame_record(frame) for frame in found.looked]
    columns: dict[str, Any] = {"frame": pa.array(_spread(found, [f["id"] for f in frames]))}
    for name in _OF_FRAME:
        columns[name] = pa.array(_spread(found, [frame[name] for frame in frames]))
    return csv_of(columns | dict(found.columns))


def _spread(found: Found, of_frames: list[Any]) -> list[Any]:
    """Return for every source what is said of its frame."""
    return [of_frames[at] for at in found.frame_of.tolist()]


def _values(name: str, column: Column) -> list[Any]:
    """Return the values of a column; the kind of a source by its name, not by its number."""
    return words_of(column) if name == KIND else list(column)


def csv_of(columns: Mapping[str, Column | Any]) -> bytes:
    """Return columns as text with commas; what is not known is empty."""
    known = {
        name: _as_text(name, column) if isinstance(column, np.ndarray) else column
        for name, column in columns.items()
    }
    stream = pa.BufferOutputStream()
    csv.write_csv(pa.table(known), stream)
    content: bytes = stream.getvalue().to_pybytes()
    return content


def _as_text(name: str, column: Column) -> Any:  # noqa: ANN401 - pyarrow has no types
    if name == KIND:
        return pa.array(words_of(column), pa.string())
    return pa.array(column, from_pandas=True)
