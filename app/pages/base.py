"""What every page shares: the blueprint, security headers, times, and how refusals look."""

from collections.abc import Collection, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apiflask import APIBlueprint
from flask import Response, flash, g, redirect, render_template, request, url_for
from flask.sansio.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app.api import throttle
from app.api.auth import csrf_token, user_or_none
from app.errors import AppError, InvalidRequestError, NotAuthenticatedError
from app.services import health, settings
from app.services.quality import MARKS
from app.services.texts import storable

blueprint = APIBlueprint("pages", __name__, enable_openapi=False)

_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}

# First words of the addresses the documented APIs own; everything else is a page.
_FACES: Final = frozenset(
    {
        *("api", "gsp", "stdweb", "forcedphot", "reduction", "media"),
        *("upload", "dataproducts", "calibFile", "calibration", "observatory", "common"),
        *("healthz", "metrics"),
    }
)

# Views that look at each parameter themselves: one answers a program in JSON, the others take
# bodies too large to be read twice.
_READ_BY_FIELD: Final = frozenset(
    {"pages.list_frames", "pages.submit_upload", "pages.add_task_file"}
)

_SENTENCES: Final[Mapping[int, str]] = {
    400: "The server could not make sense of this request.",
    403: "You are signed in, but this is not yours to do.",
    404: "There is nothing at this address, or nothing you may see.",
    405: "This address does not take this kind of request.",
    409: "This cannot be done in the state things are in.",
    413: "That is more than the server takes in one request.",
    429: "Too many requests; wait a little and try again.",
    500: "Something went wrong in the server; its log says what.",
    503: "A part of the program this needs is not running at the moment.",
}


@blueprint.record_once
def _describe_as_openapi_31(state: BlueprintSetupState) -> None:
    state.app.config["OPENAPI_VERSION"] = "3.1.0"


@blueprint.before_app_request
def _refuse_what_is_no_text() -> None:
    """Refuse NUL and the like, which no database takes, wherever a query or a form has it."""
    if request.endpoint in _READ_BY_FIELD:
        return
    sent = [*request.args.items(multi=True)]
    if request.blueprint == blueprint.name:  # an API reads its bodies itself
        sent += request.form.items(multi=True)
    for sent_name, text in sent:
        name = str(sent_name or "")  # a part of a multipart body may have none
        if storable(name) != name:
            raise InvalidRequestError("The request contains characters that are not text.")
        if storable(text) != text:
            raise InvalidRequestError(**{name: "contains characters that are not text"})


@blueprint.after_app_request
def _harden(response: Response) -> Response:
    """Let no response run, frame or load anything that is not ours."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "no-store")  # gone with the sign-out
    return response


@blueprint.app_context_processor
def _page_context() -> dict[str, Any]:
    return {
        "user": user_or_none(),
        "csrf_token": csrf_token,
        "quality_meaning": MARKS.get,
        "site_name": lambda: _snapshot().text("site.name"),
        "not_ready": health.trouble,
    }


def _snapshot() -> settings.Snapshot:
    if "settings" not in g:
        g.settings = settings.snapshot()
    found: settings.Snapshot = g.settings
    return found


def site_zone() -> ZoneInfo:
    """Return the zone the site gives its times in, UTC where its setting names none."""
    try:
        return ZoneInfo(_snapshot().text("site.timezone"))
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


@blueprint.app_template_filter("utc")
def show_utc(moment: datetime | None, shape: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a time in UTC, without its zone."""
    return moment.strftime(shape) if moment else ""


@blueprint.app_template_filter("local")
def show_local(moment: datetime | None, shape: str = "%H:%M") -> str:
    """Return a time in the zone of the site, with the zone's name; nothing where that is UTC."""
    if moment is None:
        return ""
    there = moment.astimezone(site_zone())
    if there.tzname() == "UTC":
        return ""
    return f"{there.strftime(shape)} {there.tzname()}"


