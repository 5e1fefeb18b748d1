"""What a cone search is asked for, as its page and its API read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Final, NoReturn

from app.api.parsing import Fields
from app.errors import InvalidRequestError
from app.models import User
from app.services import cone
from app.services.cone import Found, Looked
from reduction.headers.values import sexagesimal

DEFAULT_ARCSEC: Final = 3.0
OF_FRAMES: Final = frozenset({"ra", "dec", "band", "start", "end"})
NAMES: Final = OF_FRAMES | {"radius", "limit", "after"}
_HOUR_DEG: Final = 15.0
_MJD_UNIX: Final = 40_587.0
_MJD_RANGE: Final = (15_020.0, 124_593.0)  # of the years 1900 to 2199
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ConeQuery:
    """A circle on the sky, and which frames are looked at."""

    ra_deg: float
    dec_deg: float
    radius_arcsec: float
    band: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    after: str | None = None
    limit: int = cone.PAGE

    def run(self, user: User) -> Found:
        """Return what it finds for somebody.

        Raises
        ------
        InvalidRequestError
            If there is no such circle, or nobody knows the band asked for.
        """
        found = cone.sources_near(
            user,
            self.ra_deg,
            self.dec_deg,
            self.radius_arcsec,
            band=self.band,
            start=self.start,
            end=self.end,
            after=self.after,
            limit=self.limit,
        )
        if self.band is not None and not found.looked and not found.unread:
            cone.check_band(user, self.band)
        return found

    def frames(self, user: User) -> Sequence[Looked]:
        """Return the frames that show its middle."""
        return cone.frames_covering(
            user, self.ra_deg, self.dec_deg, band=self.band, start=self.start, end=self.end
        )


def parse(
    sent: Mapping[str, str],
    *,
    names: frozenset[str] = NAMES,
    others: frozenset[str] = frozenset(),
) -> ConeQuery:
    """Return what a query string asks for by `names`; `others` are read by the caller itself.

    Raises
    ------
    InvalidRequestError
        With what is wrong, field by field.
    """
    if unknown := sorted(set(sent) - names - others):
        known = ", ".join(sorted(names))
        raise InvalidRequestError(**{unknown[0]: f"is not known here: {known} are"})
    fields = Fields(sent)
    return ConeQuery(
        ra_deg=_angle(fields, "ra"),
        dec_deg=_angle(fields, "dec"),
        radius_arcsec=_radius(fields),
        band=fields.text("band") or None,
        start=_moment(fields, "start", time.min),
        end=_moment(fields, "end", time.max),
        after=fields.text("after") or None,
        limit=_limit(fields),
    )


def _angle(fields: Fields, name: str) -> float:
    """Return a coordinate in degrees; one in sexagesimal fields is hours for a right ascension."""
    text = fields.text(name)
    if not text:
        _refuse(name, f"is needed: degrees, or like {_EXAMPLES[name]}")
    try:
        return float(text)
    except ValueError:
        value = sexagesimal(text)
    if value is None:
        _refuse(name, f"must be degrees, or like {_EXAMPLES[name]}; it is {text[:40]!r}")
    return value * _HOUR_DEG if name == "ra" else value


_EXAMPLES: Final = {"ra": "07:38:25.4", "dec": "+21:34:30"}


def _radius(fields: Fields) -> float:
    radius = fields.number("radius")
    return DEFAULT_ARCSEC if radius is None else radius


def _limit(fields: Fields) -> int:
    limit = fields.integer("limit")
    if limit is None:
        return cone.PAGE
    if not 1 <= limit <= cone.PAGE:
        _refuse("limit", f"must be from 1 to {cone.PAGE}")
    return limit


def _moment(fields: Fields, name: str, at: time) -> datetime | None:
    """Return a time in UTC: a date, a date with a time, or a modified Julian date."""
    text = fields.text(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        return _iso(name, text, at)
    if not _MJD_RANGE[0] <= number <= _MJD_RANGE[1]:
        _refuse(name, "must be a date such as 2026-11-20, or a modified Julian date like 61364.5")
    return datetime.fromtimestamp((number - _MJD_UNIX) * _DAY_S, UTC)


def _iso(name: str, text: str, at: time) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if len(text) <= len("2026-11-20"):
            moment = datetime.combine(moment.date(), at)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        _refuse(name, f"must be a date such as 2026-11-20, not {text[:40]!r}")


def _refuse(name: str, why: str) -> NoReturn:
    raise InvalidRequestError(**{name: why})
