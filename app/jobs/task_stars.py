"""The stars a task's image is compared with: of the catalogue it names, or of one that fits."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from app.errors import InvalidRequestError, NotFoundError
from app.services import refcats, reference_stars
from app.services.reference_data import FILTERS
from reduction.astrometry.wcs import TanSip
from reduction.oneimage.starlist import NoStarsError, StarList, star_list
from reduction.onsky import AskCatalogue, Reference
from reduction.refcat.errors import NotCoveredError
from reduction.refcat.geometry import separations_deg
from reduction.refcat.known import STDWEB
from reduction.refcat.stars import Stars
from reduction.refcat.systems import usual_system

USUAL_BAND: Final = "r"  # of an image whose filter nobody tells
MARGIN: Final = 1.05  # of the radius asked for, beyond the image's corners
_J2000: Final = datetime(2000, 1, 1, 12, tzinfo=UTC)
_YEAR_S: Final = 365.25 * 86_400
Place = tuple[float, float, float]  # right ascension, declination, radius, degrees


def field_of(wcs: TanSip, shape: tuple[int, int]) -> Place:
    """Return the middle of an image and how far its corners are from there, degrees."""
    ny, nx = shape
    x = np.array([(nx - 1) / 2, 0, nx - 1, 0, nx - 1])
    y = np.array([(ny - 1) / 2, 0, 0, ny - 1, ny - 1])
    ra, dec = wcs.sky(x, y)
    middle = float(ra[0]), float(dec[0])
    return *middle, float(separations_deg(ra[1:], dec[1:], *middle).max())


def stars_on(name: str, place: Place, when: datetime | None) -> Stars:
    """Return the stars of a named catalogue around a place, at an epoch.

    Raises
    ------
    NoStarsError
        If it is not loaded, does not cover the place, or has no stars there.
    """
    ra, dec, radius = place
    try:
        found = refcats.cone(name, ra, dec, MARGIN * radius, epoch=_epoch(when))
    except (NotFoundError, InvalidRequestError) as error:
        raise NoStarsError(f"cat_name: {error}") from error
    except NotCoveredError as error:
        raise NoStarsError(
            f"the catalogue {name} is not loaded for this part of the sky ({ra:.4f} {dec:+.4f}): "
            "load it there (flask refcat load), or give another cat_name"
        ) from error
    if not len(found):
        raise NoStarsError(f"the catalogue {name} has no stars around {ra:.4f} {dec:+.4f}")
    return found


def list_of(
    name: str, band: str, place: Place, when: datetime | None, limit: float | None
) -> StarList:
    """Return the stars of a named catalogue around a place, with magnitudes in a band."""
    return star_list(name, stars_on(name, place, when), band, limit=limit)


def asker(band: str, name: str | None, when: datetime | None) -> AskCatalogue:
    """Return what gives the stars around a place: the named catalogue first, then any other."""
    others = reference_stars.asker(band, when)

    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> Sequence[Reference]:
        found = list(others(ra_deg, dec_deg, radius_deg))
        return sorted(found, key=lambda one: one.name != name)

    return ask


def suggested(band: str, place: tuple[float, float] | None) -> str:
    """Return the catalogue an image is best calibrated with: one that is here and covers it.

    Where none is loaded, the one STDWeb would ask for in that band.
    """
    able = [meta.name for meta in refcats.leading_to(band, usual_system(band))]
    for name in able:
        if place is None or _covers(name, place):
            return name
    fitting = [known.name for known in STDWEB if band in known.filters]
    return fitting[0] if fitting else STDWEB[0].name


def is_loaded(name: str) -> bool:
    """Tell whether there is a catalogue of a name."""
    return any(meta.name == name for meta in refcats.catalogues())


def is_known(band: str) -> bool:
    """Tell whether a band is one of those images are calibrated in, or of a catalogue here."""
    is_named = band in FILTERS or any(band in entry["aliases"] for entry in FILTERS.values())
    return is_named or bool(refcats.leading_to(band, usual_system(band)))


def _covers(name: str, place: tuple[float, float]) -> bool:
    try:
        return len(refcats.cone(name, *place, 0.1, bands=())) > 0
    except (NotCoveredError, NotFoundError):
        return False


def _epoch(when: datetime | None) -> float | None:
    return None if when is None else 2000.0 + (when - _J2000).total_seconds() / _YEAR_S
