"""The catalogues an observer may choose from: those of this site, and what VizieR may be asked."""

from contextlib import suppress
from typing import Final

from app.errors import AppError
from app.services import refcats, settings
from reduction.refcat.known import KNOWN
from reduction.refcat.vizier import TABLES

ONLINE: Final = "catalogues.online"


def is_on() -> bool:
    """Tell whether this site lets the program ask VizieR."""
    return settings.snapshot().flag(ONLINE)


def can_have(name: str) -> bool:
    """Tell whether a catalogue that is not loaded would be asked for."""
    with suppress(AppError):
        return is_on() and refcats.stored_name(name) in TABLES
    return False


def names() -> list[str]:
    """Return the catalogues to choose from, as observers call them: those here or to be had."""
    here = {meta.name.removesuffix(refcats.FETCHED) for meta in refcats.catalogues()}
    known = [name for name in KNOWN if name in here or can_have(name)]
    return [*known, *sorted(here.difference(known))]
