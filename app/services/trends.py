"""How a night, or many of them, went: numbers of frames against time, and the extinction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from sqlalchemy import ColumnElement, func, select

from app.db import db
from app.errors import InvalidRequestError
from app.models import Camera, Frame, User
from app.services import access, settings
from app.services.sky_groups import (
    Fact,
    Key,
    Site,
    airmasses,
    by_night,
    extinction,
    grouped,
    looked_at,
    read,
)
from reduction.extinction import Extinction

MOST_NIGHTS: Final = 400
# What is shown against time: name, what people call it, its unit, its digits.
VALUES: Final[Mapping[str, tuple[str, str, int]]] = {
    "fwhm_arcsec": ("FWHM", "arcsec", 2),
    "ellipticity": ("Ellipticity", "", 3),
    "sky_mag": ("Sky", "mag arcsec⁻²", 2),
    "zero_point_mag": ("Zero point", "mag", 3),
    "wcs_rms_arcsec": ("Astrometry", "arcsec rms", 3),
    "limit_mag": ("Depth, 5 σ", "mag", 2),
}


@dataclass(frozen=True, slots=True)
class Sky:
    """The extinction of one night in one band of one camera."""

    night: date
    camera: str
    band: str
    frames: int
    clear: int
    at_zenith: float
    at_zenith_error: float
    coefficient: float
    coefficient_error: float
    scatter_mag: float
    is_fitted: bool


@dataclass(frozen=True, slots=True)
class NightTrend:
    """The frames of a night in the order of time, as columns by name, and its extinctions."""

    columns: Mapping[str, Sequence[Any]]
    skies: Sequence[Sky]

    def __len__(self) -> int:
        return len(self.columns["id"])

    @property
    def frames(self) -> list[dict[str, Any]]:
        """Each frame as its values by name."""
        names = list(self.columns)
        rows = zip(*self.columns.values(), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]


def of_night(user: User | None, night: date) -> NightTrend:
    """Return the numbers of a night's frames that `user` may see."""
    site = Site.of(settings.snapshot())
    facts = read(Frame.night == night, *_seen(user))
    cameras = _cameras()
    skies, clear = [], dict.fromkeys((fact.id for fact in facts), None)
    for key, some in grouped(facts).items():
        if (found := extinction(some, site)) is not None:
            skies.append(_sky(night, key, some, found, cameras))
            line = found.at(airmasses(some, site))
            clear |= {fact.id: float(value) for fact, value in zip(some, line, strict=True)}
    return NightTrend(_columns(facts, site, cameras, clear), _in_order(skies))


def over_nights(
    user: User | None, start: date, end: date
) -> tuple[Mapping[str, Sequence[Any]], Sequence[Sky]]:
    """Return the medians of nights, both ends included, by camera and band, and extinctions.

    Raises
    ------
    InvalidRequestError
        If these are too many nights, or end before they start.
    """
    if not 0 <= (end - start).days < MOST_NIGHTS:
        raise InvalidRequestError(
            **{"from": f"must be before the last night, {MOST_NIGHTS} nights at most"}
        )
    site, cameras = Site.of(settings.snapshot()), _cameras()
    facts = read(Frame.night >= start, Frame.night <= end, Frame.is_valid.is_(True), *_seen(user))
    skies: list[Sky] = []
    rows: list[tuple[date, str, str, list[Fact]]] = []
    for key, group in grouped(facts).items():
        for night, some in by_night(group).items():
            rows.append((night, cameras.get(key[0], ""), key[4] or "", some))
            if (found := extinction(some, site)) is not None:
                skies.append(_sky(night, key, some, found, cameras))
    rows.sort(key=lambda row: row[:3])
    columns: dict[str, Sequence[Any]] = {
        "night": [row[0].isoformat() for row in rows],
        "camera": [row[1] for row in rows],
        "band": [row[2] for row in rows],
        "frames": [len(row[3]) for row in rows],
    }
    columns |= {name: [_median(row[3], name) for row in rows] for name in VALUES}
    return columns, _in_order(skies)


def newest_nights(user: User | None, n: int = 60) -> tuple[date, date] | None:
    """Return the last of the nights with frames on the sky, and the one `n` such nights before."""
    query = (
        select(Frame.night)
        .where(*looked_at(), Frame.night.is_not(None), *_seen(user))
        .distinct()
        .order_by(Frame.night.desc())
        .limit(n)
    )
    nights = [night for night in db.session.scalars(query) if night is not None]
    if not nights:
        return None
    first = max(nights[-1], date.fromordinal(max(1, nights[0].toordinal() - MOST_NIGHTS + 1)))
    return first, nights[0]


def has_any(user: User | None, night: date) -> bool:
    """Tell whether a night has frames on the sky that `user` may see."""
    query = select(func.count()).where(Frame.night == night, *looked_at(), *_seen(user))
    return bool(db.session.scalar(query))


def _seen(user: User | None) -> list[ColumnElement[bool]]:
    return [access.may_see(user, Frame)]


def _cameras() -> Mapping[int | None, str]:
    return {row.id: row.name for row in db.session.execute(select(Camera.id, Camera.name))}


def _columns(
    facts: Sequence[Fact],
    site: Site,
    cameras: Mapping[int | None, str],
    clear: Mapping[int, float | None],
) -> Mapping[str, Sequence[Any]]:
    columns: dict[str, Sequence[Any]] = {
        "id": [fact.id for fact in facts],
        "file_name": [fact.file_name for fact in facts],
        "time": [fact.mid_utc.isoformat() if fact.mid_utc else None for fact in facts],
        "camera": [cameras.get(fact.camera_id, "") for fact in facts],
        "band": [fact.band or "" for fact in facts],
        "exptime_s": [fact.exptime_s for fact in facts],
        "airmass": [_rounded(site.airmass(fact), 4) for fact in facts],
    }
    for name, (_, _, digits) in VALUES.items():
        columns[name] = [_rounded(getattr(fact, name), digits + 2) for fact in facts]
    columns["zero_point_error_mag"] = [_rounded(f.zero_point_error_mag, 5) for f in facts]
    columns["clear_zero_point_mag"] = [_rounded(clear.get(fact.id), 4) for fact in facts]
    columns["marks"] = [list(fact.quality) for fact in facts]
    columns["is_valid"] = [fact.is_valid for fact in facts]
    return columns


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _median(facts: Iterable[Fact], name: str) -> float | None:
    known = [value for fact in facts if (value := getattr(fact, name)) is not None]
    return _rounded(float(np.median(known)), VALUES[name][2] + 2) if known else None


def _sky(
    night: date,
    key: Key,
    facts: Sequence[Fact],
    found: Extinction,
    cameras: Mapping[int | None, str],
) -> Sky:
    return Sky(
        night=night,
        camera=cameras.get(key[0], ""),
        band=key[4] or "",
        frames=len(facts),
        clear=int(np.count_nonzero(found.is_clear)),
        at_zenith=found.at_zenith,
        at_zenith_error=found.at_zenith_error,
        coefficient=found.coefficient,
        coefficient_error=found.coefficient_error,
        scatter_mag=found.scatter_mag,
        is_fitted=found.is_fitted,
    )


def _in_order(skies: Iterable[Sky]) -> Sequence[Sky]:
    return sorted(skies, key=lambda sky: (sky.night, sky.camera, sky.band))
