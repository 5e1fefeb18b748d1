"""What the calls on proposals and mail take and answer, as JSON Schemas with examples."""

from typing import Any, Final

from app.services import mail, proposals

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}
_FLAG: Final = {"type": "boolean"}
_TIME: Final = {"type": "string", "format": "date-time", "description": "in the site's zone"}
_MAYBE_TIME: Final = _TIME | {"type": ["string", "null"]}
_MAYBE_LINK: Final = {"type": ["string", "null"], "format": "uri"}


def _object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(item: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    return {"type": "array", "items": item}


PERSON: Final = _object(
    id=_NUMBER,
    username=_TEXT,
    last_login=_MAYBE_TIME,
    first_name=_TEXT,
    last_name=_TEXT,
    email=_TEXT | {"description": "empty for whoever is not on the proposal"},
    is_staff=_FLAG,
    is_active=_FLAG,
    date_joined=_TIME,
)
SERIALIZED: Final = _object(
    id=_NUMBER,
    soar_id=_TEXT | {"description": "its code, as the headers of its frames have it"},
    semester=_TEXT,
    title=_TEXT,
    abstract=_TEXT,
    user={"anyOf": [PERSON, {"type": "null"}], "description": "the principal investigator"},
    collaborators=_list(PERSON),
)
_DAYS: Final = {
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": proposals.MAX_DAYS,
    "description": "days after its night when a frame is everyone's; null: the site's",
}
RECORD: Final = _object(
    **SERIALIZED["properties"],
    groups=_list(_TEXT) | {"description": "names of groups, whose people are on it too"},
    proprietary_days=_DAYS,
)
PAGE: Final = _object(count=_NUMBER, next=_MAYBE_LINK, previous=_MAYBE_LINK, results=_list(RECORD))
FILTERS: Final = {
    "soar_id": _TEXT,
    "semester": _TEXT,
    "page": {"type": "integer", "minimum": 1, "default": 1},
}
_WRITTEN: Final = {
    "soar_id": _TEXT | {"description": "its code; no other proposal has it"},
    "semester": _TEXT | {"examples": ["2026B"]},
    "title": _TEXT,
    "abstract": _TEXT,
    "user": {
        "type": ["string", "integer", "object"],
        "description": "principal investigator: user name, number or e-mail; empty for nobody. "
        "An e-mail nobody has makes an account",
    },
    "groups": {"type": ["array", "string"], "items": _TEXT, "description": "names of groups"},
    "proprietary_days": {
        "type": ["integer", "string"],
        "description": "0 to 36500; empty: the site's",
    },
}
CREATE: Final = {"type": "object", "properties": _WRITTEN, "required": ["soar_id"]}
EDIT: Final = {"type": "object", "properties": _WRITTEN}
COLLABORATOR: Final = {
    "type": "object",
    "properties": {
        "email": {"type": "string", "format": "email"},
        "action": {"enum": ["add", "remove"]},
    },
    "examples": [{"email": "user@server.net", "action": "add"}],
}
COLLABORATOR_QUERY: Final = COLLABORATOR["properties"]

MAIL: Final = {
    "type": "object",
    "properties": {
        "subject": {"type": "string", "maxLength": mail.MAX_SUBJECT},
        "message": {"type": "string", "maxLength": mail.MAX_MESSAGE},
        "proposal": {
            "type": ["integer", "string"],
            "description": "its number or its code: all its people",
        },
        "to": {
            "type": ["array", "string"],
            "items": _TEXT,
            "description": "user names or e-mails of people with an account",
        },
        "file_id": _NUMBER | {"description": "the people of this file's proposal"},
    },
    "required": ["subject", "message"],
    "examples": [
        {"subject": "Clouds", "message": "We start again at 3 h.", "proposal": "2026B-001"}
    ],
}
MAILED: Final = _object(
    detail=_TEXT,
    job=_NUMBER | {"description": "the job that sends it"},
    recipients=_list(_TEXT) | {"description": "user names"},
)
NOT_SET_UP: Final = _object(
    detail=_TEXT,
    missing=_list(_TEXT) | {"description": "settings that must be filled in"},
    addresses=_list(_TEXT) | {"description": "to write to the people oneself"},
)
