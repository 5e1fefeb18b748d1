"""Files in RAW, written card by card, and the one way these tests scan them."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from app.db import db
from app.models import Frame, ScannedFile
from app.services import ingest
from app.services.ingest import ScanReport

BLOCK = 2880
LONG_AGO_S = 100_000.0
SHAPE = (12, 16)
CARDS: dict[str, Any] = {
    "IMAGETYP": "Light Frame",
    "INSTRUME": "Test Camera",
    "TELESCOP": "Test Telescope",
    "FILTER": "r",
    "EXPTIME": 30.0,
    "DATE-OBS": "2025-11-20T23:00:00",
    "OBJECT": "NGC 1",
}


def card(keyword: str, value: object) -> bytes:
    """One card, as a file holds it; bytes are written as they are."""
    if isinstance(value, bytes):
        return keyword.ljust(8).encode() + b"= " + value.ljust(70)
    if isinstance(value, bool):
        return f"{keyword:8}= {'T' if value else 'F':>20}".ljust(80).encode()
    text = f"'{value:8}'" if isinstance(value, str) else f"{value!s:>20}"
    return f"{keyword:8}= {text}".ljust(80).encode()


def fits_bytes(pixels: np.ndarray | None = None, **cards: object) -> bytes:
    """A FITS file; keywords with a dash are written with an underscore."""
    pixels = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) if pixels is None else pixels
    data = pixels.astype(">i2").tobytes()
    axes = {f"NAXIS{i}": n for i, n in enumerate(reversed(pixels.shape), start=1)}
    given = {name.replace("_", "-"): value for name, value in cards.items()}
    primary = {"SIMPLE": True, "BITPIX": 16, "NAXIS": pixels.ndim, **axes}
    whole = {**primary, **CARDS, **given}
    header = b"".join(card(k, v) for k, v in whole.items() if v is not None) + b"END".ljust(80)
    return header.ljust(-(-len(header) // BLOCK) * BLOCK) + data.ljust(
        -(-len(data) // BLOCK) * BLOCK, b"\0"
    )


def store(path: Path, content: bytes, *, age_s: float = LONG_AGO_S) -> Path:
    """Write a file that was last changed `age_s` ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    rest(path, age_s)
    return path


def rest(path: Path, age_s: float = LONG_AGO_S) -> None:
    """Let a file look as if nobody had written to it for so long."""
    then = time.time() - age_s
    os.utime(path, (then, then))


def scan(folder: str = "", **options: Any) -> ScanReport:
    """Scan, and forget what the session read before."""
    report = ingest.scan(folder, **options)
    db.session.rollback()
    return report


def file_of(path: str) -> ScannedFile:
    return db.session.scalars(select(ScannedFile).where(ScannedFile.path == path)).one()


def state_of(path: str) -> tuple[str, str]:
    """State and code of a file."""
    file = file_of(path)
    return file.state, file.code


def frame_of(path: str) -> Frame:
    return db.session.scalars(select(Frame).where(Frame.path == f"RAW/{path}")).one()


def all_frames() -> list[Frame]:
    return list(db.session.scalars(select(Frame).order_by(Frame.path, Frame.part)))
