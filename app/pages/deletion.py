"""Deleting a processed frame, from its page."""

from flask import url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.models import Frame
from app.pages.base import back, blueprint
from app.services import archive, deletion, frames


@blueprint.post("/frames/<int:frame_id>/delete/")
def delete_frame(frame_id: int) -> ResponseReturnValue:
    """Delete a processed frame with its file."""
    user = current_user()
    frame = frames.get(user, frame_id)
    name, raw_id = frame.file_name, archive.raw_parent(frame).id
    deletion.delete(user, [frame_id])
    if raw_id != frame_id:
        place = url_for("pages.show_frame", frame_id=raw_id)
        return back(f"{name} is deleted; this is what it was made from.", place)
    return back(f"{name} is deleted.", url_for("pages.list_frames"))


@blueprint.app_template_global("may_delete")
def may_delete(frame: Frame) -> bool:
    """Tell whether whoever looks at a frame may delete it."""
    return deletion.may_delete(current_user(), frame)
