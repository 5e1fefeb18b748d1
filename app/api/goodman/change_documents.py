"""What the calls that change the archive take and answer, as JSON Schemas with examples."""

from typing import Any, Final

from app.api.goodman.documents import BYTES, RECORD
from app.services import proposal_reduction

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}


def _object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    return {"type": "object", "properties": properties}


def _list(item: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    return {"type": "array", "items": item}


_MADE: Final = {
    "data_type": {
        "enum": ["0", "1", "2", "3", "4", "5"],
        "default": "0",
        "description": "0 a raw frame, for RAW; 1 a master, 2 a reduced frame, 3 to 5 a spectrum "
        "that were made elsewhere",
    },
    "parent_file_id": _NUMBER
    | {"description": "the file it was made from; for data_type 2 to 5, may be left out"},
    "kind": {
        "enum": ["bias", "dark", "flat", "fringe"],
        "description": "of a master whose header does not say it",
    },
}
UPLOAD: Final = _object(
    file=BYTES | {"description": "one or more files, under any field names"}, **_MADE
) | {"examples": [{"file": "(the bytes of 0001_GHTS_B.fits)", "data_type": "0"}]}
UPLOAD_QUERY: Final = {
    "file_name": _TEXT | {"description": "the name of a file sent as the body itself"},
    **_MADE,
}
_REFUSED: Final = _list(
    _object(
        file_name=_TEXT,
        state={"enum": ["duplicate", "quarantined"]},
        code=_TEXT | {"description": "a stable short name of the reason"},
        reason=_TEXT,
    )
)
UPLOADED: Final = _object(count=_NUMBER, results=_list(RECORD), refused=_REFUSED, detail=_TEXT) | {
    "examples": [
        {
            "count": 1,
            "results": [{"id": 952, "file_name": "0001_GHTS_B.fits", "data_type": "0"}],
            "refused": [
                {
                    "file_name": "0002_GHTS_B.fits",
                    "state": "quarantined",
                    "code": "truncated",
                    "reason": "Truncated: the header promises 4096 bytes of data, "
                    "the file has 120.",
                }
            ],
            "detail": "1 file could not be registered and were not kept. 0002_GHTS_B.fits: …",
        }
    ]
}
NOT_UPLOADED: Final = UPLOADED

_IDS: Final = {"oneOf": [_NUMBER, _TEXT, _list(_NUMBER)], "description": "one, or several"}
WHICH_FILES: Final = _object(id=_IDS, ids=_IDS) | {"examples": [{"ids": [1203, 1204]}]}
WHICH_QUERY: Final = {"id": _TEXT | {"description": "an id, or several with commas"}}
DELETED: Final = _object(detail=_TEXT, deleted=_list(_NUMBER), blocks_due=_list(_NUMBER)) | {
    "examples": [{"detail": "2 files deleted.", "deleted": [1203, 1204], "blocks_due": [17]}]
}

_DAY: Final = {"type": "string", "format": "date"}
_CHOSEN: Final = {
    "id": _IDS,
    "ids": _IDS,
    "date": _DAY | {"description": "a night: the evening it began"},
    "night": _DAY | {"description": "the same as date"},
    "start": _DAY | {"description": "the first night, included"},
    "end": _DAY | {"description": "the last night, included"},
    "filter": _TEXT | {"description": "as the header has it, or the band's name"},
    "camera": _TEXT | {"description": "its name or number"},
    "file_name": _TEXT | {"description": "part of the file's name, or several with commas"},
}
_OF_OBJECT: Final = {"object": _TEXT | {"description": "the object's whole name; case is free"}}
CALIBRATIONS: Final = _object(
    kind={"enum": ["bias", "dark", "flat", "all"], "default": "all"}, **_CHOSEN
) | {"examples": [{"date": "2026-11-20", "kind": "flat", "filter": "r"}]}
REDUCE: Final = _object(**_CHOSEN, **_OF_OBJECT) | {
    "examples": [{"ids": [952, 953]}, {"date": "2026-11-20", "object": "NGC 2420", "filter": "r"}]
}
RECLASSIFY: Final = _object(**_CHOSEN, **_OF_OBJECT) | {"examples": [{"date": "2026-11-20"}]}
SPECTRUM: Final = _object(id=_NUMBER, file_name=_TEXT) | {"examples": [{"id": 952}]}
ORDERED: Final = _object(
    detail=_TEXT,
    blocks=_list(
        _object(
            id=_NUMBER,
            kind={"enum": ["bias", "dark", "flat", "science"]},
            filter={"type": ["string", "null"]},
            camera={"type": ["string", "null"]},
            start={"type": ["string", "null"], "format": "date"},
            end={"type": ["string", "null"], "format": "date"},
            new={"type": "boolean", "description": "false: it had just these files already"},
            files=_list(_NUMBER),
        )
    ),
    jobs=_list(_object(id=_NUMBER, label=_TEXT, state=_TEXT, block=_NUMBER)),
    left_out=_list(_object(id=_NUMBER, file_name=_TEXT, reason=_TEXT)),
) | {
    "examples": [
        {
            "detail": "2 files in 1 block; 1 job queued.",
            "blocks": [
                {
                    "id": 17,
                    "kind": "flat",
                    "filter": "r",
                    "camera": "STL-1001",
                    "start": "2026-11-20",
                    "end": "2026-11-20",
                    "new": True,
                    "files": [955, 956],
                }
            ],
            "jobs": [{"id": 41, "label": "flat block 17 (r)", "state": "queued", "block": 17}],
            "left_out": [{"id": 957, "file_name": "flat_3.fits", "reason": "it was set invalid"}],
        }
    ]
}
RECLASSIFIED: Final = _object(
    detail=_TEXT,
    count=_NUMBER,
    changed=_NUMBER,
    results=_list(
        _object(
            id=_NUMBER,
            file_name=_TEXT,
            obstype=_TEXT,
            technique=_TEXT,
            changed={
                "type": "object",
                "additionalProperties": _object(was={}, now={}),
            },
            left_blocks=_list(_NUMBER)
            | {"description": "blocks it was taken out of, as it no longer fits them"},
            trouble=_TEXT | {"description": "why its header could not be read again"},
        )
    ),
) | {
    "examples": [
        {
            "detail": "1 file read again, 1 changed.",
            "count": 1,
            "changed": 1,
            "results": [
                {
                    "id": 952,
                    "file_name": "flat-001.fits",
                    "obstype": "FLAT",
                    "technique": "Imaging",
                    "changed": {"kind": {"was": "science", "now": "flat"}},
                    "left_blocks": [],
                    "trouble": "",
                }
            ],
        }
    ]
}

_TYPES: Final[dict[str, Any]] = {
    "saturation_threshold": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
    "ignore_bias": {"type": "boolean"},
    "ignore_flats": {"type": "boolean"},
    "min_bias": {"type": ["integer", "null"], "minimum": 1},
    "min_flats": {"type": ["integer", "null"], "minimum": 1},
}
_RULES: Final = {
    one.name: (_TYPES[one.name] if one.name in _TYPES else {"enum": list(one.choices)})
    | {"description": f'{one.help}; "default" as the site has it'}
    for one in proposal_reduction.SETTINGS
}
RULES_BODY: Final = _object(**_RULES) | {
    "examples": [{"cosmic_ray_method": "none", "min_flats": 10, "ignore_bias": False}]
}
RULES: Final = _object(id=_NUMBER, soar_id=_TEXT, settings=_object(**_RULES)) | {
    "examples": [
        {
            "id": 5,
            "soar_id": "SOAR2020B-008",
            "settings": {
                "saturation_threshold": None,
                "cosmic_ray_method": "none",
                "technique": "default",
                "ignore_bias": False,
                "ignore_flats": False,
                "min_bias": None,
                "min_flats": 10,
            },
        }
    ]
}
