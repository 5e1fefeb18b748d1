"""The stars a frame is compared with: from the catalogues of this site."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from app.errors import AppError
from app.services import refcats
from reduction.refcat.errors import NoMagnitudeError, NotCoveredError
from reduction.refcat.meta import Meta
from reduction.refcat.stars import Stars
from reduction.refcat.systems import usual_system
from reduction.reference import AskCatalogue, Reference

Fill = Callable[[float, float, float], None]  # with a cone: right ascension, declination, radius
MOST_STARS: Final = 60_000  # of a search, the brightest
MOST_CATALOGUES: Final = 3  # tried on one frame
_COLOURS: Final = (("BP", "RP"), ("g", "r"), ("B", "V"), ("V", "R"), ("r", "i"), ("BT", "VT"))
_J2000: Final = datetime(2000, 1, 1, 12, tzinfo=UTC)
_YEAR_S: Final = 365.25 * 86_400


def asker(band: str | None, when: datetime | None, fill: Fill | None = None) -> AskCatalogue:
    """Return what gives the stars around a place, at the epoch and in the band of a frame.

    `fill` may bring some from outside first; without it nothing is asked but what is here.

    Catalogues that have the band, or lead to it, come first; of the others, which can only tell
    where stars are, those that cover more of the sky asked for.
    """

    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> Sequence[Reference]:
        if fill is not None:
            fill(ra_deg, dec_deg, radius_deg)
        found = []
        for meta in _in_order(band):
            stars = _around(meta, (ra_deg, dec_deg, radius_deg), when)
            if stars is not None:
                found.append((stars.coverage, _reference(meta, stars, band)))
        found.sort(key=lambda one: (one[1].band is None, -one[0]))
        return [reference for _, reference in found[:MOST_CATALOGUES]]

    return ask


def _in_order(band: str | None) -> Iterator[Meta]:
    able = refcats.leading_to(band, usual_system(band)) if band else []
    yield from able
    names = {meta.name for meta in able}
    yield from (meta for meta in refcats.catalogues() if meta.name not in names)


def _around(meta: Meta, cone: tuple[float, float, float], when: datetime | None) -> Stars | None:
    epoch = 2000.0 + (when - _J2000).total_seconds() / _YEAR_S if when is not None else None
    try:
        # Of this one alone: what was fetched for its gaps has a turn, and a name, of its own.
        found = refcats.open_catalogue(meta.name).cone(*cone, epoch=epoch)
        return found.brightest(MOST_STARS)
    except (NotCoveredError, AppError):  # elsewhere, dropped just now, or damaged: others may do
        return None


def _reference(meta: Meta, stars: Stars, band: str | None) -> Reference:
    unknown = np.full(len(stars), np.nan)
    mag, error, has_band = unknown, unknown, False
    if band is not None:
        try:
            found = stars.magnitudes(band)
            mag, error, has_band = found.mag.astype(float), found.error.astype(float), True
        except NoMagnitudeError:
            pass
    pair = next((p for p in _COLOURS if p[0] in stars.mag and p[1] in stars.mag), None)
    colour = None if pair is None else (stars.mag[pair[0]] - stars.mag[pair[1]]).astype(float)
    return Reference(
        name=meta.name,
        band=band if has_band else None,
        ra_deg=stars.ra_deg,
        dec_deg=stars.dec_deg,
        mag=mag,
        mag_error=np.nan_to_num(error),
        colour=colour,
        colour_name="" if pair is None else f"{pair[0]}-{pair[1]}",
    )
