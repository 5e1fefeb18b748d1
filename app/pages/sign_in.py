"""Signing in and out."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api import throttle
from app.api.auth import check_csrf, current_user, end_session, start_session, user_or_none
from app.errors import NotAllowedError, NotAuthenticatedError, ThrottledError
from app.pages.base import blueprint, own_address
from app.services import accounts, browser_sessions
from app.wording import counted


@blueprint.get("/sign-in/")
def sign_in() -> ResponseReturnValue:
    """Ask for name and password."""
    wanted = own_address(request.args.get("next"))
    if user_or_none() is not None:
        return redirect(wanted or url_for("pages.show_nights"))
    return _form(wanted)


@blueprint.post("/sign-in/")
def submit_sign_in() -> ResponseReturnValue:
    """Check name and password and start a session."""
    wanted = own_address(request.form.get("next"))
    username = request.form.get("username", "").strip()
    try:
        check_csrf()  # or another site could sign its visitors in as somebody it chose
        with throttle.sign_in(username):
            user = accounts.authenticate(username, request.form.get("password", ""))
    except NotAllowedError:
        return _form(wanted, "This page was open for too long. Please try again.", 400)
    except ThrottledError as error:
        message = f"Too many failed attempts. Try again in {counted(error.wait_s, 'second')}."
        page, status = _form(wanted, message, 429)
        return page, status, throttle.retry_headers(error)
    except NotAuthenticatedError:
        return _form(wanted, "Name and password do not match, or the account is closed.", 401)
    start_session(user)
    return redirect(wanted or url_for("pages.show_nights"), 303)


def _form(wanted: str | None, problem: str = "", status: int = 200) -> tuple[str, int]:
    return render_template("sign_in.html", next=wanted, problem=problem), status


@blueprint.post("/sign-out/")
def sign_out() -> ResponseReturnValue:
    """End the session of this browser, or of every one."""
    if request.form.get("everywhere"):
        user = current_user()
        browser_sessions.end_all(user, by=user)
    end_session()
    flash("You are signed out.")
    return redirect(url_for("pages.sign_in"), 303)
