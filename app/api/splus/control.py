"""Steering the pipeline: what runs, the log, scanning, the queue, settings, SELECT."""

from typing import Final

from app import paths
from app.api.auth import current_user
from app.api.openapi import described
from app.api.parsing import read_fields
from app.api.splus import documents
from app.api.splus.dialect import Answer, blueprint, says_error, says_status
from app.api.splus.schemas import render_operation, render_queued
from app.errors import AppError, InvalidRequestError, NotAllowedError
from app.models import User
from app.services import access, ingest, jobs, operations, quality, queries, settings

OPERATIONS_SHOWN: Final = 50
_READS: Final = ["GET", "POST"]
_POST: Final = ["POST"]

_LINES: Final = {"type": "array", "items": {"type": "string"}}
_QUEUE: Final = {
    "type": "array",
    "items": documents.shape("id:int function:str block:int? code:str"),
}
_HISTORY: Final = {
    "type": "array",
    "items": documents.shape("id:int endDate:time? logPath:str operation:str"),
}


def _staff() -> User:
    user = current_user()
    if not (user.is_staff or user.is_superuser):
        raise NotAllowedError("Only staff may do this.")
    return user


@blueprint.route("/reduction/get_process", methods=_READS)
@described(answer=documents.message(with_status=True))
@says_status
def get_process() -> Answer:
    """Tell what the pipeline is doing now."""
    return {"msg": operations.running_step(current_user())}


@blueprint.route("/reduction/get_logs", methods=_READS)
@described(
    answer=documents.message({"type": "object", "properties": {"main": _LINES}}, with_status=True)
)
@says_status
def get_logs() -> Answer:
    """Give the main log, newest line first; it names frames, so not every site's to everyone."""
    if not access.sees_every_frame(current_user()):
        _staff()
    return {"msg": {"main": operations.log_lines()}}


@blueprint.route("/reduction/clear_logs", methods=_POST)
@described(answer=documents.message(with_status=True))
@says_status
def clear_logs() -> Answer:
    """Begin the main log anew; the logs of jobs stay. Staff only."""
    _staff()
    operations.clear_log()
    return {"msg": "cleared"}


@blueprint.route("/reduction/scan_folder", methods=_POST)
@described(
    body=documents.shape("path:str contains:str") | {"required": ["path"]},
    answer=documents.message(documents.shape("msg:str job:int"), with_status=True),
)
@says_status
def scan_folder() -> Answer:
    """Take in new files of a folder, relative to the data root or to RAW, in the background."""
    fields = read_fields()
    folder = fields.text("path")
    if folder is None:
        raise InvalidRequestError("Must fill path: a folder such as RAW/2026-11-20.")
    contains = ",".join(fields.words("contains"))
    job = ingest.request_scan(folder, contains=contains, owner=current_user())
    return {"msg": {"msg": "Scanning...", "job": job.id}}


@blueprint.route("/reduction/reset_threads", methods=_POST)
@blueprint.route("/reduction/reset_thread", methods=_POST)
@described(answer=documents.message(with_status=True))
@says_status
def reset_threads() -> Answer:
    """Empty the queue; what runs is left to finish. Staff only."""
    jobs.cancel_all_queued(_staff())
    return {"msg": "reset done"}


@blueprint.route("/reduction/get_queue", methods=_READS)
@described(answer=documents.message(_QUEUE))
@says_error
def get_queue() -> Answer:
    """List what waits or runs, in the order it runs."""
    return {"msg": [render_queued(job) for job in operations.queued(current_user())]}


@blueprint.route("/reduction/removeQueue", methods=_POST)
@described(
    body=documents.shape("id:int") | {"required": ["id"]},
    answer=documents.message(),
)
@says_error
def remove_from_queue() -> Answer:
    """Take a job out of the queue; one that runs is stopped."""
    job_id = read_fields().integer("id")
    if job_id is None:
        raise InvalidRequestError("Must include id in request")
    jobs.cancel(job_id, by=current_user())
    return {"msg": "Task removed"}


@blueprint.route("/reduction/getConf", methods=_READS)
@described(answer=documents.message({"type": "object"}))
@says_error
def get_settings() -> Answer:
    """Give every setting that can be changed, by section and item."""
    return {"msg": operations.visible_settings()}


