"""The stars of a catalogue as one image is calibrated with them: a band, a colour, no blends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from reduction.errors import ReductionError
from reduction.refcat.errors import NoMagnitudeError
from reduction.refcat.geometry import vectors
from reduction.refcat.known import KNOWN
from reduction.refcat.stars import Stars

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
Pair = tuple[str, str]
LEAST_MAG_ERROR: Final = 0.003
BLEND_SHARE: Final = 0.02  # of a star's light, that its neighbours may add
# Colours for a term, the nearest to a band first.
_COLOURS: Final[Mapping[str, tuple[Pair, ...]]] = {
    "U": (("U", "B"), ("B", "V"), ("u", "g")),
    "B": (("B", "V"), ("g", "r")),
    "V": (("B", "V"), ("g", "r"), ("V", "R")),
    "R": (("V", "R"), ("B", "V"), ("g", "r"), ("r", "i")),
    "I": (("R", "I"), ("V", "I"), ("V", "R"), ("r", "i")),
    "u": (("u", "g"), ("g", "r")),
    "g": (("g", "r"), ("B", "V")),
    "r": (("g", "r"), ("r", "i"), ("V", "R")),
    "i": (("r", "i"), ("g", "r"), ("V", "I")),
    "z": (("i", "z"), ("r", "i"), ("g", "r")),
    "y": (("z", "y"), ("i", "z"), ("r", "i")),
    "J": (("J", "H"), ("J", "Ks")),
    "H": (("J", "H"), ("H", "Ks")),
    "Ks": (("H", "Ks"), ("J", "Ks")),
}
_ANY: Final[tuple[Pair, ...]] = (
    ("BP", "RP"), ("g", "r"), ("B", "V"), ("V", "R"), ("r", "i"), ("J", "H"), ("BT", "VT"),
)  # fmt: skip


class NoStarsError(ReductionError):
    """A catalogue has nothing an image could be calibrated with; the message says why."""


@dataclass(frozen=True, slots=True)
class StarList:
    """Stars of a catalogue around an image, ``(n,)`` each.

    Attributes
    ----------
    name : str
        Of the catalogue.
    ra_deg, dec_deg : float arrays
        At the image's epoch.
    band, system : str
        Of `mag`.
    mag, error : float arrays
        NaN where not known.
    colour : float array or None
        Of two bands; None where it has none, or none is wanted.
    colour_bands : tuple of str or None
        The first less the second.
    mags, errors : mapping of str to float array
        All it has, by band, for who reads the list.
    """

    name: str
    ra_deg: Floats
    dec_deg: Floats
    band: str
    system: str
    mag: Floats
    error: Floats
    colour: Floats | None
    colour_bands: Pair | None
    mags: Mapping[str, Floats]
    errors: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.ra_deg)

    @property
    def column(self) -> str:
        """Name of the magnitude's column."""
        return column_of(self.band)


def column_of(band: str) -> str:
    """Return the name of the column a band's magnitudes stand in."""
    return f"{band}mag"


def star_list(name: str, stars: Stars, band: str, *, limit: float | None = None) -> StarList:
    """Return the stars of a catalogue with magnitudes in a band and a colour near it.

    Parameters
    ----------
    name : str
        Of the catalogue.
    stars : Stars
        What it holds around an image.
    band : str
        That of the image; by a published relation where the catalogue has another.
    limit : float or None
        Faintest magnitude, in the band STDWeb cuts that catalogue in, else in `band`.

    Raises
    ------
    NoStarsError
        Where nothing leads to the band, or no star is left.
    """
    try:
        found = stars.magnitudes(band)
    except NoMagnitudeError as why:
        raise NoStarsError(f"the catalogue {name} cannot calibrate {band}: {why}") from why
    mag, error = found.mag.astype(np.float64), found.error.astype(np.float64)
    pair, colour = _colour(stars, band)
    mags = {one.name: stars.mag[one.name].astype(np.float64) for one in stars.bands}
    errors = {b: values.astype(np.float64) for b, values in stars.error.items()}
    mags, errors = mags | {band: mag}, errors | {band: error}
    kept = np.isfinite(mag)
    if limit is not None:
        with np.errstate(invalid="ignore"):
            kept &= _limit_mags(name, mags, mag) <= limit
    if not kept.any():
        fainter = "" if limit is None else f" brighter than {limit:g}"
        raise NoStarsError(
            f"the catalogue {name} has no star{fainter} with a magnitude in {band} on this image"
        )
    return StarList(
        name=name,
        ra_deg=stars.ra_deg[kept],
        dec_deg=stars.dec_deg[kept],
        band=band,
        system=str(found.system),
        mag=mag[kept],
        error=np.maximum(np.nan_to_num(error[kept]), LEAST_MAG_ERROR),
        colour=None if colour is None else colour[kept],
        colour_bands=pair,
        mags={b: values[kept] for b, values in mags.items()},
        errors={b: values[kept] for b, values in errors.items()},
    )


def _limit_mags(name: str, mags: Mapping[str, Floats], usual: Floats) -> Floats:
    column = KNOWN[name].limit if name in KNOWN else ""
    for band in (column.removesuffix("mag"), column.removesuffix("PSF"), column[:1]):
        if band in mags:
            return mags[band]
    return usual


def _colour(stars: Stars, band: str) -> tuple[Pair | None, Floats | None]:
    """Return a colour near a band that stars have, by relations where need be."""
    for first, second in (*_COLOURS.get(band, ()), *_ANY):
        try:
            blue, red = stars.magnitudes(first), stars.magnitudes(second)
        except NoMagnitudeError:
            continue
        colour = blue.mag.astype(np.float64) - red.mag.astype(np.float64)
        if np.isfinite(colour).any():
            return (first, second), colour
    return None, None


def without_blends(stars: StarList, radius_deg: float) -> Bits:
    """Tell which stars have no neighbours whose light an aperture would take along.

    Parameters
    ----------
    stars : StarList
        Complete to fainter magnitudes than those that count.
    radius_deg : float
        Within which neighbours add their light.

    Returns
    -------
    bool array, ``(n,)``
        False where neighbours add more than 2 % together.
    """
    if len(stars) < 2:
        return np.ones(len(stars), bool)
    tree = cKDTree(vectors(stars.ra_deg, stars.dec_deg).T)
    pairs = tree.query_pairs(2 * np.sin(np.radians(radius_deg) / 2), output_type="ndarray")
    light = 10 ** (-0.4 * (stars.mag - np.nanmin(stars.mag)))
    added = np.zeros(len(stars))
    for one, other in ((0, 1), (1, 0)):
        np.add.at(added, pairs[:, one], light[pairs[:, other]])
    return np.asarray(added <= BLEND_SHARE * light)
