"""How nights went: the numbers of their frames against time, as plots, table and JSON."""

from dataclasses import asdict
from datetime import date
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.errors import InvalidRequestError
from app.pages.base import blueprint
from app.pages.nights import parse_night
from app.services import nights, trends
from app.services.quality import MARKS
from app.services.trends import MOST_NIGHTS, VALUES, Sky


@blueprint.get("/night/<name>/trends/")
def show_night_trends(name: str) -> ResponseReturnValue:
    """Show how the numbers of a night's frames went, and its extinction."""
    user, night = current_user(), parse_night(name)
    found = trends.of_night(user, night)
    before, after = nights.neighbours(user, night)
    return render_template(
        "trends.html",
        night=night,
        before=before,
        after=after,
        frames=found.frames,
        skies=found.skies,
        values=VALUES,
        marks=MARKS,
        source=url_for("pages.send_night_trends", name=name),
    )


@blueprint.get("/night/<name>/trends.json")
def send_night_trends(name: str) -> ResponseReturnValue:
    """Send the numbers of a night's frames as columns, and its extinction."""
    night = parse_night(name)
    found = trends.of_night(current_user(), night)
    return {
        "night": night.isoformat(),
        "values": _values(),
        "columns": dict(found.columns),
        "extinction": [_record(sky) for sky in found.skies],
    }


@blueprint.get("/nights/trends/")
def show_trends() -> ResponseReturnValue:
    """Show how the medians of nights went, of the newest ones where no dates are given."""
    user = current_user()
    period = _period()
    return render_template(
        "trends_nights.html",
        first=period and period[0],
        last=period and period[1],
        skies=trends.over_nights(user, *period)[1] if period else [],
        values=VALUES,
        source=period and f"{url_for('pages.send_trends')}?from={period[0]}&to={period[1]}",
    )


@blueprint.get("/nights/trends.json")
def send_trends() -> ResponseReturnValue:
    """Send the medians of nights by camera and band as columns, and their extinctions."""
    period = _period()
    columns, skies = (
        trends.over_nights(current_user(), *period) if period else (dict[str, Any](), [])
    )
    return {
        "from": period and period[0].isoformat(),
        "to": period and period[1].isoformat(),
        "values": _values(),
        "columns": dict(columns),
        "extinction": [_record(sky) for sky in skies],
    }


def _period() -> tuple[date, date] | None:
    """Return the nights asked for; where none are named, the newest ones that have frames."""
    newest = trends.newest_nights(current_user())
    first, last = _day("from"), _day("to")
    if newest is None:
        return (first, last) if first and last else None
    last = last or newest[1]
    earliest = date.fromordinal(max(1, last.toordinal() - MOST_NIGHTS + 1))
    return first or max(min(newest[0], last), earliest), last


def _day(name: str) -> date | None:
    text = request.args.get(name, "").strip()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidRequestError(
            **{name: f"must be a date such as 2026-11-20, not {text!r}"}
        ) from None


def _values() -> dict[str, dict[str, Any]]:
    return {
        name: {"label": label, "unit": unit, "digits": digits}
        for name, (label, unit, digits) in VALUES.items()
    }


def _record(sky: Sky) -> dict[str, Any]:
    return asdict(sky) | {"night": sky.night.isoformat()}
