"""Frames on the sky that can be compared with one another: what clear nights of theirs are like."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Select, select

from app.db import db
from app.models import Frame, Level
from app.services.settings import Snapshot
from reduction.airmass import airmass_of, altitude_at
from reduction.extinction import (
    Extinction,
    ExtinctionParams,
    fit_extinction,
    sky_brightness,
    typical_extinction,
)

Floats = npt.NDArray[np.float64]
Key = tuple[int | None, str, int, str, str | None]
SOLVED: Final = "solved"
SKY_LIMITED: Final = (
    1.25  # magnitudes deeper for ten times the exposure, where the sky is the noise
)

_COLUMNS: Final = (
    *("id", "file_name", "night", "mid_utc", "camera_id", "readout_key", "binning_x", "unit"),
    "band",
    *("exptime_s", "airmass", "ra_deg", "dec_deg", "sky_state", "scale_arcsec", "wcs_rms_arcsec"),
    *("fwhm_pix", "ellipticity", "sky_level", "zero_point_mag", "zero_point_error_mag"),
    *("limit_mag", "saturation_adu", "gain_e_per_adu", "is_valid", "missing", "quality"),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of one reduced frame that was looked at; None is "not known"."""

    id: int
    file_name: str
    night: date | None
    mid_utc: datetime | None
    camera_id: int | None
    readout_key: str
    binning_x: int
    unit: str
    band: str | None
    exptime_s: float | None
    airmass: float | None
    ra_deg: float | None
    dec_deg: float | None
    sky_state: str
    scale_arcsec: float | None
    wcs_rms_arcsec: float | None
    fwhm_pix: float | None
    ellipticity: float | None
    sky_level: float | None
    zero_point_mag: float | None
    zero_point_error_mag: float | None
    limit_mag: float | None
    saturation_adu: float | None
    gain_e_per_adu: float | None
    is_valid: bool
    missing: Sequence[str]
    quality: Sequence[str]
    trail_pix: float | None
    trail_alignment: float | None

    @property
    def key(self) -> Key:
        """What frames share that see the same sky the same way."""
        return self.camera_id, self.readout_key, self.binning_x, self.unit, self.band

    @property
    def fwhm_arcsec(self) -> float | None:
        """Width of a star on the sky."""
        return _times(self.fwhm_pix, self.scale_arcsec)

    @property
    def sky_mag(self) -> float | None:
        """Brightness of a square arcsecond of sky."""
        known = self.zero_point_mag, self.sky_level, self.exptime_s, self.scale_arcsec
        if None in known:
            return None
        return sky_brightness(*(float(value or 0) for value in known))

    @property
    def well_filled(self) -> float | None:
        """Which part of what a pixel holds its sky takes."""
        full = self.saturation_adu
        if full and self.unit == "electron":
            full = _times(full, self.gain_e_per_adu)
        return self.sky_level / full if full and self.sky_level is not None else None

    @property
    def depth_of_a_second(self) -> float | None:
        """Depth less what the length of the exposure is worth."""
        if self.limit_mag is None or not self.exptime_s or self.exptime_s < 0:
            return None
        return self.limit_mag - SKY_LIMITED * float(np.log10(self.exptime_s))


