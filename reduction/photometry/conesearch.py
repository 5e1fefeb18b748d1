"""Sources of many frames within a circle of the sky, from the Parquet files of the frames."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from reduction.photometry import parquet
from reduction.photometry.sourcetable import HEALPIX_ORDER, Column, SourceTable
from reduction.refcat.geometry import separations_deg
from reduction.refcat.pixels import Ranges, cover, order_for
from reduction.refcat.regions import Cone

THREADS: Final = 2  # pyarrow reads without the interpreter's lock
AHEAD: Final = 64  # files on their way: whoever stops early has not waited for all
SEPARATION: Final = "sep_arcsec"
_NEEDED: Final = ("healpix", "ra_deg", "dec_deg")
_EMPTY: Final = np.empty(0, np.float32)


def cells_within(cone: Cone) -> Ranges:
    """Return the cells, as sources are sorted by, that hold all of a cone and little else."""
    return cover(cone, order_for(cone.radius_deg, HEALPIX_ORDER)).at(HEALPIX_ORDER)


def within(path: Path, cone: Cone, cells: Ranges, columns: Sequence[str]) -> SourceTable | None:
    """Return the sources of one file in a cone, its edge included, the nearest first.

    Parameters
    ----------
    path : Path
        Of a frame's sources.
    cone : Cone
        On the sky.
    cells : Ranges
        Of the cone, from `cells_within`: the same for every file.
    columns : sequence of str
        Wanted.

    Returns
    -------
    SourceTable or None
        With ``sep_arcsec``, the distance from the cone's middle. None where no file is there, or
        none that can be read.
    """
    names = list(dict.fromkeys((*_NEEDED, *columns)))
    try:
        near = parquet.read(path, columns=names, cells=cells)
    except (FileNotFoundError, parquet.BadSourceFileError):
        return None
    ra, dec = near["ra_deg"], near["dec_deg"]
    away = separations_deg(ra, dec, cone.ra_deg, cone.dec_deg) * 3600
    rows = np.flatnonzero(cone.contains(ra, dec))
    rows = rows[np.argsort(away[rows], kind="stable")]
    wanted = {name: near[name][rows] for name in columns if name in near}
    return SourceTable(wanted | {SEPARATION: away[rows]}, near.facts)


def search(
    paths: Iterable[Path], cone: Cone, columns: Sequence[str]
) -> Iterator[SourceTable | None]:
    """Yield what `within` finds in each of many files, in their order.

    Parameters
    ----------
    paths : iterable of Path
        Of the sources of frames that may show the cone.
    cone : Cone
        On the sky.
    columns : sequence of str
        Wanted.

    Yields
    ------
    SourceTable or None
        As of `within`.
    """
    cells, rest = cells_within(cone), iter(paths)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="cone") as pool:
        while some := list(islice(rest, AHEAD)):
            yield from pool.map(lambda path: within(path, cone, cells, columns), some)


def joined(tables: Sequence[SourceTable], columns: Sequence[str]) -> dict[str, Column]:
    """Return the rows of several tables as one, NaN where one has not the column."""
    return {
        name: np.concatenate([table.column(name) for table in tables] or [_EMPTY])
        for name in columns
    }
