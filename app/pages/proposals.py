"""Proposals: their people, their groups, and when their frames become everyone's."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user, user_or_none
from app.api.parsing import Fields
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import Proposal, User
from app.pages.base import back, blueprint
from app.services import access, audit, groups, invitations, mail, proposals
from app.services.proposals import Change, Outcome, Values
from app.wording import counted

_TEXTS: Final = ("code", "semester", "title", "abstract", "pi")
_SAID: Final[Mapping[Change, str]] = {
    Change.ADDED: "{who} is on {code} now.",
    Change.CREATED: "{who} is on {code} now, with a new account.",
    Change.ALREADY_ON: "{who} is on {code} already.",
    Change.REMOVED: "{who} is no longer on {code}.",
    Change.NOT_ON: "{who} is not on {code}: nothing to remove.",
}
_LINKED: Final = " A link to choose a password goes to them by mail."
_TO_LINK: Final = " Make a link for them below, and pass it on: it lets them choose a password."
_BY_STAFF: Final = " No link can be mailed to them now: staff can make one, and pass it on."


@blueprint.get("/people/proposals/")
def show_proposals() -> ResponseReturnValue:
    """List the proposals the caller may see."""
    return _list_page({})


def _list_page(wrong: Mapping[str, str]) -> str:
    user = current_user()
    found = proposals.find(user)
    return render_template(
        "proposals.html",
        proposals=found,
        counts=proposals.frame_counts(user, found),
        releases={} if access.is_open_site() else proposals.releases(found),
        is_open_site=access.is_open_site(),
        may_make=access.is_staff(user),
        groups=groups.find(user) if access.is_staff(user) else (),
        wrong=wrong,
        typed=request.form,
    )


@blueprint.post("/people/proposals/")
def make_proposal() -> ResponseReturnValue:
    """Make a proposal; staff only."""
    user = current_user()
    access.check_staff(user)
    try:
        proposal = proposals.create(by=user, **_values())
    except InvalidRequestError as error:
        return _list_page(error.fields), HTTPStatus.BAD_REQUEST
    return back(f"{proposal.code} is made.", _address(proposal))


@blueprint.get("/people/proposals/<int:proposal_id>/")
def show_proposal(proposal_id: int) -> ResponseReturnValue:
    """Show a proposal with its people."""
    return _page(_proposal(proposal_id))


@blueprint.post("/people/proposals/<int:proposal_id>/")
def edit_proposal(proposal_id: int) -> ResponseReturnValue:
    """Change what a proposal is called, who leads it, and for how long it is private; staff."""
    proposal = _proposal(proposal_id)
    try:
        proposals.edit(proposal, by=current_user(), **_values())
    except InvalidRequestError as error:
        return _page(_proposal(proposal_id), wrong=error.fields), HTTPStatus.BAD_REQUEST
    return back(f"{proposal.code} is changed.", _address(proposal))


@blueprint.post("/people/proposals/<int:proposal_id>/people/")
def add_proposal_person(proposal_id: int) -> ResponseReturnValue:
    """Put somebody on a proposal by e-mail; its investigator and staff."""
    proposal = _proposal(proposal_id)
    email = request.form.get("email", "")
    try:
        outcome = proposals.add_collaborator(proposal, email, by=current_user())
    except InvalidRequestError as error:
        return _page(_proposal(proposal_id), wrong=error.fields), HTTPStatus.BAD_REQUEST
    return back(_said(outcome, proposal), _address(proposal))


@blueprint.post("/people/proposals/<int:proposal_id>/people/<int:user_id>/remove/")
def remove_proposal_person(proposal_id: int, user_id: int) -> ResponseReturnValue:
    """Take somebody off a proposal; its investigator and staff."""
    proposal = _proposal(proposal_id)
    outcome = proposals.remove_person(proposal, user_id, by=current_user())
    return back(_said(outcome, proposal), _address(proposal))


@blueprint.post("/people/proposals/<int:proposal_id>/people/<int:user_id>/link/")
def link_proposal_person(proposal_id: int, user_id: int) -> ResponseReturnValue:
    """Make a link by which somebody on a proposal sets a password: shown to staff, else mailed."""
    user, proposal = current_user(), _proposal(proposal_id)
    person = proposals.check_invite(proposal, user_id, by=user)
    if not access.may_manage(user, person):
        is_sent = mail.send_invitation(person, by=user) is not None
        return back((_LINKED if is_sent else _BY_STAFF).strip(), _address(proposal))
    key = invitations.invite(person, by=user)
    link = url_for("pages.show_welcome", key=key, _external=True)
    return _page(_proposal(proposal_id), linked=person, link=link)


@blueprint.post("/people/proposals/<int:proposal_id>/mail/")
def mail_proposal_people(proposal_id: int) -> ResponseReturnValue:
    """Write to everybody on a proposal; its people and staff."""
    proposal, sent = _proposal(proposal_id), request.form
    try:
        letter = mail.written(sent.get("subject", ""), sent.get("message", ""))
        posted = mail.write_to_proposal(current_user(), proposal, letter)
    except (InvalidRequestError, ConflictError) as error:
        wrong = error.fields if isinstance(error, InvalidRequestError) else {}
        page = _page(_proposal(proposal_id), wrong=wrong or {"mail": str(error)})
        return page, error.status
    people = counted(len(posted.people), "person", "people")
    return back(f"On its way to {people}, by job {posted.job.id}.", _address(proposal))


def _proposal(proposal_id: int) -> Proposal:
    return proposals.get(current_user(), proposal_id)


def _address(proposal: Proposal) -> str:
    return url_for("pages.show_proposal", proposal_id=proposal.id)


def _said(outcome: Outcome, proposal: Proposal) -> str:
    said = _SAID[outcome.change].format(who=outcome.who, code=proposal.code)
    if outcome.change == Change.CREATED:
        by_hand = _TO_LINK if access.is_staff(current_user()) else _BY_STAFF
        said += _LINKED if outcome.is_invited else by_hand
    return said


def _values() -> Values:
    """Return what the form says; an emptied field is an emptied value."""
    found: dict[str, Any] = {n: request.form[n].strip() for n in _TEXTS if n in request.form}
    if "with_groups" in request.form:  # a list with nothing chosen sends nothing
        found["groups"] = request.form.getlist("groups")
    if "proprietary_days" in request.form:
        found["proprietary_days"] = Fields(request.form).integer("proprietary_days")
    return cast(Values, found)


def _page(
    proposal: Proposal,
    *,
    wrong: Mapping[str, str] | None = None,
    linked: User | None = None,
    link: str = "",
) -> str:
    user = current_user()
    is_of = access.is_of(user, proposal)
    people = [*([proposal.pi] if proposal.pi else []), *proposal.members]
    return render_template(
        "proposal.html",
        proposal=proposal,
        people=people,
        waiting=proposals.not_signed_in(people),
        may_invite={one.id for one in people if access.may_invite(user, one)},
        mails_links=mail.sends_links(),
        may_lead=access.may_lead(user, proposal),
        may_edit=access.is_staff(user),
        is_of=is_of,
        is_open_site=access.is_open_site(),
        count=proposals.frame_counts(user, [proposal]).get(proposal.id, 0),
        release=proposals.releases([proposal])[proposal.id],
        groups=groups.find(user) if access.is_staff(user) else (),
        reachable=mail.people_of(proposal) if is_of else (),
        mail_missing=mail.missing_settings(),
        acts=audit.of(proposal) if is_of else (),
        wrong=wrong or {},
        typed=request.form if wrong else {},
        linked=linked,
        link=link,
    )


@blueprint.app_template_filter("proposal_address")
def address_of_seen(proposal: Proposal | None) -> str:
    """Return the address of a proposal's page, none where the caller may not see it."""
    try:
        seen = proposal and proposals.get(cast(User, user_or_none()), proposal.id)
    except NotFoundError:
        return ""
    return _address(seen) if seen else ""
