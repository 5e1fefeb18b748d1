"""The people who may sign in, for staff."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.errors import InvalidRequestError, NotAllowedError
from app.models import User
from app.pages.base import back, blueprint
from app.services import accounts


def _staff() -> User:
    user = current_user()
    if not user.is_staff:
        raise NotAllowedError("Only staff may see and change who has an account.")
    return user


@blueprint.get("/people/")
def show_people() -> ResponseReturnValue:
    """List everyone with an account."""
    _staff()
    return _page({})


def _page(wrong: dict[str, str]) -> str:
    return render_template("people.html", people=accounts.people(), wrong=wrong, typed=request.form)


@blueprint.post("/people/")
def add_person() -> ResponseReturnValue:
    """Make an account."""
    by = _staff()
    try:
        user = accounts.create_user(
            request.form.get("username", ""),
            password=request.form.get("password", ""),
            email=request.form.get("email", ""),
            is_staff=bool(request.form.get("is_staff")),
            by=by,
        )
    except InvalidRequestError as error:
        return _page(error.fields), 400
    return back(f"{user.username} can sign in now.", url_for("pages.show_people"))


@blueprint.post("/people/<int:user_id>/active/")
def set_person_active(user_id: int) -> ResponseReturnValue:
    """Close an account, or open it again."""
    is_active = request.form.get("active") == "1"
    user = accounts.set_active(user_id, is_active, by=_staff())
    said = "may sign in again" if user.is_active else "is signed out and kept out"
    return back(f"{user.username} {said}.", url_for("pages.show_people"))
