"""Places a user gives of an image and its targets, brought onto the sky."""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

import numpy as np

from app.models import User
from app.services import task_targets
from reduction.frameinfo import FrameInfo
from reduction.oneimage.options import BadOptionError, PlaceOptions
from reduction.oneimage.place import Placed
from reduction.oneimage.targets import Target, parse_place

_CENTRE: Final = "blind_match_center"


def centre_of(by: User, options: PlaceOptions, info: FrameInfo) -> tuple[float, float] | None:
    """Return where an image is to be looked for, degrees; None where nobody said.

    Raises
    ------
    BadOptionError
        If what is given is no place, and no object with a place that is known here.
    """
    if options.centre is None or not options.is_blind:
        return None
    target = Target(options.centre, sky=parse_place(options.centre))
    found = task_targets.resolve(by, target, info)
    if found.ra_deg is None or found.dec_deg is None:
        needed = "'RA Dec' in degrees or sexagesimal, or the name of an object of this site"
        raise BadOptionError(_CENTRE, options.centre, needed)
    return found.ra_deg, found.dec_deg


def with_places(config: Mapping[str, Any], placed: Placed) -> dict[str, Any]:
    """Return what settings gain once their targets in pixels have their places on the sky."""
    said = config.get("targets")
    known = said if isinstance(said, list) else []
    targets = [_on_sky(one, placed) for one in known]
    if targets == known:
        return {}
    gains: dict[str, Any] = {"targets": targets}
    if config.get("target_ra") is None and targets[0].get("ra") is not None:
        gains |= {"target_ra": targets[0]["ra"], "target_dec": targets[0]["dec"]}
    return gains


def _on_sky(one: Any, placed: Placed) -> Any:  # noqa: ANN401 - settings hold what people wrote
    if not isinstance(one, dict) or one.get("ra") is not None:
        return one
    x, y = one.get("x"), one.get("y")
    if not _is_number(x) or not _is_number(y):
        return one
    ra, dec = placed.wcs.sky(np.array([x]), np.array([y]))
    return one | {"ra": float(ra[0]), "dec": float(dec[0])}


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
