"""One frame: its picture, its header, what is known of it, where it came from."""

from dataclasses import asdict
from typing import Any, Final

from flask import Response, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from app.api import downloads
from app.api.auth import current_user
from app.errors import AppError, InvalidRequestError, NotAllowedError
from app.models import BlockKind, Frame, Level, User
from app.pages.base import back, blueprint
from app.services import (
    access,
    archive,
    audit,
    block_members,
    frames,
    nights,
    orders,
    origins,
    previews,
)
from app.services.calibration_key import MEMBER_KINDS
from app.services.orders import Selection
from app.services.sky_groups import SOLVED
from reduction import preview

# What is shown of a frame's translated header, in this order, and what people call it.
TRANSLATED: Final = {
    "kind": "kind",
    "technique": "technique",
    "object_name": "object",
    "band": "band",
    "band_raw": "filter, as the header has it",
    "exptime_s": "exposure, s",
    "start_utc": "start, UTC",
    "mid_utc": "middle, UTC",
    "night": "night",
    "ra_deg": "right ascension, °",
    "dec_deg": "declination, °",
    "position_role": "position is of",
    "airmass": "airmass",
    "writer": "written by",
    "nx": "columns, pixels",
    "ny": "rows, pixels",
    "binning_x": "binning in columns",
    "binning_y": "binning in rows",
    "gain_e_per_adu": "gain, e/ADU",
    "read_noise_e": "read noise, e",
    "saturation_adu": "saturation, ADU",
    "temp_c": "detector temperature, °C",
    "temp_set_c": "set temperature, °C",
    "flat_source": "flat light",
    "proposal_code": "proposal",
    "observer": "observer",
}
_TILE_MAX_AGE_S: Final = 3600


@blueprint.get("/frames/<int:frame_id>/")
def show_frame(frame_id: int) -> ResponseReturnValue:
    """Show everything about one frame."""
    user = current_user()
    frame = frames.get(user, frame_id)
    blocks = nights.blocks_of(user, frame)
    cards, header_problem = _cards(frame)
    return render_template(
        "frame.html",
        frame=frame,
        problems=nights.problems_of(frame) + nights.left_out_of(user, frame),
        steps=_steps(frame),
        values=_values(frame),
        cards=cards,
        header_problem=header_problem,
        parents=nights.parents_of(user, frame),
        children=nights.children_of(user, frame),
        blocks=blocks,
        jobs=nights.jobs_of_blocks(user, [block.id for block in blocks]),
        stretches=preview.STRETCHES,
        colour_maps=preview.COLOUR_MAPS,
        is_raw=frame.level == Level.RAW,
        may_be_reduced=_may_be_reduced(user, frame),
        not_reduced=block_members.refusal(frame, BlockKind.SCI),
        acts=audit.of(frame),
    )


def _steps(frame: Frame) -> list[str]:
    """Return what was done with a frame: calibrations, which its header names, and on the sky."""
    on_sky = {
        "sources": frame.n_sources is not None,
        "astrometry": frame.sky_state == SOLVED,
        "zero point": frame.zero_point_mag is not None,
    }
    return [*frame.steps_done, *(step for step, is_done in on_sky.items() if is_done)]


def _may_be_reduced(user: User, frame: Frame) -> bool:
    """Tell whether a frame is one to reduce, and its people's who looks at it."""
    if frame.level != Level.RAW or frame.kind not in MEMBER_KINDS[BlockKind.SCI]:
        return False
    try:
        access.check_change(user, frame)
    except NotAllowedError:
        return False
    return True


def _values(frame: Frame) -> list[dict[str, Any]]:
    """Return what the header was translated to, each value with its card, rule and doubt."""
    found, told = [], origins.of(frame)
    for name, label in TRANSLATED.items():
        value, origin = getattr(frame, name), told.get(name) or {}
        if value is None and not origin:
            continue
        doubt = frame.doubts.get(name) or origin.get("doubt")
        found.append({"name": name, "label": label, "value": value, **origin, "doubt": doubt})
    return found


def _cards(frame: Frame) -> tuple[list[dict[str, Any]], str]:
    """Return the cards of a frame, or why they cannot be shown; the page stands without them."""
    try:
        cards = archive.header_cards(frame)
    except AppError as error:
        return [], str(error)
    return [card | {"value": _as_in_fits(card["value"])} for card in cards], ""