@blueprint.app_template_filter("number")
def show_number(value: float | None, digits: int = 4) -> str:
    """Return a number as people write it, to some significant digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


@blueprint.app_template_filter("bytes")
def show_bytes(size: int | None) -> str:
    """Return a size on disk in the unit that suits it."""
    if size is None:
        return ""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


def row_number(text: str) -> int:
    """Return the number of a row in a query string; ValueError where no row can have it."""
    number = int(text)
    if not 0 <= number < 1 << 63:
        raise ValueError(text)
    return number


def asked_row(name: str) -> int | None:
    """Return the row a page goes on from, None where the query does not say.

    Raises
    ------
    InvalidRequestError
        If it is no number of a row.
    """
    text = request.args.get(name, "").strip()
    try:
        return row_number(text) if text else None
    except ValueError as error:
        raise InvalidRequestError(
            **{name: "must be taken from a link of the page before"}
        ) from error


def refuse_unknown(known: Collection[str]) -> None:
    """Refuse a query with a parameter the page does not know: it would answer another question.

    Raises
    ------
    InvalidRequestError
        With those that it knows.
    """
    if unknown := sorted(set(request.args) - set(known)):
        names = ", ".join(sorted(known))
        raise InvalidRequestError(**{unknown[0]: f"there is no such parameter; these are: {names}"})


def own_address(text: str | None) -> str | None:
    """Return an address given from outside if it is a path of this server."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\")):
        return None
    parts = urlsplit(text)
    return text if not parts.scheme and not parts.netloc and text.isprintable() else None


def back(message: str, fallback: str) -> ResponseReturnValue:
    """Return to the page the form was on, which then shows `message`."""
    flash(message)
    return redirect(own_address(request.form.get("back")) or fallback, HTTPStatus.SEE_OTHER)


def is_for_people() -> bool:
    """Tell whether the request is for a page; the rest of the house speaks JSON."""
    return request.path.split("/")[1] not in _FACES


@blueprint.app_errorhandler(AppError)
def show_refusal(error: AppError) -> ResponseReturnValue:
    """Word a refusal for people; send strangers to sign in."""
    if not is_for_people():
        return {"detail": str(error)}, error.status, throttle.retry_headers(error)
    if isinstance(error, NotAuthenticatedError):
        return _to_sign_in(str(error))
    if wants_fragment():
        return Response(str(error), error.status, mimetype="text/plain")
    fields = error.fields if isinstance(error, InvalidRequestError) else {}
    page = _error_page(int(error.status), str(error), fields)
    return page, error.status, throttle.retry_headers(error)


def wants_fragment() -> bool:
    """Tell whether a script of ours asked for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def _to_sign_in(why: str) -> ResponseReturnValue:
    if wants_fragment():
        shown = urlsplit(request.headers.get("HX-Current-URL", "")).path
        address = url_for("pages.sign_in", next=own_address(shown))
        return Response("Your session ended.", 401, headers={"HX-Redirect": address})
    if request.accept_mimetypes.best == "application/json" or "Authorization" in request.headers:
        return {"detail": why}, 401, {"WWW-Authenticate": "Token"}
    asked = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("pages.sign_in", next=asked))


@blueprint.app_errorhandler(HTTPException)
def show_http_error(error: HTTPException) -> ResponseReturnValue:
    """Word an error of the web server: a sentence for people, `detail` for programs."""
    if error.response is not None:
        return error.response
    status = error.code or 500
    kept = {k: v for k, v in error.get_headers() if k.lower() not in {"content-type", "location"}}
    if not is_for_people():
        return {"detail": _detail(status, error)}, status, kept
    if wants_fragment():
        return Response(_SENTENCES.get(status, error.name), status, mimetype="text/plain")
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:  # perhaps of the database: ask it nothing more
        return render_template("broken.html", status=status, sentence=_SENTENCES[500]), status
    return _error_page(status, "", {}), status, kept


def _detail(status: int, error: HTTPException) -> str:
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f'Method "{request.method}" not allowed.'
    return "Not found." if status == HTTPStatus.NOT_FOUND else f"{error.name}."


def _error_page(status: int, message: str, fields: Mapping[str, str]) -> str:
    return render_template(
        "error.html",
        status=status,
        title=HTTPStatus(status).phrase,
        message="" if fields else message,
        fields=fields,
        sentence=_SENTENCES.get(status, ""),
    )
