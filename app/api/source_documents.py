"""What the calls for sources take and answer, as JSON Schemas for the documentation."""

from typing import Any, Final

from app.services import cone

_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_NUMBER: Final = {"type": "integer"}
_FLOAT: Final = {"type": ["number", "null"]}
_WHEN: Final = "a date, a time in UTC, or a modified Julian date"
_ROW_TYPES: Final[dict[str, Any]] = {
    "kind": {
        "enum": ["star", "galaxy", "hit", "trail", None],
        "description": "what it looks like: a galaxy may be stars that are not parted, a hit is of "
        "a cosmic ray or a hot pixel; null where it is too faint, crowded or saturated to tell",
    },
    "mag_psf": {
        **_FLOAT,
        "description": "by the point spread function, of a star, neighbours taken off; null where "
        "that was not measured, as of frames reduced before it was",
    },
    "share_psf": {
        **_FLOAT,
        "description": "of the light under its profile that is its own: less than 1 in a crowd",
    },
    "seen_psf": {
        **_FLOAT,
        "description": "of the light it is fitted by that is on good pixels: less than 1 beside "
        "the edge and where pixels are masked or saturated",
    },
    "chi2_psf": {
        **_FLOAT,
        "description": "for each degree of freedom: large where it is no star",
    },
    "number": _NUMBER,
    "flags": _NUMBER,
    "is_clean": {"type": "boolean"},
}

FILTERS: Final = {
    "ra": {"type": "string", "description": "right ascension, degrees, or hours as 07:38:25.4"},
    "dec": {"type": "string", "description": "declination, degrees, or as +21:34:30"},
    "radius": {
        "type": "number",
        "minimum": 0,
        "maximum": cone.MOST_ARCSEC,
        "default": 3,
        "description": "arcseconds",
    },
    "band": {"type": "string", "description": "of the frames, as r"},
    "start": {"type": "string", "description": f"middle of the exposure not before: {_WHEN}"},
    "end": {"type": "string", "description": f"and not after: {_WHEN}; a date is the whole day"},
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": cone.PAGE,
        "default": cone.PAGE,
        "description": "sources, after which no further frame is read: pages hold whole frames",
    },
    "after": {"type": "string", "description": "as in the address of the next page"},
}
FRAME_FILTERS: Final = {name: FILTERS[name] for name in ("ra", "dec", "band", "start", "end")}
FORMAT: Final = {"format": {"enum": ["json", "csv"], "default": "json"}}
TABLE_FORMAT: Final = {"format": {"enum": ["parquet", "csv"], "default": "parquet"}}


def _object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    return {"type": "object", "properties": properties}


FRAME: Final = _object(
    id=_NUMBER,
    file_name=_TEXT,
    night=_MAYBE_TEXT,
    mjd=_FLOAT,
    band=_MAYBE_TEXT,
    exptime_s=_FLOAT,
    limit_mag=_FLOAT,
    outdated=_MAYBE_TEXT,
)
ROW: Final = _object(
    frame=_NUMBER,
    mjd=_FLOAT,
    **{name: _ROW_TYPES.get(name, _FLOAT) for name in cone.COLUMNS},
    sep_arcsec=_FLOAT,
)
PAGE: Final = _object(
    count=_NUMBER,
    next={"type": ["string", "null"], "format": "uri"},
    frames={"type": "array", "items": FRAME},
    without_sources={"type": "array", "items": _NUMBER},
    results={"type": "array", "items": ROW},
)
FRAMES: Final = _object(count=_NUMBER, frames={"type": "array", "items": FRAME})
BYTES: Final = {"type": "string", "format": "binary"}
FIELD_ERRORS: Final = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": _TEXT},
}
DETAIL: Final = _object(detail=_TEXT)
