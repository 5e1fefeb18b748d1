"""The JSON Schemas of this API's requests and records, for the generated documentation."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.api.openapi import Schema

_KINDS: Final[Mapping[str, Schema]] = {
    "int": {"type": "integer"},
    "num": {"type": "number"},
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "day": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "date-time"},
    "any": {},
}


def shape(fields: str, **more: Schema) -> dict[str, Any]:
    """Return the schema of an object from ``name:kind`` words; ``?`` after a kind allows null."""
    properties: dict[str, Any] = {}
    for word in fields.split():
        name, _, kind = word.partition(":")
        schema = _KINDS[kind.rstrip("?")]
        nullable = kind.endswith("?")
        properties[name] = {**schema, "type": [schema["type"], "null"]} if nullable else schema
    return {"type": "object", "properties": properties | more}


def many(name: str) -> dict[str, Any]:
    """Return the schema of a list of records."""
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


_STATE: Final = "comments:str status:int isvalid:int"
_DATES: Final = "id:int blockStartDate:day? blockEndDate:day?"
_STATISTICS: Final = "modeavg:num? medianavg:num? noiseavg:num? medianrms:num? noiserms:num?"
_MASTER: Final = f"masterPath:str? masterThumb:str? maskPath:str? maskThumb:str? {_STATISTICS}"
_BLOCK: Final = f"{_DATES} {_STATE}"

RECORDS: Final = {
    "IndividualFile": shape(
        "id:int obsDate:time? field:str? file_type:str exptime:num? band:str? file_name:str"
        f" file_path:str ovfile:str? ovthumb:str? thumb:str? {_STATISTICS} moonmean:num?"
        " bpmask:str? superflat_id:int? processedDate:time? raw_sci_id:int? processed_id:int?"
        f" sci_id:int? crval1:num? crval2:num? superFlatId:int superFlatPath:str?"
        f" superFlatThumb:str? {_STATE}",
        sci=many("Sci"),
    ),
    "Sci": shape(
        "id:int individual_catalog:str? masterFlatUsed_id:int? masterBiasUsed_id:int?"
        " sciraw_id:int masterBiasUsed:str? masterFlatUsed:str?",
        sextractorOut={"type": "array", "items": _KINDS["str"]},
        scampOut={"type": "array", "items": _KINDS["str"]},
        swarpOut={"type": "array", "items": _KINDS["str"]},
    ),
    "BiasBlock": shape(f"{_BLOCK} {_MASTER}", bias=many("IndividualFile")),
    "DarkBlock": shape(f"{_BLOCK} {_MASTER}", dark=many("IndividualFile")),
    "FlatByFilter": shape(f"{_BLOCK} band:str? {_MASTER}", flats=many("IndividualFile")),
    "FlatsBlock": shape(_BLOCK, flatsByFilter=many("FlatByFilter")),
    "SciByFilter": shape(
        f"{_BLOCK} band:str?",
        scies=many("IndividualFile"),
        processed=many("IndividualFile"),
        finaltiles=many("FinalTiles"),
    ),
    "SciBlock": shape(_BLOCK, sciByFilter=many("SciByFilter")),
    "SuperFlat": shape(
        f"{_BLOCK} band:str? superFlatPath:str? superFlatThumb:str?",
        files=many("IndividualFile"),
    ),
    "FinalTiles": shape(
        "id:int field:str band:str file_path:str weight_path:str file_thumb:str weight_thumb:str"
        f" {_STATISTICS} date:time? flag:int updated_at:time? crval1:num? crval2:num? {_STATE}",
        composedBy=many("IndividualFile"),
    ),
    "FieldImages": shape("id:int file_path:str field:str flag:int updated_at:time?"),
}

_PARAMETERS: Final[Mapping[str, Schema]] = {
    "id": {"type": "integer"},
    "startDate": {"type": "string", "format": "date", "description": "first night"},
    "endDate": {"type": "string", "format": "date", "description": "last night, included"},
    "valid": {"type": "integer", "enum": [0, 1], "default": 1},
    "contains": {"type": "string", "description": "comma list; any of them in the file name"},
    "nameContains": {"type": "string", "description": "the same as `contains`"},
    "field": {"type": "string"},
    "band": {"type": "string"},
    "status": {"type": "integer", "minimum": 0, "maximum": 5},
    "comment": {"type": "string"},
    "code": {"type": "string", "description": "steps: ov sf co am mc; none is all there are"},
    "objid": {"type": "integer"},
    "superflatid": {"type": "integer", "description": "negative unlinks"},
    "filepath": {"type": "string", "description": "relative to the data root"},
    "flag": {"type": "integer"},
}


def one_of_types(
    verbs: Mapping[str, tuple[Sequence[str], Sequence[str], str]],
) -> dict[str, Any]:
    """Return the schema of requests told apart by their `type`.

    Each verb comes as what it needs (``a|b`` is either), what it may have, and what it does.
    """
    return {"oneOf": [_request(name, *verb) for name, verb in verbs.items()]}


def _request(name: str, needs: Sequence[str], may: Sequence[str], text: str) -> dict[str, Any]:
    known = {part: _PARAMETERS[part] for need in needs for part in need.split("|")}
    known |= {part: _PARAMETERS[part] for part in may}
    return {
        "title": name,
        "description": text,
        "type": "object",
        "required": ["type", *(need for need in needs if "|" not in need)],
        "properties": {"type": {"const": name}, **known},
    }


def listed(record: str) -> dict[str, Any]:
    """Return the schema of an answer: rows of a record, or a message."""
    return {
        "type": "object",
        "required": ["status", "msg"],
        "properties": {
            "status": _KINDS["bool"],
            "msg": {"oneOf": [many(record), _KINDS["str"]]},
            "id": _KINDS["int"],
            "ids": {"type": "array", "items": _KINDS["int"]},
            "job": _KINDS["int"],
        },
    }


def message(schema: Schema | None = None, *, with_status: bool = False) -> dict[str, Any]:
    """Return the schema of an answer of a call without a `type`."""
    properties: dict[str, Schema] = {"msg": schema or _KINDS["str"]}
    if with_status:
        properties["status"] = _KINDS["bool"]
    else:
        properties["error"] = _KINDS["str"]
    return {"type": "object", "properties": properties}
