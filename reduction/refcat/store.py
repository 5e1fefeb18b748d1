"""A stored catalogue, opened for reading: memory-mapped columns in HEALPix order.

A catalogue is a folder of generations, ``g000001-...`` and so on. Each is complete from the moment
it has its name, because it is renamed into place whole; a reader takes the newest and keeps what it
has mapped, so that it never sees half of one and half of another.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from reduction import npyfile
from reduction.refcat.columns import Chunk
from reduction.refcat.coverage import Coverage
from reduction.refcat.errors import BadCatalogueError, NoMagnitudeError, NotCoveredError
from reduction.refcat.geometry import Floats, moved
from reduction.refcat.meta import Meta, read_meta
from reduction.refcat.pixels import Pixels, Ranges, cover, order_for
from reduction.refcat.regions import Cone, Footprint, Region
from reduction.refcat.stars import Stars
from reduction.refcat.systems import Band

OFFSETS: Final = "offset"
COVERED: Final = "coverage"
GENERATION: Final = "g??????-*"  # a number, and a word that no other generation ever has
_TRACE: Final = 1e-6  # of sky that is not loaded, though a star has moved into it
_TRIES: Final = 8
_MAS_PER_DEG: Final = 3.6e6


class Catalogue:
    """A catalogue to ask for stars; safe for threads, and after a fork."""

    def __init__(self, folder: Path) -> None:
        """Map the columns of one generation.

        Raises
        ------
        FileNotFoundError
            If the generation is not there, or no longer.
        BadCatalogueError
            If it is damaged.
        """
        self.meta: Meta = read_meta(folder)
        self.folder = folder
        self._columns = {name: _mapped(folder / f"{name}.npy") for name in self.meta.columns}
        self._offsets = _mapped(folder / f"{OFFSETS}.npy")
        covered = _mapped(folder / f"{COVERED}.npy")
        if covered.ndim != 2 or len(covered) != 2 or self._offsets.ndim != 1:
            raise BadCatalogueError(f"{folder} is damaged: load it again")
        start, stop = covered
        self.coverage = Coverage(
            Ranges(self.meta.cover_order, np.asarray(start), np.asarray(stop)),
            self.meta.is_declared,
        )
        if any(column.size != self.meta.rows for column in self._columns.values()):
            raise BadCatalogueError(f"{folder} is damaged: load it again")

    @classmethod
    def newest(cls, folder: Path) -> Self:
        """Open the newest generation in a catalogue's folder.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        for _ in range(_TRIES):  # a generation may go while it is being opened; a newer is there
            name = newest_generation(folder)
            if name is None:
                break
            try:
                return cls(folder / name)
            except FileNotFoundError:
                continue
        raise FileNotFoundError(folder)

    def cone(
        self,
        ra_deg: float,
        dec_deg: float,
        radius_deg: float,
        *,
        epoch: float | None = None,
        bands: Sequence[str] | None = None,
    ) -> Stars:
        """Return the stars within a radius of a point; see `search`."""
        return self.search(Cone(ra_deg, dec_deg, radius_deg), epoch=epoch, bands=bands)

    def footprint(
        self,
        ra_deg: Floats | Sequence[float],
        dec_deg: Floats | Sequence[float],
        *,
        margin_deg: float = 0.0,
        epoch: float | None = None,
        bands: Sequence[str] | None = None,
    ) -> Stars:
        """Return the stars between the corners of a frame, given in their order; see `search`."""
        corners = np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
        figure = Footprint.of(*corners, margin_deg=margin_deg)
        return self.search(figure, epoch=epoch, bands=bands)

    def search(
        self, region: Region, *, epoch: float | None = None, bands: Sequence[str] | None = None
    ) -> Stars:
        """Return the stars of a region, in the order they are stored.

        Parameters
        ----------
        region : Region
            Degrees, ICRS.
        epoch : float, optional
            Julian year to which stars are moved by their proper motions before it is decided
            whether they are inside; the catalogue's own where None.
        bands : sequence of str, optional
            Magnitudes to read; all where None.

        Returns
        -------
        Stars
            Without any where the sky is loaded and empty.

        Raises
        ------
        NotCoveredError
            If nothing of the region is loaded.
        NoMagnitudeError
            If the catalogue has no such band.
        """
        wanted = self._bands(bands)
        cells = self._cover(region.cone)
        loaded = self.coverage.fraction(region, cells)
        reach = cells if epoch is None else self._cover(region.cone.grown(self._reach_deg(epoch)))
        rows = self._rows(reach)
        ra, dec = self._positions(rows, epoch)
        inside = region.contains(ra, dec)
        rows, ra, dec = rows[inside], ra[inside], dec[inside]
        if loaded == 0.0 and not rows.size:
            raise NotCoveredError(self.meta.name, region.cone.ra_deg % 360, region.cone.dec_deg)
        return Stars(
            ra,
            dec,
            {band.name: self._take(band.name, rows) for band in wanted},
            {b.name: self._take(f"{b.name}_err", rows) for b in wanted if b.has_error},
            wanted,
            self.meta.epoch if epoch is None else epoch,
            loaded or _TRACE,
            self._take("pmra", rows) if self.meta.has_motions else None,
            self._take("pmdec", rows) if self.meta.has_motions else None,
            self._take("id", rows) if self.meta.has_ids else None,
        )

    def numbered(self, rows: Pixels | slice, *, bands: Sequence[str] | None = None) -> Stars:
        """Return stars by their numbers in the order they are stored, at the catalogue's epoch."""
        wanted = self._bands(bands)
        return Stars(
            self._take("ra", rows),
            self._take("dec", rows),
            {band.name: self._take(band.name, rows) for band in wanted},
            {b.name: self._take(f"{b.name}_err", rows) for b in wanted if b.has_error},
            wanted,
            self.meta.epoch,
            1.0,
        )

    def chunks(self, n_rows: int = 1 << 18) -> Iterator[Chunk]:
        """Yield every column of all stars, a piece at a time, as a catalogue is built of them."""
        for first in range(0, self.meta.rows, n_rows):
            rows = slice(first, first + n_rows)
            yield {name: self._take(name, rows) for name in self.meta.columns}

    def _bands(self, names: Sequence[str] | None) -> tuple[Band, ...]:
        if names is None:
            return self.meta.bands
        found = [self.meta.band(name) for name in names]
        if None in found:
            have = ", ".join(band.name for band in self.meta.bands)
            raise NoMagnitudeError(
                f"the catalogue {self.meta.name} has no {names[found.index(None)]}; it has {have}"
            )
        return tuple(band for band in found if band is not None)

    def _reach_deg(self, epoch: float) -> float:
        """Return how far a star can have moved by an epoch; rows may have epochs of their own."""
        years = abs(epoch - self.meta.epoch)
        if "epoch" in self._columns:
            ends = self.meta.first_epoch, self.meta.last_epoch
            years = max(years, *(abs(epoch - end) for end in ends))
        return 1.01 * years * self.meta.max_motion_mas_yr / _MAS_PER_DEG

    def _cover(self, cone: Cone) -> Ranges:
        return cover(cone, order_for(cone.radius_deg, self.meta.order))

    def _rows(self, cells: Ranges) -> Pixels:
        """Return the numbers of the rows in some cells."""
        runs = cells.at(self.meta.order)
        first, last = (self._offsets[at].astype(np.int64) for at in (runs.start, runs.stop))
        return Ranges(self.meta.order, first, last).pixels()

    def _positions(self, rows: Pixels, epoch: float | None) -> tuple[Floats, Floats]:
        ra, dec = self._take("ra", rows), self._take("dec", rows)
        if epoch is None or not self.meta.has_motions:
            return ra, dec
        own = self._take("epoch", rows) if "epoch" in self._columns else None
        since = self.meta.epoch if own is None else np.where(np.isfinite(own), own, self.meta.epoch)
        return moved(ra, dec, self._take("pmra", rows), self._take("pmdec", rows), epoch - since)

    def _take(self, name: str, rows: Pixels | slice) -> npt.NDArray[Any]:
        return np.asarray(self._columns[name][rows])


def newest_generation(folder: Path) -> str | None:
    """Return the name of a catalogue's newest generation, None where it has none."""
    return max((path.name for path in folder.glob(GENERATION)), default=None)


def _mapped(path: Path) -> npt.NDArray[Any]:
    try:
        # A plain array over the map: the subclass costs more than a small cone.
        return np.asarray(npyfile.mapped(path).view(np.ndarray))
    except (ValueError, EOFError) as error:
        raise BadCatalogueError(f"{path} is damaged: load the catalogue again") from error
