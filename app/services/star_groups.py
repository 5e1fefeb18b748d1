"""Which sources of many frames are one star: so that a light curve is of one, and of which."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor
from typing import Final

import numpy as np
import numpy.typing as npt

from app.services.cone import Found
from reduction.refcat.geometry import separations_deg

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]

# How far the sources of one star lie apart on different frames: what is left of astrometry and
# motion, and what noise does to the source itself. Stars that are told apart are farther from
# each other than this, and never on one frame taken for one.
REACH_ARCSEC: Final = 1.0
_REACH_ERRORS: Final = 3.0
_LARGEST_ARCSEC: Final = 3.0
_LEAST_ERROR_ARCSEC: Final = 0.05  # stated errors may be less than those of the astrometry
_MOST_ROWS: Final = 20_000  # the nearest, put together in some tenths of a second
_ARCSEC: Final = float(np.degrees(3600.0))  # of a radian
_AROUND: Final = tuple((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1))


@dataclass(frozen=True, slots=True)
class Star:
    """What was found at one place: its middle, how far that is from the place asked for."""

    ra_deg: float
    dec_deg: float
    sep_arcsec: float
    reach_arcsec: float  # how far off the best of its sources may lie
    rows: Sequence[int]  # of `Found`, one a frame

    @property
    def n_frames(self) -> int:
        """On how many frames it was found."""
        return len(self.rows)


def stars_in(found: Found, ra_deg: float, dec_deg: float) -> list[Star]:
    """Return the stars of a circle, the one that is meant first, then by distance.

    Meant is the nearest to the middle; of those nearly as near, the one on the most frames, for
    noise lies anywhere. Of very many sources only the nearest are put together.
    """
    if not len(found):
        return []
    stars = sorted(_stars(found, ra_deg, dec_deg), key=lambda star: star.sep_arcsec)
    near = [star for star in stars if star.sep_arcsec <= stars[0].sep_arcsec + REACH_ARCSEC]
    meant = max(near, key=lambda star: star.n_frames)
    return [meant, *(star for star in stars if star is not meant)]


def star_at(stars: Sequence[Star], ra_deg: float, dec_deg: float) -> Star | None:
    """Return the star of a place that a star had on other frames; None if it is not there."""
    if not stars:
        return None
    places = np.array([(star.ra_deg, star.dec_deg) for star in stars])
    away = 3600.0 * separations_deg(places[:, 0], places[:, 1], ra_deg, dec_deg)
    nearest = int(np.argmin(away))
    return stars[nearest] if away[nearest] <= stars[nearest].reach_arcsec else None


def _stars(found: Found, ra_deg: float, dec_deg: float) -> Iterator[Star]:
    """Yield the stars, of very many sources those of the nearest `_MOST_ROWS`."""
    ra, dec = (np.asarray(found.columns[name], np.float64) for name in ("ra_deg", "dec_deg"))
    offsets = _offsets(ra, dec, ra_deg, dec_deg)
    taken, edge = _nearest(_arcsec(offsets))
    offsets, reach = offsets[taken], _reach(errors := _errors(found)[taken])
    groups = _groups(_labels(offsets, errors, reach, found.frame_of[taken]))
    middles = np.array([_middle(offsets[rows]) for rows in groups], np.float64)
    places = np.column_stack([_places(middles, ra_deg, dec_deg), _arcsec(middles)])
    for (*place, sep), rows in zip(places.tolist(), groups, strict=True):
        if sep <= edge:
            yield Star(place[0], place[1], sep, float(reach[rows].min()), taken[rows].tolist())


def _groups(labels: Numbers) -> list[Numbers]:
    """Return the rows of each label."""
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])


def _nearest(away: Floats) -> tuple[Numbers, float]:
    """Return which sources are put together, and how far off all those of a star are among them."""
    if len(away) <= _MOST_ROWS:
        return np.arange(len(away)), np.inf
    taken = np.sort(np.argpartition(away, _MOST_ROWS)[:_MOST_ROWS])
    # A star at the edge of what is taken lacks those of its sources that are beyond.
    edge = max(away[taken].max() - _LARGEST_ARCSEC, away.min() + 2 * _LARGEST_ARCSEC)
    return taken, float(edge)


def _middle(offsets: Floats) -> Floats:
    # Most stand alone in a crowd, and a median takes its time.
    middle: Floats = offsets[0] if len(offsets) == 1 else np.median(offsets, axis=0)
    return middle


def _offsets(ra: Floats, dec: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """Return places on the plane that touches the sky at the middle, ``(n, 2)``.

    Arcseconds to the east and north: a plane has no pole, where a step of right ascension would
    be another one at the top of a circle than at its bottom.
    """
    east, latitude, at = np.radians(ra - ra_deg), np.radians(dec), np.radians(dec_deg)
    sine, cosine = np.sin(latitude), np.cos(latitude)
    depth = sine * np.sin(at) + cosine * np.cos(at) * np.cos(east)
    x = cosine * np.sin(east)
    y = sine * np.cos(at) - cosine * np.sin(at) * np.cos(east)
    offsets: Floats = _ARCSEC * np.column_stack([x, y]) / depth[:, None]
    return offsets


def _places(offsets: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """Return right ascensions and declinations of places on the plane of `_offsets`, ``(n, 2)``."""
    (x, y), at = offsets.T / _ARCSEC, np.radians(dec_deg)
    depth = np.cos(at) - y * np.sin(at)
    ra = np.degrees(np.arctan2(x, depth)) + ra_deg
    dec = np.degrees(np.arctan2(np.sin(at) + y * np.cos(at), np.hypot(x, depth)))
    return np.column_stack([ra % 360.0, dec])


def _arcsec(offsets: Floats) -> Floats:
    """Return how far places on the plane of `_offsets` are from the middle on the sky."""
    away: Floats = _ARCSEC * np.arctan(np.hypot(offsets[:, 0], offsets[:, 1]) / _ARCSEC)
    return away


def _errors(found: Found) -> Floats:
    """Return the errors of the places; where nobody knows them, the largest that counts."""
    errors = np.asarray(found.columns["error_arcsec"], np.float64)
    return np.where(np.isfinite(errors), errors, _LARGEST_ARCSEC)


def _reach(errors: Floats) -> Floats:
    """Return how far from its star a source may lie."""
    return np.minimum(REACH_ARCSEC + _REACH_ERRORS * errors, _LARGEST_ARCSEC)


def _labels(offsets: Floats, errors: Floats, reach: Floats, frame_of: Numbers) -> Numbers:
    """Return the number of each source's star: the best known places are stars first."""
    labels, known = np.full(len(offsets), -1, np.intp), _Known()
    weights = 1.0 / np.maximum(errors, _LEAST_ERROR_ARCSEC) ** 2
    order = np.argsort(errors, kind="stable")
    ordered = (values[order].tolist() for values in (offsets, weights, reach, frame_of))
    for row, (place, weight, far, frame) in zip(order, zip(*ordered, strict=True), strict=True):
        labels[row] = label = known.nearest(place, far, frame)
        known.add(label, place, weight, frame)
    return labels


