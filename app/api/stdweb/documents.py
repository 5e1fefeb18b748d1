"""What this API's calls take and answer, as JSON Schemas for the documentation."""

from typing import Any, Final

from app.services.task_changes import DIRECTIONS
from app.services.task_runs import COMING
from reduction.preview import STRETCHES
from reduction.snapshot import FORMATS

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
_NUMBER: Final = {"type": "number"}
_FLAG: Final = {"type": "boolean"}
_TIME: Final = {"type": "string", "format": "date-time"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_OBJECT: Final = {"type": "object", "additionalProperties": True}
_NAMES: Final = {"type": "array", "items": _TEXT}
_FILE: Final = {"type": "string", "format": "binary"}
BYTES: Final = _FILE


def _object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    return {"type": "object", "properties": properties}


def _many(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


DETAIL: Final = _object(detail=_TEXT)
ERROR: Final = _object(error=_TEXT)
REFUSED: Final = {
    "type": "object",
    "description": "`error`, `detail`, or a field and what is wrong",
}
PICTURE_REFUSED: Final = {"description": "a field and what is wrong, or a list of one sentence"}
NOT_YOURS: Final = {403: ERROR, 404: DETAIL}

_LINE: Final = _object(
    id=_WHOLE,
    original_name=_TEXT,
    title=_TEXT,
    state=_TEXT,
    user=_TEXT,
    created=_TIME,
    modified=_TIME,
)
_PAGE: Final = _object(count=_WHOLE, next=_MAYBE_TEXT, previous=_MAYBE_TEXT, results=_many(_LINE))
TASK_LIST: Final = {"oneOf": [_many(_LINE), _PAGE]}
FILTERS: Final = {
    "query": {**_TEXT, "description": "words; each in the name, title, owner or a group"},
    "state": _TEXT,
    "user": _TEXT,
    "limit": {**_WHOLE, "description": "with it the answer is a page of this many"},
    "offset": _WHOLE,
}
CREATED: Final = _object(id=_WHOLE, original_name=_TEXT, title=_TEXT, config=_OBJECT, groups=_NAMES)
TASK: Final = _object(
    id=_WHOLE,
    original_name=_TEXT,
    title=_TEXT,
    state=_TEXT,
    user=_TEXT,
    groups=_NAMES,
    created=_TIME,
    modified=_TIME,
    completed={
        **_TIME,
        "description": "when steps last ended, before that when the task was made; whether any "
        "run, `celery_id` tells",
    },
    config=_OBJECT,
    celery_id=_MAYBE_TEXT,
    path=_TEXT,
)
TASK_CHANGES: Final = _object(
    original_name=_TEXT, title={**_TEXT, "maxLength": 250}, config=_OBJECT, groups=_NAMES
)
NEW_TASK: Final = _object(
    file=_FILE,
    local_file={**_TEXT, "description": "path below the data root, RAW/ included"},
    ext={**_WHOLE, "description": "one extension of `local_file`"},
    original_name=_TEXT,
    title={**_TEXT, "maxLength": 250},
    config=_OBJECT,
    preset=_WHOLE,
    groups=_NAMES,
)
STATE: Final = _object(id=_WHOLE, state=_TEXT, celery_id=_MAYBE_TEXT)
_COMING: Final = " and ".join(sorted(COMING))
PROCESS: Final = _object(
    steps={**_NAMES, "description": f"{_COMING} are known, and refused by name until they come"},
    config={**_OBJECT, "description": "put over what the task has"},
) | {"required": ["steps"]}
PROCESSED: Final = _object(
    id=_WHOLE,
    state=_TEXT,
    celery_id=_MAYBE_TEXT,
    steps=_NAMES,
    warnings={**_NAMES, "description": "only where `config` has names that no step knows"},
)
CANCELLED: Final = _object(id=_WHOLE, state=_TEXT, revoked_count=_WHOLE)
CHANGED: Final = _object(id=_WHOLE, status=_TEXT)
CROP: Final = _object(x1=_WHOLE, y1=_WHOLE, x2=_WHOLE, y2=_WHOLE)
DESTRIPE: Final = _object(direction={"enum": list(DIRECTIONS), "default": "both"})

ENTRIES: Final = _many(_object(name=_TEXT, path=_TEXT, size=_WHOLE, modified=_TEXT, is_dir=_FLAG))
FILE: Final = _object(file=_FILE)
STORED: Final = _object(path=_TEXT, size=_WHOLE)
CUTOUT_LOOK: Final = {
    "width": {**_WHOLE, "minimum": 0, "description": "of one plane; 0: as it is"},
    "format": {"enum": list(FORMATS), "default": "jpeg"},
    "quality": {**_WHOLE, "default": 80},
    "cmap": {**_TEXT, "default": "Blues_r"},
    "stretch": {"enum": list(STRETCHES), "default": "linear"},
}
LOOK: Final = {
    **CUTOUT_LOOK,
    "width": {**_WHOLE, "minimum": 0, "default": 800, "description": "0: as it is"},
    "ext": {**_WHOLE, "default": -1, "description": "-1: the first that holds an image"},
    "qmin": {**_NUMBER, "default": 0.5},
    "qmax": {**_NUMBER, "default": 99.5},
    "r0": {**_NUMBER, "default": 0, "description": "pixels it is smoothed with"},
}

_CHAIN: Final = {
    "task_id": _WHOLE,
    "task_name": _TEXT,
    "chain_position": _WHOLE,
    "chain_total": _WHOLE,
}
QUEUE: Final = _many(
    _object(
        id=_TEXT,
        name=_TEXT,
        full_name=_TEXT,
        state={"enum": ["active", "pending", "scheduled"]},
        time_start={"type": ["number", "null"]},
        **_CHAIN,
    )
)
STANDING: Final = _object(
    id=_TEXT,
    state={"enum": ["PENDING", "STARTED", "SUCCESS", "FAILURE", "REVOKED"]},
    ready=_FLAG,
    successful={"type": ["boolean", "null"]},
    failed={"type": ["boolean", "null"]},
    **_CHAIN,
)
TERMINATED: Final = _object(id=_TEXT, task_id=_WHOLE, revoked_count=_WHOLE, state=_TEXT)

PRESET: Final = _object(id=_WHOLE, name=_TEXT, config=_OBJECT)
PRESETS: Final = _many(PRESET)
REFERENCE: Final = _object(filters=_NAMES, catalogs=_NAMES, templates=_NAMES)
REFERENCE_KIND: Final = _OBJECT

MESSAGE: Final = _object(message=_TEXT)
LEGACY_UPLOAD: Final = _object(
    file=_FILE,
    title=_TEXT,
    target=_TEXT,
    preset=_WHOLE,
    do_inspect=_FLAG,
    do_photometry=_FLAG,
    do_simple_transients=_FLAG,
    do_subtraction=_FLAG,
)
LEGACY_UPLOADED: Final = _object(message=_TEXT, task=TASK)
ACTION: Final = _object(action=_TEXT, params=_OBJECT, template_catalog=_TEXT)
TEMPLATE_FILE: Final = _object(template_file=_FILE)
