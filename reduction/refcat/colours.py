"""Magnitudes of one photometric system from those of another, by published relations.

Each relation is ``target = m + c0 + c1 x + c2 x**2 + ...`` with ``x`` a colour of the source, good
between two colours and with the scatter its authors state. Outside those colours the answer is NaN,
never an extrapolation.

Left out, because no relation is known to us to the last digit: all from SkyMapper and from VISTA,
Gaia to SDSS z and u, Gaia to U, and 2MASS to other infrared systems. ATLAS-REFCAT2 gives griz in
the Pan-STARRS system (Tonry et al. 2018, ApJ 867, 105), so the relations of that one serve it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.refcat.errors import NoMagnitudeError
from reduction.refcat.systems import Band, System

Mags = npt.NDArray[np.float32]

# Stars: the papers on Pan-STARRS and SDSS give no limits, so theirs are the main sequence's here.
_STARS: Final = (-0.5, 1.6)
# G minus the magnitude, in powers of BP - RP: system, band, coefficients, colours, scatter; of
# tables 5.8, 5.9 and 5.10 of the Gaia DR3 documentation, section 5.5.1. Compared with what other
# programs took from there, all numbers are the same: every row with PHOTO-CAT's, those of SDSS with
# calviacat's too; colours but B's with table C.1 of Riello et al. (2021).
_GAIA: Final = (
    (System.JOHNSON, "B", (0.01448, -0.6874, -0.3604, 0.06718, -0.006061), (-0.5, 4.0), 0.0633),
    (System.JOHNSON, "V", (-0.02704, 0.01424, -0.2156, 0.01426), (-0.5, 5.0), 0.03017),
    (
        System.JOHNSON,
        "R",
        (-0.02275, 0.3961, -0.1243, -0.01396, 0.003775),
        (0.0, 4.0),
        0.03167,
    ),
    (System.JOHNSON, "I", (0.01753, 0.76, -0.0991), (-0.5, 4.5), 0.03765),
    (System.SDSS, "g", (0.2199, -0.6365, -0.1548, 0.0064), (0.3, 3.0), 0.0745),
    (System.SDSS, "r", (-0.09837, 0.08592, 0.1907, -0.1701, 0.02263), (0.0, 3.0), 0.03776),
    (System.SDSS, "i", (-0.293, 0.6404, -0.09609, -0.002104), (0.5, 2.0), 0.04092),
    (System.TWOMASS, "J", (0.01798, 1.389, -0.09338), (-0.5, 2.5), 0.04762),
    (System.TWOMASS, "H", (-0.1048, 2.011, -0.1758), (-0.5, 2.5), 0.07805),
    (System.TWOMASS, "Ks", (-0.0981, 2.089, -0.1579), (-0.5, 2.5), 0.08553),
)


@dataclass(frozen=True, slots=True)
class Transformation:
    """One published relation.

    Attributes
    ----------
    source, target : System
        From which to which.
    band : str
        The magnitude it gives, in `target`.
    of : str
        The magnitude of `source` it starts from.
    colour : (str, str)
        ``x`` is the first minus the second, in `source`.
    coefficients : tuple of float
        ``c0, c1, ...``, magnitudes.
    valid : (float, float)
        Colours between which it holds.
    scatter_mag : float
        Of stars around it, NaN where it is not known to us.
    reference : str
        The paper.
    """

    source: System
    target: System
    band: str
    of: str
    colour: tuple[str, str]
    coefficients: tuple[float, ...]
    valid: tuple[float, float]
    scatter_mag: float
    reference: str

    @property
    def needs(self) -> frozenset[str]:
        """The bands of `source` it takes."""
        return frozenset({self.of, *self.colour})


@dataclass(frozen=True, slots=True, eq=False)
class Magnitudes:
    """Magnitudes of stars in one band of one system.

    Attributes
    ----------
    mag, error : float32 array, ``(n,)``
        NaN where unknown. The error has the relation's scatter in it; where a catalogue has no
        errors of its own it is that scatter alone, 0 where there is neither.
    band : str
    system : System
    transformation : Transformation or None
        How they came about; None where the catalogue has them.
    """

    mag: Mags
    error: Mags
    band: str
    system: System
    transformation: Transformation | None = None


def gaia_relations() -> tuple[Transformation, ...]:
    """Return the relations from Gaia DR3 to Johnson-Cousins, SDSS and 2MASS.

    References
    ----------
    Riello M. et al., 2021, A&A 649, A3, tables C.1 and C.2; B from table 5.9 of the Gaia DR3
    documentation, section 5.5.1 (Carrasco & Bellazzini), which restates the others and has the
    scatters. Both tabulate ``G - X``; redder than BP - RP = 1.75 the one for B was made of M
    giants, redder than 2 those for R, g and r.
    """
    paper = "Riello et al. 2021, A&A 649, A3; Gaia DR3 documentation 5.5.1"
    return tuple(
        Transformation(
            System.GAIA,
            system,
            band,
            "G",
            ("BP", "RP"),
            tuple(-c for c in minus),
            valid,
            scatter,
            paper,
        )
        for system, band, minus, valid, scatter in _GAIA
    )


def pan_starrs_relations() -> tuple[Transformation, ...]:
    """Return the relations between Pan-STARRS and SDSS, and to Johnson-Cousins.

    References
    ----------
    Tonry J. L. et al., 2012, ApJ 750, 99, table 6, the quadratic ones.
    """
    paper = "Tonry et al. 2012, ApJ 750, 99, table 6"
    rows = (
        (System.SDSS, "g", "g", (0.013, 0.145, 0.019), 0.008),
        (System.SDSS, "r", "r", (-0.001, 0.004, 0.007), 0.004),
        (System.SDSS, "i", "i", (-0.005, 0.011, 0.010), 0.004),
        (System.SDSS, "z", "z", (0.013, -0.039, -0.012), 0.010),
        (System.JOHNSON, "B", "g", (0.212, 0.556, 0.034), 0.032),
        (System.JOHNSON, "V", "r", (0.005, 0.462, 0.013), 0.012),
        (System.JOHNSON, "R", "r", (-0.137, -0.108, -0.029), 0.015),
        (System.JOHNSON, "I", "i", (-0.366, -0.136, -0.018), 0.017),
    )
    back = (
        ("g", (-0.011, -0.125, -0.015), 0.006),
        ("r", (0.001, -0.006, -0.002), 0.002),
        ("i", (0.004, -0.014, 0.001), 0.003),
        ("z", (-0.013, 0.040, -0.001), 0.009),
    )
    colour = ("g", "r")
    return (
        *(
            Transformation(System.PS1, to, band, of, colour, plus, _STARS, scatter, paper)
            for to, band, of, plus, scatter in rows
        ),
        *(
            Transformation(System.SDSS, System.PS1, b, b, colour, plus, _STARS, scatter, paper)
            for b, plus, scatter in back
        ),
    )


def sdss_relations() -> tuple[Transformation, ...]:
    """Return the relations from SDSS to Johnson-Cousins.

    References
    ----------
    Lupton R., 2005, matched to Stetson's standards; published with the SDSS documentation
    ("Transformations between SDSS magnitudes and other systems").
    """
    paper = "Lupton 2005, SDSS documentation"
    rows = (
        ("B", "g", ("g", "r"), (0.2271, 0.3130), 0.0107),
        ("V", "g", ("g", "r"), (-0.0038, -0.5784), 0.0054),
        ("R", "r", ("r", "i"), (-0.1439, -0.2936), 0.0072),
        ("I", "r", ("r", "i"), (-0.3820, -1.2444), 0.0078),
        ("R", "r", ("g", "r"), (-0.0971, -0.1837), 0.0106),
        ("I", "i", ("i", "z"), (-0.3974, -0.3780), 0.0063),
    )
    return tuple(
        Transformation(System.SDSS, System.JOHNSON, band, of, colour, plus, _STARS, scatter, paper)
        for band, of, colour, plus, scatter in rows
    )


def tycho_relations() -> tuple[Transformation, ...]:
    """Return the relations from Tycho to Johnson.

    References
    ----------
    ESA, 1997, The Hipparcos and Tycho Catalogues, SP-1200, vol. 1, section 1.3:
    ``V = VT - 0.090 (BT - VT)``, ``B - V = 0.850 (BT - VT)``; unreddened, -0.2 to 1.8.
    """
    paper = "ESA 1997, SP-1200, vol. 1, section 1.3"
    rows = (("V", (0.0, -0.090)), ("B", (0.0, 0.760)))
    return tuple(
        Transformation(
            System.TYCHO,
            System.JOHNSON,
            band,
            "VT",
            ("BT", "VT"),
            plus,
            (-0.2, 1.8),
            np.nan,
            paper,
        )
        for band, plus in rows
    )


@lru_cache(maxsize=1)
def transformations() -> tuple[Transformation, ...]:
    """Return every relation there is."""
    return (
        *gaia_relations(),
        *pan_starrs_relations(),
        *sdss_relations(),
        *tycho_relations(),
    )


def transform(
    relation: Transformation, mags: Mapping[str, Mags], errors: Mapping[str, Mags]
) -> Magnitudes:
    """Return what a relation makes of magnitudes.

    Parameters
    ----------
    relation : Transformation
        Which one.
    mags, errors : mapping of str to float array, ``(n,)``
        Of the source system, by band; a band without errors counts as exact.

    Returns
    -------
    Magnitudes
        NaN where a magnitude is missing or the colour is outside the relation's.
    """
    first, second = relation.colour
    x = mags[first].astype(np.float64) - mags[second]
    polynomial = np.polynomial.Polynomial(relation.coefficients)
    slope = polynomial.deriv()(x)
    weights = dict.fromkeys(relation.needs, np.zeros_like(x))
    for band, weight in ((relation.of, np.ones_like(x)), (first, slope), (second, -slope)):
        weights[band] = weights[band] + weight
    variance = np.zeros_like(x)
    for band, weight in weights.items():
        if band in errors:
            variance += (weight * errors[band]) ** 2
    if np.isfinite(relation.scatter_mag):
        variance += relation.scatter_mag**2
    low, high = relation.valid
    good = (x >= low) & (x <= high)
    mag = np.where(good, mags[relation.of] + polynomial(x), np.nan).astype(np.float32)
    error = np.where(good, np.sqrt(variance), np.nan).astype(np.float32)
    return Magnitudes(mag, error, relation.band, relation.target, relation)


def relation_to(bands: Sequence[Band], band: str, system: System) -> Transformation:
    """Return the tightest relation that leads from a catalogue's bands to another band.

    Raises
    ------
    NoMagnitudeError
        If none does; the message says what there is.
    """
    fits = [
        relation
        for relation in transformations()
        if (relation.band, relation.target) == (band, system)
        and relation.needs <= {b.name for b in bands if b.system == relation.source}
    ]
    if not fits:
        have = ", ".join(f"{b.name} ({b.system})" for b in bands)
        raise NoMagnitudeError(
            f"no published relation here leads to {band} ({system}) from what the catalogue has: "
            f"{have}"
        )
    return min(fits, key=lambda relation: np.nan_to_num(relation.scatter_mag, nan=np.inf))


def reachable(bands: Sequence[Band]) -> tuple[tuple[str, System], ...]:
    """Return every band and system a catalogue's bands lead to, its own first."""
    own = [(band.name, band.system) for band in bands]
    names = {system: {b.name for b in bands if b.system == system} for system in System}
    led = [(t.band, t.target) for t in transformations() if t.needs <= names[t.source]]
    return tuple(dict.fromkeys([*own, *led]))
