"""The queue, live, and one job with its log."""

from collections.abc import Sequence
from typing import Final

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.models import OPEN_STATES, Job, JobState
from app.pages.base import back, blueprint
from app.services import health, jobs, nights, operations, shortfalls

_ENDED_SHOWN: Final = 50
_LOG_TAIL_BYTES: Final = 256 << 10


@blueprint.get("/jobs/")
def show_jobs() -> ResponseReturnValue:
    """Show what runs, what waits and what ended last."""
    user = current_user()
    ended = operations.ended(user, _ENDED_SHOWN)
    shown = {
        "waiting": operations.queued(user),
        "ended": ended,
        "missing": shortfalls.of_blocks(user, _blocks_done(ended)),
        "doing": _doing(operations.running_step(user)),
        "trouble": health.trouble(),
    }
    name = "parts/jobs.html" if request.headers.get("HX-Target") == "jobs" else "jobs.html"
    return render_template(name, **shown)


def _doing(step: str) -> str:
    """Return what is being done in the words of the page: `IDLE` is those of an API's clients."""
    return "nothing runs; workers are ready" if step == operations.IDLE else step


@blueprint.get("/jobs/<int:job_id>/")
def show_job(job_id: int) -> ResponseReturnValue:
    """Show one job and the end of its log."""
    user = current_user()
    job = nights.job(user, job_id)
    text, is_cut = _log_of(job)
    shown = {"job": job, "log": text, "is_cut": is_cut, "is_open": job.state in OPEN_STATES}
    shown["missing"] = shortfalls.of_blocks(user, _blocks_done([job]))
    name = "parts/job.html" if request.headers.get("HX-Target") == "job" else "job.html"
    return render_template(name, **shown)


def _blocks_done(found: Sequence[Job]) -> set[int]:
    """Return the blocks that jobs were about, whose products stand for how they ended."""
    ids = (job.arguments.get("block_id") for job in found if job.state == JobState.DONE)
    return {block_id for block_id in ids if isinstance(block_id, int)}


def _log_of(job: Job) -> tuple[str, bool]:
    """Return the end of a job's log, and whether its beginning is left out."""
    try:
        with jobs.log_path(job.id).open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _LOG_TAIL_BYTES))
            return stream.read().decode("utf-8", "replace"), size > _LOG_TAIL_BYTES
    except FileNotFoundError:
        return "", False


@blueprint.post("/jobs/<int:job_id>/cancel/")
def cancel_job(job_id: int) -> ResponseReturnValue:
    """Cancel a job."""
    job = jobs.cancel(job_id, by=current_user())
    said = "is being stopped" if job.state in OPEN_STATES else "is cancelled"
    return back(f"Job {job_id} {said}.", url_for("pages.show_jobs"))
