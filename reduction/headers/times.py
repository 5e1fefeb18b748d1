"""When an exposure began, was half over, and which night that was."""

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

from reduction.cards import Cards
from reduction.headers.draft import Draft
from reduction.headers.values import first_number, number_of, sexagesimal

DATE_KEYWORDS = ("DATE-BEG", "DATE-OBS", "TDATEOBS")
_TIME_KEYWORDS = (
    "TIME-OBS", "UTSTART", "UT-START", "UT_TIME", "UTC-OBS", "TTIMEOBS", "UT", "UTC", "UT_START",
    "TM-START", "TIME",
)  # fmt: skip
MJD_KEYWORDS = ("MJD-BEG", "MJD-OBS", "MJD", "MJDSTART", "TEXPSTRT")
JD_KEYWORDS = ("JD-OBS", "JD", "JULIAN", "JD_START")
IN_FUTURE = "in the future"
STATED_MIDDLE = ("DATE-AVG", "the middle the header states")
_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_DAY = timedelta(days=1)
_MJD_1970 = 40587
_MJD_2200 = 124593
_FIRST_NIGHT = datetime(1, 1, 3, tzinfo=UTC)  # the evening before must be a date too
_JD_MINUS_MJD = 2400000.5
_CONFLICT_S = 2.0  # MJD-OBS and DATE-OBS further apart than this disagree
_TT_MINUS_TAI_S = 32.184
# TAI - UTC from these days on; observatories rarely write TAI, and none before CCDs.
_LEAP_SECONDS = (
    (date(2017, 1, 1), 37),
    (date(2015, 7, 1), 36),
    (date(2012, 7, 1), 35),
    (date(2009, 1, 1), 34),
    (date(2006, 1, 1), 33),
    (date(1999, 1, 1), 32),
)
_ISO = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:[T ]+(\d{1,2})[:h](\d{1,2})(?:[:m](\d{1,2}(?:\.\d*)?))?s?)?"
    r"\s*(Z|UTC?|[+-]\d{2}:?\d{2})?"
)
_OLD_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2})")
_CLOCK = re.compile(r"\d{1,2}[: ]\d{1,2}([: ]\d{1,2}(\.\d*)?)?")


class Moment(NamedTuple):
    """A parsed date: at midnight where it held no time; `local` where it named another zone."""

    when: datetime
    has_time: bool
    local: bool = False


def _zone(text: str | None) -> timezone:
    if not text or text[0] not in "+-":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes))


def plain_utc(text: str) -> datetime | None:
    """Parse the commonest form, ``2024-05-01T02:03:04`` with decimals, at a tenth of the cost."""
    if (
        len(text) < 19
        or text[10] != "T"
        or not text[11:].replace(":", "").replace(".", "").isdigit()
    ):
        return None
    try:
        return datetime.fromisoformat(f"{text}+00:00")
    except ValueError:
        return None


def parse_moment(text: str) -> Moment | None:
    """Parse a date, with or without time, in any form real headers hold.

    Parameters
    ----------
    text : str
        ISO 8601 with up to seven decimals, ``Z`` or an offset, seconds up to 60; ``dd/mm/yy`` is
        of the twentieth century.

    Returns
    -------
    Moment or None
        None where the text is no date.
    """
    plain = plain_utc(text)
    if plain is not None:
        return Moment(plain, has_time=True)
    found = _ISO.match(text.strip())
    try:
        if found:
            year, month, day, hour, minute, second, zone = found.groups()
            start = datetime(int(year), int(month), int(day), tzinfo=_zone(zone))
            offset = _clock_seconds(hour, minute, second)
            when = (start + timedelta(seconds=offset)).astimezone(UTC)
            local = start.utcoffset() != timedelta(0)
            return None if math.isnan(offset) else Moment(when, hour is not None, local)
        old = _OLD_DATE.match(text.strip())
        if old:
            day, month, year = (int(part) for part in old.groups())
            return Moment(datetime(1900 + year, month, day, tzinfo=UTC), has_time=False)
    except (ValueError, OverflowError):
        return None
    return None


