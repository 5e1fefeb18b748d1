"""Where the telescope stood and where it pointed."""

import math
import re
from typing import NamedTuple

from reduction.camera import Observatory
from reduction.cards import Cards
from reduction.headers.draft import Draft
from reduction.headers.values import degrees_of, number_of, sexagesimal
from reduction.remembered import remembered

# latitude, longitude, elevation
_SITES = (
    ("SITELAT", "SITELONG", "SITEELEV"),
    ("LATITUDE", "LONGITUD", "HEIGHT"),
    ("LAT-OBS", "LONG-OBS", "ALT-OBS"),
    ("OBS-LAT", "OBS-LONG", "OBS-ELEV"),
    ("GEOLAT", "GEOLON", "GEOELEV"),
    ("CAHA TEL GEOLAT", "CAHA TEL GEOLON", "CAHA TEL GEOELEV"),
    ("T80S TEL GEOLAT", "T80S TEL GEOLON", "T80S TEL GEOELEV"),
    ("ESO TEL GEOLAT", "ESO TEL GEOLON", "ESO TEL GEOELEV"),
)
_ELEVATIONS = ("SITEELEV", "HEIGHT", "ALT-OBS", "OBS-ELEV", "ELEV-OBS", "GEOELEV", "ELEVATIO")
_SITE_TOLERANCE_DEG = 0.1
_EARTH_A_M, _EARTH_F = 6378137.0, 1 / 298.257223563  # WGS84

# right ascension, declination, role
TARGET_FIRST = (
    ("OBJCTRA", "OBJCTDEC", "target"),
    ("RA", "DEC", "mount"),
    ("CAT-RA", "CAT-DEC", "target"),
    ("RA-MNT", "DEC-MNT", "mount"),
    ("OBSRA", "OBSDEC", "target"),
    ("OBJRA", "OBJDEC", "target"),
    ("RA_TARG", "DEC_TARG", "target"),
    ("TELRA", "TELDEC", "mount"),
)
_COARSE_ARCSEC = 100.0  # a WCS coarser than this was never fitted
_HOURS = re.compile(r"\[?\bh(ours?|rs?)?\b\]?(?!:)", re.IGNORECASE)


def read_site(draft: Draft, site: Observatory | None, *, over: bool, west: bool | None) -> None:
    """Set latitude, longitude (east positive) and elevation.

    Parameters
    ----------
    draft : Draft
        Gets them where they are known.
    site : Observatory or None
        The camera profile's or the configured site.
    over : bool
        Whether `site` overrules the header; otherwise it stands in for a silent one.
    west : bool or None
        Whether this writer counts longitudes to the west; None leaves it to the comment.
    """
    if site is not None and over:
        _put_site(draft, site, "the camera profile's site")
        return
    found = _header_site(draft, west) or _geocentric_site(draft)
    if site is not None and not found:
        _put_site(draft, site, "the configured site, the header has none")
    elif site is not None:
        apart = max(
            abs(draft.values["latitude_deg"] - site.latitude_deg),
            abs((draft.values["longitude_deg"] - site.longitude_deg + 180) % 360 - 180),
        )
        if apart > _SITE_TOLERANCE_DEG:
            draft.doubt("longitude_deg", f"{apart:.1f} deg from the configured site")


def _put_site(draft: Draft, site: Observatory, rule: str) -> None:
    draft.put("latitude_deg", site.latitude_deg, "", rule)
    draft.put("longitude_deg", site.longitude_deg, "", rule)
    draft.put("elevation_m", site.elevation_m, "", rule)


def _header_site(draft: Draft, west: bool | None) -> bool:
    cards = draft.cards
    for latitude_key, longitude_key, _ in _SITES:
        if longitude_key not in cards:
            continue
        latitude, longitude = degrees_of(cards, latitude_key), degrees_of(cards, longitude_key)
        if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 360:
            continue
        if latitude == 0 and longitude == 0:
            continue  # a placeholder
        draft.put("latitude_deg", latitude, latitude_key, "degrees north")
        _put_longitude(draft, longitude_key, longitude, west)
        _read_elevation(draft)
        return True
    return False


