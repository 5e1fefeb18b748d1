"""Scanning many small files into the database, and again when nothing is new."""

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.benchmarks.measure import Arm, Meter, cpu_s

if TYPE_CHECKING:
    from flask import Flask

LONG_AGO = 1_600_000_000  # seconds; a file this old has settled
WARM_FILES = 4
TWO_BLOCKS = 5760  # bytes; of a FITS file
# What a program asks of a header that it wants to file: a header nobody asks is not read.
KEYWORDS = (
    "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "IMAGETYP", "OBJECT", "DATE-OBS", "EXPTIME", "FILTER",
    "GAIN", "RDNOISE", "CCD-TEMP", "SET-TEMP", "XBINNING", "YBINNING", "INSTRUME", "TELESCOP",
    "OBSERVER", "RA", "DEC", "AIRMASS", "SITELONG",
)  # fmt: skip


def walk(folder: Path) -> list[tuple[str, int, int]]:
    """Return path, size and time of change of every file: what a rescan must at least do."""
    found: list[tuple[str, int, int]] = []
    folders = [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.endswith(".fits"):
                    status = entry.stat(follow_symlinks=False)
                    found.append((entry.path, status.st_size, status.st_mtime_ns))
    return found


def tree(folder: Path) -> Path:
    """Return a RAW folder: the small files, and some in `warm` that nothing else has."""
    raw = folder / "scan" / "raw"
    shutil.rmtree(raw.parent, ignore_errors=True)
    for path in sorted((folder / "small").rglob("*.fits")):
        target = raw / path.relative_to(folder / "small")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
        os.utime(target, (LONG_AGO, LONG_AGO))
    (raw / "warm").mkdir()
    for number, path in enumerate(sorted((raw / "n000").iterdir())[:WARM_FILES]):
        warm = raw / "warm" / f"{number}.fits"
        warm.write_bytes(path.read_bytes().replace(b"'A. Observer'", b"'A. Warmer  '"))
        os.utime(warm, (LONG_AGO, LONG_AGO))
    return raw


def application(raw: Path) -> "Flask":
    """Return an application on an empty SQLite file, as warm as a worker is."""
    from app import config, create_app
    from app.db import db
    from app.services import ingest

    instance = raw.parent / "instance"
    instance.mkdir()
    environment = {"COELOSTAT_INSTANCE": str(instance), "COELOSTAT_RAW": str(raw)}
    application = create_app(config.load(environment))
    with application.app_context():
        db.create_all()
        ingest.scan("warm")
    return application


def scan_all(application: "Flask", meter: Meter) -> None:
    """Scan RAW, and see that every file became a frame."""
    from app.services import ingest

    with application.app_context():
        report = ingest.scan()
    if set(report.counts) != {"registered"}:
        raise RuntimeError(report.message)
    meter.note(files=report.counts["registered"] - WARM_FILES)


def scan(meter: Meter, folder: Path) -> None:
    """Read, translate and insert many new files; once, for then their cards are remembered."""
    own = application(tree(folder))
    cpu, wall = cpu_s(), time.perf_counter()
    scan_all(own, meter)
    meter.note(cpu_s=cpu_s() - cpu, wall_s=time.perf_counter() - wall)


def rescan(meter: Meter, folder: Path) -> None:
    """Scan many files of which none is new."""
    own = application(tree(folder))
    scan_all(own, meter)
    meter.time(lambda: scan_all(own, meter))


def floor_rescan(meter: Meter, folder: Path) -> None:
    """List and stat many files."""
    raw = tree(folder)
    meter.time(lambda: meter.note(files=len(walk(raw)) - WARM_FILES))


def floor_scan(meter: Meter, folder: Path) -> None:
    """Open every file, read two blocks of it and ask for its size: no reader can do less."""

    def work() -> None:
        paths = [path for path, _, _ in walk(folder / "small")]
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            os.pread(descriptor, TWO_BLOCKS, 0)
            os.fstat(descriptor)
            os.close(descriptor)
        meter.note(files=len(paths))

    meter.time(work)


def scan_astropy(meter: Meter, folder: Path) -> None:
    """Read the headers of many files with astropy, and a camera's usual keywords of each."""
    from astropy.io import fits

    def work() -> None:
        paths = [path for path, _, _ in walk(folder / "small")]
        for path in paths:
            header = fits.getheader(path)
            [header.get(keyword) for keyword in KEYWORDS]
        meter.note(files=len(paths))

    meter.time(work)


ARMS: dict[str, Arm] = {
    "scan": scan,
    "scan_astropy": scan_astropy,
    "floor_scan": floor_scan,
    "rescan": rescan,
    "floor_rescan": floor_rescan,
}
