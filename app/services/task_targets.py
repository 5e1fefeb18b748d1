"""Names of targets, looked up in what this site knows: there is no internet in the dome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select

from app.db import db
from app.models import Frame, User
from app.services import access
from app.services.texts import storable
from app.wording import counted
from reduction.frameinfo import FrameInfo
from reduction.oneimage.targets import Target

_ROLE: Final = "target"  # of a header's position: where the object is, not where the mount points
_LOOKED_AT: Final = 500


@dataclass(frozen=True, slots=True)
class Resolved:
    """A target with its place on the sky, degrees, or its pixel, from 0, or why it has neither."""

    name: str
    ra_deg: float | None = None
    dec_deg: float | None = None
    how: str = ""
    trouble: str = ""
    pixel: tuple[float, float] | None = None  # until the image is placed on the sky

    @property
    def record(self) -> dict[str, Any]:
        """As a task's configuration has it."""
        place = {"name": self.name, "ra": self.ra_deg, "dec": self.dec_deg}
        return place if self.pixel is None else place | {"x": self.pixel[0], "y": self.pixel[1]}


def resolve(asker: User, target: Target, info: FrameInfo) -> Resolved:
    """Return the place of a target that is a name: by the header, or by frames the asker sees."""
    if target.sky is not None:
        return Resolved(target.name, *target.sky, how="as given")
    wanted = _squeezed(target.name)
    if info.position_role == _ROLE and _squeezed(info.object_name or "") == wanted:
        return Resolved(target.name, info.ra_deg, info.dec_deg, how="from the image's own header")
    for name, ra_deg, dec_deg in _known(asker, target.name):
        if _squeezed(name) == wanted:
            return Resolved(target.name, ra_deg, dec_deg, how="from the header of another frame")
    return Resolved(target.name, trouble=_unknown(target.name, _pointed_at(asker, wanted)))


def _pointed_at(asker: User, wanted: str) -> int:
    """Count frames of an object, that whoever asked may see, by where the telescope pointed."""
    if not wanted:
        return 0
    query = (
        select(Frame.object_name, func.count())
        .where(access.may_see(asker, Frame), _begins_as(wanted))
        .where(Frame.ra_deg.is_not(None), Frame.position_role.is_distinct_from(_ROLE))
        .group_by(Frame.object_name)
    )
    found = db.session.execute(query).all()
    return sum(count for name, count in found if _squeezed(name or "") == wanted)


def _begins_as(wanted: str) -> ColumnElement[bool]:
    """Tell which names begin with the same letters, however they are spelled."""
    letters = "".join(c for c in storable(wanted) if c.isalnum())[:4].lower()
    bare = func.lower(func.replace(func.replace(Frame.object_name, " ", ""), "-", ""))
    return bare.startswith(letters, autoescape=True)


def _known(asker: User, wanted: str) -> Sequence[tuple[str, float, float]]:
    """Return objects of frames that whoever asked may see, where a header says where they are."""
    query = (
        select(Frame.object_name, Frame.ra_deg, Frame.dec_deg)
        .where(access.may_see(asker, Frame), Frame.position_role == _ROLE)
        .where(Frame.ra_deg.is_not(None), Frame.dec_deg.is_not(None))
        .where(_begins_as(wanted))
        .order_by(Frame.id.desc())
        .limit(_LOOKED_AT)
    )
    return [
        (name, ra, dec)
        for name, ra, dec in db.session.execute(query)
        if name is not None and ra is not None and dec is not None
    ]


def _squeezed(name: str) -> str:
    return "".join(c for c in name if c.isalnum() or c in "+.").lower()


def _unknown(name: str, n_frames: int) -> str:
    if n_frames:
        return (
            f"{counted(n_frames, 'frame')} of {name!r} "
            f"{'says' if n_frames == 1 else 'say'} where the telescope pointed, not where the "
            "object is: give its coordinates, 'RA Dec' in degrees or sexagesimal"
        )
    return (
        f"{name!r} is no object of this site's frames, and names cannot be looked up elsewhere "
        "without internet: give its coordinates, 'RA Dec' in degrees or sexagesimal"
    )
