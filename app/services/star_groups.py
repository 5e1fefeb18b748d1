"""Which sources of many frames are one star: so that a light curve is of one, and of which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from app.services.cone import Found

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]

# How far the sources of one star lie apart on different frames: what is left of astrometry and
# motion, and what noise does to the source itself. Stars that are told apart are farther from
# each other than this, and never on one frame taken for one.
REACH_ARCSEC: Final = 1.0
_REACH_ERRORS: Final = 3.0
_LARGEST_ARCSEC: Final = 3.0
_LEAST_ERROR_ARCSEC: Final = 0.05  # stated errors may be less than those of the astrometry


@dataclass(frozen=True, slots=True)
class Star:
    """What was found at one place: its middle, how far that is from the place asked for."""

    ra_deg: float
    dec_deg: float
    sep_arcsec: float
    rows: Sequence[int]  # of `Found`, one a frame

    @property
    def n_frames(self) -> int:
        """On how many frames it was found."""
        return len(self.rows)


def stars_in(found: Found, ra_deg: float, dec_deg: float) -> list[Star]:
    """Return the stars of a circle, the one that is meant first, then by distance.

    Meant is the nearest to the middle; of those nearly as near, the one on the most frames, for
    noise lies anywhere.
    """
    if not len(found):
        return []
    offsets = _offsets(found, ra_deg, dec_deg)
    labels = _labels(offsets, _errors(found), found.frame_of)
    ordered = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels))[:-1]
    stars = [_star(rows, offsets, ra_deg, dec_deg) for rows in np.split(ordered, ends)]
    stars.sort(key=lambda star: star.sep_arcsec)
    near = [star for star in stars if star.sep_arcsec <= stars[0].sep_arcsec + REACH_ARCSEC]
    meant = max(near, key=lambda star: star.n_frames)
    return [meant, *(star for star in stars if star is not meant)]


def _offsets(found: Found, ra_deg: float, dec_deg: float) -> Floats:
    """Return the places from the middle, arcseconds to the east and north, ``(n, 2)``."""
    east = (found.columns["ra_deg"] - ra_deg + 180.0) % 360.0 - 180.0
    north = found.columns["dec_deg"] - dec_deg
    return 3600.0 * np.column_stack([east * np.cos(np.radians(dec_deg)), north])


def _errors(found: Found) -> Floats:
    """Return the errors of the places; where nobody knows them, the largest that counts."""
    errors = np.asarray(found.columns["error_arcsec"], np.float64)
    return np.where(np.isfinite(errors), errors, _LARGEST_ARCSEC)


def _labels(offsets: Floats, errors: Floats, frame_of: Numbers) -> Numbers:
    """Return the number of each source's star: the best known places are stars first."""
    reach = np.minimum(REACH_ARCSEC + _REACH_ERRORS * errors, _LARGEST_ARCSEC)
    labels = np.full(len(offsets), -1, np.intp)
    middles, weights = np.zeros_like(offsets), np.zeros(len(offsets))
    taken: set[tuple[int, int]] = set()
    n = 0
    for row in np.argsort(errors, kind="stable"):
        apart = middles[:n] - offsets[row]
        away = apart[:, 0] ** 2 + apart[:, 1] ** 2
        near = np.flatnonzero(away <= reach[row] ** 2).tolist()
        frame = int(frame_of[row])
        free = [k for k in near if (k, frame) not in taken]
        label: int = min(free, key=away.__getitem__, default=n)
        n = max(n, label + 1)
        weights[label] += (weight := 1.0 / max(errors[row], _LEAST_ERROR_ARCSEC) ** 2)
        middles[label] += (offsets[row] - middles[label]) * weight / weights[label]
        labels[row] = label
        taken.add((label, frame))
    return labels


def _star(rows: Numbers, offsets: Floats, ra_deg: float, dec_deg: float) -> Star:
    east, north = np.median(offsets[rows], axis=0)
    cosine = max(float(np.cos(np.radians(dec_deg))), 1e-6)
    return Star(
        ra_deg=(ra_deg + east / 3600.0 / cosine) % 360.0,
        dec_deg=dec_deg + north / 3600.0,
        sep_arcsec=float(np.hypot(east, north)),
        rows=rows.tolist(),
    )
