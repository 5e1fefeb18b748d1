"""Made-up stars, and files of them, for the tests of catalogues."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reduction.refcat.build import Spec, build
from reduction.refcat.columns import Chunk
from reduction.refcat.coverage import Coverage
from reduction.refcat.store import Catalogue
from reduction.refcat.systems import Band, System

Table = Mapping[str, npt.NDArray[Any]]
BANDS = (Band("G", System.GAIA, has_error=True), Band("BP", System.GAIA, has_error=False))


def whole_sky(n: int, seed: int = 1, *, motion_mas_yr: float = 0.0) -> dict[str, npt.NDArray[Any]]:
    """Stars all over the sky, with some at the poles, at RA 0 and in pairs."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    special = [(0.0, 90.0), (123.0, -90.0), (0.0, 0.0), (360.0 - 1e-12, 1e-9), (45.0, 41.8103149)]
    for row, (a, d) in enumerate(special):
        ra[row], dec[row] = a, d
    ra[n // 2 : n // 2 + 20] = ra[:20]  # neighbours a tenth of an arcsecond off
    dec[n // 2 : n // 2 + 20] = np.clip(dec[:20] + 3e-5, -90, 90)
    rows: dict[str, npt.NDArray[Any]] = {"ra": ra, "dec": dec, "id": np.arange(n)}
    if motion_mas_yr:
        rows["pmra"] = rng.normal(0, motion_mas_yr, n).astype(np.float32)
        rows["pmdec"] = rng.normal(0, motion_mas_yr, n).astype(np.float32)
    for column in ("G", "G_err", "BP"):
        rows[column] = rng.uniform(8, 20, n).astype(np.float32)
    return rows


def field(n: int, ra_deg: float = 30.0, dec_deg: float = 20.0, size_deg: float = 1.0) -> Table:
    """Stars of a square field."""
    rng = np.random.default_rng(2)
    return {
        "ra": ra_deg + rng.uniform(-0.5, 0.5, n) * size_deg / np.cos(np.radians(dec_deg)),
        "dec": dec_deg + rng.uniform(-0.5, 0.5, n) * size_deg,
        "G": rng.uniform(8, 20, n).astype(np.float32),
        "G_err": np.full(n, 0.01, np.float32),
        "BP": rng.uniform(8, 20, n).astype(np.float32),
    }


def pieces(rows: Table, size: int) -> Iterator[Chunk]:
    """Yield rows a few at a time."""
    for start in range(0, rows["ra"].size, size):
        yield {name: column[start : start + size] for name, column in rows.items()}


def stored(
    folder: Path, rows: Table, *, coverage: Coverage | None = None, piece: int = 1000
) -> Catalogue:
    """Return a catalogue of rows."""
    spec = Spec("test", "a test", 2016.0, BANDS, coverage)
    build(folder, pieces(rows, piece), spec)
    return Catalogue.newest(folder)
