"""Sources of all frames by place: JSON or CSV for programs, and the tables of single frames."""

from typing import Final
from urllib.parse import urlencode

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from app.api import cone_query, downloads, source_documents, source_records
from app.api.auth import current_user
from app.api.openapi import described
from app.api.tokens import word_refusals
from app.errors import InvalidRequestError
from app.services import frames, source_files
from app.services.cone import Found

blueprint = APIBlueprint("sources", __name__, url_prefix="/api/sources", tag="Sources")
BLUEPRINTS: Final = (blueprint,)
word_refusals(blueprint)

_CSV: Final = "text/csv; charset=utf-8"
_JSON: Final = "application/json"


@blueprint.get("/")
@described(
    query=source_documents.FILTERS | source_documents.FORMAT,
    answer=source_documents.PAGE,
    refusals={400: source_documents.FIELD_ERRORS},
)
def find_sources() -> ResponseReturnValue:
    """Find the sources within a circle of the sky on all frames, by time."""
    wanted = _format("json", "csv")
    query = cone_query.parse(request.args.to_dict(), others=frozenset({"format"}))
    found = query.run(current_user())
    following = _following(found)
    if wanted == "csv":
        answer = Response(source_records.lines_of(found), content_type=_CSV)
    else:
        answer = Response(source_records.page_of(found, following), mimetype=_JSON)
    if following:
        answer.headers["Link"] = f'<{following}>; rel="next"'
    return answer


@blueprint.get("/frames/")
@described(
    query=source_documents.FRAME_FILTERS,
    answer=source_documents.FRAMES,
    refusals={400: source_documents.FIELD_ERRORS},
)
def find_frames() -> ResponseReturnValue:
    """Find the reduced frames that show a place of the sky, by time, whatever is there."""
    query = cone_query.parse(request.args.to_dict(), names=cone_query.OF_FRAMES)
    return source_records.frames_of(query.frames(current_user()))


@blueprint.get("/<int:frame_id>/")
@described(
    query=source_documents.TABLE_FORMAT,
    answer=source_documents.BYTES,
    answer_type="application/vnd.apache.parquet",
    refusals={400: source_documents.FIELD_ERRORS, 404: source_documents.DETAIL},
)
def send_sources(frame_id: int) -> ResponseReturnValue:
    """Send all sources of one frame, with every column there is."""
    wanted = _format("parquet", "csv")
    frame = frames.get(current_user(), frame_id)
    stem = frame.file_name.removesuffix(".fits")
    if wanted == "parquet":
        path = source_files.find(frame)
        return downloads.send(path, download_name=f"{stem}.sources.parquet", as_attachment=True)
    answer = Response(source_records.csv_of(source_files.read(frame).columns), content_type=_CSV)
    answer.headers.set("Content-Disposition", "attachment", filename=f"{stem}.sources.csv")
    return answer


def _format(*known: str) -> str:
    wanted = request.args.get("format", known[0])
    if wanted not in known:
        raise InvalidRequestError(format=f"must be {' or '.join(known)}")
    return wanted


def _following(found: Found) -> str | None:
    """Return the address of the next page, if there is one."""
    if found.next_after is None:
        return None
    asked = {name: text for name, text in request.args.items() if name != "after"}
    return f"{request.base_url}?{urlencode(asked | {'after': found.next_after})}"
