"""Uploads that mean harm: archive bombs, headers that lie, and proposals of others."""

import gzip
import io
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from astropy.io import fits
from flask import Flask
from sqlalchemy import select

from app import paths
from app.db import db
from app.errors import ConflictError
from app.models import Frame, ScannedFile, User
from app.services import ingest, scanned_files, settings, staging, uploads
from app.services.staging import Arrived
from app.services.uploads import Taken
from tests.app.services.rawfiles import BLOCK, card, fits_bytes

_MIB = 1 << 20


def header(**cards: object) -> bytes:
    lines = b"".join(card(name, value) for name, value in cards.items()) + b"END".ljust(80)
    return lines.ljust(-(-len(lines) // BLOCK) * BLOCK)


def promising(n_pixels: int) -> bytes:
    return header(SIMPLE=True, BITPIX=16, NAXIS=2, NAXIS1=n_pixels, NAXIS2=n_pixels)


@contextmanager
def arrived(*files: tuple[str, bytes]) -> Iterator[list[Arrived]]:
    with staging.staging(settings.snapshot()) as room:
        for name, content in files:
            incoming = room.open(name)
            incoming.write(content)
            incoming.close()
        yield room.arrived


def upload(user: User, name: str, content: bytes) -> Taken:
    with arrived((name, content)) as files:
        return uploads.take_raw(user, files)


def packed_zeros(n_mib: int, before: bytes) -> bytes:
    """A gzip stream of a header and so many MiB of nothing, made without holding them."""
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=6) as stream:
        stream.write(before)
        for _ in range(n_mib):
            stream.write(b"\0" * _MIB)
    return target.getvalue()


def tile_bomb() -> bytes:
    """A few tiles that claim to be a huge image."""
    target = io.BytesIO()
    hdu = fits.CompImageHDU(np.zeros((64, 64), np.int16), compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(target)
    found = target.getvalue()
    for name in (b"ZNAXIS1 ", b"ZNAXIS2 "):
        at = found.index(name)
        found = found[:at] + card(name.decode().strip(), 19_000) + found[at + 80 :]
    return found


@pytest.mark.parametrize(
    ("name", "content", "codes"),
    [
        ("bomb.fits.gz", lambda: packed_zeros(300, promising(12_500)), {"bomb"}),
        (
            "nested.fits.gz",
            lambda: gzip.compress(gzip.compress(fits_bytes())),
            {"compression", "not_fits"},
        ),
        ("bomb.fits.fz", tile_bomb, {"bomb"}),
        ("huge.fits", lambda: promising(10**6), {"too_large", "truncated"}),
        ("endless.fits", lambda: header(SIMPLE=True).replace(b"END", b"DNE") * 4000, None),
        ("zip.fits", lambda: b"PK\3\4" + b"\0" * 5000, {"compression"}),
        ("text.fits", lambda: b"hello " * 1000, {"not_fits"}),
        (
            "cut.fits.gz",
            lambda: gzip.compress(fits_bytes())[:-40],
            {"truncated", "truncated_header"},
        ),
        ("cards.fits", lambda: header(SIMPLE=True, BITPIX=7, NAXIS=0), {"bad_bitpix"}),
        ("axes.fits", lambda: header(SIMPLE=True, BITPIX=8, NAXIS=9999), {"bad_axes"}),
        ("minus.fits", lambda: header(SIMPLE=True, BITPIX=8, NAXIS=2, NAXIS1=-5, NAXIS2=9), None),
        ("none.fits", lambda: header(SIMPLE=True, BITPIX=8, NAXIS=0), {"no_image"}),
    ],
)
def test_file_that_means_harm_is_refused_and_not_kept(
    app: Flask,
    observer: User,
    name: str,
    content: Callable[[], bytes],
    codes: set[str] | None,
) -> None:
    taken = upload(observer, name, content())

    assert taken.frames == []
    (refused,) = taken.refused
    assert refused.state == "quarantined"
    assert codes is None or refused.code in codes
    assert not (paths.current().raw / "uploads").exists()
    assert db.session.scalars(select(ScannedFile)).all() == []


def test_gzip_that_goes_on_after_its_image_is_not_unpacked(app: Flask, observer: User) -> None:
    bomb = packed_zeros(400, fits_bytes())

    tracemalloc.start()
    started = time.monotonic()
    taken = upload(observer, "tail.fits.gz", bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(taken.frames) == 1  # a good image with nothing behind it
    assert peak < 64 * _MIB
    assert time.monotonic() - started < 10


def test_large_upload_is_never_whole_in_memory(app: Flask, observer: User) -> None:
    with staging.staging(settings.snapshot()) as room:
        chunk = b"\0" * (256 * 1024)
        tracemalloc.start()
        incoming = room.open("big.fits")
        incoming.write(promising(8000))
        for _ in range(8000 * 8000 * 2 // len(chunk) + 1):
            incoming.write(chunk)
        incoming.close()
        taken = uploads.take_raw(observer, room.arrived)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert len(taken.frames) == 1
    assert peak < 16 * _MIB


def test_upload_waits_for_a_scan_and_gives_up_with_a_sentence(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_LOCK_WAIT_S", 0.2)

    with ingest.alone(), pytest.raises(ConflictError, match="scan"):
        upload(observer, "a.fits", fits_bytes())

    assert not (paths.current().raw / "uploads").exists()


def test_file_whose_row_cannot_be_stored_does_not_stay_in_raw(
    app: Flask, observer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OverflowError("out of range")

    monkeypatch.setattr(scanned_files, "record", refuse)

    taken = upload(observer, "a.fits", fits_bytes())

    assert taken.refused[0].code == "not_stored"
    assert [p for p in paths.current().raw.rglob("*") if p.is_file()] == []
    assert db.session.scalars(select(Frame)).all() == []
