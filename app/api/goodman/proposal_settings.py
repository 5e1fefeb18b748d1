"""How a proposal wants its frames reduced."""

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.goodman import change_documents, documents
from app.api.openapi import described
from app.api.parsing import read_fields
from app.models import Proposal
from app.services import proposal_reduction, proposals
from app.services.proposal_reduction import Rules


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    place = "/proposals/<int:proposal_id>/settings/"
    blueprint.get(place)(show_settings)
    blueprint.patch(place)(change_settings)


@described(answer=change_documents.RULES, refusals={404: documents.DETAIL})
def show_settings(proposal_id: int) -> ResponseReturnValue:
    """Tell how a proposal's frames are reduced where that differs from the site's way."""
    proposal = proposals.get(current_user(), proposal_id)
    return _render(proposal, proposal_reduction.of(proposal))


@described(
    body=change_documents.RULES_BODY,
    answer=change_documents.RULES,
    refusals={400: documents.FIELD_ERRORS, 403: documents.DETAIL, 404: documents.DETAIL},
)
def change_settings(proposal_id: int) -> ResponseReturnValue:
    """Set how a proposal's frames are reduced; its investigator and staff may."""
    user = current_user()
    proposal = proposals.get(user, proposal_id)
    rules = proposal_reduction.change(proposal, read_fields(), by=user)
    return _render(proposal, rules)


def _render(proposal: Proposal, rules: Rules) -> dict[str, Any]:
    return {"id": proposal.id, "soar_id": proposal.code, "settings": asdict(rules)}