def _clock_seconds(hour: str | None, minute: str | None, second: str | None) -> float:
    """Return seconds since midnight; a second of 60 is carried. Raises ValueError beyond."""
    h, m, s = int(hour or 0), int(minute or 0), float(second or 0)
    if h > 24 or m > 59 or s > 60.999:
        raise ValueError
    # whole microseconds: a float of seconds since midnight is exact to them
    return round(h * 3600 + m * 60 + s, 6)


def _time_of_day(draft: Draft) -> tuple[str, float] | None:
    """Return the keyword that holds the time of day beside a bare date, and seconds."""
    for keyword in draft.cards.present(_TIME_KEYWORDS):
        value = draft.cards.get(keyword)
        if isinstance(value, str):
            moment = parse_moment(value)
            if moment and moment.has_time:
                midnight = moment.when.replace(hour=0, minute=0, second=0, microsecond=0)
                return keyword, (moment.when - midnight).total_seconds()
            clock = _CLOCK.match(value.strip())
            hours = sexagesimal(clock[0]) if clock else None
            if hours is not None and hours <= 24:
                return keyword, round(hours * 3600, 6)
        elif type(value) is float and 0 <= value < 86400 and keyword in ("TM-START", "UT_START"):
            return keyword, value
    return None


def _date_start(draft: Draft) -> bool:
    """Set the start from a date keyword, with the time of day beside it where it has none."""
    for keyword in draft.cards.present(DATE_KEYWORDS):
        moment = parse_moment(draft.cards.text(keyword))
        if moment is None:
            continue
        if moment.has_time:
            rule = "the zone it names, brought to UTC" if moment.local else "UTC"
            draft.put("start_utc", moment.when, keyword, rule)
            return True
        clock = _time_of_day(draft)
        if clock:
            when = moment.when + timedelta(seconds=clock[1])
            draft.put("start_utc", when, keyword, f"its date with the time of {clock[0]}")
            return True
        if not _mjd_start(draft):
            doubt = "a date without a time of day"
            draft.put("start_utc", moment.when, keyword, "midnight UTC", doubt)
        return True
    return False


def _mjd_of(draft: Draft) -> tuple[str, float] | None:
    """Return the keyword of a Julian date, and its MJD."""
    found = first_number(draft.cards, MJD_KEYWORDS)
    if found is not None:
        return found[0], mjd_of_number(found[1])
    found = first_number(draft.cards, JD_KEYWORDS)
    return None if found is None else (found[0], mjd_of_jd(found[1]))


def mjd_of_jd(value: float) -> float:
    """Return the MJD of a JD."""
    return value - _JD_MINUS_MJD


def mjd_of_number(value: float) -> float:
    """Return the MJD under the name of one, which may be a JD."""
    return mjd_of_jd(value) if value > _JD_MINUS_MJD else value


def _rounding_s(draft: Draft, keyword: str) -> float:
    """Return half a step of the last digit of a Julian date, in seconds."""
    decimals = len(draft.cards.text(keyword).partition(".")[2].rstrip())
    return 43200 / 10.0 ** min(decimals, 12)


def _mjd_start(draft: Draft) -> bool:
    found = _mjd_of(draft)
    if found is None or not _MJD_1970 <= found[1] <= _MJD_2200:
        return False
    keyword, mjd = found
    doubt = "too few digits for a time" if _rounding_s(draft, keyword) > _CONFLICT_S else None
    when = _MJD_EPOCH + timedelta(days=mjd)
    draft.put("start_utc", when, keyword, "Julian date, UTC", doubt)
    return True


def is_utc(cards: Cards) -> bool:
    """Tell whether TIMESYS leaves the times in UTC."""
    return cards.text("TIMESYS").strip().upper() not in ("TAI", "TT", "TDT", "TDB")


def _off_utc_s(draft: Draft) -> float:
    """Return what TIMESYS says must be taken off to reach UTC, in seconds."""
    if is_utc(draft.cards):
        return 0.0
    system = draft.cards.text("TIMESYS").strip().upper()
    day = draft.get("start_utc").date()
    leap = next((leap for since, leap in _LEAP_SECONDS if day >= since), 32)
    return leap + (0.0 if system == "TAI" else _TT_MINUS_TAI_S)


