"""The stars a task's image is compared with: of the catalogue it names, or of one that fits."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from app.errors import InvalidRequestError, NotFoundError
from app.services import online_catalogues, refcats, reference_stars
from app.services.online_catalogues import Say
from reduction.astrometry.wcs import TanSip
from reduction.headers.bands import canonical_band
from reduction.oneimage.options import BadOptionError
from reduction.oneimage.starlist import NoStarsError, StarList, star_list
from reduction.refcat.errors import NotCoveredError
from reduction.refcat.geometry import separations_deg
from reduction.refcat.known import STDWEB
from reduction.refcat.stars import Stars
from reduction.refcat.systems import usual_system
from reduction.reference import AskCatalogue, Reference

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


def stars_on(name: str, place: Place, when: datetime | None, say: Say) -> Stars:
    """Return the stars of a named catalogue around a place, at an epoch.

    What is not here is fetched where the site lets it; `say` is told.

    Raises
    ------
    NoStarsError
        If it is not loaded, does not cover the place, or has no stars there.
    """
    ra, dec, radius = place
    online_catalogues.Filler(None, say, name)(ra, dec, MARGIN * radius)
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


def list_of(name: str, stars: Stars, band: str, limit: float | None) -> StarList:
    """Return the stars of a named catalogue with magnitudes in a band."""
    return star_list(_stored(name), stars, band, limit=limit)


def asker(band: str, name: str | None, when: datetime | None, say: Say) -> AskCatalogue:
    """Return what gives the stars around a place: the named catalogue first, then any other."""
    others = reference_stars.asker(band, when, online_catalogues.Filler(band, say, name))
    own = _stored(name) if name else None

    def ask(ra_deg: float, dec_deg: float, radius_deg: float) -> Sequence[Reference]:
        found = list(others(ra_deg, dec_deg, radius_deg))
        return sorted(found, key=lambda one: _loaded(one.name) != own)

    return ask


def suggested(band: str, place: tuple[float, float] | None) -> str:
    """Return the catalogue an image is best calibrated with: one that is here and covers it.

    Where none is loaded, the one STDWeb would ask for in that band.
    """
    able = [_loaded(meta.name) for meta in refcats.leading_to(band, usual_system(band))]
    for name in able:
        if place is None or _covers(name, place):
            return name
    if (online := online_catalogues.suggested(band, place)) is not None:
        return online
    fitting = [known.name for known in STDWEB if band in known.filters]
    return fitting[0] if fitting else STDWEB[0].name


def band_named(name: str | None, band: str | None) -> str | None:
    """Return the filter that is given, else the one the name of a catalogue speaks of.

    Raises
    ------
    BadOptionError
        If the two are not the same: ``GaiaSP/V`` calibrates V.
    """
    bands = refcats.bands_named(name) if name else ()
    if len(bands) != 1 or canonical_band(band or bands[0]) == bands[0]:
        return band or (bands[0] if len(bands) == 1 else None)
    survey = str(name).partition("/")[0]
    needed = f"{survey}/{band} or {survey}/any where the filter is {band}"
    raise BadOptionError("cat_name", name, needed)


def is_loaded(name: str) -> bool:
    """Tell whether there is a catalogue of a name."""
    stored = _stored(name)
    return any(_loaded(meta.name) == stored for meta in refcats.catalogues())


def _stored(name: str) -> str:
    """Return what a catalogue is called here, the name itself where it can be none."""
    try:
        return refcats.stored_name(name)
    except InvalidRequestError:
        return name


def _loaded(name: str) -> str:
    """Return a catalogue's name without what tells that its stars were fetched."""
    return name.removesuffix(refcats.FETCHED)


def _covers(name: str, place: tuple[float, float]) -> bool:
    try:
        return len(refcats.cone(name, *place, 0.1, bands=())) > 0
    except (NotCoveredError, NotFoundError):
        return False


def _epoch(when: datetime | None) -> float | None:
    return None if when is None else 2000.0 + (when - _J2000).total_seconds() / _YEAR_S