class _Known:
    """The stars known so far, by the square of the plane their middles are in.

    No source reaches farther than a square is wide: those around its own have all it may be of.
    """

    def __init__(self) -> None:
        self._middles: list[tuple[float, float]] = []
        self._weights: list[float] = []
        self._frames: list[set[int]] = []
        self._squares: dict[tuple[int, int], set[int]] = defaultdict(set)

    def nearest(self, place: Sequence[float], reach: float, frame: int) -> int:
        """Return the nearest star in reach without a source of that frame, else a new number."""
        best, least = len(self._middles), reach**2
        (x, y), (column, line) = place, _square(place)
        for right, up in _AROUND:
            for label in self._squares.get((column + right, line + up), ()):
                east, north = self._middles[label]
                away = (east - x) ** 2 + (north - y) ** 2
                if away <= least and frame not in self._frames[label]:
                    best, least = label, away
        return best

    def add(self, label: int, place: Sequence[float], weight: float, frame: int) -> None:
        """Count a source to a star, or make a new one of it; its middle moves."""
        if label == len(self._middles):
            self._middles.append((place[0], place[1]))
            self._weights.append(0.0)
            self._frames.append(set())
        east, north = self._middles[label]
        self._weights[label] += weight
        share = weight / self._weights[label]
        moved = east + (place[0] - east) * share, north + (place[1] - north) * share
        self._middles[label] = moved
        self._frames[label].add(frame)
        self._squares[_square((east, north))].discard(label)
        self._squares[_square(moved)].add(label)


def _square(place: Sequence[float]) -> tuple[int, int]:
    return floor(place[0] / _LARGEST_ARCSEC), floor(place[1] / _LARGEST_ARCSEC)
