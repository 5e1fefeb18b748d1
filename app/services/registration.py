"""What a translated header becomes: the columns of a Frame row, safe for any database."""

import math
from collections.abc import Mapping
from datetime import date
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from app.models import Level
from reduction.frameinfo import FrameInfo, Told

FOREIGN_MASTER: Final = (
    "A master made by another program: it is used only once somebody validates it."
)
_STEADY_FLOATS: Final = (
    "exptime_s",
    "gain_e_per_adu",
    "read_noise_e",
    "saturation_adu",
    "temp_set_c",
)
_MOVING_FLOATS: Final = ("ra_deg", "dec_deg", "airmass")
_TEXTS: Final = (
    "kind_doubt",
    "technique",
    "flat_source",
    "writer",
    "band",
    "band_raw",
    "object_name",
    "position_role",
    "proposal_code",
    "observer",
    "unusable",
)
_COUNTS: Final = ("binning_x", "binning_y", "ncombine")
_AS_THEY_ARE: Final = ("level", "nx", "ny")
_TURNED: Final = ("kind", "done", "readout_mode", "gain_setting", "offset_setting", "bits")
# What the frames of one camera share: its columns are made once for all of them.
_STEADY: Final = (*_STEADY_FLOATS, *_TEXTS, *_COUNTS, *_AS_THEY_ARE, *_TURNED)
_steady_values = attrgetter(*_STEADY)
_LARGEST_COUNT: Final = 2**31 - 1  # of an integer column
_EIGHT_BITS: Final = 8


# What each frame has of its own, in the order of `own_values`.
OWN: Final = (*_MOVING_FLOATS, "start_utc", "mid_utc", "night", "temp_c", "extras", "doubts")


def header_columns(info: FrameInfo) -> dict[str, Any]:
    """Return the columns that follow from the header; the same again whenever it is read."""
    steady, told = steady_part(info), Told.of(info)
    own = own_values(told, series_part(told.base, told.doubts, steady.doubts))
    return {
        **steady.columns,
        **dict(zip(OWN, own, strict=True)),
        "origins": {n: _origin(o.card, o.rule, o.doubt) for n, o in info.origins.items()},
    }


class Steady(NamedTuple):
    """What the steady values of a frame become, and what is doubted of them."""

    columns: Mapping[str, Any]
    doubts: Mapping[str, str]


def steady_part(info: FrameInfo) -> Steady:
    """Return that in which the frames of a camera are alike, once for all that are."""
    return _steady_columns(_steady_values(info))


class SeriesPart(NamedTuple):
    """The last columns of `OWN`, in which frames of one base and with the same doubts are alike."""

    temp_c: float | None
    extras: Mapping[str, Any]
    doubts: Mapping[str, Any]


def series_part(
    base: FrameInfo, told_doubts: Mapping[str, str], steady_doubts: Mapping[str, str]
) -> SeriesPart:
    """Return that in which the frames of a series are alike; `steady_doubts` of `steady_part`."""
    doubts: dict[str, Any] = {name: clean(why) for name, why in told_doubts.items()}
    temp_c = _finite("temp_c", base.temp_c, doubts)
    return SeriesPart(temp_c, plain(base.extras), {**doubts, **steady_doubts})


def own_values(told: Told, alike: SeriesPart) -> tuple[Any, ...]:
    """Return the values of the columns in `OWN`; `alike` is the frame's `series_part`."""
    _, ra, dec, airmass, start, middle, night, _ = told
    if not math.isfinite((ra or 0.0) + (dec or 0.0) + (airmass or 0.0)):
        doubts = dict(alike.doubts)
        named = zip(_MOVING_FLOATS, (ra, dec, airmass), strict=True)
        ra, dec, airmass = [_finite(name, value, doubts) for name, value in named]
        alike = alike._replace(doubts=doubts)
    return ra, dec, airmass, start, middle, night, *alike


@lru_cache(maxsize=512)
def _steady_columns(values: tuple[Any, ...]) -> Steady:
    info = FrameInfo(**dict(zip(_STEADY, values, strict=True)))
    doubts: dict[str, Any] = {}
    columns: dict[str, Any] = {name: _text(getattr(info, name)) for name in _TEXTS}
    for name in _STEADY_FLOATS:
        columns[name] = _finite(name, getattr(info, name), doubts)
    for name in _COUNTS:
        columns[name] = _count(name, getattr(info, name), doubts)
    for name in _AS_THEY_ARE:
        columns[name] = getattr(info, name)
    columns |= {
        "kind": str(info.kind),
        "readout_key": readout_key(info),
        "steps_done": sorted(info.done),
    }
    return Steady(columns, doubts)


def first_columns(info: FrameInfo) -> dict[str, Any]:
    """Return the columns that are ours to decide when a frame is first met, and people's after."""
    is_master = info.level == Level.MASTER
    return {"is_valid": not is_master, "notes": [FOREIGN_MASTER] if is_master else []}


def readout_key(info: FrameInfo) -> str:
    """Return what must agree, besides camera and geometry, for one frame to calibrate another.

    The stored number of bits counts only where it is eight, as in a camera's preview mode:
    programs write the same 16 bits of a detector as integers and as floats.
    """
    parts = [clean(info.readout_mode)] if info.readout_mode else []
    if info.gain_setting is not None:
        parts.append(f"gain {info.gain_setting:g}")
    if info.offset_setting is not None:
        parts.append(f"offset {info.offset_setting:g}")
    if info.bits == _EIGHT_BITS and info.level == Level.RAW:
        parts.append("8 bit")
    return ", ".join(parts)


def clean(text: str) -> str:
    """Return a text every database stores: no NUL, no half of a surrogate pair."""
    if text.isprintable() and text.isascii():
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a value JSON can hold; a number that is not finite becomes None."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {clean(str(name)): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return clean(str(value))


def _text(value: str | None) -> str | None:
    return None if value is None else clean(value)


def _finite(name: str, value: float | None, doubts: dict[str, Any]) -> float | None:
    if value is None or math.isfinite(value):
        return value
    doubts[name] = f"the header gives {value}, which is no number"
    return None


def _count(name: str, value: int, doubts: dict[str, Any]) -> int:
    if 0 < value <= _LARGEST_COUNT:
        return value
    doubts[name] = f"the header gives {value}, which cannot be; 1 is assumed"
    return 1


@lru_cache(maxsize=8192)
def _origin(card: str, rule: str, doubt: str | None) -> dict[str, str]:
    origin = {"card": clean(card), "rule": rule}
    return origin if doubt is None else origin | {"doubt": clean(doubt)}
