"""What was found on a frame: plots of how good it is, and its sources for the picture."""

from typing import Any, Final

import numpy as np
import orjson
from flask import Response, render_template, request
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.errors import InvalidRequestError
from app.models import Frame
from app.pages import sky_plots
from app.pages.base import blueprint, wants_fragment
from app.services import frames, missed_stars, sky_columns, source_files
from reduction.flags import PixelFlag
from reduction.photometry.kinds import words_of
from reduction.photometry.sourcetable import SourceTable
from reduction.plots.residuals import offsets

MOST_SOURCES: Final = 3000  # in one answer; of a part of the picture the brightest
_AS_JSON: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
# What the picture hears of a source: its name there, that of the column, decimals.
_HEARD: Final = (
    ("number", "number", 0),
    ("x", "x_pix", 2),
    ("y", "y_pix", 2),
    ("ra", "ra_deg", 7),
    ("dec", "dec_deg", 7),
    ("mag", "mag", 4),
    ("mag_error", "mag_error", 4),
    ("flux", "flux", 2),
    ("snr", "snr", 1),
    ("fwhm", "fwhm_pix", 2),
    ("ellipticity", "ellipticity", 3),
    ("flags", "flags", 0),
    ("is_blended", "is_blended", 0),
    ("is_truncated", "is_truncated", 0),
    ("cat_mag", "cat_mag", 4),
    ("zp_residual", "zp_residual_mag", 4),
    ("is_zp_star", "is_zp_star", 0),
    ("mag_psf", "mag_psf", 4),
    ("mag_psf_error", "mag_psf_error", 4),
    ("share_psf", "share_psf", 3),
)
_COLUMNS: Final = (*(column for _, column, _ in _HEARD), "kind", "cat_ra_deg", "cat_dec_deg")


@blueprint.get("/frames/<int:frame_id>/sky/")
def show_sky(frame_id: int) -> ResponseReturnValue:
    """Show the plots of a frame's astrometry, zero point and stars."""
    frame = frames.get(current_user(), frame_id)
    table = source_files.read(frame, columns=sky_plots.COLUMNS)
    page = "parts/sky_plots.html" if wants_fragment() else "frame_sky.html"
    return render_template(page, frame=frame, plots=sky_plots.plots_of(frame, table))


@blueprint.get("/frames/<int:frame_id>/sources.json")
def list_sources(frame_id: int) -> ResponseReturnValue:
    """Tell the sources of a part of a frame, or one by its number, for the picture."""
    frame = frames.get(current_user(), frame_id)
    part, number = _part(), _number()
    table = source_files.read(frame, columns=_COLUMNS)
    return _told(_answer(table, _chosen(table, part, number)))


@blueprint.get("/frames/<int:frame_id>/missed.json")
def list_missed(frame_id: int) -> ResponseReturnValue:
    """Tell the catalogue's stars on a frame that should have been found and were not."""
    frame = frames.get(current_user(), frame_id)
    table = source_files.read(frame, columns=("x_pix", "y_pix"))
    missed = missed_stars.of(frame, table["x_pix"], table["y_pix"])
    places = {
        "x": np.round(missed.x, 2),
        "y": np.round(missed.y, 2),
        "mag": np.round(missed.mag, 3),
    }
    return _told({"catalogue": missed.catalogue, "band": missed.band, "stars": places})


def _told(answer: dict[str, Any]) -> Response:
    """Return an answer for the picture, which nobody else may keep."""
    response = Response(orjson.dumps(answer, option=_AS_JSON), mimetype="application/json")
    response.cache_control.private = True
    response.cache_control.no_cache = True
    return response


@blueprint.app_template_filter("sky_projection")
def sky_projection(frame: Frame) -> dict[str, Any] | None:
    """Return where the pixels of a frame lie on the sky, for the picture."""
    wcs = sky_columns.wcs_of(frame)
    return None if wcs is None else wcs.as_lists()


@blueprint.app_template_filter("has_sources")
def has_sources(frame: Frame) -> bool:
    """Tell whether there is anything for the pages of a frame to show of its sources."""
    return source_files.are_kept(frame)


def _part() -> tuple[float, float, float, float] | None:
    """Return the part of the picture asked for: x from, to, y from, to; None is all of it."""
    names = ("x0", "x1", "y0", "y1")
    if not any(name in request.args for name in names):
        return None
    found = [request.args.get(name, type=float) for name in names]
    x0, x1, y0, y1 = (np.nan if value is None else value for value in found)
    if not (x0 <= x1 and y0 <= y1):  # NaN is refused here too
        raise InvalidRequestError("x0, x1, y0 and y1 must be numbers, x0 and y0 the smaller ones")
    return x0, x1, y0, y1


def _number() -> int | None:
    if "number" not in request.args:
        return None
    number = request.args.get("number", type=int)
    if number is None:
        raise InvalidRequestError(number="must be the whole number of a source")
    return number


def _chosen(
    table: SourceTable, part: tuple[float, float, float, float] | None, number: int | None
) -> tuple[SourceTable, int]:
    """Return the sources asked for, the brightest of too many, and how many there are."""
    if number is not None:
        table = table.select(table["number"] == number)
    if part is not None:
        x, y = table["x_pix"], table["y_pix"]
        table = table.select((x >= part[0]) & (x <= part[1]) & (y >= part[2]) & (y <= part[3]))
    order = np.argsort(table["number"], kind="stable")
    return table.select(order[:MOST_SOURCES]), len(table)


def _answer(table: SourceTable, chosen: tuple[SourceTable, int]) -> dict[str, Any]:
    """Return what the picture needs; the places of the catalogue's stars are pixels too."""
    some, within = chosen
    sources: dict[str, Any] = {
        name: np.round(some.column(column).astype(float), digits) if digits else some[column]
        for name, column, digits in _HEARD
    }
    sources["kind"] = words_of(some.column("kind"))
    far = offsets(
        (table["x_pix"], table["y_pix"]),
        (table["ra_deg"], table["dec_deg"]),
        (table["cat_ra_deg"], table["cat_dec_deg"]),
        table["number"],
    )
    return {
        "total": len(table),
        "within": within,
        "sources": sources | _places_of_catalogue(some, far.number, (far.dx, far.dy)),
        "flags": {int(flag): (flag.name or "").lower().replace("_", " ") for flag in PixelFlag},
        "catalogue": table.facts.catalogue,
        "light": [table.facts.light_catalogue, table.facts.light_band],
    }


def _places_of_catalogue(
    some: SourceTable, numbers: np.ndarray[Any, Any], steps: tuple[np.ndarray[Any, Any], ...]
) -> dict[str, Any]:
    """Return where the catalogue's stars lie on the picture, None where a source is none."""
    order = np.argsort(numbers)
    at = np.searchsorted(numbers[order], some["number"]).clip(max=max(len(order) - 1, 0))
    found = {}
    for name, column, step in (("cat_x", "x_pix", steps[0]), ("cat_y", "y_pix", steps[1])):
        place = np.full(len(some), np.nan)
        if len(order):
            is_known = numbers[order][at] == some["number"]
            place[is_known] = (some[column] - step[order][at])[is_known]
        found[name] = np.round(place, 2)
    return found
