"""The archive's calls that put files to work: masters, reductions, headers read again, spectra."""

from http import HTTPStatus
from typing import Any, Final

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.goodman import change_documents, documents
from app.api.goodman.schemas import parse_id, selection
from app.api.openapi import described
from app.api.parsing import Fields, read_fields
from app.errors import InvalidRequestError
from app.models import Block, BlockKind, Job
from app.services import archive, orders, reclassification
from app.services.orders import Ordered
from app.services.reclassification import Reclassified
from app.wording import counted

_KINDS: Final = {str(kind): (kind,) for kind in orders.CALIBRATIONS} | {"all": orders.CALIBRATIONS}
_REFUSALS: Final = {
    400: documents.FIELD_ERRORS,
    403: documents.DETAIL,
    404: documents.DETAIL,
    409: documents.DETAIL,
}


def register(blueprint: APIBlueprint) -> None:
    """Put the calls under the prefix of `blueprint`."""
    blueprint.post("/files/calibrations/")(make_calibrations)
    blueprint.post("/files/reduce/")(reduce_files)
    blueprint.post("/files/reclassify/")(reclassify_files)
    blueprint.post("/files/spectrum/extract/")(extract_spectrum)
    blueprint.post("/files/spectrum/calibrate/wavelength/")(calibrate_wavelength)


@described(
    body=change_documents.CALIBRATIONS,
    answer=change_documents.ORDERED,
    status=202,
    refusals=_REFUSALS,
)
def make_calibrations() -> ResponseReturnValue:
    """Make masters of bias, dark and flat frames; their jobs run in the background."""
    fields = read_fields()
    kinds = _kinds(fields)
    ordered = orders.make_masters(current_user(), selection(fields), kinds)
    return _render_ordered(ordered), HTTPStatus.ACCEPTED


def _kinds(fields: Fields) -> tuple[BlockKind, ...]:
    said = (fields.text("kind") or "all").lower()
    if said not in _KINDS:
        raise InvalidRequestError(
            kind=f'"{said[:40]}" is not a valid choice: {", ".join(_KINDS)} are.'
        )
    return _KINDS[said]


@described(
    body=change_documents.REDUCE,
    answer=change_documents.ORDERED,
    status=202,
    refusals=_REFUSALS,
)
def reduce_files() -> ResponseReturnValue:
    """Reduce raw science frames with the masters there are; their jobs run in the background."""
    ordered = orders.reduce(current_user(), selection(read_fields()))
    return _render_ordered(ordered), HTTPStatus.ACCEPTED


@described(
    body=change_documents.RECLASSIFY, answer=change_documents.RECLASSIFIED, refusals=_REFUSALS
)
def reclassify_files() -> ResponseReturnValue:
    """Read headers again by the rules and camera profiles as they are now."""
    found = reclassification.reclassify(current_user(), selection(read_fields()))
    changed = sum(bool(one.changes) for one in found)
    return {
        "detail": f"{counted(len(found), 'file')} read again, {changed} changed.",
        "count": len(found),
        "changed": changed,
        "results": [_render_reclassified(one) for one in found],
    }


@described(
    body=change_documents.SPECTRUM,
    refusals={400: documents.DETAIL, 404: documents.DETAIL},
)
def extract_spectrum() -> ResponseReturnValue:
    """Extract a spectrum. That comes later: for now it is refused with a sentence."""
    raise InvalidRequestError(_no_spectra("extracted"))


@described(
    body=change_documents.SPECTRUM,
    refusals={400: documents.DETAIL, 404: documents.DETAIL},
)
def calibrate_wavelength() -> ResponseReturnValue:
    """Fit a wavelength solution. That comes later: for now it is refused with a sentence."""
    raise InvalidRequestError(_no_spectra("calibrated in wavelength"))


def _no_spectra(what: str) -> str:
    fields = read_fields()
    number, name = parse_id(fields.text("id") or ""), fields.text("file_name")
    which = "A spectrum"
    if number is not None or name:
        which = archive.one(current_user(), frame_id=number, file_name=name).file_name
    return (
        f"{which} cannot be {what} here yet: spectra come with a later version. "
        "One made elsewhere can be uploaded with data_type 3, 4 or 5."
    )


def _render_ordered(ordered: Ordered) -> dict[str, Any]:
    n_files = sum(len(block.entries) for block in ordered.blocks)
    blocks, jobs = counted(len(ordered.blocks), "block"), counted(len(ordered.jobs), "job")
    return {
        "detail": f"{counted(n_files, 'file')} in {blocks}; {jobs} queued.",
        "blocks": [
            _render_block(block, is_new=block.id not in ordered.reused) for block in ordered.blocks
        ],
        "jobs": [_render_job(job) for job in ordered.jobs],
        "left_out": [
            {"id": one.frame.id, "file_name": one.frame.file_name, "reason": one.reason}
            for one in ordered.left_out
        ],
    }


def _render_block(block: Block, *, is_new: bool) -> dict[str, Any]:
    return {
        "id": block.id,
        "kind": "science" if block.kind == BlockKind.SCI else str(block.kind),
        "filter": block.band,
        "camera": block.camera.name if block.camera else None,
        "start": block.start_night.isoformat() if block.start_night else None,
        "end": block.end_night.isoformat() if block.end_night else None,
        "new": is_new,
        "files": sorted(entry.frame_id for entry in block.entries),
    }


def _render_job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "label": job.label,
        "state": str(job.state),
        "block": job.arguments.get("block_id"),
    }


def _render_reclassified(one: Reclassified) -> dict[str, Any]:
    return {
        "id": one.frame.id,
        "file_name": one.frame.file_name,
        "obstype": archive.obstype_of(one.frame),
        "technique": one.frame.technique.capitalize(),
        "changed": {
            name: {"was": change.was, "now": change.now} for name, change in one.changes.items()
        },
        "left_blocks": one.left_blocks,
        "trouble": one.trouble,
    }
