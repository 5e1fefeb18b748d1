"""The endpoints whose requests carry a `type`: one table of verbs over the models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flask import request
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.openapi import describe
from app.api.parsing import Fields, MissingFieldError, read_fields
from app.api.splus import documents, tiles, verbs
from app.api.splus.dialect import Answer, blueprint, says_status
from app.api.splus.verbs import Act, BlockWords, Call
from app.errors import InvalidRequestError
from app.models import BlockKind


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing a `type` asks for: fields it needs, those it may have, and what it does.

    Each of `needs` must be there, or of ``a|b`` either; else the answer is `missing`.
    """

    act: Act
    needs: tuple[str, ...] = ()
    missing: str = ""
    may: tuple[str, ...] = ()

    def lacks(self, fields: Fields) -> bool:
        """Tell whether a field this verb needs was not sent."""
        return any(
            not any(_is_there(fields, name) for name in need.split("|")) for need in self.needs
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address, its other spellings, and its verbs."""

    name: str
    aliases: tuple[str, ...]
    title: str
    verbs: Mapping[str, Verb]
    words: BlockWords | None = None
    record: str = field(default="")


def _is_there(fields: Fields, name: str) -> bool:
    # a blank comment is how a comment is taken away
    return name in fields if name == "comment" else fields.given(name)


def _verb(act: Act, *needs: str, missing: str = "", may: str = "") -> Verb:
    return Verb(act, needs, missing, tuple(may.split()))


_NO_ID: Final = "No id found in request"
_NO_DATES: Final = "No dates found in request"
_NO_DATES_OR_BAND: Final = "No dates or band found in request"
_NO_COMMENT: Final = "No id or comment found in request"
_NO_STATUS: Final = "No id or status found in request"
_NO_SUBSTATUS: Final = "No id nor status found in request"
_NO_FIELD: Final = "No field found in request"
_NO_FIELD_BAND: Final = "No id or field/band found in request"
_DATES: Final = ("startDate|endDate",)

_GET_BLOCKS: Final = _verb(verbs.get_blocks, may="id startDate endDate valid contains")
_REGISTER: Final = _verb(verbs.register_block, "filepath", missing="No filepath found in request")
_EVERY_BLOCK: Final = {
    "get": _GET_BLOCKS,
    "setcomment": _verb(verbs.set_block_comment, "id", "comment", missing=_NO_COMMENT),
    "validate": _verb(verbs.validate_block, "id", missing=_NO_ID),
    "setstatus": _verb(verbs.set_block_status, "id", "status", missing=_NO_STATUS),
}
_MADE_BLOCK: Final = _EVERY_BLOCK | {
    "process": _verb(verbs.process_block, "id", missing=_NO_ID, may="code"),
    "setsubstatus": _verb(verbs.set_block_substatus, "id", "status", missing=_NO_SUBSTATUS),
    "add": _verb(verbs.add_to_block, "id", "objid", missing="No id or objid found in request"),
    "remove": _verb(
        verbs.remove_from_block, "id", "objid", missing="No id or objid found in request"
    ),
}
_CREATE: Final = _verb(
    verbs.create_block,
    *_DATES,
    missing=_NO_DATES,
    may="startDate endDate contains nameContains field",
)
_CREATE_BY_BAND: Final = _verb(
    verbs.create_block,
    *_DATES,
    "band",
    missing=_NO_DATES_OR_BAND,
    may="startDate endDate contains nameContains field",
)
_CREATE_GROUP: Final = _verb(
    verbs.create_group,
    *_DATES,
    missing=_NO_DATES,
    may="startDate endDate contains nameContains",
)
_SUPERFLAT: Final = _verb(
    verbs.set_block_superflat,
    "id",
    "superflatid",
    missing="No id or superflatid found in request",
)
_BY_FIELD: Final = ("id|field",)

ENDPOINTS: Final = (
    Endpoint(
        "individualfile",
        ("individual", "individualfiles"),
        "Single files, raw and reduced",
        {
            "get": _verb(verbs.get_frames, may="id startDate endDate valid contains"),
            "validate": _verb(verbs.validate_frame, "id", missing=_NO_ID),
            "setstatus": _verb(verbs.set_frame_status, "id", "status", missing=_NO_STATUS),
            "setcomment": _verb(verbs.set_frame_comment, "id", "comment", missing=_NO_COMMENT),
        },
        record="IndividualFile",
    ),
    Endpoint(
        "biasblock",
        (),
        "Blocks of bias frames",
        _MADE_BLOCK | {"create": _CREATE, "register": _REGISTER},
        BlockWords(
            BlockKind.BIAS,
            created="Created block with: {n} BIAS",
            running="Processing bias block!",
            registered="Created bias block {id}",
        ),
        record="BiasBlock",
    ),
    Endpoint(
        "darkblock",
        (),
        "Blocks of dark frames",
        _MADE_BLOCK | {"create": _CREATE, "register": _REGISTER},
        BlockWords(
            BlockKind.DARK,
            created="Created block with: {n} DARK",
            running="Processing dark block!",
            registered="Created dark block {id}",
        ),
        record="DarkBlock",
    ),
    Endpoint(
        "flatbyfilter",
        ("flatblockbyfilter",),
        "Blocks of flats of one band",
        _MADE_BLOCK | {"create": _CREATE_BY_BAND, "register": _REGISTER},
        BlockWords(
            BlockKind.FLAT,
            created="Created flat by filter block.",
            running="running flatbyfilter block {id}",
            registered="Created flatbyfilter block {id}",
        ),
        record="FlatByFilter",
    ),
    Endpoint(
        "flatblock",
        (),
        "Blocks of flats of all bands",
        _MADE_BLOCK | {"create": _CREATE_GROUP},
        BlockWords(
            BlockKind.FLAT,
            is_group=True,
            created="Created flat block with all bands blocks.",
            running="Processing flat block!",
        ),
        record="FlatsBlock",
    ),
    Endpoint(
        "scibyfilter",
        (),
        "Blocks of science frames of one band",
        _MADE_BLOCK | {"create": _CREATE_BY_BAND, "setsuperflat": _SUPERFLAT},
        BlockWords(
            BlockKind.SCI,
            created="Created sci by filter block.",
            running="running scibyfilter block {id}",
        ),
        record="SciByFilter",
    ),
    Endpoint(
        "sciblock",
        (),
        "Blocks of science frames of all bands",
        _MADE_BLOCK | {"create": _CREATE_GROUP, "setsuperflat": _SUPERFLAT},
        BlockWords(
            BlockKind.SCI,
            is_group=True,
            created="Created sci block with all bands blocks.",
            running="Processing sci block!",
        ),
        record="SciBlock",
    ),
    Endpoint(
        "superflat",
        (),
        "Super-flats: fringe frames of one band",
        _EVERY_BLOCK | {"register": _REGISTER},
        BlockWords(BlockKind.FRINGE, registered="Created superflat block {id}"),
        record="SuperFlat",
    ),
    Endpoint(
        "finaltiles",
        (),
        "Co-added tiles of the survey",
        {
            "get": _verb(
                tiles.get_tiles, may="id startDate endDate field band valid contains flag"
            ),
            "getfields": _verb(tiles.list_tiles),
            "getshort": _verb(tiles.list_tiles, "field", "band", missing=_NO_FIELD_BAND),
            "process": _verb(
                tiles.process_tile,
                "id|field",
                "id|band",
                missing=_NO_FIELD_BAND,
                may="code status",
            ),
            "processfield": _verb(
                tiles.process_tile, "field", missing=_NO_FIELD, may="code status"
            ),
            "setstatus": _verb(
                tiles.change_tiles,
                "id|startDate|endDate",
                "status",
                missing=_NO_STATUS,
                may="startDate endDate contains flag",
            ),
            "setsubstatus": _verb(tiles.change_tile, "id", "status", missing=_NO_SUBSTATUS),
            "setsuperflat": _verb(
                tiles.set_tile_superflat,
                "field",
                "band",
                "superflatid",
                missing="No field, band or superflatid found in request",
            ),
            "setcomment": _verb(tiles.change_tile, "id", "comment", missing=_NO_COMMENT),
            "validate": _verb(tiles.change_tile, "id", missing=_NO_ID),
            "setflag": _verb(
                tiles.change_tile, "id", "flag", missing="No id or flag found in request"
            ),
        },
        record="FinalTiles",
    ),
    Endpoint(
        "fieldimages",
        ("fieldimage", "field"),
        "Colour images of fields",
        {
            "get": _verb(tiles.get_fields, may="id field valid contains"),
            "process": _verb(tiles.process_field, *_BY_FIELD, missing=_NO_FIELD),
            "setflag": _verb(
                tiles.change_field, "id", "flag", missing="No id or flag found in request"
            ),
            "setcomment": _verb(tiles.change_field, "id", "comment", missing=_NO_COMMENT),
            "validate": _verb(tiles.change_field, "id", missing=_NO_ID),
        },
        record="FieldImages",
    ),
)

_READING: Final = frozenset({"get", "getfields", "getshort"})


def answer(endpoint: Endpoint) -> Answer:
    """Do what the request's `type` asks of an endpoint."""
    fields = read_fields()
    kind = (fields.text("type") or "").lower()
    if not kind:
        raise MissingFieldError("Request must contain 'type' arg.")
    verb = endpoint.verbs.get(kind)
    if verb is None:
        known = ", ".join(endpoint.verbs)
        raise InvalidRequestError(f"There is no type '{kind}' here; there are {known}.")
    if request.method == "GET" and kind not in _READING:
        raise InvalidRequestError(f"'{kind}' changes something: send it with POST.")
    if verb.lacks(fields):
        raise MissingFieldError(verb.missing)
    return verb.act(Call(current_user(), fields, endpoint.words))


def _view_of(endpoint: Endpoint) -> Callable[..., ResponseReturnValue]:
    def view() -> Answer:
        return answer(endpoint)

    view.__name__ = endpoint.name
    view.__doc__ = f"{endpoint.title}."
    return says_status(view)


def document_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the schema of an endpoint's requests: one alternative for each type."""
    return documents.one_of_types(
        {
            name: (verb.needs, verb.may, verb.act.__doc__ or "")
            for name, verb in endpoint.verbs.items()
        }
    )


def _register(endpoint: Endpoint) -> None:
    view = describe(
        _view_of(endpoint),
        body=document_of(endpoint),
        answer=documents.listed(endpoint.record),
        components=documents.RECORDS,
    )
    for number, name in enumerate((endpoint.name, *endpoint.aliases)):
        documented = view if number == 0 else _hidden(view)
        blueprint.add_url_rule(f"/reduction/{name}", name, documented, methods=["GET", "POST"])


def _hidden(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Return the view of another spelling, left out of the documentation."""

    def same() -> ResponseReturnValue:
        return view()

    same.__doc__ = view.__doc__
    hidden: Callable[..., ResponseReturnValue] = blueprint.doc(hide=True)(same)
    return hidden


for _endpoint in ENDPOINTS:
    _register(_endpoint)
