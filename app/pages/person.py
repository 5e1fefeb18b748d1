"""One person's page, for staff: what they may do, and everything they can sign in with."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import came_with_token, session_key, start_session
from app.api.parsing import Fields
from app.errors import InvalidRequestError, NotAllowedError
from app.models import User
from app.pages.base import back, blueprint
from app.pages.people import show_link, staff
from app.services import access, accounts, audit, browser_sessions, groups, invitations, people


@blueprint.get("/people/<int:user_id>/")
def show_person(user_id: int) -> ResponseReturnValue:
    """Show a person's account."""
    by = staff()
    return _page(accounts.user_by_id(user_id), by, {})


def _page(person: User, by: User, wrong: Mapping[str, str]) -> str:
    is_manageable = access.may_manage(by, person)
    is_shown = is_manageable or by.id == person.id
    theirs = groups.of_person(person)
    return render_template(
        "people_person.html",
        person=person,
        role=accounts.role_of(person),
        roles=tuple(people.ROLES),
        is_self=by.id == person.id,
        may_manage=is_manageable,
        invited_until=invitations.open_until(person),
        groups=theirs,
        other_groups=[group for group in groups.find(by) if group not in theirs],
        parts=people.proposals_of(person),
        tokens=accounts.tokens_of(person) if is_shown else [],
        browsers=browser_sessions.of(person, session_key()) if is_shown else [],
        entries=audit.by_and_about(person) if is_shown else [],
        wrong=wrong,
        typed=request.form,
    )


def _change(user_id: int, act: Callable[[User, User], str]) -> ResponseReturnValue:
    """Do something to a person, then show their page with what was done or what was wrong."""
    by = staff()
    person = accounts.user_by_id(user_id)
    try:
        said = act(person, by)
    except InvalidRequestError as error:
        return _page(person, by, error.fields or {"": str(error)}), HTTPStatus.BAD_REQUEST
    return back(said, url_for("pages.show_person", user_id=user_id))


@blueprint.post("/people/<int:user_id>/profile/")
def edit_person(user_id: int) -> ResponseReturnValue:
    """Change a person's names and e-mail address."""

    def act(person: User, by: User) -> str:
        names = {name: request.form.get(name, "") for name in ("first_name", "last_name", "email")}
        people.edit(person, **names, by=by)
        return "Names and e-mail address are as shown."

    return _change(user_id, act)


@blueprint.post("/people/<int:user_id>/role/")
def set_person_role(user_id: int) -> ResponseReturnValue:
    """Make a person an observer, staff or a superuser."""

    def act(person: User, by: User) -> str:
        people.set_role(person, request.form.get("role", ""), by=by)
        return f"{person.username} is {accounts.role_of(person)} now."

    return _change(user_id, act)


@blueprint.post("/people/<int:user_id>/active/")
def set_person_active(user_id: int) -> ResponseReturnValue:
    """Close an account, or open it again."""

    def act(person: User, by: User) -> str:
        wanted = Fields(request.form).flag("active")
        if wanted is None:
            raise InvalidRequestError("Say whether to open or to close the account.")
        user = accounts.set_active(person.id, wanted, by=by)
        said = "may sign in again" if user.is_active else "is signed out and kept out"
        return f"{user.username} {said}."

    return _change(user_id, act)


@blueprint.post("/people/<int:user_id>/invite/")
def invite_person(user_id: int) -> ResponseReturnValue:
    """Make a link by which a person sets a new password, and show it, this once."""
    by = staff()
    person = accounts.user_by_id(user_id)
    access.check_manage(by, person)
    _refuse_token()
    return show_link(person, by)


@blueprint.post("/people/<int:user_id>/password/")
def set_person_password(user_id: int) -> ResponseReturnValue:
    """Give a person a new password; every browser of theirs is signed out."""

    def act(person: User, by: User) -> str:
        if by.id == person.id:
            raise NotAllowedError("Your own password you change on your account's page.")
        _refuse_token()
        accounts.set_password(person, request.form.get("password", ""), by=by)
        return f"{person.username} has a new password and is signed out of every browser."

    return _change(user_id, act)


def _refuse_token() -> None:
    if came_with_token():
        raise NotAllowedError("A token cannot change a password; sign in with a browser.")


@blueprint.post("/people/<int:user_id>/sign-out/")
def sign_person_out(user_id: int) -> ResponseReturnValue:
    """Sign a person out of every browser, and revoke their tokens where that is wanted."""

    def act(person: User, by: User) -> str:
        browser_sessions.end_all(person, by=by)
        said = f"{person.username} is signed out of every browser."
        if request.form.get("tokens"):
            number = accounts.revoke_all_tokens(person, by=by)
            said += f" Tokens revoked: {number}."
        if by.id == person.id and not came_with_token():
            start_session(by)  # all but this one
        return said

    return _change(user_id, act)


@blueprint.post("/people/<int:user_id>/tokens/<int:token_id>/revoke/")
def revoke_persons_token(user_id: int, token_id: int) -> ResponseReturnValue:
    """End one of a person's tokens."""

    def act(person: User, by: User) -> str:
        accounts.revoke_token_of(person, token_id, by=by)
        return "The token is revoked."

    return _change(user_id, act)


@blueprint.post("/people/<int:user_id>/browsers/<int:session_id>/end/")
def end_persons_browser(user_id: int, session_id: int) -> ResponseReturnValue:
    """Sign a person out of one browser."""

    def act(person: User, by: User) -> str:
        browser_sessions.end_one(person, session_id, by=by)
        return "The browser is signed out."

    return _change(user_id, act)


@blueprint.post("/people/<int:user_id>/groups/")
def change_persons_groups(user_id: int) -> ResponseReturnValue:
    """Put a person into a group, or take them out of one."""

    def act(person: User, by: User) -> str:
        number = Fields(request.form).integer("group")
        if number is None:
            raise InvalidRequestError(group="Choose a group.")
        group = groups.get(number, by=by)
        if request.form.get("action") == "remove":
            groups.remove_member(group, person, by=by)
            return f"{person.username} is not in {group.name} any more."
        groups.add_member(group, person, by=by)
        return f"{person.username} is in {group.name} now."

    return _change(user_id, act)
