"""HEALPix: which pixel a position is in, which pixels a cone can touch.

Pixels are numbered in the nested scheme (Gorski et al. 2005, ApJ 622, 759). The cover of a cone
is our own: `astropy_healpix.cone_search_lonlat` misses pixels that a cone only grazes (34 of
19,920 cones of 10 arcseconds lost their star), and a lost pixel is a lost star.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reduction.refcat.geometry import Floats
from reduction.refcat.regions import Cone

Pixels = npt.NDArray[np.int64]

KEY_ORDER: Final = 20  # cells of 0.2 arcseconds, by which rows are sorted
MAX_ORDER: Final = 9  # of the table of offsets: cells of 6.9 arcminutes
CELLS_ACROSS: Final = 6.0  # of a radius, in the cover of a cone: few cells, little waste
PAD_RAD: Final = 1e-7  # what rounding can move a position near a pole, and more


@dataclass(frozen=True, slots=True)
class Ranges:
    """Runs of nested pixels of one order: ``start <= pixel < stop``, ascending and apart."""

    order: int
    start: Pixels
    stop: Pixels

    @classmethod
    def of_pixels(cls, order: int, pixels: Pixels) -> "Ranges":
        """Return the runs of pixels that are sorted and differ."""
        if pixels.size == 0:
            return cls(order, pixels, pixels)
        breaks = np.flatnonzero(np.diff(pixels) > 1)
        start = pixels[np.concatenate([[0], breaks + 1])]
        stop = pixels[np.concatenate([breaks, [pixels.size - 1]])] + 1
        return cls(order, start, stop)

    def at(self, order: int) -> "Ranges":
        """Return the same cells as runs of an order that is not coarser."""
        shift = 2 * (order - self.order)
        return Ranges(order, self.start << shift, self.stop << shift)

    def pixels(self) -> Pixels:
        """Return each pixel of them, run by run."""
        count = self.stop - self.start
        shift = np.repeat(self.start - np.cumsum(count) + count, count)
        return np.asarray(np.arange(shift.size) + shift, np.int64)

    @property
    def n_pixels(self) -> int:
        """How many pixels they hold."""
        return int((self.stop - self.start).sum())


def pixel_size_deg(order: int) -> float:
    """Return the square root of a pixel's area, degrees."""
    return float(np.degrees(np.sqrt(np.pi / 3.0)) / 2**order)


def n_pixels(order: int) -> int:
    """Return the number of pixels of the whole sky."""
    return 12 << 2 * order


def nested_of(ra_deg: Floats, dec_deg: Floats, order: int) -> Pixels:
    """Return the nested pixel of each position, degrees."""
    from astropy import units as u  # slow imports, and few processes need them
    from astropy_healpix import core

    lon, lat = ra_deg * u.deg, dec_deg * u.deg
    return np.asarray(core.lonlat_to_healpix(lon, lat, 2**order, order="nested"), np.int64)


def centres_of(pixels: Pixels, order: int) -> tuple[Floats, Floats]:
    """Return RA and Dec, degrees, of the middles of nested pixels."""
    from astropy import units as u
    from astropy_healpix import core

    lon, lat = core.healpix_to_lonlat(pixels, 2**order, order="nested")
    return np.asarray(lon.to_value(u.deg)), np.asarray(lat.to_value(u.deg))


def neighbours_of(pixels: Pixels, order: int) -> Pixels:
    """Return the up to eight neighbours of nested pixels, ``(8, n)``; -1 where there is none."""
    from astropy_healpix import core

    with np.errstate(invalid="ignore"):  # it warns where a pixel has seven
        return np.asarray(core.neighbours(pixels, 2**order, order="nested"), np.int64)


def order_for(radius_deg: float, finest: int) -> int:
    """Return the order at which a cone is a handful of cells across, no finer than `finest`."""
    if radius_deg <= CELLS_ACROSS * pixel_size_deg(finest):
        return finest
    return max(0, int(np.floor(np.log2(CELLS_ACROSS * pixel_size_deg(0) / radius_deg))))


def cover(cone: Cone, order: int) -> Ranges:
    """Return pixels that hold every position of a cone, and little else.

    Each ring of pixels reaches from the ring above it to the one below, and each of its pixels
    half a step to both sides of its middle; what of that can meet the cone's ranges of
    declination and right ascension is taken.

    Parameters
    ----------
    cone : Cone
        On the sky.
    order : int
        Of the pixels.

    Returns
    -------
    Ranges
        Of nested pixels.
    """
    from astropy_healpix import core

    nside = 2**order
    ring = np.arange(*_rings(cone, nside), dtype=np.int64)
    from_pole = np.minimum(ring, 4 * nside - ring)
    in_cap = from_pole < nside
    quarter = np.where(in_cap, from_pole, nside)  # pixels in a quarter of the ring
    middle = np.where(in_cap | ((ring + nside) % 2 == 0), 0.5, 0.0)  # of the first, in steps
    first = np.where(
        ring < nside, 2 * ring * (ring - 1), 2 * nside * (nside - 1) + (ring - nside) * 4 * nside
    )
    south = ring > 3 * nside
    first = np.where(south, 12 * nside**2 - 2 * from_pole * (from_pole + 1), first)
    low, count = _along(cone, quarter, middle)
    total = int(count.sum())
    row = np.repeat(np.arange(ring.size), count)
    along = np.arange(total) - np.repeat(np.cumsum(count) - count, count) + low[row]
    pixels = first[row] + along % (4 * quarter[row])
    return Ranges.of_pixels(order, np.sort(core.ring_to_nested(pixels, nside)))


def _rings(cone: Cone, nside: int) -> tuple[int, int]:
    """Return the first ring, counted from 1 in the north, that may meet a cone, and a last + 1."""
    dec, radius = np.radians(cone.dec_deg), np.radians(cone.radius_deg) + PAD_RAD
    top = _ring_at(max(np.pi / 2 - dec - radius, 0.0), nside)
    bottom = _ring_at(min(np.pi / 2 - dec + radius, np.pi), nside)
    return max(1, int(np.floor(top)) - 1), min(4 * nside - 1, int(np.ceil(bottom)) + 1) + 1


def _ring_at(colatitude: float, nside: int) -> float:
    """Return the ring, with its fraction, at an angle from the north pole."""
    z = float(np.cos(colatitude))
    if z > 2.0 / 3.0:
        return float(nside * np.sqrt(6.0) * np.sin(colatitude / 2.0))
    if z < -2.0 / 3.0:
        return float(4 * nside - nside * np.sqrt(6.0) * np.sin((np.pi - colatitude) / 2.0))
    return nside * (2.0 - 1.5 * z)


def _along(cone: Cone, quarter: Pixels, middle: Floats) -> tuple[Pixels, Pixels]:
    """Return of each ring the first pixel that may meet a cone, maybe negative, and how many."""
    dec, radius = np.radians(cone.dec_deg), np.radians(cone.radius_deg) + PAD_RAD
    if abs(dec) + radius >= np.pi / 2:
        return np.zeros_like(quarter), 4 * quarter
    half = float(np.arcsin(min(1.0, np.sin(radius) / np.cos(dec)))) + PAD_RAD
    ra = float(np.radians(cone.ra_deg % 360.0))
    step = (np.pi / 2) / quarter
    low = np.ceil((ra - half) / step - middle - 0.5).astype(np.int64)
    high = np.floor((ra + half) / step - middle + 0.5).astype(np.int64)
    return low, np.minimum(high - low + 1, 4 * quarter)
