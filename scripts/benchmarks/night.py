"""A whole night as the product does it: from RAW through scan and jobs to products on the disk."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from scripts.benchmarks import data
from scripts.benchmarks.measure import Arm, Meter, cpu_s

if TYPE_CHECKING:
    from flask import Flask

NIGHT = date(2026, 11, 20)
SCIENCE, FLATS = 100, 10
FLAT_E = 30_000.0
LONG_AGO = 1_600_000_000  # seconds; a file this old has settled
CHUNK = 1 << 20
NOTED = {"night": "our night", "floor_night": "its bytes read, and as many written to the disk"}


def starts() -> Iterator[str]:
    """Yield the times at which the exposures of the night begin."""
    first = datetime.fromisoformat(f"{NIGHT}T16:00:00")
    while True:
        yield first.isoformat(timespec="milliseconds")
        first += timedelta(seconds=70)


def make_raw(folder: Path) -> Path:
    """Make the night's RAW folder if it is not there yet, and return it."""
    raw, done = folder / "night" / "raw", folder / "night" / "raw.done"
    if done.exists():
        return raw
    shutil.rmtree(raw, ignore_errors=True)
    clock = starts()
    for path in sorted((folder / "bias").glob("*.fits")):
        write(raw / path.name, fits.getdata(path), "BIAS", next(clock))
    make_flats(raw, fits.getheader(folder / "science" / "sci_00001.fits")["NAXIS1"], clock)
    for number in range(SCIENCE):
        content = (folder / "science" / f"sci_{number % 2 + 1:05d}.fits").read_bytes()
        begun = f"'{next(clock)}'".encode()
        dated = re.sub(rb"(?<=DATE-OBS= )'[^']*'", begun.ljust(25)[:25], content[:28800], count=1)
        (raw / f"sci_{number + 1:05d}.fits").write_bytes(dated + content[28800:])
    for path in raw.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))
    done.touch()
    return raw


def write(path: Path, counts: np.ndarray, kind: str, begun: str) -> None:
    """Write a frame of the science frames' camera."""
    head = data.header(kind, 0, counts.shape[1], data.OVERSCAN)
    head["DATE-OBS"] = begun
    data.write(path, counts, head)


def make_flats(raw: Path, side: int, clock: Iterator[str]) -> None:
    """Write flats of the science frames' band."""
    pattern, dim = data.bias_pattern(side), data.response(side)
    for number in range(FLATS):
        rng = np.random.default_rng(500 + number)
        light = rng.poisson(FLAT_E * dim).astype(np.float32)
        light[:, side - data.OVERSCAN :] = 0
        noise = rng.standard_normal((side, side), dtype=np.float32)
        adu = pattern + light / data.GAIN + np.float32(data.READ_NOISE_E / data.GAIN) * noise
        write(raw / f"flat_{number + 1:05d}.fits", data.to_counts(adu), "FLAT", next(clock))


def application(folder: Path, raw: Path) -> "Flask":
    """Return an application on an empty SQLite file, as warm as a worker is."""
    from app import config, create_app
    from app.db import db
    from reduction.warm import warm

    instance = folder / "night" / "instance"
    shutil.rmtree(instance, ignore_errors=True)
    instance.mkdir(parents=True)
    environment = {"COELOSTAT_INSTANCE": str(instance), "COELOSTAT_RAW": str(raw)}
    made = create_app(config.load(environment))
    with made.app_context():
        db.create_all()
    warm()
    return made


def reduce_night() -> int:
    """Scan, make bias and flat, reduce the science frames; return how many were reduced."""
    from app.db import db
    from app.jobs import runner
    from app.models import BlockKind
    from app.services import blocks, ingest

    ingest.scan()
    reduced = 0
    for kind in (BlockKind.BIAS, BlockKind.FLAT, BlockKind.SCI):
        for block in blocks.create(kind, NIGHT, NIGHT, owner=None):
            job = blocks.process(block, owner=None, code="ovmc")
            runner.work_off()
            db.session.refresh(job)
            if job.error:
                raise RuntimeError(job.error)
            reduced += (job.result or {}).get("reduced", 0)
    return reduced


def night(meter: Meter, folder: Path) -> None:
    """Reduce a night in one worker, particle hits and all, by the very jobs of the product."""
    raw = make_raw(folder)
    own = application(folder, raw)
    with own.app_context():
        os.sync()  # what others wrote is not to be waited for here
        cpu, wall = cpu_s(), time.perf_counter()
        reduced = reduce_night()
        meter.note(cpu_s=cpu_s() - cpu, wall_s=time.perf_counter() - wall)
        if reduced != SCIENCE:
            raise RuntimeError(f"{reduced} of {SCIENCE} frames were reduced")
    made = folder / "night" / "instance" / "data"
    meter.note(mb_per_s=megabytes(raw, *made.rglob("*.fits")) / meter.figures["wall_s"])
    shutil.rmtree(folder / "night" / "instance")


def megabytes(raw: Path, *products: Path) -> float:
    """Return how much the raw frames and some products hold together."""
    return sum(path.stat().st_size for path in (*raw.iterdir(), *products)) / 1e6


def floor_night(meter: Meter, folder: Path) -> None:
    """Read the bytes of the night and bring those of its products to the disk, nothing else."""
    raw, target = make_raw(folder), folder / "night" / "floor"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    size = (folder / "science" / "trimmed_flat.fits").stat().st_size * 10 // 4
    os.sync()  # what others wrote is not to be waited for here
    cpu, wall = cpu_s(), time.perf_counter()
    copy(raw, target, size)
    meter.note(cpu_s=cpu_s() - cpu, wall_s=time.perf_counter() - wall)
    meter.note(mb_per_s=megabytes(raw, *target.iterdir()) / meter.figures["wall_s"])
    shutil.rmtree(target)


def copy(raw: Path, target: Path, size: int) -> None:
    """Read every raw frame, and write a product for each science frame and two masters."""
    buffer, block = bytearray(CHUNK), bytes(CHUNK)
    for path in sorted(raw.iterdir()):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
        if path.name.startswith("sci") or path.name.endswith("_00001.fits"):
            with (target / path.name).open("wb", buffering=0) as file:
                for start in range(0, size, CHUNK):
                    file.write(block[: min(CHUNK, size - start)])
                os.fsync(file.fileno())


ARMS: dict[str, Arm] = {"night": night, "floor_night": floor_night}