@blueprint.route("/reduction/setItemConf", methods=_POST)
@described(
    body=documents.shape("section:str item:str", value={})
    | {"required": ["section", "item", "value"]},
    answer=documents.message(),
)
@says_error
def change_setting() -> Answer:
    """Change one setting. Staff only."""
    user = _staff()
    fields = read_fields()
    section, item = fields.text("section"), fields.text("item")
    if not section or not item or "value" not in fields:
        raise InvalidRequestError("Must fill values.")
    settings.change(section, item, fields["value"], by=user)
    quality.mark_anew_if_due()
    return {"msg": "Set value."}


@blueprint.route("/reduction/set_conf", methods=_POST)
@described(
    body=documents.shape("config_name:str") | {"required": ["config_name"]},
    answer=documents.message(),
)
@says_error
def load_settings() -> Answer:
    """Take over the settings of the file CONFIG/<config_name>.toml. Staff only."""
    user = _staff()
    name = read_fields().text("config_name")
    if not name:
        raise InvalidRequestError("Must fill config_name values.")
    try:
        operations.load_settings(name, by=user)
    except InvalidRequestError as error:
        return {"error": "Could not load config file.", "detail": str(error)}
    quality.mark_anew_if_due()
    return {"msg": "Loaded config file."}


@blueprint.route("/reduction/getOperations", methods=_READS)
@blueprint.route("/reduction/getOperation", methods=_READS)
@described(
    body=documents.shape("nums:int"), body_required=False, answer=documents.message(_HISTORY)
)
@says_error
def get_operations() -> Answer:
    """List what has run, newest first."""
    wanted = read_fields(lenient=True).integer("nums")
    ended = operations.ended(current_user(), OPERATIONS_SHOWN if wanted is None else wanted)
    here = paths.current()
    return {"msg": [render_operation(job, here.relative(jobs.log_path(job.id))) for job in ended]}


@blueprint.route("/reduction/getOperationsStats", methods=_READS)
@described(answer=documents.message({"type": "object"}))
@says_error
def get_progress() -> Answer:
    """Tell how much has been reduced. There are no tiles yet, so their counts are 0."""
    return {
        "msg": {
            "Final Tiles Count": 0,
            "Fields With Coaddeds": 0,
            "Done Processed Images": operations.count_reduced(current_user()),
            "Field with 12 filters": 0,
        }
    }


@blueprint.route("/reduction/rawQuery", methods=_POST)
@described(
    body=documents.shape("query:str") | {"required": ["query"]},
    answer=documents.message()
    | {"properties": documents.shape("msg:str query:str file:str rows:int truncated:bool")},
)
@says_error
def run_select() -> Answer:
    """Run one SELECT over your rows; its answer is a CSV file under /media/."""
    query = read_fields().text("query")
    if not query:
        raise InvalidRequestError("Must fill query")
    try:
        result = queries.run(current_user(), query)
    except AppError as error:
        return {"error": "Error running query", "detail": str(error)}
    return {
        "msg": f"TMP/{queries.NEWEST}",
        "query": query,
        "file": f"TMP/{result.file_name}",
        "rows": result.n_rows,
        "truncated": result.is_truncated,
    }


@blueprint.route("/reduction/get_trilogy_image", methods=_POST)
@described(
    body=documents.shape("field:str request_order:str") | {"required": ["field"]},
    answer=documents.message(),
)
@says_error
def get_colour_image() -> Answer:
    """Make a colour image of a field. There are no tiles yet to make one of."""
    return _without_tiles()


@blueprint.route("/reduction/request_twelve_im", methods=_POST)
@described(body=documents.shape("field:str") | {"required": ["field"]}, answer=documents.message())
@says_error
def request_band_images() -> Answer:
    """Make an image of each band of a field. There are no tiles yet to make them of."""
    return _without_tiles()


def _without_tiles() -> Answer:
    field = read_fields().text("field")
    if not field:
        raise InvalidRequestError("Must fill field")
    return {
        "error": "Missing bands",
        "detail": f"There are no tiles of {field}: the co-adding step (co) does not exist yet.",
    }
