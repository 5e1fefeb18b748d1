"""The job that scans a folder of RAW."""

from typing import Final

from app.db import db
from app.jobs.runner import JobContext
from app.models import FileState, User
from app.services import access, ingest
from app.services.ingest import ScanReport
from app.services.rawscan import Progress

_LOOKED_THROUGH: Final = "Looked through; your new frames are on the page of their night."
_WAIT_S = 24 * 3600.0  # for another scan: what limits a job's time is its own setting


def scan_folder(context: JobContext) -> None:
    """Scan the folder the arguments name, and log what was quarantined and why."""
    folder = str(context.arguments.get("folder", ""))
    owner = db.session.get(User, context.owner_id) if context.owner_id is not None else None
    may_know = access.sees_every_frame(owner)  # how many files there are, and which
    report = ingest.scan(
        folder,
        contains=str(context.arguments.get("contains", "")),
        again=bool(context.arguments.get("again", False)),
        progress=context.progress if may_know else _progress_without_numbers(context),
        check=context.check,
        wait_s=_WAIT_S,
    )
    if may_know:
        _log_changes(context, report)
    told = report.as_result() if may_know else {"message": _LOOKED_THROUGH}
    context.log.info("%s", told["message"])
    with context.finish(told):
        pass  # the rows of the files are stored already, batch by batch


def _progress_without_numbers(context: JobContext) -> Progress:
    def progress(fraction: float, _step: str) -> None:
        context.progress(fraction, "looking")

    return progress


def _log_changes(context: JobContext, report: ScanReport) -> None:
    for change in report.changes:
        if change.state in {FileState.QUARANTINED, FileState.DUPLICATE, FileState.MISSING}:
            context.log.warning("%s: %s: %s", change.path, change.state, change.reason)
