"""The job that scans a folder of RAW."""

from app.db import db
from app.jobs.runner import JobContext
from app.models import FileState, User
from app.services import access, ingest
from app.services.ingest import ScanReport

_WAIT_S = 24 * 3600.0  # for another scan: what limits a job's time is its own setting


def scan_folder(context: JobContext) -> None:
    """Scan the folder the arguments name, and log what was quarantined and why."""
    report = ingest.scan(
        str(context.arguments.get("folder", "")),
        contains=str(context.arguments.get("contains", "")),
        again=bool(context.arguments.get("again", False)),
        progress=context.progress,
        check=context.check,
        wait_s=_WAIT_S,
    )
    owner = db.session.get(User, context.owner_id) if context.owner_id is not None else None
    if access.sees_every_frame(owner):
        _log_changes(context, report)
    context.log.info("%s", report.message)
    with context.finish(report.as_result()):
        pass  # the rows of the files are stored already, batch by batch


def _log_changes(context: JobContext, report: ScanReport) -> None:
    for change in report.changes:
        if change.state in {FileState.QUARANTINED, FileState.DUPLICATE, FileState.MISSING}:
            context.log.warning("%s: %s: %s", change.path, change.state, change.reason)
