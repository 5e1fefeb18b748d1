"""Which filters the image of a task can be calibrated in."""

from collections.abc import Mapping
from typing import Any

from app.errors import InvalidRequestError
from app.services import refcats
from app.services.reference_data import FILTERS
from reduction.headers.bands import canonical_band, is_open
from reduction.refcat.systems import usual_system


def is_known(band: str) -> bool:
    """Tell whether a band is one of those images are calibrated in, or of a catalogue here."""
    is_named = band in FILTERS or any(band in entry["aliases"] for entry in FILTERS.values())
    return is_named or bool(refcats.leading_to(band, usual_system(band)))


def refusal(given: str) -> str:
    """Say why a filter cannot be used; nothing where it can."""
    if is_open(given) or is_known(canonical_band(given)):
        return ""
    return f"filter: {given[:40]!r} is none that is known here; it is one of {' '.join(FILTERS)}"


def check(config: Mapping[str, Any]) -> None:
    """Refuse a configuration whose filter nothing here could be calibrated in.

    Raises
    ------
    InvalidRequestError
        With the filters that are known.
    """
    given = config.get("filter")
    if isinstance(given, str) and given.strip() and (why := refusal(given.strip())):
        raise InvalidRequestError(why)
