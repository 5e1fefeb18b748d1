"""What the archive's calls take and answer, as JSON Schemas for the documentation."""

from typing import Any, Final

from app.services import archive
from reduction.preview import COLOUR_MAPS, STRETCHES

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}
_MAYBE_NUMBER: Final = {"type": ["integer", "null"]}
_MAYBE_LINK: Final = {"type": ["string", "null"], "format": "uri"}

_TEXTS: Final = [
    "created",
    "last_modified",
    "original_file",
    "parent_file",
    "file_name",
    "directory_name",
    "full_path",
    "obstype",
    "object",
    "filter",
    "filter_2",
    "grating",
    "slit",
    "cam_targ",
    "grt_targ",
    "obsra",
    "obsdec",
    "gain",
    "rdnoise",
    "roi",
    "wavmode",
    "proposal_id",
    "date",
    "data_type",
    "technique",
]
_NUMBERS: Final = ["id", "original_file_id", "parent_file_id"]
_MAYBE_NUMBERS: Final = [
    "observation_id",
    "configuration_id",
    "block_id",
    "image_id",
    "saturation_value",
]


def _object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    return {"type": "object", "properties": properties}


RECORD: Final = _object(
    **dict.fromkeys(_TEXTS, _TEXT),
    **dict.fromkeys(_NUMBERS, _NUMBER),
    **dict.fromkeys(_MAYBE_NUMBERS, _MAYBE_NUMBER),
    normalized={"type": "boolean"},
)
PAGE: Final = _object(
    count=_NUMBER,
    next=_MAYBE_LINK,
    previous=_MAYBE_LINK,
    results={"type": "array", "items": RECORD},
)
STATUS: Final = _object(status=_TEXT, name=_TEXT, files=_NUMBER)
HEADER: Final = _object(
    file_name=_TEXT,
    cards={"type": "array", "items": _object(keyword=_TEXT, value={}, comment=_TEXT)},
)
BYTES: Final = {"type": "string", "format": "binary"}
DETAIL: Final = _object(detail=_TEXT)
FIELD_ERRORS: Final = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": _TEXT},
}

FILTERS: Final = {
    "data_type": {
        "enum": ["0", "1", "2", "3", "4", "5"],
        "description": "0 raw, 1 master, 2 reduced, 3 extracted, 4 wavelength, 5 flux calibrated",
    },
    "technique": {"enum": ["Imaging", "Spectroscopy"]},
    "date": {"type": "string", "format": "date", "description": "the evening the night began"},
    "object": {"type": "string", "description": "part of the object's name"},
    "file_name": {"type": "string", "description": "part of the file's name"},
    "parent_file_id": _NUMBER,
    "original_file_id": _NUMBER,
    **dict.fromkeys(("obstype", "filter", "proposal_id", *archive.EXTRA_FILTERS), _TEXT),
    "page": {"type": "integer", "minimum": 1, "default": 1},
}
WHICH: Final = {
    "id": _NUMBER,
    "file_name": {"type": "string", "description": "the whole name; the newest file of it"},
}
LOOK: Final = {
    "stretch": {"enum": list(STRETCHES), "default": "zscale"},
    "cmap": {"enum": list(COLOUR_MAPS), "default": "gray"},
    "width": {"type": "integer", "minimum": 0, "default": 800, "description": "0: as it is"},
}