def _times(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a * b


@dataclass(frozen=True, slots=True)
class Site:
    """Where the telescope stands, as far as the settings say."""

    latitude_deg: float
    longitude_deg: float
    elevation_m: float

    @classmethod
    def of(cls, settings: Snapshot) -> "Site":
        """Return the site of the settings."""
        names = ("latitude_deg", "longitude_deg", "elevation_m")
        return cls(*(settings.number(f"site.{name}") for name in names))

    def airmass(self, fact: Fact) -> float | None:
        """Return a frame's airmass: of its header, else of where it points, where that is known."""
        if fact.airmass is not None:
            return fact.airmass
        if not (self.latitude_deg or self.longitude_deg) or fact.mid_utc is None:
            return None
        if fact.ra_deg is None or fact.dec_deg is None:
            return None
        here = self.latitude_deg, self.longitude_deg
        return airmass_of(altitude_at(fact.ra_deg, fact.dec_deg, fact.mid_utc, *here))


def looked_at() -> list[ColumnElement[bool]]:
    """Return the condition of frames that were put on the sky, or tried to be."""
    return [Frame.level == Level.REDUCED, Frame.sky_state.is_not(None)]


def read(*conditions: ColumnElement[bool]) -> list[Fact]:
    """Return what is known of the frames of some conditions, in the order of time."""
    query: Select[Any] = (
        select(
            *(getattr(Frame, name) for name in _COLUMNS),
            Frame.on_sky["trail_pix"].as_float(),
            Frame.on_sky["trail_alignment"].as_float(),
        )
        .where(*looked_at(), *conditions)
        .order_by(Frame.start_utc, Frame.id)
    )
    return [Fact(*row) for row in db.session.execute(query)]


def grouped(facts: Iterable[Fact]) -> Mapping[Key, list[Fact]]:
    """Return frames by what they share."""
    found: dict[Key, list[Fact]] = {}
    for fact in facts:
        found.setdefault(fact.key, []).append(fact)
    return found


def by_night(facts: Iterable[Fact]) -> Mapping[date, list[Fact]]:
    """Return frames by night; those of none are left out."""
    found: dict[date, list[Fact]] = {}
    for fact in facts:
        if fact.night is not None:
            found.setdefault(fact.night, []).append(fact)
    return found


def extinction(facts: Sequence[Fact], site: Site) -> Extinction | None:
    """Return zero point against airmass of the frames of one night and one group.

    Frames that are not valid, or lack a calibration, have no say. Where no airmass is known the
    zero points are compared as they are.
    """
    told = [fact for fact in facts if fact.is_valid and not fact.missing]
    told = told or [fact for fact in facts if fact.is_valid]
    if not told:
        return None
    band = told[0].band
    params = ExtinctionParams(coefficient=typical_extinction(band, site.elevation_m))
    return fit_extinction(
        airmasses(told, site),
        _array(fact.zero_point_mag for fact in told),
        _array(fact.zero_point_error_mag for fact in told),
        params,
    )


def airmasses(facts: Sequence[Fact], site: Site) -> Floats:
    """Return the airmass of each frame, ``(n,)``; where one is not known, as in the zenith."""
    return np.array([site.airmass(fact) or 1.0 for fact in facts])


def _array(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], float)


@dataclass(frozen=True, slots=True)
class Usual:
    """What a night of one group is measured by; None where nothing tells."""

    fwhm_arcsec: float | None = None
    depth_of_a_second: float | None = None
    clear: Extinction | None = None
    clear_level: float | None = None  # of the zero point in the zenith

    def dimming(self, fact: Fact, site: Site) -> float | None:
        """Return by how much a frame's zero point falls short of a clear sky's."""
        if self.clear is None or self.clear_level is None or fact.zero_point_mag is None:
            return None
        expected = self.clear_level - self.clear.coefficient * (
            float(airmasses([fact], site)[0]) - 1
        )
        return expected - fact.zero_point_mag


LEAST_FRAMES: Final = 3  # that tell what is usual
LEAST_NIGHTS: Final = 2  # before, to doubt that a whole night was clear


class Comparison:
    """The nights of one group of frames, against each of which a night is measured."""

    def __init__(self, facts: Sequence[Fact], site: Site, *, days: int, clouds_mag: float) -> None:
        self._nights = by_night(facts)
        self._site, self._days, self._clouds_mag = site, days, clouds_mag
        self._clear = {night: extinction(some, site) for night, some in self._nights.items()}

    def usual(self, night: date) -> Usual:
        """Return what is usual of a night: by itself, and by those before it."""
        tonight = self._nights.get(night, [])
        before = [
            some for day, some in self._nights.items() if 0 <= (night - day).days <= self._days
        ]
        around = [fact for some in before for fact in some if fact.is_valid]
        own = [fact for fact in tonight if fact.is_valid]
        widths = [f.fwhm_arcsec for f in own] if len(own) >= LEAST_FRAMES else []
        clear = self._clear.get(night)
        return Usual(
            fwhm_arcsec=_median(widths or [f.fwhm_arcsec for f in around]),
            depth_of_a_second=_median([f.depth_of_a_second for f in around]),
            clear=clear,
            clear_level=self._level(night, clear),
        )

    def _level(self, night: date, clear: Extinction | None) -> float | None:
        """Return a clear sky's zero point: the night's own, unless all of it was overcast."""
        if clear is None:
            return None
        levels = [
            other.at_zenith
            for day, other in self._clear.items()
            if other is not None and 0 < (night - day).days <= self._days
        ]
        if len(levels) < LEAST_NIGHTS:
            return clear.at_zenith
        before = float(np.median(levels))
        is_overcast = self._clouds_mag > 0 and clear.at_zenith < before - self._clouds_mag
        return before if is_overcast else clear.at_zenith


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if len(known) >= LEAST_FRAMES else None
