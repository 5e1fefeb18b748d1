"""The calendar of nights, and one night with its frames."""

from calendar import Calendar
from datetime import date
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import config
from app.api.auth import current_user
from app.errors import InvalidRequestError, NotFoundError
from app.pages.base import back, blueprint
from app.services import ingest, nights, plan, settings
from app.services.frames import FrameFilters

UNDATED: Final = "undated"
NOTHING_DUE: Final = (
    "Nothing is due: what can be processed is. The plan says why a frame is in no block."
)
LEVELS: Final = {"0": "raw", "1": "masters", "2": "reduced"}


def parse_night(text: str) -> date:
    """Return the night an address or a form names."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFoundError(f"{text!r} is no night; nights are written 2026-11-20.") from None


@blueprint.get("/")
@blueprint.get("/nights/")
def show_nights() -> ResponseReturnValue:
    """Show a month of nights, the newest one that has frames by default."""
    user = current_user()
    months = nights.months(user)
    newest = months[0].first if months else date.today().replace(day=1)  # noqa: DTZ011 - a default
    first = _month(request.args.get("month"), newest)
    end = (first.replace(day=28) + (date.resolution * 4)).replace(day=1)
    return render_template(
        "nights.html",
        first=first,
        weeks=Calendar().monthdatescalendar(first.year, first.month),
        nights=nights.calendar(user, first, end),
        months=months,
        undated=nights.count_undated(user),
        files=nights.file_counts(),
        **sources(),
    )


def _month(text: str | None, default: date) -> date:
    return parse_night(f"{text}-01") if text else default


def sources() -> dict[str, Any]:
    """Return where frames come from and when RAW is looked at, for empty pages."""
    at = settings.snapshot()
    return {
        "raw_folder": config.current().raw,
        "watches": at.flag("scan.watch"),
        "interval_s": at.integer("scan.interval_s"),
    }


@blueprint.get("/night/<name>/")
def show_night(name: str) -> ResponseReturnValue:
    """Show the frames of a night; for a script of ours, only their table."""
    user = current_user()
    night = None if name == UNDATED else parse_night(name)
    page = nights.page_of(
        user,
        night,
        _filters(),
        problems_only="problems" in request.args,
        after_id=request.args.get("after", type=int),
    )
    shown = {"page": page, "name": name, "night": night, "filters": request.args, "level": _level()}
    if request.headers.get("HX-Target") == "frames":
        return render_template("parts/night_frames.html", **shown)
    before, after = nights.neighbours(user, night) if night else (None, None)
    return render_template(
        "night.html",
        before=before,
        after=after,
        facets=nights.facets(user, night),
        levels=LEVELS,
        **shown,
        **sources(),
    )


def _filters() -> FrameFilters:
    chosen = FrameFilters(contains=request.args.get("contains", "").strip())
    if kind := request.args.get("kind"):
        chosen["kind"] = kind
    if level := _level():
        chosen["level"] = int(level)
    return chosen


def _level() -> str:
    """Return the level asked for, "" for all; raw frames where nothing is said."""
    level = request.args.get("level", "0")
    if level and level not in LEVELS:
        raise InvalidRequestError(level=f"must be one of {', '.join(LEVELS)}")
    return level


@blueprint.post("/night/<name>/process/")
def process_night(name: str) -> ResponseReturnValue:
    """Make the blocks of a night and put them all to work."""
    queued = plan.process(parse_night(name), current_user())
    message = f"{len(queued)} jobs are in the queue." if queued else NOTHING_DUE
    return back(message, url_for("pages.show_night", name=name))


@blueprint.post("/scan/")
def scan() -> ResponseReturnValue:
    """Have RAW, or a folder of it, looked through now."""
    job = ingest.request_scan(request.form.get("folder", ""), owner=current_user())
    return redirect(url_for("pages.show_job", job_id=job.id), 303)
