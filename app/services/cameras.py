"""Cameras: which one a frame belongs to, and what the site says of each over its headers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select

from app import config
from app.db import db, transaction
from app.errors import UnavailableError
from app.models import Camera
from app.services import settings
from reduction import headers
from reduction.camera import CameraProfile, Observatory
from reduction.frameinfo import FrameInfo

UNIDENTIFIED: Final = "unidentified"
# A profile's name for "any number of any characters" and its like, where they stand in a name.
_PATTERN_CHARACTER: Final = re.compile(r"([*?[])")


def camera_of(info: FrameInfo) -> Camera:
    """Return the camera of a frame, made when the frame is the first of its kind.

    Instrument, size and binning must be the same; the telescope too, but a blank one, as
    drivers leave it, matches any. A camera known without a telescope takes the name of the
    first frame that has one, so that a second telescope is a second camera.
    """
    telescope = info.telescope.strip()
    found = _best(_fitting(info), telescope)
    if found is not None and (found.telescope or not telescope):
        return found
    with transaction():  # looks again: another process may have made it in the meantime
        found = _best(_fitting(info), telescope)
        if found is None:
            found = _new(info)
            db.session.add(found)
            db.session.flush()  # it has its number at once, also within a larger transaction
        elif telescope and not found.telescope:
            found.telescope = telescope
    return found


class CameraBook:
    """The cameras met so far, by what headers say of them: many frames ask, few ask anew."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str | int, ...], int] = {}

    def id_of(self, info: FrameInfo) -> int:
        """Return the id of a frame's camera."""
        geometry = (info.nx, info.ny, info.binning_x, info.binning_y)
        key = (info.instrument, info.telescope, *geometry)
        found = self._ids.get(key)
        if found is None:
            found = self._ids[key] = camera_of(info).id
        return found


def profiles() -> list[CameraProfile]:
    """Return what the site says of its cameras: their own rows first, then config.toml.

    Raises
    ------
    UnavailableError
        If a ``[[cameras]]`` table of config.toml cannot be understood.
    """
    own = [_own_profile(camera) for camera in db.session.scalars(select(Camera)) if camera.profile]
    return [_profile(table) for table in (*own, *config.current().cameras)]


def site(now: settings.Snapshot | None = None) -> Observatory | None:
    """Return the configured site, None while it is not set."""
    now = now or settings.snapshot()
    latitude, longitude = now.number("site.latitude_deg"), now.number("site.longitude_deg")
    if not latitude and not longitude:
        return None
    return Observatory(
        latitude_deg=latitude,
        longitude_deg=longitude,
        elevation_m=now.number("site.elevation_m"),
        name=now.text("site.name"),
    )


def _instrument(info: FrameInfo) -> str:
    name = info.instrument.strip()
    return "" if name.casefold() == UNIDENTIFIED else name


def _fitting(info: FrameInfo) -> list[Camera]:
    """Return the cameras of the frame's instrument and geometry, oldest first."""
    same_geometry = select(Camera).where(
        Camera.nx == info.nx,
        Camera.ny == info.ny,
        Camera.binning_x == info.binning_x,
        Camera.binning_y == info.binning_y,
    )
    instrument = _instrument(info).casefold()
    found = db.session.scalars(same_geometry.order_by(Camera.id))
    return [camera for camera in found if camera.instrument.casefold() == instrument]


def _best(fitting: Sequence[Camera], telescope: str) -> Camera | None:
    same = [c for c in fitting if c.telescope.casefold() == telescope.casefold()]
    blank = [c for c in fitting if not c.telescope]
    best = [*same, *blank, *(() if telescope else fitting)]
    return best[0] if best else None


def _new(info: FrameInfo) -> Camera:
    binning = f"{info.binning_x}x{info.binning_y}"
    name = f"{_instrument(info) or UNIDENTIFIED} {info.nx}x{info.ny}"
    return Camera(
        name=name if binning == "1x1" else f"{name} {binning}",
        instrument=_instrument(info),
        telescope=info.telescope.strip(),
        nx=info.nx,
        ny=info.ny,
        binning_x=info.binning_x,
        binning_y=info.binning_y,
    )


def _own_profile(camera: Camera) -> dict[str, Any]:
    instrument = _PATTERN_CHARACTER.sub(r"[\1]", camera.instrument or UNIDENTIFIED)
    telescope = _PATTERN_CHARACTER.sub(r"[\1]", camera.telescope) or "*"
    return {"name": camera.name, "instrument": instrument, "telescope": telescope} | camera.profile


def _profile(table: object) -> CameraProfile:
    if not isinstance(table, Mapping):
        raise UnavailableError("config.toml: cameras must be written as [[cameras]] tables.")
    try:
        return headers.profile_from_config(table)
    except ValueError as error:
        raise UnavailableError(f"A camera profile is not usable. {error}") from error
