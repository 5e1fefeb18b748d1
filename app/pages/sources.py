"""A place on the sky over all nights: the form, what was found there, and how bright it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, Final
from urllib.parse import urlencode

import numpy as np
from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.api import cone_query
from app.api.auth import current_user
from app.api.cone_query import DEFAULT_ARCSEC, ConeQuery
from app.errors import InvalidRequestError
from app.pages.base import blueprint
from app.services.cone import MOST_ARCSEC, Found, Looked
from reduction.photometry.kinds import words_of

_ASKED: Final = ("ra", "dec", "radius", "band", "start", "end")
_SHOWN: Final = 500  # frames in the table of the page
_KINDS: Final = {
    "galaxy": "Wider than a star: a galaxy, or stars that are not parted",
    "hit": "Sharper than a star: a cosmic ray, or a hot pixel",
    "trail": "A line: a satellite, an aeroplane or a meteor",
}


@dataclass(frozen=True, slots=True)
class FrameLine:
    """A frame that was searched, and the source on it that is nearest to the place."""

    frame: Looked
    n_found: int
    nearest: Mapping[str, Any] | None


@blueprint.get("/sources/")
def show_sources() -> ResponseReturnValue:
    """Show what all frames have at a place of the sky."""
    user = current_user()
    asked = {name: text for name in _ASKED if (text := request.args.get(name, "").strip())}
    if not {"ra", "dec"} & asked.keys():
        return _page(asked)
    try:
        query = cone_query.parse(request.args.to_dict())
        found = query.run(user)
    except InvalidRequestError as error:
        return _page(asked, wrong=error.fields), error.status
    return _page(asked, query=query, found=found)


def _page(
    asked: Mapping[str, str],
    *,
    wrong: Mapping[str, str] | None = None,
    query: ConeQuery | None = None,
    found: Found | None = None,
) -> str:
    return render_template(
        "sources.html",
        asked={name: asked.get(name, "") for name in _ASKED},
        wrong=wrong or {},
        query=query,
        found=found,
        lines=_lines(found)[:_SHOWN] if found is not None else [],
        links=_links(asked, found),
        default_arcsec=DEFAULT_ARCSEC,
        most_arcsec=MOST_ARCSEC,
        kinds=_KINDS,
    )


def _links(asked: Mapping[str, str], found: Found | None) -> dict[str, str]:
    """Return the addresses of the same search for programs, and of what comes after it."""
    if found is None:
        return {}
    after = request.args.get("after")
    here = dict(asked) | ({"after": after} if after else {})
    api = url_for("sources.find_sources")
    links = {form: f"{api}?{urlencode(here | {'format': form})}" for form in ("json", "csv")}
    if found.next_after is not None:
        links["next"] = f"{request.path}?{urlencode(dict(asked) | {'after': found.next_after})}"
    return links


def _lines(found: Found) -> list[FrameLine]:
    counts = np.bincount(found.frame_of, minlength=len(found.looked))
    firsts = np.cumsum(counts) - counts
    return [
        FrameLine(frame, int(n), _row(found, int(at)) if n else None)
        for frame, n, at in zip(found.looked, counts, firsts, strict=True)
    ]


def _row(found: Found, at: int) -> dict[str, Any]:
    """Return one source; what is not known of it is None."""
    values = {name: column[at].item() for name, column in found.columns.items()}
    (kind,) = words_of(found.columns["kind"][at : at + 1])
    known = {
        name: None if isinstance(value, float) and isnan(value) else value
        for name, value in values.items()
    }
    return known | {"kind": kind}