def _put_longitude(draft: Draft, keyword: str, value: float, west: bool | None) -> None:
    """Set the longitude east; a comment "west" beside a negative number contradicts itself."""
    comment = draft.cards.comment(keyword).lower()
    says_west = west is None and ("west" in comment or "deg w" in comment)
    rule, doubt = "degrees east", None
    if west or (says_west and value > 0):
        value, rule = -value, "degrees west, by this writer's habit" if west else "degrees west"
    elif says_west:
        doubt = "its comment says west, its sign says east"
    if not -180 <= value <= 180:
        value -= math.copysign(360, value)
    draft.put("longitude_deg", value, keyword, rule, doubt)


def _read_elevation(draft: Draft) -> None:
    for keyword in (*_ELEVATIONS, "CAHA TEL GEOELEV", "T80S TEL GEOELEV"):
        # Telescopes write their own elevation, an angle, under some of these names.
        elevation = number_of(draft.cards, keyword) if keyword in draft.cards else None
        if elevation is not None and "deg" not in draft.cards.comment(keyword).lower():
            draft.put("elevation_m", elevation, keyword, "metres")
            return


def _geocentric_site(draft: Draft) -> bool:
    """Set the site from OBSGEO-X, Y, Z (m); Bowring's formula, exact to millimetres here."""
    x, y, z = (number_of(draft.cards, f"OBSGEO-{axis}") for axis in "XYZ")
    if x is None or y is None or z is None or math.hypot(x, y, z) < 0.9 * _EARTH_A_M:
        return False
    e2 = _EARTH_F * (2 - _EARTH_F)
    b = _EARTH_A_M * (1 - _EARTH_F)
    p = math.hypot(x, y)
    theta = math.atan2(z * _EARTH_A_M, p * b)
    top = z + e2 / (1 - e2) * b * math.sin(theta) ** 3
    latitude = math.atan2(top, p - e2 * _EARTH_A_M * math.cos(theta) ** 3)
    normal = _EARTH_A_M / math.sqrt(1 - e2 * math.sin(latitude) ** 2)
    draft.put("latitude_deg", math.degrees(latitude), "OBSGEO-Z", "from the geocentre, WGS84")
    draft.put("longitude_deg", math.degrees(math.atan2(y, x)), "OBSGEO-Y", "from the geocentre")
    height = p * math.cos(latitude) + z * math.sin(latitude)
    height -= _EARTH_A_M**2 / normal
    draft.put("elevation_m", round(height, 3), "OBSGEO-X", "from the geocentre")
    return True


def right_ascension(draft: Draft, keyword: str) -> float | None:
    """Return a right ascension in degrees: sexagesimal hours, or a number in degrees.

    A number is in hours where its comment says so.
    """
    value = draft.cards.get(keyword)
    if isinstance(value, str) and len(value.strip().replace(":", " ").split()) > 1:
        hours = sexagesimal(value)
        return None if hours is None or hours > 24 else hours * 15 % 360
    if isinstance(value, str) and "h" in value.lower():
        hours = sexagesimal(value)
        return None if hours is None or hours > 24 else hours * 15 % 360
    number = number_of(draft.cards, keyword)
    if number is None:
        return None
    if counts_hours(draft.cards, keyword):
        number *= 15
    return number if 0 <= number <= 360 else None


def counts_hours(cards: Cards, keyword: str) -> bool:
    """Tell whether a number's comment says that it is in hours."""
    return bool(_HOURS.search(cards.comment(keyword).partition("]")[0] + "]"))


def declination(draft: Draft, keyword: str) -> float | None:
    """Return a declination in degrees, None where it is none."""
    value = degrees_of(draft.cards, keyword)
    return value if value is not None and abs(value) <= 90 else None


def read_position(draft: Draft, keywords: tuple[tuple[str, str, str], ...] = TARGET_FIRST) -> None:
    """Set where the frame points: a usable WCS, else the first pair of keywords that is meant.

    Zero and zero together is what writers put when no target was set, and is no position.
    """
    if _wcs_position(draft):
        return
    for ra_key, dec_key, role in keywords:
        if ra_key not in draft.cards:
            continue
        ra, dec = right_ascension(draft, ra_key), declination(draft, dec_key)
        if ra is None or dec is None:
            continue
        if ra == 0 and dec == 0:
            draft.refuse("ra_deg", ra_key, "none", "zero and zero: no target was set")
            continue
        draft.put("ra_deg", ra, ra_key, "degrees, or hours in three fields")
        draft.put("dec_deg", dec, dec_key, "degrees")
        draft.put("position_role", role, ra_key, "what the keyword stands for")
        _doubt_equinox(draft, ra_key)
        return


