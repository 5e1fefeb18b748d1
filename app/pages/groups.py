"""Groups of people, for staff."""

from collections.abc import Mapping
from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.errors import InvalidRequestError, NotFoundError
from app.models import Group, User
from app.pages.base import back, blueprint
from app.pages.people import staff
from app.services import audit, groups, people


@blueprint.get("/people/groups/")
def show_groups() -> ResponseReturnValue:
    """List the groups with their members and proposals."""
    return _list(staff(), {})


def _list(by: User, wrong: Mapping[str, str]) -> str:
    found = groups.find(by)
    proposals = groups.proposals_of(found)
    return render_template(
        "groups.html", groups=found, proposals=proposals, wrong=wrong, typed=request.form
    )


@blueprint.post("/people/groups/")
def add_group() -> ResponseReturnValue:
    """Make a group."""
    by = staff()
    name, description = _typed()
    try:
        group = groups.create(name, description=description, by=by)
    except InvalidRequestError as error:
        return _list(by, error.fields), HTTPStatus.BAD_REQUEST
    flash(f"The group {group.name} is made; now put people into it.")
    return redirect(url_for("pages.show_group", group_id=group.id), HTTPStatus.SEE_OTHER)


@blueprint.get("/people/groups/<int:group_id>/")
def show_group(group_id: int) -> ResponseReturnValue:
    """Show one group."""
    by = staff()
    return _page(groups.get(group_id, by=by), by, {})


def _page(group: Group, by: User, wrong: Mapping[str, str]) -> str:
    return render_template(
        "group.html",
        group=group,
        proposals=groups.proposals_of([group])[group.id],
        others=[one for one in people.search(by, state="open") if one not in group.members],
        acts=audit.of(group),
        wrong=wrong,
        typed=request.form,
    )


@blueprint.post("/people/groups/<int:group_id>/")
def edit_group(group_id: int) -> ResponseReturnValue:
    """Give a group another name or description."""
    by = staff()
    group = groups.get(group_id, by=by)
    name, description = _typed()
    try:
        groups.edit(group, name=name, description=description, by=by)
    except InvalidRequestError as error:
        return _page(group, by, error.fields), HTTPStatus.BAD_REQUEST
    return back("Name and description are as shown.", _address(group))


@blueprint.post("/people/groups/<int:group_id>/members/")
def change_group_members(group_id: int) -> ResponseReturnValue:
    """Put people into a group, by user name or e-mail, or take one out of it."""
    by = staff()
    group = groups.get(group_id, by=by)
    sent = request.form.get("person", "")
    try:
        found = _people(sent)
    except NotFoundError as error:
        return _page(group, by, {"person": f"{error}."}), HTTPStatus.BAD_REQUEST
    if request.form.get("action") == "remove":
        groups.set_members(group, set(group.members) - found, by=by)
        return back(f"Taken out of {group.name}: {sent}.", _address(group))
    groups.set_members(group, {*group.members, *found}, by=by)
    return back(f"In {group.name} now: {sent}.", _address(group))


def _people(sent: str) -> set[User]:
    """Return the people of a list of names and addresses, by commas, blanks or lines."""
    names = sent.replace(",", " ").replace(";", " ").split()
    if not names:
        raise NotFoundError("Say who: user names or e-mail addresses")
    return {people.find_person(name) for name in names}


@blueprint.post("/people/groups/<int:group_id>/delete/")
def delete_group(group_id: int) -> ResponseReturnValue:
    """Delete a group; its people stay."""
    by = staff()
    group = groups.get(group_id, by=by)
    name = group.name
    groups.delete(group, by=by)
    flash(f"The group {name} is deleted.")
    return redirect(url_for("pages.show_groups"), HTTPStatus.SEE_OTHER)


def _typed() -> tuple[str, str]:
    return request.form.get("name", ""), request.form.get("description", "")


def _address(group: Group) -> str:
    return url_for("pages.show_group", group_id=group.id)