def _as_in_fits(value: Any) -> Any:  # noqa: ANN401 - whatever a card holds
    """Return a card's value as FITS writes it: a logical is T or F."""
    return ("F", "T")[value] if isinstance(value, bool) else value


@blueprint.get("/frames/<int:frame_id>/thumbnail.png")
def send_thumbnail(frame_id: int) -> ResponseReturnValue:
    """Send the small picture of a frame."""
    path = previews.thumbnail(frames.get(current_user(), frame_id))
    response = send_file(path, mimetype="image/png", max_age=_TILE_MAX_AGE_S, conditional=True)
    response.cache_control.public = False  # not for who else asks the same proxy
    response.cache_control.private = True
    return response


@blueprint.get("/frames/<int:frame_id>/picture.json")
def describe_picture(frame_id: int) -> ResponseReturnValue:
    """Tell the viewer how large a plane is and which values to show."""
    frame = frames.get(current_user(), frame_id)
    plane = request.args.get("plane", "SCI")
    found = previews.zoomable(frame, plane=plane, stretch=request.args.get("stretch", "zscale"))
    flags = {flag.name: f"#{colour:06x}" for flag, colour in preview.FLAG_COLOURS.items()}
    return asdict(found) | {"tile": preview.TILE, "unit": frame.unit, "flags": flags}


@blueprint.get("/frames/<int:frame_id>/tiles/<plane>/<int:level>/<int:column>/<int:row>.png")
def send_tile(frame_id: int, plane: str, level: int, column: int, row: int) -> ResponseReturnValue:
    """Send one tile of a plane at one zoom level."""
    frame = frames.get(current_user(), frame_id)
    look = previews.Look(
        stretch=request.args.get("stretch", "zscale"),
        cmap=request.args.get("cmap", "gray"),
        limits=_limits(),
    )
    response = Response(
        previews.tile(frame, plane, (level, column, row), look), mimetype="image/png"
    )
    response.cache_control.private = True
    response.cache_control.max_age = _TILE_MAX_AGE_S
    return response


def _limits() -> preview.DisplayLimits | None:
    if "low" not in request.args and "high" not in request.args:
        return None
    low, high = (request.args.get(name, type=float) for name in ("low", "high"))
    if low is None or high is None or not low < high:  # NaN is refused here too
        raise InvalidRequestError(low="low and high must be numbers, low the smaller one")
    return preview.DisplayLimits(low, high)


@blueprint.get("/frames/<int:frame_id>/pixel.json")
def show_pixel(frame_id: int) -> ResponseReturnValue:
    """Tell the values of one pixel in every plane."""
    frame = frames.get(current_user(), frame_id)
    x, y = (request.args.get(name, type=int) for name in ("x", "y"))
    if x is None or y is None:
        raise InvalidRequestError("x and y must be whole numbers, counted from 0")
    return asdict(previews.pixel(frame, x, y))


@blueprint.get("/frames/<int:frame_id>/download/")
def download_frame(frame_id: int) -> ResponseReturnValue:
    """Send the file itself."""
    frame = frames.get(current_user(), frame_id)
    return downloads.send(archive.file_of(frame), download_name=frame.file_name, as_attachment=True)


@blueprint.post("/frames/<int:frame_id>/valid/")
def toggle_frame_valid(frame_id: int) -> ResponseReturnValue:
    """Turn the validity of a frame round."""
    user = current_user()
    frame = frames.toggle_valid(frames.get(user, frame_id), by=user)
    said = "is valid again" if frame.is_valid else "is invalid now: no block will use it"
    return back(f"{frame.file_name} {said}.", url_for("pages.show_frame", frame_id=frame_id))


@blueprint.post("/frames/<int:frame_id>/reduce/")
def reduce_frame(frame_id: int) -> ResponseReturnValue:
    """Reduce one raw science frame with the masters there are, alone."""
    user = current_user()
    ordered = orders.reduce(user, Selection(ids=[frames.get(user, frame_id).id]))
    numbers = ", ".join(str(job.id) for job in ordered.jobs)
    return back(f"Job {numbers} is in the queue.", url_for("pages.show_frame", frame_id=frame_id))


@blueprint.post("/frames/<int:frame_id>/comment/")
def comment_frame(frame_id: int) -> ResponseReturnValue:
    """Replace the remark on a frame."""
    user = current_user()
    frame = frames.get(user, frame_id)
    frames.set_comment(frame, request.form.get("comment", "").strip()[:2000], by=user)
    return back("The comment is saved.", url_for("pages.show_frame", frame_id=frame_id))
