"""The archive's calls that change it: upload and delete."""

from http import HTTPStatus
from typing import Any, Final
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api import receiving
from app.api.auth import current_user
from app.api.goodman import change_documents, documents
from app.api.goodman.schemas import file_ids, render_frame
from app.api.openapi import described
from app.api.parsing import Fields, read_fields
from app.errors import InvalidRequestError
from app.models import FileState, Level
from app.services import deletion, settings, uploaded_products, uploads
from app.services.uploaded_products import Made
from app.services.uploads import Taken
from app.wording import counted

_LEVELS: Final = {str(level): level for level in range(6)}


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.post("/files/")(upload)
    blueprint.delete("/files/")(delete_files)


@described(
    body=change_documents.UPLOAD,
    query=change_documents.UPLOAD_QUERY,
    answer=change_documents.UPLOADED,
    status=201,
    refusals={
        400: change_documents.NOT_UPLOADED,
        403: documents.DETAIL,
        409: change_documents.NOT_UPLOADED,
        503: documents.DETAIL,
    },
)
def upload() -> ResponseReturnValue:
    """Upload FITS files: raw frames, or what was made elsewhere."""
    user, at = current_user(), settings.snapshot()
    with receiving.received(at) as came:
        level = _level(came.fields)
        if level == Level.RAW:
            _refuse_parent(came.fields)
            taken = uploads.take_raw(user, came.files)
        else:
            made = Made(
                level=level,
                parent_id=came.fields.integer("parent_file_id"),
                kind=came.fields.text("kind") or None,
            )
            taken = uploaded_products.take(user, came.files, made)
    return _rendered(taken, ZoneInfo(at.text("site.timezone"))), _status(taken)


@described(
    body=change_documents.WHICH_FILES,
    body_required=False,
    query=change_documents.WHICH_QUERY,
    answer=change_documents.DELETED,
    refusals={
        400: documents.FIELD_ERRORS,
        403: documents.DETAIL,
        404: documents.DETAIL,
        409: documents.DETAIL,
    },
)
def delete_files() -> ResponseReturnValue:
    """Delete processed files; raw files are never deleted."""
    deleted = deletion.delete(current_user(), file_ids(read_fields()))
    return {
        "detail": f"{counted(len(deleted.frame_ids), 'file')} deleted.",
        "deleted": deleted.frame_ids,
        "blocks_due": deleted.block_ids,
    }


def _level(fields: Fields) -> int:
    said = fields.text("data_type") or "0"
    if said not in _LEVELS:
        raise InvalidRequestError(data_type=f'"{said[:40]}" is not a valid choice: 0 to 5 are.')
    return _LEVELS[said]


def _refuse_parent(fields: Fields) -> None:
    if fields.given("parent_file_id"):
        raise InvalidRequestError(
            parent_file_id="A raw file is its own parent: leave it out, or say which data_type."
        )


def _rendered(taken: Taken, zone: ZoneInfo) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "count": len(taken.frames),
        "results": [render_frame(frame, zone) for frame in taken.frames],
        "refused": [
            {
                "file_name": one.file_name,
                "state": one.state,
                "code": one.code,
                "reason": one.reason,
            }
            for one in taken.refused
        ],
    }
    if taken.refused:
        reasons = " ".join(f"{one.file_name}: {one.reason}" for one in taken.refused[:3])
        refused = counted(len(taken.refused), "file")
        were = "was" if len(taken.refused) == 1 else "were"
        answer["detail"] = f"{refused} could not be registered and {were} not kept. {reasons}"
    return answer


def _status(taken: Taken) -> HTTPStatus:
    """Return 201 where anything was registered, else what kept it all out."""
    if taken.frames:
        return HTTPStatus.CREATED
    duplicates = all(one.state == FileState.DUPLICATE for one in taken.refused)
    return HTTPStatus.CONFLICT if duplicates else HTTPStatus.BAD_REQUEST
