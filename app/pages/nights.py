"""The calendar of nights, and one night with its frames."""

from calendar import Calendar
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import config, paths
from app.api.auth import current_user
from app.errors import InvalidRequestError, NotFoundError
from app.pages.base import asked_row, back, blueprint, refuse_unknown
from app.services import ingest, nights, plan, quality, raw_files, settings, shortfalls, trends
from app.services.frames import FrameFilters
from app.wording import counted

UNDATED: Final = "undated"
NOTHING_DUE: Final = (
    "Nothing is due: what can be processed is. The plan says why a frame is in no block."
)
LEVELS: Final = {"0": "raw", "1": "masters", "2": "reduced"}
_FILTERS: Final = ("name_has", "kind", "level", "mark", "problems", "after")
_LEVEL_WORDS: Final = {"raw": "0", "master": "1", "masters": "1", "reduced": "2"}


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
        files=raw_files.counts(user) | {"missing": raw_files.lost_count(user)},
        **sources(),
    )


def _month(text: str | None, default: date) -> date:
    if not text:
        return default
    first = parse_night(f"{text}-01")
    if first.year in {MINYEAR, MAXYEAR}:  # their weeks begin or end where no date is
        raise NotFoundError(f"There are no frames of {text}.")
    return first


def sources() -> dict[str, Any]:
    """Return where frames come from and when RAW is looked at, for empty pages."""
    at = settings.snapshot()
    return {
        "raw_folder": config.current().raw,
        "raw_trouble": paths.current().raw_trouble(),
        "watches": at.flag("scan.watch"),
        "interval_s": at.integer("scan.interval_s"),
    }


@blueprint.get("/night/<name>/")
def show_night(name: str) -> ResponseReturnValue:
    """Show the frames of a night; for a script of ours, only their table."""
    user = current_user()
    refuse_unknown(_FILTERS)
    night = None if name == UNDATED else parse_night(name)
    filters, problems_only, mark = _filters(), "problems" in request.args, request.args.get("mark")
    page = nights.page_of(
        user,
        night,
        filters,
        problems_only=problems_only,
        mark=mark,
        after_id=asked_row("after"),
    )
    shown = {
        "page": page,
        "told": told(row.problems for row in page.rows),
        "name": name,
        "night": night,
        "filters": request.args,
        "level": _level(),
        "levels": LEVELS,
        "facets": nights.facets(user, night, filters, problems_only=problems_only, mark=mark),
    }
    if request.headers.get("HX-Target") == "frames":
        return render_template("parts/night_frames.html", **shown)
    before, after = nights.neighbours(user, night) if night else (None, None)
    return render_template(
        "night.html",
        before=before,
        after=after,
        lost=raw_files.beside_night(user, night) if night else [],
        marks=quality.counts_of_night(user, night),
        has_trends=night is not None and trends.has_any(user, night),
        **shown,
        **sources(),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of the frames of a list, details in brackets left away.

    What all share is said once above them; what some share stands in their rows, in short.
    """

    all: tuple[str, ...]
    some: frozenset[str]
    n: int


def told(lists: Iterable[Sequence[str]]) -> Told:
    """Return which of the sentences told of each frame all of them share, and which only some."""
    each = [dict.fromkeys(map(without_details, one)) for one in lists]
    counts = Counter(head for one in each for head in one)
    several = {text: n for text, n in counts.items() if n > 1}
    by_all = tuple(text for text, n in several.items() if n == len(each))
    return Told(by_all, frozenset(several) - frozenset(by_all), len(each))


@blueprint.app_template_filter("without_details")
def without_details(text: str) -> str:
    """Return a sentence up to its first bracket."""
    return text.partition(" (")[0]


@blueprint.app_template_filter("in_short")
def in_short(text: str) -> str:
    """Return the few words a row has room for: "no dark" without the reasons."""
    return shortfalls.short([text])[0]


def _filters() -> FrameFilters:
    chosen = FrameFilters(contains=request.args.get("name_has", "").strip())
    if kind := request.args.get("kind"):
        chosen["kind"] = kind
    if level := _level():
        chosen["level"] = int(level)
    return chosen


def _level() -> str:
    """Return the level asked for, "" for all; raw frames where nothing is said."""
    level = level_of(request.args.get("level", "0"))
    if level and level not in LEVELS:
        raise InvalidRequestError(level=f"must be one of {', '.join((*LEVELS, *_LEVEL_WORDS))}")
    return level


def level_of(text: str) -> str:
    """Return the number of a level that may be given as a word: ``reduced`` is ``2``."""
    return _LEVEL_WORDS.get(text.strip().lower(), text)


@blueprint.post("/night/<name>/process/")
def process_night(name: str) -> ResponseReturnValue:
    """Make the blocks of a night and put them all to work."""
    queued = plan.process(parse_night(name), current_user())
    message = (
        f"{counted(len(queued), 'job is', 'jobs are')} in the queue." if queued else NOTHING_DUE
    )
    return back(message, url_for("pages.show_night", name=name))


@blueprint.post("/scan/")
def scan() -> ResponseReturnValue:
    """Have RAW, or a folder of it, looked through now."""
    job = ingest.request_scan(request.form.get("folder", ""), owner=current_user())
    return redirect(url_for("pages.show_job", job_id=job.id), 303)
