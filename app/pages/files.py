"""Files that did not become frames, and the answer to "why is my frame not here"."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.errors import InvalidRequestError
from app.models import FileState
from app.pages.base import asked_row, blueprint, refuse_unknown
from app.pages.nights import sources
from app.services import access, raw_files


@blueprint.get("/quarantine/")
def show_files() -> ResponseReturnValue:
    """List the files of RAW in trouble, or search for one by its name."""
    user = current_user()
    refuse_unknown(("state", "name_has", "before"))
    state = request.args.get("state") or None
    if state is not None and state not in list(FileState):
        raise InvalidRequestError(state=f"must be one of {', '.join(FileState)}")
    contains = request.args.get("name_has", "").strip()
    listed = raw_files.find(user, state=state, contains=contains, before_id=asked_row("before"))
    return render_template(
        "files.html",
        files=listed,
        frames=raw_files.frames_of(user, listed),
        counts=raw_files.counts(user),
        sees_all=access.sees_every_frame(user),
        state=state,
        contains=contains,
        next_id=listed[-1].id if len(listed) == raw_files.PAGE else None,
        **sources(),
    )
