"""A place on the sky over all nights: the form, what was found there, and how bright it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan, nan
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
from app.services.star_groups import Star, star_at, stars_in
from reduction.photometry.kinds import words_of

_ASKED: Final = ("ra", "dec", "radius", "band", "start", "end")
_FOLLOWED: Final = "star"  # where the star is that the pages of one search are about
_SHOWN: Final = 500  # frames in the table of the page
_OTHERS_SHOWN: Final = 6  # stars beside the one that is meant
_KINDS: Final = {
    "galaxy": "Wider than a star: a galaxy, or stars that are not parted",
    "hit": "Sharper than a star: a cosmic ray, or a hot pixel",
    "trail": "A line: a satellite, an aeroplane or a meteor",
}


@dataclass(frozen=True, slots=True)
class FrameLine:
    """A frame that was searched, and what it has of the star that is meant."""

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
        query = cone_query.parse(request.args.to_dict(), others=frozenset({_FOLLOWED}))
        followed = _followed(request.args.get(_FOLLOWED, ""))
        found = query.run(user)
    except InvalidRequestError as error:
        return _page(asked, wrong=error.fields), error.status
    return _page(asked, query=query, found=found, followed=followed)


def _followed(text: str) -> tuple[float, float] | None:
    """Return the place of the star that the page before was about; None for a first page."""
    if not text:
        return None
    try:
        ra_deg, dec_deg = map(float, text.split())
    except ValueError:
        ra_deg = dec_deg = nan
    if not (abs(ra_deg) <= 360.0 and abs(dec_deg) <= 90.0):
        raise InvalidRequestError(star="must be a place in degrees, like 114.606 +21.575")
    return ra_deg, dec_deg


def _page(
    asked: Mapping[str, str],
    *,
    wrong: Mapping[str, str] | None = None,
    query: ConeQuery | None = None,
    found: Found | None = None,
    followed: tuple[float, float] | None = None,
) -> str:
    stars = stars_in(found, query.ra_deg, query.dec_deg) if found and query else []
    meant = _meant(stars, followed)
    return render_template(
        "sources.html",
        asked={name: asked.get(name, "") for name in _ASKED},
        wrong=wrong or {},
        query=query,
        found=found,
        lines=_lines(found, meant)[:_SHOWN] if found is not None else [],
        stars=stars,
        meant=meant[0] if meant else None,
        others=[star for star in stars if star not in meant and star.n_frames > 1][:_OTHERS_SHOWN],
        place_of=partial(_place_of, asked),
        numbers=_numbers(found, meant),
        links=_links(asked, found, followed or _place(meant)),
        default_arcsec=DEFAULT_ARCSEC,
        most_arcsec=MOST_ARCSEC,
        kinds=_KINDS,
    )


def _meant(stars: Sequence[Star], followed: tuple[float, float] | None) -> Sequence[Star]:
    """Return the star the page is about: that of the page before, which may be on no frame here."""
    if followed is None:
        return stars[:1]
    star = star_at(stars, *followed)
    return [] if star is None else [star]


def _place(meant: Sequence[Star]) -> tuple[float, float] | None:
    return (meant[0].ra_deg, meant[0].dec_deg) if meant else None


def _links(
    asked: Mapping[str, str], found: Found | None, followed: tuple[float, float] | None
) -> dict[str, str]:
    """Return the addresses of the same search for programs, and of what comes after it."""
    if found is None:
        return {}
    after = request.args.get("after")
    here = dict(asked) | ({"after": after} if after else {})
    api = url_for("sources.find_sources")
    links = {form: f"{api}?{urlencode(here | {'format': form})}" for form in ("json", "csv")}
    if found.next_after is not None:
        star = {_FOLLOWED: "{:.6f} {:+.6f}".format(*followed)} if followed else {}
        behind = dict(asked) | star | {"after": found.next_after}
        links["next"] = f"{request.path}?{urlencode(behind)}"
    return links


def _lines(found: Found, meant: Sequence[Star]) -> list[FrameLine]:
    counts = np.bincount(found.frame_of, minlength=len(found.looked))
    rows = {int(found.frame_of[row]): row for star in meant for row in star.rows}
    return [
        FrameLine(frame, int(n), _row(found, rows[at]) if at in rows else None)
        for at, (frame, n) in enumerate(zip(found.looked, counts, strict=True))
    ]


def _numbers(found: Found | None, meant: Sequence[Star]) -> dict[int, int]:
    """Return which source of each frame, by its number, is the star that is meant."""
    if found is None:
        return {}
    rows = [row for star in meant for row in star.rows]
    frames = (found.looked[found.frame_of[row]].id for row in rows)
    return dict(zip(frames, found.columns["number"][rows].tolist(), strict=True))


def _place_of(asked: Mapping[str, str], star: Star) -> str:
    """Return the address of the same search around another star."""
    place = {"ra": f"{star.ra_deg:.6f}", "dec": f"{star.dec_deg:+.6f}"}
    return f"{request.path}?{urlencode({**asked, **place})}"


def _row(found: Found, at: int) -> dict[str, Any]:
    """Return one source; what is not known of it is None."""
    values = {name: column[at].item() for name, column in found.columns.items()}
    (kind,) = words_of(found.columns["kind"][at : at + 1])
    known = {
        name: None if isinstance(value, float) and isnan(value) else value
        for name, value in values.items()
    }
    return known | {"kind": kind}
