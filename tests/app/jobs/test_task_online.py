"""Tasks on a sky no catalogue here covers, VizieR answering or not; BHTOM's names of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from flask import Flask

from app import paths
from app.models import User
from app.services import refcats, settings
from tests.app.jobs.taskimages import make_task, run, text_of, write_field
from tests.app.services import vizierdouble
from tests.app.services.vizierdouble import VizierDouble
from tests.reduction.oneimage.skies import WCS, ZERO_POINT, Field


@pytest.fixture
def image(app: Flask, field: Field, tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_field(field, tmp_path / "image.fits", rng)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, staff: User, field: Field) -> VizierDouble:
    ra, dec = WCS.sky(field.x, field.y)
    rows = zip(ra, dec, field.mag, field.colour, strict=True)
    made = VizierDouble([row_of(*map(float, row)) for row in rows])
    vizierdouble.install(monkeypatch, made)
    settings.change("catalogues", "online", True, by=staff)
    return made


def row_of(ra: float, dec: float, mag: float, colour: float) -> dict[str, float]:
    mags = {"gmag": mag + colour, "rmag": mag, "imag": mag, "zmag": mag}
    errors = {f"e_{name}": 0.01 for name in mags}
    return {"RA_ICRS": ra, "DE_ICRS": dec, "pmRA": 0.0, "pmDE": 0.0, **mags, **errors}


def test_an_image_is_calibrated_with_stars_fetched_for_it_and_the_next_one_without_asking(
    double: VizierDouble, image: Path, observer: User, tmp_path: Path
) -> None:
    first = make_task(observer, image, {}, tmp_path)
    run(first, "inspect", "photometry", by=observer)
    n_asked = len(double.asked)
    second = make_task(observer, image, {}, tmp_path)
    run(second, "inspect", "photometry", by=observer)

    assert (first.state, second.state) == ("photometry_done", "photometry_done")
    assert first.config["cat_name"] == "atlas"
    assert first.config["zp"] == pytest.approx(ZERO_POINT, abs=0.02)
    log = text_of(first, "inspect.log")
    assert "The catalogue atlas is not loaded: its stars are fetched when needed" in log
    assert "VizieR gave 100 stars of atlas within" in text_of(first, "photometry.log")
    assert len(double.asked) == n_asked
    assert second.config["zp"] == pytest.approx(first.config["zp"], abs=1e-9)


def test_without_an_answer_the_work_goes_on_with_what_there_is_and_says_why(
    double: VizierDouble, image: Path, observer: User, tmp_path: Path
) -> None:
    def away() -> str:
        raise requests.ConnectionError("Max retries exceeded")

    double.answer = away
    task = make_task(observer, image, {"refine_wcs": True}, tmp_path)

    run(task, "inspect", "photometry", by=observer)

    assert task.state == "photometry_failed"
    log = text_of(task, "photometry.log")
    assert "is out of reach: is the internet there?" in log
    assert "Place on the sky: as its header says" in log
    assert log.splitlines()[-1].startswith("Error: cat_name: the catalogue atlas is not loaded")
    assert len(double.asked) == 1
    assert list(paths.current().catalogues.rglob("*.vot")) == []


def load_synthetic(field: Field) -> None:
    path = paths.current().instance / "syn.csv"
    ra, dec = WCS.sky(field.x, field.y)
    rows = np.column_stack([ra, dec, field.mag + 0.3, field.mag, field.mag + field.colour])
    np.savetxt(path, rows, delimiter=",", header="ra,dec,V,r,g", comments="", fmt="%.7f")
    refcats.load_files(
        refcats.Request(
            "GaiaSP", [path], columns="ra=ra,dec=dec,V=V,r=r,g=g", system="V=Johnson,r=SDSS,g=SDSS",
            covers=["150,20,0.5"],
        )
    )  # fmt: skip


@pytest.mark.parametrize(("config", "band", "zero"), [
    ({"cat_name": "GaiaSP/V"}, "V", ZERO_POINT + 0.3),
    ({"cat_name": "gaiasp/any"}, "r", ZERO_POINT),
    ({"cat_name": "GaiaSP/r", "filter": "r"}, "r", ZERO_POINT),
    ({"cat_name": "GaiaSP", "filter": "sdssr"}, "r", ZERO_POINT),
])  # fmt: skip
def test_bhtoms_names_of_catalogues_are_understood_with_their_band(
    field: Field, image: Path, observer: User, tmp_path: Path,
    config: dict[str, Any], band: str, zero: float,
) -> None:  # fmt: skip
    load_synthetic(field)
    task = make_task(observer, image, {**config, "use_color": False}, tmp_path)

    run(task, "photometry", by=observer)

    log = text_of(task, "photometry.log")
    assert task.state == "photometry_done", log
    assert f"stars of gaiadr3syn with magnitudes in {band}" in log
    assert task.config["zp"] == pytest.approx(zero, abs=0.02)
    assert task.config["cat_col_mag"] == f"{band}mag"


def test_a_catalogue_and_a_filter_that_contradict_each_other_are_refused(
    field: Field, image: Path, observer: User, tmp_path: Path
) -> None:
    load_synthetic(field)
    task = make_task(observer, image, {"cat_name": "GaiaSP/V", "filter": "r"}, tmp_path)

    run(task, "inspect", by=observer)

    assert task.state == "inspect_failed"
    last = text_of(task, "inspect.log").splitlines()[-1]
    assert last == (
        "Error: cat_name: 'GaiaSP/V' cannot be used: it takes GaiaSP/r or GaiaSP/any where the "
        "filter is r"
    )
