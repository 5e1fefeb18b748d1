"""The people who may sign in, for staff: the list, and a new one."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.errors import InvalidRequestError, NotAllowedError
from app.models import User
from app.pages.base import blueprint, refuse_unknown
from app.services import access, accounts, invitations, people, settings

_FILTERS: Final = ("q", "role", "state")


def staff() -> User:
    """Return who is asking, who must be staff."""
    user = current_user()
    if not access.is_staff(user):
        raise NotAllowedError("Only staff may see and change who has an account.")
    return user


@blueprint.get("/people/")
def show_people() -> ResponseReturnValue:
    """List everyone with an account, or who fits a search."""
    by = staff()
    refuse_unknown(_FILTERS)
    return _page(by, {})


def _page(by: User, wrong: Mapping[str, str]) -> str:
    asked = {name: request.args.get(name, "").strip() for name in _FILTERS}
    return render_template(
        "people.html",
        people=people.search(by, asked["q"], role=asked["role"], state=asked["state"]),
        asked=asked,
        roles=tuple(people.ROLES),
        states=people.STATES,
        role_of=accounts.role_of,
        wrong=wrong,
        typed=request.form,
    )


@blueprint.post("/people/")
def add_person() -> ResponseReturnValue:
    """Make an account; without a password, with a link by which its owner sets one."""
    by = staff()
    password = request.form.get("password") or None
    try:
        user = accounts.create_user(
            request.form.get("username", ""),
            password=password,
            email=request.form.get("email", ""),
            is_staff=bool(request.form.get("is_staff")),
            by=by,
        )
    except InvalidRequestError as error:
        return _page(by, error.fields), HTTPStatus.BAD_REQUEST
    if password is not None:
        flash(f"{user.username} can sign in now.")
        return redirect(url_for("pages.show_person", user_id=user.id), HTTPStatus.SEE_OTHER)
    return show_link(user, by)


def show_link(user: User, by: User) -> ResponseReturnValue:
    """Show the link by which somebody sets a password, this once."""
    key = invitations.invite(user, by=by)
    return render_template(
        "people_link.html",
        person=user,
        link=welcome_link(key),
        until=invitations.open_until(user),
    )


def welcome_link(key: str) -> str:
    """Return the address of a link to hand over: as the site has it, or as it was reached now."""
    if address := settings.snapshot().text("site.url").rstrip("/"):
        return address + url_for("pages.show_welcome", key=key)
    return url_for("pages.show_welcome", key=key, _external=True)