def _apart_s(start: datetime, mjd: float) -> float:
    return abs((start - _MJD_EPOCH) / _DAY - mjd) * 86400


def _is_near(apart_s: float, exptime_s: float) -> bool:
    return apart_s <= _CONFLICT_S or abs(apart_s - 0.5 * exptime_s) <= _CONFLICT_S


def agrees(start: datetime, mjd: float, exptime_s: float) -> bool:
    """Tell whether a Julian date surely says the same as a start, or as the middle behind it."""
    return _is_near(_apart_s(start, mjd), exptime_s)


def _doubt_conflict(draft: Draft) -> None:
    """Doubt the start where a Julian date in the same header disagrees with it."""
    found = _mjd_of(draft)
    if found is None or draft.notes["start_utc"][0].startswith(found[0]):
        return
    apart_s = _apart_s(draft.values["start_utc"], found[1])
    if _is_near(apart_s, draft.get("exptime_s") or 0.0):
        return
    if apart_s > _CONFLICT_S + 2 * _rounding_s(draft, found[0]):
        draft.doubt("start_utc", f"{found[0]} says {apart_s:.0f} s otherwise")


def read_times(draft: Draft, now: datetime) -> None:
    """Set `start_utc` and `mid_utc`; the exposure must have been read.

    Parameters
    ----------
    draft : Draft
        Gets both, or neither where the header holds no time.
    now : datetime
        Aware; a frame from the future is doubted.
    """
    if not _date_start(draft) and not _mjd_start(draft):
        return
    exptime_s = draft.get("exptime_s") or 0.0
    off_s = _off_utc_s(draft)
    if "FRAME RECEIVED" in draft.cards.comment("DATE-OBS").upper():
        off_s += exptime_s
        draft.doubt("start_utc", "stamped when the frame was received: the exposure is taken off")
    if off_s:
        draft.values["start_utc"] -= timedelta(seconds=off_s)
    start: datetime = draft.values["start_utc"]
    _doubt_conflict(draft)
    if start > now + _DAY:
        draft.doubt("start_utc", IN_FUTURE)
    if start.year < 1970:
        draft.doubt("start_utc", "before 1970")
    _read_middle(draft, start, exptime_s)


def _read_middle(draft: Draft, start: datetime, exptime_s: float) -> None:
    middle = draft.cards.text("DATE-AVG")
    moment = parse_moment(middle) if middle else None
    if moment and moment.has_time and start <= moment.when <= start + _DAY:
        draft.put("mid_utc", moment.when, *STATED_MIDDLE)
        return
    mjd = number_of(draft.cards, "MJD-AVG")
    if mjd is not None and _MJD_1970 <= mjd <= _MJD_2200:
        draft.put("mid_utc", _MJD_EPOCH + timedelta(days=mjd), "MJD-AVG", "as stated")
        return
    try:
        draft.put("mid_utc", start + timedelta(seconds=exptime_s / 2), "", "start + exposure / 2")
    except OverflowError:
        draft.doubt("start_utc", "the exposure is too long for a date")


def read_night(draft: Draft) -> None:
    """Set the night: the date of the evening, local mean noon to noon; site and start come first.

    Without a site Greenwich's day is used, with a doubt.
    """
    start: datetime | None = draft.get("start_utc")
    if start is None:
        return
    longitude = draft.get("longitude_deg")
    shift = since_noon(longitude or 0.0)
    doubt = "no longitude is known: Greenwich's noon" if longitude is None else None
    if start < _FIRST_NIGHT:
        return
    draft.put("night", (start - shift).date(), "", "local mean noon to noon", doubt)


@lru_cache(maxsize=64)
def since_noon(longitude_deg: float) -> timedelta:
    """Return how far local mean noon lies behind midnight UTC."""
    return timedelta(hours=12 - longitude_deg / 15)
