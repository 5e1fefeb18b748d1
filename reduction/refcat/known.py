"""The catalogues observers ask for by name, and the columns of their usual downloads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reduction.refcat.systems import System

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A catalogue of a name clients use.

    Attributes
    ----------
    name : str
        Its name here, which is STDWeb's where STDWeb has it.
    title : str
        As STDWeb shows it.
    filters : tuple of str
        Bands STDWeb says it can calibrate.
    limit : str
        The column STDWeb cuts at a magnitude; "" where it does not know the catalogue.
    """

    name: str
    title: str
    filters: Names
    limit: str = ""


_BVRI: Final = ("B", "V", "R", "I")

# STDWeb's, in its order and to the letter; then what BHTOM keeps beside them.
STDWEB: Final = (
    Known(
        "gaiadr3syn",
        "Gaia DR3 synphot",
        ("U", *_BVRI, "u", "g", "r", "i", "z", "y"),
        "rmag",
    ),
    Known("ps1", "Pan-STARRS DR1", (*_BVRI, "g", "r", "i", "z", "y"), "rmag"),
    Known("skymapper", "SkyMapper DR4", (*_BVRI, "g", "r", "i", "z", "y"), "rPSF"),
    Known("sdss", "SDSS DR16", ("u", "g", "r", "i", "z"), "rmag"),
    Known("atlas", "ATLAS-REFCAT2", (*_BVRI, "g", "r", "i", "z"), "rmag"),
    Known("gaiaedr3", "Gaia eDR3", ("G", "BP", "RP"), "Gmag"),
    Known("2mass", "2MASS PSC", ("J", "H", "Ks"), "Jmag"),
    Known("vhs", "VHS DR5", ("J", "H", "Ks"), "Jap3"),
)
OTHERS: Final = (
    Known("apass", "APASS DR9", ("B", "V", "g", "r", "i")),
    Known("tycho2", "Tycho-2", ("BT", "VT", "B", "V")),
)
KNOWN: Final[Mapping[str, Known]] = {known.name: known for known in (*STDWEB, *OTHERS)}


@dataclass(frozen=True, slots=True)
class Survey:
    """A survey as BHTOM names it, before the slash: its catalogue here and its bands."""

    catalogue: str
    bands: Names
    is_active: bool = True


BHTOM: Final[Mapping[str, Survey]] = {
    "GaiaSP": Survey("gaiadr3syn", ("u", "g", "r", "i", "z", "U", *_BVRI)),
    "GaiaDR3": Survey("gaiaedr3", ("G", "GBP", "GRP")),
    "2MASS": Survey("2mass", ("J", "H", "K")),
    "SDSS": Survey("sdss", ("u", "g", "r", "i", "z"), is_active=False),
    "APASS": Survey("apass", ("B", "V", "g", "r", "i"), is_active=False),
}
_BHTOM_SPELLING: Final = {"GBP": "BP", "GRP": "RP", "K": "Ks"}


def bhtom_survey(text: str) -> tuple[str, str] | None:
    """Return survey and band of BHTOM's ``survey/band`` or ``survey``, whatever its letters' case.

    The band is as it was written, empty where there is none; None is returned for what is no
    survey of BHTOM.
    """
    name, _, band = text.strip().partition("/")
    survey = next((known for known in BHTOM if known.lower() == name.strip().lower()), None)
    return None if survey is None else (survey, band.strip())


def bhtom_bands(survey: str, band: str) -> Names:
    """Return the bands, as catalogues here name them, of BHTOM's ``survey/band``.

    ``any`` is every band of the survey; a word of several, as ``ugriz``, is each of its letters.
    Nothing is returned for a survey or a band that does not exist.
    """
    if survey not in BHTOM:
        return ()
    bands = BHTOM[survey].bands
    alike = [name for name in bands if name.lower() == band.lower()]
    if band.lower() == "any":
        wanted = bands
    elif band in bands:
        wanted = (band,)
    elif len(alike) == 1:
        wanted = (alike[0],)
    else:
        wanted = tuple(letter for letter in band if letter in bands)
        wanted = wanted if len(wanted) == len(band) else ()
    return tuple(_BHTOM_SPELLING.get(name, name) for name in wanted)


@dataclass(frozen=True, slots=True)
class Preset:
    """The columns of a well-known download.

    Attributes
    ----------
    name : str
        What the user gives.
    title : str
        What it is, with its VizieR number.
    columns : mapping of str to tuple of str
        By role, the names a column may have; see `reduction.refcat.columns`.
    systems : mapping of str to System
        By band.
    epoch : float
        Of the positions, Julian year.
    units : mapping of str to str
        By role, where they are not the usual ones.
    """

    name: str
    title: str
    columns: Mapping[str, Names]
    systems: Mapping[str, System]
    epoch: float
    units: Mapping[str, str] = field(default_factory=dict)


def _vizier(ra: Names, dec: Names, magnitudes: Mapping[str, str], **more: str) -> dict[str, Names]:
    """Return columns as VizieR names them: each magnitude's error is ``e_`` and its name."""
    columns = {"ra": ra, "dec": dec} | {role: (name,) for role, name in more.items()}
    for band, name in magnitudes.items():
        columns |= {band: (name,), f"{band}_err": (f"e_{name}",)}
    return columns


def _all(system: System, *bands: str) -> dict[str, System]:
    return dict.fromkeys(bands, system)


def _mag(*bands: str) -> dict[str, str]:
    return {band: f"{band}mag" for band in bands}


