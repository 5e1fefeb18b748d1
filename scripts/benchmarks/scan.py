"""Scanning many small files into the database, and again when nothing is new."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.benchmarks.measure import REPEATS, Arm, Meter

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


def add_nights(raw: Path, small: Path, n: int) -> list[str]:
    """Add folders with the headers of the small files under other observers; return their names.

    A file that is scanned a second time is not new, so every repetition has files of its own. No
    reader of headers looks behind them: there the files are holes, as long as the others.
    """
    names = [f"night{number}" for number in range(n)]
    for name in names:
        observer = f"'Observer {name[-1]}'".encode()
        for path in sorted(small.rglob("*.fits")):
            target = raw / name / path.relative_to(small)
            target.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as one, target.open("wb") as other:
                other.write(one.read(TWO_BLOCKS).replace(b"'A. Observer'", observer + b" "))
                other.truncate(path.stat().st_size)
            os.utime(target, (LONG_AGO, LONG_AGO))
    os.sync()  # or the disk is written to while a scan is measured
    return names


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


def scan_all(application: "Flask", meter: Meter, folder: str = "", others: int = 0) -> None:
    """Scan RAW, or a folder of it, and see that every file but `others` is one to be counted."""
    from app.services import ingest

    with application.app_context():
        report = ingest.scan(folder)
    if set(report.counts) != {"registered"}:
        raise RuntimeError(report.message)
    meter.note(files=report.counts["registered"] - others)


def scan(meter: Meter, folder: Path) -> None:
    """Read, translate and insert many new files, and have SQLite copy its log into its file.

    Each night goes into a database that has those before it. The copy is not due at every commit;
    here it counts with each.
    """
    from sqlalchemy import text

    from app.db import db

    raw = tree(folder)
    nights = iter(add_nights(raw, folder / "small", REPEATS))
    own = application(raw)

    def work() -> None:
        scan_all(own, meter, next(nights))
        with own.app_context(), db.engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(PASSIVE)")).all()

    meter.time(work)


def rescan(meter: Meter, folder: Path) -> None:
    """Scan many files of which none is new."""
    own = application(tree(folder))
    scan_all(own, meter, others=WARM_FILES)
    meter.time(lambda: scan_all(own, meter, others=WARM_FILES))


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
