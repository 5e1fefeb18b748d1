"""Stars a catalogue gave."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from reduction.refcat.colours import Magnitudes, Mags, relation_to, transform
from reduction.refcat.errors import NoMagnitudeError
from reduction.refcat.geometry import Floats
from reduction.refcat.systems import Band, System, usual_system

_AS_A_CCD_SEES: Final = ("G", "r", "R", "V", "i", "VT", "g", "I", "RP", "BP")
Rows = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Stars:
    """Stars of a piece of sky.

    Attributes
    ----------
    ra_deg, dec_deg : float64 array, ``(n,)``
        ICRS, degrees, at `epoch`.
    mag, error : mapping of str to float32 array, ``(n,)``
        By band, NaN where a star has none; a band without errors of its own is not in `error`.
    bands : tuple of Band
        What `mag` holds.
    epoch : float
        Julian year of the positions.
    coverage : float
        How much of the sky asked for is loaded: 0 < coverage <= 1.
    pm_ra_mas_yr, pm_dec_mas_yr : float32 array, ``(n,)``, or None
        That in RA times cos Dec; NaN where unknown.
    star_id : int64 array, ``(n,)``, or None
        The catalogue's; -1 where a star has none.
    """

    ra_deg: Floats
    dec_deg: Floats
    mag: Mapping[str, Mags]
    error: Mapping[str, Mags]
    bands: tuple[Band, ...]
    epoch: float
    coverage: float
    pm_ra_mas_yr: Mags | None = None
    pm_dec_mas_yr: Mags | None = None
    star_id: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return int(self.ra_deg.size)

    def select(self, rows: Rows) -> Self:
        """Return some of the stars, by a mask or by their numbers."""
        return replace(
            self,
            ra_deg=self.ra_deg[rows],
            dec_deg=self.dec_deg[rows],
            mag={band: column[rows] for band, column in self.mag.items()},
            error={band: column[rows] for band, column in self.error.items()},
            pm_ra_mas_yr=None if self.pm_ra_mas_yr is None else self.pm_ra_mas_yr[rows],
            pm_dec_mas_yr=None if self.pm_dec_mas_yr is None else self.pm_dec_mas_yr[rows],
            star_id=None if self.star_id is None else self.star_id[rows],
        )

    def brightest(self, count: int, band: str | None = None) -> Self:
        """Return at most `count` stars, brightest first.

        Parameters
        ----------
        count : int
            How many at most.
        band : str, optional
            In which; where None, in the reddish band each star has (see `brightness`). Stars
            without a magnitude are left out.

        Raises
        ------
        NoMagnitudeError
            If the stars were asked for without that band.
        """
        if band is not None and band not in self.mag:
            raise NoMagnitudeError(f"the stars have no {band}; they have {', '.join(self.mag)}")
        mag = self.brightness() if band is None else self.mag[band]
        rows = np.argsort(mag, kind="stable")[: min(count, int(np.isfinite(mag).sum()))]
        return self.select(rows.astype(np.int64))

    def brightness(self) -> Mags:
        """Return one magnitude a star for sorting, in whichever band it has; NaN without any.

        Bands an unfiltered CCD sees best come first; systems are not told apart.
        """
        found = np.full(len(self), np.nan, np.float32)
        for band in sorted(self.mag, key=_eagerness):
            found = np.where(np.isfinite(found), found, self.mag[band])
        return found

    def magnitudes(self, band: str, system: System | None = None) -> Magnitudes:
        """Return the stars' magnitudes in a band of a system.

        Parameters
        ----------
        band : str
            Its name: ``V``, ``r``, ``Ks``.
        system : System, optional
            Of which; where None, the one the catalogue has the band in, else the one its name
            means: V is Johnson's, r of SDSS, J of 2MASS.

        Returns
        -------
        Magnitudes
            The catalogue's own, else by the tightest published relation.

        Raises
        ------
        NoMagnitudeError
            If the catalogue has no such band and no relation leads to it.
        """
        own = next((b for b in self.bands if b.name == band), None)
        if own is not None and system in (None, own.system):
            error = self.error.get(band, np.zeros_like(self.mag[band]))
            return Magnitudes(self.mag[band], error, band, own.system)
        relation = relation_to(self.bands, band, system or usual_system(band))
        return transform(relation, self.mag, self.error)


def _eagerness(band: str) -> int:
    return _AS_A_CCD_SEES.index(band) if band in _AS_A_CCD_SEES else len(_AS_A_CCD_SEES)
