"""How a proposal's frames are reduced: a part of its page."""

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.models import Proposal
from app.pages.base import back, blueprint
from app.services import proposal_reduction, proposals
from app.services.proposal_reduction import SETTINGS, Rules, Setting


@blueprint.post("/people/proposals/<int:proposal_id>/reduction/")
def set_proposal_reduction(proposal_id: int) -> ResponseReturnValue:
    """Set how a proposal's frames are reduced; its investigator and staff may."""
    user = current_user()
    proposal = proposals.get(user, proposal_id)
    sent = {name: request.form[name] for name in _names() if name in request.form}
    before = proposal_reduction.of(proposal)
    rules = proposal_reduction.change(proposal, sent, by=user)
    said = (
        "Nothing is changed."
        if rules == before
        else f"Saved. The frames of {proposal.code} are due to be reduced again."
    )
    place = url_for("pages.show_proposal", proposal_id=proposal_id, _anchor="reduction")
    return back(said, place)


@blueprint.app_template_global("reduction_settings")
def reduction_settings() -> tuple[Setting, ...]:
    """Return the settings a proposal may have of its own."""
    return SETTINGS


@blueprint.app_template_global("reduction_rules")
def reduction_rules(proposal: Proposal) -> Rules:
    """Return those a proposal has."""
    return proposal_reduction.of(proposal)


def _names() -> list[str]:
    return [setting.name for setting in SETTINGS]
