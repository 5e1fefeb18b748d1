"""Proposals: list, make, change, and who collaborates on them."""

from http import HTTPStatus
from typing import Any, Final
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import make_response, request
from flask.typing import ResponseReturnValue

from app.api import paging
from app.api.auth import came_with_token, current_user
from app.api.goodman import documents, proposal_documents
from app.api.goodman.proposal_schemas import (
    parse_values,
    render_record,
    render_serialized,
    wire_names,
)
from app.api.goodman.schemas import parse_page
from app.api.openapi import describe, described
from app.api.parsing import Fields, read_fields
from app.errors import InvalidRequestError, NotAllowedError, NotFoundError
from app.models import Proposal, User
from app.services import access, proposals, settings

PAGE_SIZE: Final = 20
OUTCOME: Final = "X-Outcome"  # what became of it, which the documented answer does not tell
_FILTERS: Final = ("soar_id", "semester")
_CHANGES: Final = {"add": proposals.add_collaborator, "remove": proposals.remove_collaborator}
_REQUIRED: Final = "This field is required."
_REFUSALS: Final = {400: documents.FIELD_ERRORS, 403: documents.DETAIL, 404: documents.DETAIL}


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.get("/proposals/")(list_proposals)
    blueprint.post("/proposals/")(create_proposal)
    blueprint.get("/proposals/<int:proposal_id>/")(show_proposal)
    blueprint.patch("/proposals/<int:proposal_id>/")(edit_proposal)
    collaborators = "/proposals/collaborators/<int:proposal_id>/"
    blueprint.get(collaborators)(show_collaborators)
    for put in (blueprint.post, blueprint.patch, blueprint.put):
        put(collaborators)(change_collaborators)


@described(
    query=proposal_documents.FILTERS,
    answer=proposal_documents.PAGE,
    refusals={400: documents.FIELD_ERRORS, 404: documents.DETAIL},
)
def list_proposals() -> ResponseReturnValue:
    """List the proposals you may see, newest first, 20 a page."""
    user, asked = current_user(), _asked()
    number = parse_page(request.args.get("page", "1"))
    found = proposals.visible(
        user, code=asked.text("soar_id") or "", semester=asked.text("semester") or ""
    )
    page = paging.page_of(found, key=Proposal.id, number=number, size=PAGE_SIZE)
    if number != page.number:
        raise NotFoundError("Invalid page.")
    return {
        "count": page.total,
        "next": page.next_link,
        "previous": page.previous_link,
        "results": [_record(user, proposal) for proposal in page.rows],
    }


def _asked() -> Fields:
    for name in sorted(set(request.args) - {*_FILTERS, "page", "format"}):
        known = ", ".join((*_FILTERS, "page"))
        raise InvalidRequestError(**{name: f"There is no such filter; these are: {known}."})
    return Fields(request.args)


def _record(user: User, proposal: Proposal) -> dict[str, Any]:
    return render_record(proposal, _zone(), with_emails=access.is_of(user, proposal))


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.snapshot().text("site.timezone"))


@described(
    body=proposal_documents.CREATE,
    answer=proposal_documents.RECORD,
    status=201,
    refusals={400: documents.FIELD_ERRORS, 403: documents.DETAIL},
)
def create_proposal() -> ResponseReturnValue:
    """Make a proposal; frames of its code that belong to none become its own. Staff only."""
    user = current_user()
    access.check_staff(user)
    with wire_names():
        proposal = proposals.create(by=user, **parse_values(read_fields()))
    return _record(user, proposal), HTTPStatus.CREATED


@described(answer=proposal_documents.RECORD, refusals={404: documents.DETAIL})
def show_proposal(proposal_id: int) -> ResponseReturnValue:
    """Show one proposal with its people."""
    user = current_user()
    return _record(user, proposals.get(user, proposal_id))


@described(body=proposal_documents.EDIT, answer=proposal_documents.RECORD, refusals=_REFUSALS)
def edit_proposal(proposal_id: int) -> ResponseReturnValue:
    """Change what is given of a proposal, and leave the rest. Staff only."""
    user = current_user()
    proposal = proposals.get(user, proposal_id)
    access.check_staff(user)
    with wire_names():
        proposals.edit(proposal, by=user, **parse_values(read_fields(), proposal))
    return _record(user, proposal)


def show_collaborators(proposal_id: int) -> ResponseReturnValue:
    """Show a proposal with its people; with `email` and `action`, put one on it or take one off.

    What changes something wants a token here: a browser's session does it by POST. The header
    X-Outcome of the answer says what became of it: added, added and account created, already on
    it, removed, not on it.
    """
    user = current_user()
    proposal = proposals.get(user, proposal_id)
    fields = read_fields()
    if request.method == "HEAD" or not fields.given("action"):
        return render_serialized(proposal, _zone(), with_emails=access.is_of(user, proposal))
    if not came_with_token():
        raise NotAllowedError(
            "A GET that changes something takes a token, not a browser's session: use POST."
        )
    return _change(user, proposal, fields)


def change_collaborators(proposal_id: int) -> ResponseReturnValue:
    """Put somebody on a proposal, or take them off, by e-mail: its investigator and staff.

    An e-mail nobody has makes an account. The header X-Outcome of the answer says what became
    of it: added, added and account created, already on it, removed, not on it.
    """
    user = current_user()
    return _change(user, proposals.get(user, proposal_id), read_fields())


def _change(user: User, proposal: Proposal, fields: Fields) -> ResponseReturnValue:
    access.check_lead(user, proposal)
    missing = {name: _REQUIRED for name in ("email", "action") if not fields.given(name)}
    if missing:
        raise InvalidRequestError(**missing)
    action = (fields.text("action") or "").lower()
    if action not in _CHANGES:
        raise InvalidRequestError(action=f'"{action[:40]}" is not a valid choice: add or remove.')
    outcome = _CHANGES[action](proposal, fields.text("email") or "", by=user)
    answer = make_response(render_serialized(proposal, _zone(), with_emails=True))
    answer.headers.update({OUTCOME: str(outcome.change), "Cache-Control": "no-store"})
    return answer


for _view in (show_collaborators, change_collaborators):
    describe(
        _view,
        body=proposal_documents.COLLABORATOR,
        body_required=_view is change_collaborators,
        query=proposal_documents.COLLABORATOR_QUERY,
        answer=proposal_documents.SERIALIZED,
        refusals=_REFUSALS,
    )
