"""The job that marks all frames anew, once the thresholds of the settings have changed."""

from collections.abc import Collection
from typing import Final

from app.jobs.runner import JobContext
from app.models import Frame
from app.services import quality, settings
from app.services.quality import Thresholds, Verdict
from app.wording import counted

_NIGHTS_AT_ONCE: Final = 30


def mark_all(context: JobContext) -> None:
    """Mark every frame by the thresholds there are, and again should they change meanwhile."""
    changed = 0
    limits = Thresholds.of(settings.snapshot())
    while True:
        changed += _mark_by(context, limits)
        now = Thresholds.of(settings.snapshot())
        if now == limits:
            break
        limits = now
    message = f"the marks of {counted(changed, 'frame')} changed"
    context.log.info("%s", message)
    with context.finish({"changed": changed, "message": message}):
        quality.note_marked(limits)


def _mark_by(context: JobContext, limits: Thresholds) -> int:
    changed = _store(context, quality.judge_alone(limits, Frame.night.is_(None)))
    nights = quality.nights_to_mark()
    for done in range(0, len(nights), _NIGHTS_AT_ONCE):
        context.check()
        some = nights[done : done + _NIGHTS_AT_ONCE]
        context.progress(done / len(nights), f"{some[0]} to {some[-1]}")
        changed += _store(context, quality.judge_nights(some[0], some[-1], limits))
    return changed


def _store(context: JobContext, verdicts: Collection[Verdict]) -> int:
    with context.checkpoint():
        return quality.store(verdicts)
