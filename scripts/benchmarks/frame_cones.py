"""The sources of one place on many frames: by our files' order, and by reading all there is."""

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from scripts.benchmarks.measure import Arm, Meter

FRAMES: Final = 1000
DISTINCT: Final = 20  # tables; the others are the same under more names
SOURCES: Final = 5000  # on a frame
PLACE: Final = (114.6, 21.57)
SIDE_DEG: Final = 0.4
RADIUS_ARCSEC: Final = 5.0
COLUMNS: Final = ("number", "ra_deg", "dec_deg", "mag", "mag_error", "flux", "flux_error", "snr")


def files(folder: Path) -> list[Path]:
    """Return the files of sources, which are made where they are not there yet."""
    place = folder / "frame_cones"
    if not (place / "done").exists():
        print("making tables of sources ...", file=sys.stderr, flush=True)
        place.mkdir(parents=True, exist_ok=True)
        _make(place)
        (place / "done").touch()
    return sorted(place.glob("*.sources.parquet"))


def _make(place: Path) -> None:
    from reduction.photometry import parquet

    rng = np.random.default_rng(65)
    for number in range(FRAMES):
        path = place / f"{number:05d}.sources.parquet"
        if number < DISTINCT:
            path.write_bytes(parquet.packed(_table(rng)))
        else:
            path.hardlink_to(place / f"{number % DISTINCT:05d}.sources.parquet")


def _table(rng: np.random.Generator) -> Any:  # noqa: ANN401 - the library is loaded by arms alone
    from reduction.photometry.sourcetable import HEALPIX_ORDER, SourceTable
    from reduction.refcat.pixels import nested_of

    half = SIDE_DEG / 2
    ra = PLACE[0] + rng.uniform(-half, half, SOURCES) / np.cos(np.radians(PLACE[1]))
    dec = PLACE[1] + rng.uniform(-half, half, SOURCES)
    columns = {
        "number": np.arange(SOURCES, dtype=np.int32),
        "healpix": nested_of(ra, dec, HEALPIX_ORDER),
        "ra_deg": ra,
        "dec_deg": dec,
    }
    # As many as a frame of ours has.
    names = [*COLUMNS[3:], *(f"more_{k}" for k in range(28))]
    columns |= {name: rng.normal(18, 1, SOURCES).astype(np.float32) for name in names}
    return SourceTable(columns).select(np.argsort(columns["healpix"]))


def by_order(meter: Meter, folder: Path) -> None:
    """Find the sources of a place on every frame, as the program does."""
    from reduction.photometry.conesearch import search
    from reduction.refcat.regions import Cone

    paths, cone = files(folder), Cone(*PLACE, RADIUS_ARCSEC / 3600)

    def work() -> None:
        found = [table for table in search(paths, cone, COLUMNS) if table is not None]
        meter.note(sources=sum(len(table) for table in found), frames=len(found))

    work()  # also loads what is needed
    meter.time(work)


def by_all(meter: Meter, folder: Path) -> None:
    """Find the same by reading the columns whole and looking at every source."""
    import pyarrow.parquet as pq

    paths = files(folder)

    def work() -> None:
        total = 0
        for path in paths:
            table = pq.read_table(path, columns=list(COLUMNS), use_threads=False)
            ra, dec = table["ra_deg"].to_numpy(), table["dec_deg"].to_numpy()
            across = (ra - PLACE[0]) * np.cos(np.radians(PLACE[1]))
            total += int((np.hypot(across, dec - PLACE[1]) * 3600 <= RADIUS_ARCSEC).sum())
        meter.note(sources=total, frames=len(paths))

    work()
    meter.time(work)


ARMS: Final[dict[str, Arm]] = {"frame_cones": by_order, "frame_cones_all": by_all}
