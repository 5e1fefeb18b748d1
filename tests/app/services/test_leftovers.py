"""What a worker that was killed left of the product it was writing."""

import os
import time
from pathlib import Path

import pytest
from flask import Flask

from app import paths
from app.services import leftovers

DAY_S = 86_400.0


def part(relative: str, age_s: float) -> Path:
    path = paths.current().data / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.mark.parametrize(
    "relative",
    [
        "MASTERS/FLATS/r/.flat_r_b1.fits.0a1b2c3d.part",
        "PROCESSED/r/2026-11-20/.a_f1_proc.fits.0a1b2c3d.part",
        "THUMBS/PROCESSED/r/.a_f1_proc.png.0a1b2c3d.part",
    ],
)
def test_half_written_product_of_yesterday_goes_and_a_younger_one_stays(
    app: Flask, relative: str
) -> None:
    old, young = part(relative, DAY_S + 60), part(f"{relative[:-5]}1.part", DAY_S - 60)

    assert leftovers.sweep() == 1

    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize(
    "relative", ["MASTERS/BIAS/a.fits", "MASTERS/a.part", "MASTERS/.hidden", "CATALOGUES/.a.part"]
)
def test_what_is_no_half_written_product_stays(app: Flask, relative: str) -> None:
    path = part(relative, 30 * DAY_S)

    assert leftovers.sweep() == 0

    assert path.exists()


def test_large_folders_are_looked_through_once_an_hour(app: Flask) -> None:
    leftovers.sweep()
    left = part("MASTERS/.a.fits.0a1b2c3d.part", 2 * DAY_S)

    assert leftovers.sweep() == 0
    assert left.exists()
    os.utime(paths.current().run / "parts-swept", (time.time() - 3700,) * 2)
    assert leftovers.sweep() == 1
