"""The archive's calls: status, list, header, picture, download."""

from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from app.api import downloads
from app.api.auth import current_user
from app.api.goodman import documents
from app.api.goodman.schemas import parse_id, parse_page, parse_search, render_frame
from app.api.openapi import described
from app.models import Frame
from app.services import archive, previews, settings

PAGE_SIZE: Final = 20


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.get("/")(show_status)
    blueprint.get("/files/")(list_files)
    blueprint.get("/files/header/")(show_header)
    blueprint.get("/files/visualize/")(visualize)
    blueprint.get("/files/<int:frame_id>/download/")(download)


@described(answer=documents.STATUS)
def show_status() -> ResponseReturnValue:
    """Tell that the archive answers, and what it holds for the caller."""
    found = archive.search(current_user(), archive.Search(), page=1, size=1)
    return {"status": "ok", "name": "Coelostat", "files": found.count}


@described(
    query=documents.FILTERS,
    answer=documents.PAGE,
    refusals={400: documents.FIELD_ERRORS, 404: documents.DETAIL},
)
def list_files() -> ResponseReturnValue:
    """List files, newest first, 20 a page."""
    number = parse_page(request.args.get("page", "1"))
    wanted = parse_search(request.args)
    found = archive.search(current_user(), wanted, page=number, size=PAGE_SIZE)
    zone = ZoneInfo(settings.snapshot().text("site.timezone"))
    return {
        "count": found.count,
        "next": _link(number + 1) if number * PAGE_SIZE < found.count else None,
        "previous": _link(number - 1) if number > 1 else None,
        "results": [render_frame(frame, zone) for frame in found.frames],
    }


def _link(number: int) -> str:
    query = [(k, v) for k, v in request.args.items(multi=True) if k != "page"]
    if number > 1:
        query.append(("page", str(number)))
    return request.base_url + (f"?{urlencode(query)}" if query else "")


def _asked() -> Frame:
    frame_id = parse_id(request.args.get("id", ""))
    name = request.args.get("file_name", "").strip()
    return archive.one(current_user(), frame_id=frame_id, file_name=name)


@described(
    query=documents.WHICH,
    answer=documents.HEADER,
    refusals={400: documents.FIELD_ERRORS, 404: documents.DETAIL},
)
def show_header() -> ResponseReturnValue:
    """Give a file's header: its cards in order, with comments."""
    frame = _asked()
    cards: list[dict[str, Any]] = archive.header_cards(frame)
    return {"file_name": frame.file_name, "cards": cards}


@described(
    query=documents.WHICH | documents.LOOK,
    answer=documents.BYTES,
    answer_type="image/png",
    refusals={400: documents.FIELD_ERRORS, 404: documents.DETAIL},
)
def visualize() -> ResponseReturnValue:
    """Give a picture of a file as PNG."""
    options = request.args
    picture = previews.picture(
        _asked(),
        stretch=options.get("stretch", "zscale"),
        cmap=options.get("cmap", "gray"),
        width=options.get("width", "800"),
    )
    return Response(picture, mimetype="image/png")


@described(answer=documents.BYTES, answer_type="application/fits", refusals={404: documents.DETAIL})
def download(frame_id: int) -> ResponseReturnValue:
    """Send the file itself."""
    frame = archive.one(current_user(), frame_id=frame_id)
    return downloads.send(archive.file_of(frame), download_name=frame.file_name, as_attachment=True)
