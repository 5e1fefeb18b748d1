"""The files of a task: listed, fetched, put there, removed, looked at."""

from http import HTTPStatus
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from app.api import downloads
from app.api.openapi import described
from app.api.stdweb import bodies, dialect, documents, schemas
from app.api.stdweb.tasks import asked
from app.errors import InvalidRequestError
from app.services import settings, task_files, task_pictures


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    one = "/tasks/<int:task_id>/files/<path:name>"
    blueprint.get("/tasks/<int:task_id>/files/")(list_files)
    blueprint.get(one)(send_file)
    blueprint.post(one)(upload_file)
    blueprint.delete(one)(delete_file)
    blueprint.get("/tasks/<int:task_id>/preview/<path:name>")(preview)
    blueprint.get("/tasks/<int:task_id>/cutout/<path:name>")(cutout)


@described(answer=documents.ENTRIES, refusals=documents.NOT_YOURS)
def list_files(task_id: int) -> ResponseReturnValue:
    """List the files of a task."""
    zone = ZoneInfo(settings.snapshot().text("site.timezone"))
    return [schemas.render_entry(entry, zone) for entry in task_files.listing(asked(task_id))]


@described(
    answer=documents.BYTES, answer_type="application/octet-stream", refusals=documents.NOT_YOURS
)
def send_file(task_id: int, name: str) -> ResponseReturnValue:
    """Send one file of a task."""
    path = task_files.locate(asked(task_id), name)
    response = downloads.send(path, as_attachment=True)
    response.mimetype = downloads.BYTES
    return response


@described(
    body=documents.FILE,
    answer=documents.STORED,
    status=201,
    refusals={
        400: documents.REFUSED,
        409: documents.ERROR,
        415: documents.DETAIL,
        503: documents.DETAIL,
        **documents.NOT_YOURS,
    },
)
def upload_file(task_id: int, name: str) -> ResponseReturnValue:
    """Put a file into a task's folder, in place of any of this name."""
    task = asked(task_id)
    with bodies.came() as found:
        bodies.refuse_json(found.fields)
        arrived = bodies.only_file(found)
        if arrived is None:
            raise InvalidRequestError("No file provided")
        path = task_files.store(task, name, arrived)
    relative = path.relative_to(task_files.folder(task).resolve()).as_posix()
    return {"path": relative, "size": path.stat().st_size}, HTTPStatus.CREATED


@described(answer={}, status=204, refusals={409: documents.ERROR, **documents.NOT_YOURS})
def delete_file(task_id: int, name: str) -> ResponseReturnValue:
    """Remove a file, or a folder with all in it."""
    task_files.remove(asked(task_id), name)
    return "", HTTPStatus.NO_CONTENT


@described(
    query=documents.LOOK,
    answer=documents.BYTES,
    answer_type="image/jpeg",
    refusals={400: documents.PICTURE_REFUSED, **documents.NOT_YOURS},
)
def preview(task_id: int, name: str) -> ResponseReturnValue:
    """Give a picture of an image of a task."""
    path = task_files.locate(asked(task_id), name)
    with dialect.as_text():
        content, kind = task_pictures.picture(path, request.args)
    return Response(content, mimetype=kind)


@described(
    query=documents.CUTOUT_LOOK,
    answer=documents.BYTES,
    answer_type="image/jpeg",
    refusals={400: documents.PICTURE_REFUSED, **documents.NOT_YOURS},
)
def cutout(task_id: int, name: str) -> ResponseReturnValue:
    """Give the planes of a cutout beside each other."""
    path = task_files.locate(asked(task_id), name)
    with dialect.as_text():
        content, kind = task_pictures.cutout(path, request.args)
    return Response(content, mimetype=kind)