_J2000: Final = (("RAJ2000", "_RAJ2000"), ("DEJ2000", "_DEJ2000"))
_ICRS: Final = (("RA_ICRS", "RAICRS"), ("DE_ICRS", "DEICRS"))
_APASS_SLOAN: Final[dict[str, Names]] = {
    **{b: (f"{b}_mag", f"{b}'mag", f"{b}mag") for b in "gri"},
    **{f"{b}_err": (f"e_{b}_mag", f"e_{b}'mag", f"e_{b}mag") for b in "gri"},
}
_SYNTHETIC: Final = ("U", *_BVRI, *"ugrizy")
_PM: Final = {"pmra": ("pmRA",), "pmdec": ("pmDE",)}

PRESETS: Final[Mapping[str, Preset]] = {
    preset.name: preset
    for preset in (
        Preset(
            "vizier-gaiadr3",
            "Gaia DR3, VizieR I/355/gaiadr3",
            _vizier(*_ICRS, _mag("G", "BP", "RP"), id="Source") | _PM,
            _all(System.GAIA, "G", "BP", "RP"),
            2016.0,
        ),
        # Synthetic magnitudes of Gaia's spectra, brought onto the standards (Montegriffo et al.
        # 2023, A&A 674, A33). Errors it has of fluxes, and of these follow those of magnitudes.
        Preset(
            "vizier-gaiadr3syn",
            "Gaia DR3 synthetic photometry, VizieR I/360/syntphot",
            {
                "ra": ("RA_ICRS", "_RAJ2000"),
                "dec": ("DE_ICRS", "_DEJ2000"),
                "id": ("Source",),
                **{band: (f"{band}mag",) for band in _SYNTHETIC},
                **{f"{band}_err": (f"F{band}/e_F{band}",) for band in _SYNTHETIC},
            },
            _all(System.JOHNSON, "U", *_BVRI) | _all(System.SDSS, *"ugriz") | {"y": System.PS1},
            2016.0,
            {f"{band}_err": "snr" for band in _SYNTHETIC},
        ),
        Preset(
            "gaia-archive",
            "Gaia (E)DR3, gaia_source of ESA's archive",
            {
                "ra": ("ra",),
                "dec": ("dec",),
                "id": ("source_id",),
                "pmra": ("pmra",),
                "pmdec": ("pmdec",),
                **{b: (f"phot_{b.lower()}_mean_mag",) for b in ("G", "BP", "RP")},
                **{
                    f"{b}_err": (f"phot_{b.lower()}_mean_flux_over_error",)
                    for b in ("G", "BP", "RP")
                },
            },
            _all(System.GAIA, "G", "BP", "RP"),
            2016.0,
            dict.fromkeys(("G_err", "BP_err", "RP_err"), "snr"),
        ),
        Preset(
            "vizier-apass9",
            "APASS DR9, VizieR II/336/apass9",
            _vizier(*_J2000, _mag("B", "V")) | _APASS_SLOAN,
            _all(System.JOHNSON, "B", "V") | _all(System.SDSS, "g", "r", "i"),
            2000.0,
        ),
        Preset(
            "vizier-tycho2",
            "Tycho-2, VizieR I/259/tyc2",
            _vizier(("RAmdeg",), ("DEmdeg",), _mag("BT", "VT")) | _PM,
            _all(System.TYCHO, "BT", "VT"),
            2000.0,
        ),
        Preset(
            "vizier-ps1",
            "Pan-STARRS DR1, VizieR II/349/ps1",
            _vizier(*_J2000, _mag("g", "r", "i", "z", "y"), id="objID"),
            _all(System.PS1, "g", "r", "i", "z", "y"),
            2012.0,  # the middle of the survey; single epochs are not in the download
        ),
        Preset(
            "vizier-refcat2",
            "ATLAS-REFCAT2, VizieR J/ApJ/867/105/refcat2",
            _vizier(*_ICRS, _mag("g", "r", "i", "z")) | _PM,
            _all(System.PS1, "g", "r", "i", "z"),
            2015.5,
        ),
        Preset(
            "vizier-sdss16",
            "SDSS DR16, VizieR V/154/sdss16",
            _vizier(*_ICRS, _mag("u", "g", "r", "i", "z"), id="objID"),
            _all(System.SDSS, "u", "g", "r", "i", "z"),
            2000.0,
        ),
        Preset(
            "vizier-2mass",
            "2MASS PSC, VizieR II/246/out",
            _vizier(*_J2000, {"J": "Jmag", "H": "Hmag", "Ks": "Kmag"}),
            _all(System.TWOMASS, "J", "H", "Ks"),
            2000.0,
        ),
        Preset(
            "vizier-vhs5",
            "VHS DR5, VizieR II/367/vhs_dr5",
            _vizier(*_J2000, {"J": "Jap3", "H": "Hap3", "Ks": "Ksap3"}),
            _all(System.VISTA, "J", "H", "Ks"),
            2000.0,
        ),
        Preset(
            "vizier-skymapper4",
            "SkyMapper DR4, VizieR II/379/smssdr4",
            _vizier(*_ICRS, {b: f"{b}PSF" for b in "uvgriz"}),
            _all(System.SKYMAPPER, *"uvgriz"),
            2016.0,
        ),
        Preset(
            "simulated",
            "the catalogue beside a simulated night",
            {
                "ra": ("ra_deg",),
                "dec": ("dec_deg",),
                "id": ("star_id",),
                "pmra": ("pmra_mas_yr",),
                "pmdec": ("pmdec_mas_yr",),
                "epoch": ("epoch",),
                **{b: (f"mag_{b}",) for b in "gri"},
                **{f"{b}_err": (f"mag_{b}_err",) for b in "gri"},
            },
            _all(System.SDSS, "g", "r", "i"),
            2016.0,
        ),
    )
}
