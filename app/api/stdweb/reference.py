"""What tasks may be configured with: presets, filters, catalogues, template surveys."""

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.openapi import described
from app.api.stdweb import documents, schemas
from app.errors import NotFoundError
from app.services import presets
from app.services.reference_data import KINDS


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.get("/presets/")(list_presets)
    blueprint.get("/presets/<int:preset_id>/")(show_preset)
    blueprint.get("/reference/")(list_reference)
    blueprint.get("/reference/<kind>/")(show_reference)


@described(answer=documents.PRESETS)
def list_presets() -> ResponseReturnValue:
    """List the named configurations tasks may start from."""
    return [schemas.render_preset(preset) for preset in presets.find(current_user())]


@described(answer=documents.PRESET, refusals={404: documents.DETAIL})
def show_preset(preset_id: int) -> ResponseReturnValue:
    """Give one named configuration."""
    try:
        return schemas.render_preset(presets.get(current_user(), preset_id))
    except NotFoundError as error:
        raise NotFoundError("No Preset matches the given query.") from error


@described(answer=documents.REFERENCE)
def list_reference() -> ResponseReturnValue:
    """Name the filters, catalogues and template surveys there are."""
    return {kind: list(names) for kind, names in KINDS.items()}


@described(answer=documents.REFERENCE_KIND, refusals={404: documents.DETAIL})
def show_reference(kind: str) -> ResponseReturnValue:
    """Describe the filters, the catalogues or the template surveys."""
    if kind not in KINDS:
        raise NotFoundError("Unknown reference data type")
    return dict(KINDS[kind])
