"""Between Goodman's wire names and the domain: what comes in, what goes out."""

from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any, Final
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from app.api.parsing import Fields
from app.errors import InvalidRequestError
from app.models import Frame, Level
from app.services import archive
from app.services.orders import Selection

DATA_TYPES: Final = {str(level) for level in range(6)}
TECHNIQUES: Final = {"spectroscopy": "spectroscopy", "imaging": "imaging"}
_TEXT_FILTERS: Final = {"filter": "band", "object": "object_name", "proposal_id": "proposal"}
_PLAIN_FILTERS: Final = ("obstype", "file_name")
_ID_FILTERS: Final = {"parent_file_id": "parent_id", "original_file_id": "original_id"}
_KNOWN: Final = (
    {"data_type", "technique", "date", "page", "format"}
    | set(_TEXT_FILTERS)
    | set(_PLAIN_FILTERS)
    | set(_ID_FILTERS)
    | set(archive.EXTRA_FILTERS)
)


def parse_search(query: MultiDict[str, str]) -> archive.Search:
    """Read the filters of the list; an unknown one is refused, not ignored."""
    unknown = sorted(set(query) - _KNOWN)
    if unknown:
        known = ", ".join(sorted(_KNOWN))
        raise InvalidRequestError(**{unknown[0]: f"There is no such filter; these are: {known}."})
    given = {name: value.strip() for name, value in query.items() if value.strip()}
    values: dict[str, Any] = {
        field: given[name] for name, field in _TEXT_FILTERS.items() if name in given
    }
    values |= {name: given[name] for name in _PLAIN_FILTERS if name in given}
    values |= {
        field: _whole(name, given[name]) for name, field in _ID_FILTERS.items() if name in given
    }
    return archive.Search(
        level=_level(given.get("data_type")),
        technique=_technique(given.get("technique")),
        night=_date(given.get("date")),
        extras={name: given[name] for name in archive.EXTRA_FILTERS if name in given},
        **values,
    )


def parse_page(text: str) -> int:
    """Read the page number as this API's pages do: from 1, ``last`` is not known."""
    if not text.isdecimal() or len(text) > 9:
        raise InvalidRequestError(page="A page is a whole number from 1.")
    return int(text)


def _whole(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise InvalidRequestError(**{name: "A valid integer is required."})
    return int(text)


def parse_id(text: str) -> int | None:
    """Read ``id``; empty is none."""
    return _whole("id", text.strip()) if text.strip() else None


def file_ids(fields: Fields) -> list[int]:
    """Read the ids a call that changes files names: ``id`` or ``ids``, one or a list of them."""
    return [_whole("id", word) for name in ("id", "ids") for word in fields.words(name)]


def selection(fields: Fields) -> Selection:
    """Read which files a call is about: ids, or nights and what their headers say."""
    night = fields.day("date") or fields.day("night")
    start, end = fields.day("start") or night, fields.day("end") or night
    if start is not None and end is not None and start > end:
        raise InvalidRequestError(start=f"The first night {start} is after the last one {end}.")
    return Selection(
        ids=file_ids(fields),
        start=start,
        end=end,
        band=fields.text("filter") or "",
        object_name=fields.text("object") or "",
        camera=fields.text("camera") or "",
        contains=fields.text("file_name") or "",
    )


def _level(text: str | None) -> int | None:
    if text is None:
        return None
    if text not in DATA_TYPES:
        raise InvalidRequestError(data_type=f'"{text}" is not a valid choice.')
    return int(text)


def _technique(text: str | None) -> str | None:
    if text is None:
        return None
    technique = TECHNIQUES.get(text.lower())
    if technique is None:
        raise InvalidRequestError(technique=f'"{text}" is not a valid choice.')
    return technique


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError(date="Enter a valid date: YYYY-MM-DD.") from None


def render_frame(frame: Frame, zone: ZoneInfo) -> dict[str, Any]:
    """Return a frame as the archive's record; a raw file is its own parent and original."""
    parent = archive.raw_parent(frame)
    folder = PurePosixPath(frame.path).parent
    return {
        "id": frame.id,
        "created": _local(frame.created_at, zone),
        "last_modified": _local(frame.modified_at, zone),
        "original_file": parent.file_name,
        "original_file_id": parent.id,
        "parent_file": parent.file_name,
        "parent_file_id": parent.id,
        "file_name": frame.file_name,
        "directory_name": str(folder),
        "full_path": frame.path,
        **_instrument_values(frame),
        "date": frame.night.isoformat() if frame.night else None,
        "data_type": str(frame.level),
        "normalized": frame.level == Level.MASTER and frame.kind == "flat",
        "technique": frame.technique.capitalize(),
        "saturation_value": None if frame.saturation_adu is None else round(frame.saturation_adu),
    }


def _instrument_values(frame: Frame) -> dict[str, Any]:
    extras = frame.extras
    proposal = frame.proposal.code if frame.proposal else frame.proposal_code
    texts = {
        name: str(extras.get(name) or "") for name in ("grating", "slit", "cam_targ", "grt_targ")
    }
    numbers = ("observation_id", "configuration_id", "block_id", "image_id")
    return {
        "obstype": archive.obstype_of(frame),
        "object": frame.object_name or "",
        "filter": extras.get("filter") or frame.band_raw or frame.band or "NO_FILTER",
        "filter_2": extras.get("filter_2") or "NO_FILTER",
        **texts,
        "obsra": str(extras.get("obsra") or _sexagesimal(frame.ra_deg, hours=True)),
        "obsdec": str(extras.get("obsdec") or _sexagesimal(frame.dec_deg, hours=False)),
        "gain": str(extras.get("gain") or _number(frame.gain_e_per_adu)),
        "rdnoise": str(extras.get("rdnoise") or _number(frame.read_noise_e)),
        "roi": str(extras.get("roi") or ""),
        "wavmode": str(extras.get("wavmode") or ""),
        "proposal_id": proposal or "",
        **{name: _integer(extras.get(name)) for name in numbers},
    }


def _integer(value: object) -> int | None:
    text = str(value)
    return int(text) if text.lstrip("-").isdecimal() else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat()


def _sexagesimal(angle_deg: float | None, *, hours: bool) -> str:
    if angle_deg is None:
        return ""
    sign = "-" if angle_deg < 0 else ""
    milli = round(abs(angle_deg) / (15 if hours else 1) * 3_600_000)
    minutes, ms = divmod(milli, 60_000)
    whole, minute = divmod(minutes, 60)
    return f"{sign}{whole:02d}:{minute:02d}:{ms / 1000:06.3f}"
