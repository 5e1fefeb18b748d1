"""Files that did not become frames, and the answer to "why is my frame not here"."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.errors import InvalidRequestError
from app.models import FileState
from app.pages.base import blueprint
from app.pages.nights import sources
from app.services import nights


@blueprint.get("/quarantine/")
def show_files() -> ResponseReturnValue:
    """List the files of RAW in trouble, or search for one by its name."""
    user = current_user()
    state = request.args.get("state") or None
    if state is not None and state not in list(FileState):
        raise InvalidRequestError(state=f"must be one of {', '.join(FileState)}")
    contains = request.args.get("contains", "").strip()
    listed = nights.files(
        user, state=state, contains=contains, before_id=request.args.get("before", type=int)
    )
    return render_template(
        "files.html",
        files=listed,
        frames=nights.frames_of_files(user, listed),
        counts=nights.file_counts(),
        state=state,
        contains=contains,
        next_id=listed[-1].id if len(listed) == nights.PAGE else None,
        **sources(),
    )
