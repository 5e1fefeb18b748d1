"""Photometric systems, and the bands a catalogue has in them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reduction.refcat.errors import BadCatalogueError


class System(StrEnum):
    """A photometric system; the value is how answers and files spell it."""

    JOHNSON = "Johnson-Cousins"
    SDSS = "SDSS"
    PS1 = "Pan-STARRS"
    SKYMAPPER = "SkyMapper"
    GAIA = "Gaia"
    TWOMASS = "2MASS"
    VISTA = "VISTA"
    TYCHO = "Tycho-2"
    OTHER = "other"

    @property
    def zero(self) -> str:
        """What magnitude zero means in it: "Vega", "AB", or "" where nobody said."""
        return _ZEROS[self]


_ZEROS: Final = {
    System.JOHNSON: "Vega",
    System.SDSS: "AB",
    System.PS1: "AB",
    System.SKYMAPPER: "AB",
    System.GAIA: "Vega",
    System.TWOMASS: "Vega",
    System.VISTA: "Vega",
    System.TYCHO: "Vega",
    System.OTHER: "",
}
_ALIASES: Final = {
    "johnson": System.JOHNSON,
    "cousins": System.JOHNSON,
    "bessell": System.JOHNSON,
    "ubvri": System.JOHNSON,
    "sloan": System.SDSS,
    "ps1": System.PS1,
    "panstarrs": System.PS1,
    "tycho": System.TYCHO,
}

_USUAL: Final = {
    **dict.fromkeys("UBVRI", System.JOHNSON),
    **dict.fromkeys(("J", "H", "Ks"), System.TWOMASS),
    **dict.fromkeys(("G", "BP", "RP"), System.GAIA),
    **dict.fromkeys(("BT", "VT"), System.TYCHO),
    "y": System.PS1,
}


@dataclass(frozen=True, slots=True)
class Band:
    """A magnitude a catalogue has.

    Attributes
    ----------
    name : str
        One spelling: ``U B V R I``, ``u g r i z y``, ``G BP RP``, ``J H Ks``, ``BT VT``.
    system : System
        In which it is.
    has_error : bool
        Whether each star has its own error in it.
    """

    name: str
    system: System
    has_error: bool


def system_of(text: str) -> System:
    """Return the system a user names, however spelt.

    Raises
    ------
    BadCatalogueError
        If there is none of that name.
    """
    squeezed = _squeezed(text)
    known = {_squeezed(system): system for system in System} | _ALIASES
    if squeezed not in known:
        names = ", ".join(System)
        raise BadCatalogueError(f"there is no photometric system {text!r}; known are {names}")
    return known[squeezed]


def usual_system(band: str) -> System:
    """Return the system a band's name alone means: V is Johnson's, r of SDSS, J of 2MASS."""
    return _USUAL.get(band, System.SDSS)


def _squeezed(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
