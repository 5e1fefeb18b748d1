"""MAR's status of a reduced frame: the highest step up to which all are done."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from app.db import db
from app.models import Frame, SuperflatLink
from app.services.frames import OVERSCAN_BIAS_FLAT
from app.services.sky_columns import SOLVED

FRINGE: Final = 2
MASKS: Final = 3
ASTROMETRY: Final = 4
CATALOGUE: Final = 5  # sources measured, and their magnitudes


def status_of(raw: Frame, code: str, done: Collection[str], found: Mapping[str, Any]) -> int:
    """Return the status of what was made of a raw frame.

    `code` names the steps that were asked for, `done` what was applied, `found` the columns of its
    place on the sky. A step there is nothing to do in, as fringes where no super-flat is set, keeps
    no later one from counting.
    """
    status = 0
    for number, is_done in _steps(raw, code, done, found):
        if is_done is False:
            break
        status = number if is_done else status
    return status


def _steps(
    raw: Frame, code: str, done: Collection[str], found: Mapping[str, Any]
) -> Iterator[tuple[int, bool | None]]:
    """Return each step with whether it is done; None where there is nothing to do."""
    yield OVERSCAN_BIAS_FLAT, {"bias", "flat"} <= set(done)
    has_superflat = db.session.get(SuperflatLink, raw.id) is not None
    yield FRINGE, "fringe" in done if has_superflat else None
    yield MASKS, "mc" in code  # where no hits of particles are wanted, bad and saturated pixels
    yield ASTROMETRY, found.get("sky_state") == SOLVED
    yield CATALOGUE, found.get("zero_point_mag") is not None
