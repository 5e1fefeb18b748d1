"""Tiles and colour images of fields: the steps that make them do not exist yet.

The calls answer what is true today: there are none, and what would make one is named.
"""

from typing import Final, NoReturn

from app.api.parsing import MissingFieldError
from app.api.splus.dialect import Answer
from app.api.splus.verbs import Call, period, wanted_valid
from app.errors import ConflictError, NotFoundError

_NO_COADD: Final = (
    "The co-adding step (co) does not exist yet, so there are no final tiles to process."
)
_NO_TRILOGY: Final = (
    "The step that makes colour images of fields does not exist yet, so nothing can be processed."
)


def get_tiles(call: Call) -> Answer:
    """Return tiles by id, nights, field or pattern."""
    return _none_by(call, "final tile", "field", "contains")


def get_fields(call: Call) -> Answer:
    """Return fields by id, name or pattern."""
    return _none_by(call, "field image", "field", "contains")


def list_tiles(call: Call) -> Answer:
    """Return every tile in short."""
    wanted_valid(call.fields)
    return {"msg": []}


def _none_by(call: Call, what: str, *selectors: str) -> Answer:
    wanted_valid(call.fields)  # a value nobody understands is refused here too
    if call.fields.given("id"):
        _not_found(call, what)
    if call.fields.given("startDate") or call.fields.given("endDate"):
        period(call.fields)
    elif not any(call.fields.given(name) for name in selectors):
        raise MissingFieldError("No id or dates found in request")
    return {"msg": []}


def change_tile(call: Call) -> Answer:
    """Change a tile."""
    _not_found(call, "final tile")


def change_tiles(call: Call) -> Answer:
    """Set the status of a tile, or of those of some nights whose name and flag match."""
    if not call.fields.given("id"):
        period(call.fields)
        raise NotFoundError("There are no final tiles of these nights.")
    _not_found(call, "final tile")


def change_field(call: Call) -> Answer:
    """Change a field's image."""
    _not_found(call, "field image")


def set_tile_superflat(call: Call) -> Answer:
    """Link the frames that compose a tile to a super-flat."""
    field, band = call.fields.text("field"), call.fields.text("band")
    raise NotFoundError(f"There is no final tile of field {field} in band {band}.")


def process_tile(_call: Call) -> Answer:
    """Make a tile again."""
    raise ConflictError(_NO_COADD)


def process_field(_call: Call) -> Answer:
    """Make the colour image of a field."""
    raise ConflictError(_NO_TRILOGY)


def _not_found(call: Call, what: str) -> NoReturn:
    raise NotFoundError(f"There is no {what} {call.id}.")
