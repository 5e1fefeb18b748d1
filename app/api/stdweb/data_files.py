"""Looking through the files of the site, to make tasks of them."""

from pathlib import Path
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from app.api import downloads
from app.api.auth import current_user
from app.api.openapi import described
from app.api.stdweb import dialect, documents, schemas
from app.errors import NotFoundError
from app.services import data_files, settings, task_pictures

_FITS = "image/fits"


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.get("/files/")(list_data)
    blueprint.get("/files/<path:path>")(show_data)
    blueprint.get("/files/<path:path>/preview/")(preview_data)


@described(answer=documents.ENTRIES)
def list_data() -> ResponseReturnValue:
    """List the folders of the site's files."""
    return _shown("")


@described(answer={}, refusals={404: documents.DETAIL})
def show_data(path: str) -> ResponseReturnValue:
    """List a folder, or send a file."""
    return _shown(path)


def _shown(path: str) -> ResponseReturnValue:
    found = data_files.find(current_user(), path)
    if isinstance(found, Path):
        response = downloads.send(found, as_attachment=True)
        if response.mimetype == "application/fits":
            response.mimetype = _FITS
        return response
    zone = ZoneInfo(settings.snapshot().text("site.timezone"))
    return [schemas.render_entry(entry, zone) for entry in found]


@described(
    query=documents.LOOK,
    answer=documents.BYTES,
    answer_type="image/jpeg",
    refusals={400: documents.PICTURE_REFUSED, 404: documents.DETAIL},
)
def preview_data(path: str) -> ResponseReturnValue:
    """Give a picture of an image of the site."""
    found = data_files.find(current_user(), path)
    if not isinstance(found, Path):
        raise NotFoundError(data_files.NOT_THERE)
    with dialect.as_text():
        content, kind = task_pictures.picture(found, request.args)
    return Response(content, mimetype=kind)
