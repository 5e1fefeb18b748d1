"""The audit log, for staff: who changed what, as a page and as a file for a spreadsheet."""

import csv
import io
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

from flask import Response, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from app.api.parsing import Fields
from app.pages.base import blueprint, refuse_unknown
from app.pages.people import staff
from app.services import audit

_FILTERS: Final = ("person", "subject", "action", "from", "to")
_COLUMNS: Final = ("time_utc", "who", "action", "detail", "subject_kind", "subject_id", "subject")
_AT_ONCE: Final = 1000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would calculate


@blueprint.get("/people/audit/")
def show_audit_log() -> ResponseReturnValue:
    """Show who changed what, newest first, or send it as CSV."""
    staff()
    refuse_unknown((*_FILTERS, "before", "format"))
    asked = Fields(request.args)
    filters = _filters(asked)
    if asked.text("format") == "csv":
        return _csv(filters)
    entries = audit.find(filters, before=asked.integer("before"), limit=audit.PAGE + 1)
    shown = entries[: audit.PAGE]
    return render_template(
        "audit_log.html",
        entries=shown,
        filters={name: asked.text(name) or "" for name in _FILTERS},
        actions=audit.actions(),
        nobody=audit.NOBODY,
        is_first=not asked.text("before"),
        next_link=_link(before=shown[-1].id) if len(entries) > audit.PAGE else None,
        csv_link=_link(format="csv"),
    )


def _filters(asked: Fields) -> audit.Filters:
    return audit.Filters(
        person=asked.text("person") or "",
        subject=asked.text("subject") or "",
        action=asked.text("action") or "",
        first=asked.day("from"),
        last=asked.day("to"),
    )


def _link(**more: object) -> str:
    kept = {name: request.args[name] for name in _FILTERS if request.args.get(name)}
    return f"{request.path}?{urlencode(kept | more)}"


def _csv(filters: audit.Filters) -> Response:
    name = {"Content-Disposition": "attachment; filename=audit-log.csv"}
    lines = stream_with_context(_lines(filters))
    return Response(lines, mimetype="text/csv", headers=name)


def _lines(filters: audit.Filters) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    before: int | None = None
    while entries := audit.find(filters, before=before, limit=_AT_ONCE):
        writer.writerows(_row(entry) for entry in entries)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
        before = entries[-1].id
    yield text.getvalue()


def _row(entry: audit.Entry) -> list[str]:
    at = entry.at.strftime("%Y-%m-%d %H:%M:%S")
    number = str(entry.row_id) if entry.kind else ""
    who, *told = entry.username, entry.action, entry.detail, entry.kind, number, entry.subject
    return [at, *(_plain(text) for text in (who, *told))]


def _plain(text: str) -> str:
    """Return text no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