def _doubt_equinox(draft: Draft, ra_key: str) -> None:
    equinox = number_of(draft.cards, "EQUINOX")
    if equinox not in (None, 2000.0) and "2000" not in ra_key:
        draft.doubt("ra_deg", f"of equinox {equinox:g}, not J2000")
        draft.doubt("dec_deg", f"of equinox {equinox:g}, not J2000")


class _Celestial(NamedTuple):
    """The linear part of a celestial WCS, degrees a pixel, and its scale in arcsec a pixel."""

    matrix: tuple[float, float, float, float]
    scale_arcsec: float


def _matrix(cards: Cards) -> tuple[float, float, float, float] | None:
    """Return the linear part of the WCS, degrees a pixel."""
    if "CD1_1" in cards:
        a, b, c, d = (number_of(cards, f"CD{ij}") or 0.0 for ij in ("1_1", "1_2", "2_1", "2_2"))
        return a, b, c, d
    one, two = number_of(cards, "CDELT1"), number_of(cards, "CDELT2")
    if one is None or two is None:
        return None
    a, d = (1.0 if (n := number_of(cards, f"PC{ij}")) is None else n for ij in ("1_1", "2_2"))
    b, c = (number_of(cards, f"PC{ij}") or 0.0 for ij in ("1_2", "2_1"))
    return a * one, b * one, c * two, d * two


def _celestial(cards: Cards) -> _Celestial | None:
    """Return the linear part of a celestial WCS, None where there is none that can be meant."""
    axis = cards.text("CTYPE1")[:4].strip("-").upper()
    matrix = _matrix(cards) if axis in ("RA", "DEC") else None
    if matrix is None:
        return None
    determinant = abs(matrix[0] * matrix[3] - matrix[1] * matrix[2])
    scale = 3600 * math.sqrt(determinant)
    return _Celestial(matrix, scale) if 0 < scale <= _COARSE_ARCSEC else None


def has_wcs(cards: Cards) -> bool:
    """Tell whether a header may hold a celestial WCS."""
    return "CTYPE1" in cards


def wcs_scale_arcsec(cards: Cards) -> float | None:
    """Return the pixel scale of a celestial WCS, None where there is none that can be meant."""
    celestial = remembered(cards, "celestial", _celestial)
    return None if celestial is None else celestial.scale_arcsec


def _wcs_position(draft: Draft) -> bool:
    """Set the position of the frame's centre from its WCS, by its linear part alone."""
    cards = draft.cards
    celestial = remembered(cards, "celestial", _celestial) if has_wcs(cards) else None
    if celestial is None:
        return False
    matrix = celestial.matrix
    first, second = number_of(cards, "CRVAL1"), number_of(cards, "CRVAL2")
    x0, y0 = number_of(cards, "CRPIX1"), number_of(cards, "CRPIX2")
    if first is None or second is None or (first == 0 and second == 0):
        return False
    dx = 0.0 if x0 is None else (draft.values["nx"] + 1) / 2 - x0
    dy = 0.0 if y0 is None else (draft.values["ny"] + 1) / 2 - y0
    xi, eta = matrix[0] * dx + matrix[1] * dy, matrix[2] * dx + matrix[3] * dy
    if cards.text("CTYPE1")[:3].upper() == "DEC":
        first, second, xi, eta = second, first, eta, xi
    if abs(second) > 90 or not -360 <= first <= 360:
        return False
    ra, dec = _deproject(first, second, xi, eta)
    draft.put("ra_deg", ra, "CRVAL1", "the frame's centre by its WCS")
    draft.put("dec_deg", dec, "CRVAL2", "the frame's centre by its WCS")
    draft.put("position_role", "wcs", "CTYPE1", "the frame's centre by its WCS")
    return True


def _deproject(ra0: float, dec0: float, xi_deg: float, eta_deg: float) -> tuple[float, float]:
    """Return the position at standard coordinates of a gnomonic projection, degrees."""
    xi, eta, dec0 = math.radians(xi_deg), math.radians(eta_deg), math.radians(dec0)
    below = math.cos(dec0) - eta * math.sin(dec0)
    ra = math.radians(ra0) + math.atan2(xi, below)
    dec = math.atan2(math.sin(dec0) + eta * math.cos(dec0), math.hypot(xi, below))
    return math.degrees(ra) % 360, math.degrees(dec)
