"""Frames of all nights, newest first: a page for people, the same list as JSON for programs."""

from typing import Any, Final
from urllib.parse import urlencode

import orjson
from flask import Response, render_template, request
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.parsing import Fields
from app.errors import InvalidRequestError
from app.models import User
from app.pages.base import blueprint, refuse_unknown
from app.pages.nights import LEVELS, level_of
from app.services import listing
from app.services.quality import MARKS
from reduction.frameinfo import FrameKind

_JSON: Final = "application/json"
_FORMATS: Final = ("html", "json")
_FILTERS: Final = (
    *("night", "from", "to", "kind", "level", "band", "camera", "object"),
    *("valid", "state", "mark", "name_has", "proposal"),
)
_KNOWN: Final = frozenset({*_FILTERS, "limit", "after", "format"})
_MAX_LEVEL: Final = 5
_AS_JSON: Final = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


@blueprint.get("/frames/")
def list_frames() -> ResponseReturnValue:
    """List frames across nights, newest first; as JSON where that is asked for."""
    user = current_user()
    if not _wants_json():
        return _show(user)
    try:
        page = _page(user, _asked())
    except InvalidRequestError as error:
        return {"detail": str(error)}, error.status
    answer = {"results": page.records(), "next": _link(page)}
    return Response(orjson.dumps(answer, option=_AS_JSON), mimetype=_JSON)


def _wants_json() -> bool:
    if "format" in request.args:
        return request.args["format"] == "json"
    if request.headers.get("Accept") == _JSON:  # as programs ask: nothing to weigh
        return True
    accepted = request.accept_mimetypes
    return accepted.best_match(("text/html", _JSON)) == _JSON


def _show(user: User) -> ResponseReturnValue:
    asked = _asked()
    page = _page(user, asked)
    return render_template(
        "frame_list.html",
        rows=page.records(),
        filters=_filters(asked),
        next_link=_link(page),
        is_first=not asked.text("after"),
        cameras=listing.cameras(),
        kinds=tuple(FrameKind),
        levels=LEVELS,
        states=tuple(listing.STATES),
        marks=tuple(MARKS),
    )


def _filters(asked: Fields) -> dict[str, str]:
    """Return what the form is filled with."""
    filters = {name: asked.text(name) or "" for name in _FILTERS}
    return filters | {"level": level_of(filters["level"])}


def _asked() -> Fields:
    """Return the parameters of the request; one that is not known, or no format, is refused."""
    refuse_unknown(_KNOWN)
    given = {name: v[0] if len(v) == 1 else v for name, v in request.args.lists()}
    asked = Fields(given)
    if "format" in given and asked.text("format") not in _FORMATS:
        raise InvalidRequestError(format=f"must be one of {', '.join(_FORMATS)}")
    return asked


def _page(user: User, asked: Fields) -> listing.FramePage:
    after = asked.text("after")
    limit = asked.integer("limit")
    return listing.page_of(
        user,
        _wanted(asked),
        after=listing.Cursor.parse(after) if after else None,
        limit=listing.PAGE if limit is None else limit,
    )


def _wanted(asked: Fields) -> listing.Wanted:
    night = asked.day("night")
    if night is not None and (asked.given("from") or asked.given("to")):
        raise InvalidRequestError(night="cannot be given together with from or to")
    return listing.Wanted(
        start=night or asked.day("from"),
        end=night or asked.day("to"),
        kind=_kind(asked),
        level=_level(asked),
        band=asked.text("band") or None,
        camera=asked.text("camera") or None,
        object_name=asked.text("object") or None,
        valid=asked.flag("valid"),
        state=asked.text("state") or None,
        contains=asked.text("name_has") or "",
        proposal=asked.text("proposal") or None,
        mark=asked.text("mark") or None,
    )


def _kind(asked: Fields) -> str | None:
    kind = asked.text("kind") or None
    if kind is not None and kind not in list(FrameKind):
        raise InvalidRequestError(kind=f"must be one of {', '.join(FrameKind)}")
    return kind


def _level(asked: Fields) -> int | None:
    text = asked.text("level") or ""
    level = int(word) if (word := level_of(text)) != text else asked.integer("level")
    if level is not None and not 0 <= level <= _MAX_LEVEL:
        raise InvalidRequestError(level=f"must be from 0 (raw) to {_MAX_LEVEL}")
    return level


def _link(page: listing.FramePage) -> str | None:
    """Return the address of the frames behind a page, with the same filters."""
    if page.after is None:
        return None
    kept: list[tuple[str, Any]] = [(k, v) for k, v in request.args.items() if v and k != "after"]
    return f"{request.base_url}?{urlencode([*kept, ('after', str(page.after))])}"
