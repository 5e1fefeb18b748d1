"""Filters, catalogues and template surveys under the names STDWeb's clients know."""

from collections.abc import Mapping
from typing import Any, Final

from reduction.refcat.known import STDWEB

Names = dict[str, Any]


def _filter(name: str, *aliases: str) -> Names:
    return {"name": name, "aliases": list(aliases)}


def _sloan(name: str, *more: str) -> Names:
    """Return a filter with the many spellings its letter has among the Sloan bands."""
    band = name[-1]
    spellings = ("sdss{}", "SDSS {}", "SDSS-{}", "SDSS-{}'", "Sloan-{}", "sloan{}", "Sloan {}")
    capital = band.upper()
    short = (f"S{band}", f"S{capital}", f"s{capital}")
    return _filter(name, *(one.format(band) for one in spellings), *short, *more)


FILTERS: Final[Mapping[str, Names]] = {
    "U": _filter("Johnson-Cousins U"),
    "B": _filter("Johnson-Cousins B"),
    "V": _filter("Johnson-Cousins V"),
    "R": _filter("Johnson-Cousins R", "Rc"),
    "I": _filter("Johnson-Cousins I", "Ic", "I'"),
    "u": _sloan("Sloan u"),
    "g": _sloan("Pan-STARRS g", "ZTF_g"),
    "r": _sloan("Pan-STARRS r", "ZTF_r"),
    "i": _sloan("Pan-STARRS i", "ZTF_i"),
    "z": _sloan("Pan-STARRS z"),
    "y": _sloan("Pan-STARRS y"),
    "G": _filter("Gaia G"),
    "BP": _filter("Gaia BP"),
    "RP": _filter("Gaia RP"),
    "J": _filter("2MASS J"),
    "H": _filter("2MASS H"),
    "Ks": _filter("2MASS Ks", "K"),
}


CATALOGUES: Final[Mapping[str, Names]] = {
    one.name: {"name": one.title, "filters": list(one.filters), "limit": one.limit}
    for one in STDWEB
}


def _hips(name: str, shape: str, bands: str, **special: str) -> Names:
    """Return a survey whose bands are HiPS of one form of name, but for the special ones."""
    found = {band: special.get(band, shape.format(band)) for band in bands.split()}
    return {"name": name, "filters": found}


TEMPLATES: Final[Mapping[str, Names]] = {
    "custom": {"name": "Custom template"},
    "ps1": {"name": "Pan-STARRS DR2", "filters": ["i", "z", "r", "g"]},
    "ls": {"name": "Legacy Survey DR10", "filters": ["i", "z", "r", "g"]},
    "skymapper": _hips(
        "SkyMapper DR4 (HiPS)",
        "CDS/P/Skymapper/DR4/{}",
        "u g r i z",
        u="CDS/P/skymapper-U",
        z="CDS/P/skymapper-Z",
    ),
    "des": _hips("Dark Energy Survey DR2 (HiPS)", "CDS/P/DES-DR2/{}", "g r i z"),
    "decaps": _hips("DECaPS DR2 (HiPS)", "CDS/P/DECaPS/DR2/{}", "g r i z"),
    "ztf": _hips("ZTF DR7 (HiPS)", "CDS/P/ZTF/DR7/{}", "g r i"),
    "2mass": _hips("2MASS (HiPS)", "CDS/P/2MASS/{}", "J H Ks", Ks="CDS/P/2MASS/K"),
}

KINDS: Final[Mapping[str, Mapping[str, Names]]] = {
    "filters": FILTERS,
    "catalogs": CATALOGUES,
    "templates": TEMPLATES,
}
