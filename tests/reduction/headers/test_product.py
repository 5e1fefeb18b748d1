"""Our products: their cards, and what is read back from them."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from reduction.exposure import Calibrated, LeftOut, Master, PlaneStats
from reduction.fitsio import ProductCard, read_headers, write_product
from reduction.frameinfo import FrameInfo, FrameKind
from reduction.headers import Provenance, master_cards, reduced_cards, translate
from reduction.image import Image

STATS = PlaneStats(mode=1001.5, median=1002.0, noise=6.25, n_good=12)
INFO = FrameInfo(
    writer="N.I.N.A.",
    kind=FrameKind.SCIENCE,
    nx=4,
    ny=3,
    instrument="ZWO ASI183MM Pro",
    telescope="T1",
    band="r",
    band_raw="SDSS-r'",
    exptime_s=30.0,
    start_utc=datetime(2026, 11, 20, 23, 59, 58, 250000, tzinfo=UTC),
    mid_utc=datetime(2026, 11, 21, 0, 0, 13, 250000, tzinfo=UTC),
    night=date(2026, 11, 20),
    object_name="NGC 1566",
    ra_deg=64.5,
    dec_deg=-54.9,
    position_role="target",
    gain_e_per_adu=1.5,
    gain_setting=100.0,
    read_noise_e=3.5,
    saturation_adu=60000.0,
    binning_x=2,
    binning_y=2,
    readout_mode="fast",
    bits=16,
    temp_c=-10.25,
    proposal_code="P1",
    latitude_deg=-30.0,
    longitude_deg=-70.5,
    elevation_m=2200.0,
)
PROVENANCE = Provenance(
    inputs=[("a.fits", "a" * 64), ("b.fits", "b" * 64)],
    masters={"bias": ("mb.fits", "c" * 64), "flat": ("mf.fits", "d" * 64)},
    recipe="calibrate",
    recipe_hash="e" * 64,
    software="Coelostat 0.1.0",
)


def image(unit: str = "electron") -> Image:
    plane = np.ones((3, 4), np.float32)
    return Image(plane, plane, np.zeros((3, 4), np.uint16), unit)  # type: ignore[arg-type]


def reduced(**changes: Any) -> Calibrated:
    result = Calibrated(
        image=image(),
        done=("overscan", "trim", "bias", "flat", "gain"),
        missing=("No dark within 30 days.",),
        stats=STATS,
        counts={"saturated": 3, "cosmic_ray": 17},
        notes=("flat is 10 days older",),
    )
    return replace(result, **changes)


def master(**changes: Any) -> Master:
    made = Master(
        image=image("adu"),
        used=("a.fits", "b.fits"),
        left_out=(LeftOut("c.fits", "saturated"),),
        stats=STATS,
        thin=True,
        notes=("only two frames",),
    )
    return replace(made, **changes)


def header(cards: list[ProductCard], folder: Path, pixels: Image | None = None) -> fits.Header:
    path = folder / "product.fits"
    write_product(path, pixels or image(), cards)
    return fits.getheader(path)


def read_back(cards: list[ProductCard], folder: Path) -> FrameInfo:
    path = folder / "product.fits"
    write_product(path, image(), cards)
    (info,) = translate(read_headers(path), file_name=path.name)
    return info


def test_reduced_frame_says_loudly_what_is_missing(tmp_path: Path) -> None:
    found = header(reduced_cards(INFO, reduced(), PROVENANCE), tmp_path)

    assert found["CALOK"] is False
    assert found["CALMISS1"] == "No dark within 30 days."
    assert found["CALSTAT"] == "BF"
    assert header(reduced_cards(INFO, reduced(missing=()), PROVENANCE), tmp_path)["CALOK"] is True


def test_reduced_frame_says_where_it_comes_from(tmp_path: Path) -> None:
    found = header(reduced_cards(INFO, reduced(), PROVENANCE), tmp_path)

    assert [found[f"INPUT{i}"] for i in (1, 2)] == ["a.fits", "b.fits"]
    assert found["INSHA2"] == "b" * 64
    assert (found["BIASFILE"], found["FLATSHA"]) == ("mb.fits", "d" * 64)
    assert (found["RECIPE"], found["RECIHASH"]) == ("calibrate", "e" * 64)
    assert found["CREATOR"] == "Coelostat 0.1.0"
    assert (found["NSATURAT"], found["NCOSMICR"]) == (3, 17)
    assert (found["MODEAVG"], found["MEDAVG"], found["NOISEAVG"]) == (1001.5, 1002.0, 6.25)
    assert found["NOTE1"] == "flat is 10 days older"


def test_gain_and_saturation_are_in_the_unit_of_the_image(tmp_path: Path) -> None:
    electrons = header(reduced_cards(INFO, reduced(), PROVENANCE), tmp_path)
    adu = header(reduced_cards(INFO, reduced(image=image("adu")), PROVENANCE), tmp_path)

    assert (electrons["GAIN"], electrons["SATURATE"]) == (1.0, 90000.0)
    assert (adu["GAIN"], adu["SATURATE"]) == (1.5, 60000.0)
    assert electrons["RAWGAIN"] == adu["RAWGAIN"] == 1.5


def test_reduced_frame_is_recognised_with_everything_its_raw_frame_had(tmp_path: Path) -> None:
    info = read_back(reduced_cards(INFO, reduced(), PROVENANCE), tmp_path)

    assert (info.writer, info.level, info.kind) == ("Coelostat", 2, FrameKind.SCIENCE)
    assert info.done == {"overscan", "trim", "bias", "flat", "gain"}
    skipped = {"writer", "kind", "hdus", "amplifiers", "level", "done", "origins", "extras"}
    for name in {entry.name for entry in fields(FrameInfo)} - skipped:
        assert getattr(info, name) == getattr(INFO, name), name
    assert info.hdus == (1,)
    assert info.origins["band"].card.startswith("BAND")


@pytest.mark.parametrize("kind", [FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT])
def test_master_has_what_the_archive_reads_when_it_registers_one(
    tmp_path: Path, kind: FrameKind
) -> None:
    extra = {"START_DATE": "2026-11-10", "END_DATE": "2026-11-20", "MASK_NAME": "bpm.fits"}
    provenance = replace(PROVENANCE, extra=extra)

    found = header(master_cards(kind, INFO, master(), provenance), tmp_path, image("adu"))

    assert found["MASTER_TYPE"] == found["MASTYPE"] == kind.value.upper()
    assert (found["START_DATE"], found["END_DATE"]) == ("2026-11-10", "2026-11-20")
    assert found["MASK_NAME"] == "bpm.fits"
    assert found.get("BAND") == ("r" if kind == FrameKind.FLAT else None)
    assert found["LEFTOUT1"] == "c.fits: saturated"
    assert (found["NCOMBINE"], found["THIN"]) == (2, True)


def test_dates_of_a_master_are_its_night_where_nobody_says_more(tmp_path: Path) -> None:
    found = header(master_cards(FrameKind.BIAS, INFO, master(), PROVENANCE), tmp_path)

    assert (found["START_DATE"], found["END_DATE"]) == ("2026-11-20", "2026-11-20")


def test_master_dark_is_recognised_with_its_exposure_and_temperature(tmp_path: Path) -> None:
    made = master(exptime_s=300.0, temp_c=-5.5, bias_removed=True)

    info = read_back(master_cards(FrameKind.DARK, INFO, made, PROVENANCE), tmp_path)

    assert (info.writer, info.level, info.kind) == ("Coelostat", 1, FrameKind.DARK)
    assert (info.exptime_s, info.temp_c, info.ncombine) == (300.0, -5.5, 2)
    assert info.done == {"bias"}
    assert info.band is None


def test_long_provenance_and_foreign_names_survive(tmp_path: Path) -> None:
    name = "a very long name " * 12 + "O'Neill.fits"
    many = replace(PROVENANCE, inputs=[(name, f"{i:064x}") for i in range(1200)])

    found = header(reduced_cards(INFO, reduced(), many), tmp_path)

    assert found["INPUT1200"] == name
    assert found["INSHA1200"] == f"{1199:064x}"
    assert found["NINPUT"] == 1200
