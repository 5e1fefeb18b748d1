"""The sky part of a frame's page: plots, and sources over the picture."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from flask import Flask

from app.db import transaction
from app.models import Frame, Proposal, User
from app.pages import frame_sky
from app.services import settings, source_files
from reduction.photometry.sourcetable import SourceTable
from tests.app.pages.conftest import Browser, browser_of
from tests.app.services.solvedframes import make_solved
from tests.app.services.test_missed_stars import WCS, load_catalogue
from tests.factories import make_user
from tests.reduction.photometry.fulltable import SHIFT_PIX, full_table
from tests.reduction.photometry.sourcefiles import SHAPE, of_before

ALL = {"residuals", "scatter", "zero-point-map", "magnitude", "colour", "fwhm", "growth", "depth"}


def make(table: SourceTable | None = None, **values: Any) -> Frame:
    ra, dec = WCS.crval
    known = {"ra_deg": ra, "dec_deg": dec, "scale_arcsec": WCS.scale_arcsec, "limit_mag": 20.0}
    on_sky = {"wcs": WCS.as_lists(), "catalogue": "demo", "zero_point_catalogue": "demo"}
    return make_solved(
        WCS, table or full_table(WCS, SHAPE), **(known | {"on_sky": on_sky} | values)
    )


@pytest.fixture
def frame(app: Flask) -> Frame:
    return make()


def drawn(page: str) -> dict[str, str]:
    """The plots of a page by name; each must be well-formed."""
    found = {}
    for part in page.split('<figure class="of-')[1:]:
        svg = part[part.index("<svg") : part.index("</svg>") + 6]
        ElementTree.fromstring(svg)  # noqa: S314 - our own drawing
        found[part.partition('"')[0]] = part.partition("</figure>")[0]
    return found


def test_frame_page_leads_to_plots_and_overlay(browser: Browser, frame: Frame) -> None:
    page = browser.text(f"/frames/{frame.id}/")

    for text in (
        f'hx-get="/frames/{frame.id}/sky/"',
        f'data-overlay="/frames/{frame.id}/sources.json"',
        f'data-missed="/frames/{frame.id}/missed.json"',
        "overlay.js",
        "sky.css",
        "data-projection=",
    ):
        assert text in page


def test_frame_without_sources_has_neither(browser: Browser) -> None:
    bare = make_solved(WCS, None)

    page = browser.text(f"/frames/{bare.id}/")

    assert "/sky/" not in page
    assert "overlay.js" not in page


def test_solved_frame_with_a_zero_point_has_all_plots(browser: Browser, frame: Frame) -> None:
    page = browser.text(f"/frames/{frame.id}/sky/")

    assert set(drawn(page)) == ALL
    assert "<nav" in page


def test_script_gets_the_plots_alone(browser: Browser, frame: Frame) -> None:
    part = browser.part(f"/frames/{frame.id}/sky/", "").text

    assert set(drawn(part)) == ALL
    assert "<nav" not in part


def test_words_of_the_plots_carry_their_numbers(browser: Browser, frame: Frame) -> None:
    plots = drawn(browser.text(f"/frames/{frame.id}/sky/"))

    assert "88 clean stars" in plots["residuals"]  # 90 known ones less a flagged and a blended one
    assert "1 left out (open)" in plots["magnitude"]
    assert "colour term, +0.050" in plots["colour"]
    assert "FWHM of the frame 3.00 pixels" in plots["fwhm"]
    assert "measured in 3.0 pixels: 78.0 %" in plots["growth"]
    assert "20.00 mag" in plots["depth"]


def test_unsolved_frame_shows_how_wide_its_stars_are(browser: Browser) -> None:
    table = full_table(WCS, SHAPE)
    unknown = {
        name: np.full(len(table), np.nan)
        for name in table.names
        if name.startswith(("ra_", "dec_", "cat_", "zp_", "mag"))
    }
    facts = replace(table.facts, scale_arcsec=None, catalogue=None, zero_point_mag=None)
    frame = make(
        SourceTable({**table.columns, **unknown}, facts),
        sky_state="unsolved",
        on_sky={},
        limit_mag=None,
    )

    plots = drawn(browser.text(f"/frames/{frame.id}/sky/"))

    assert set(plots) == {"fwhm", "growth"}


def test_frame_of_hardly_a_star_says_so(browser: Browser) -> None:
    table = full_table(WCS, SHAPE, n=3)
    facts = replace(table.facts, fwhm_pix=None, growth=(1.0,) * 6)
    frame = make(SourceTable(table.columns, facts))

    assert "Too few stars" in browser.text(f"/frames/{frame.id}/sky/")


def test_sources_come_with_the_places_the_catalogue_has_them(
    browser: Browser, frame: Frame
) -> None:
    found = browser.get(f"/frames/{frame.id}/sources.json").get_json()

    numbers = {name: column for name, column in found["sources"].items() if name != "kind"}
    sources = {name: np.array(column, float) for name, column in numbers.items()}
    known = np.isfinite(sources["cat_x"])
    assert (found["total"], found["within"], len(sources["x"])) == (100, 100, 100)
    assert sources["number"].tolist() == list(range(100))
    assert np.count_nonzero(known) == 90
    assert (sources["x"] - sources["cat_x"])[known] == pytest.approx(SHIFT_PIX[0], abs=0.012)
    assert (sources["y"] - sources["cat_y"])[known] == pytest.approx(SHIFT_PIX[1], abs=0.012)
    assert found["sources"]["cat_x"][9] is None
    assert found["flags"]["2"] == "saturated"
    assert (found["catalogue"], found["light"]) == ("demo", ["demo", "r"])


def test_sources_say_what_they_look_like_and_their_light_by_profile(
    browser: Browser, frame: Frame
) -> None:
    told = browser.get(f"/frames/{frame.id}/sources.json").get_json()["sources"]

    assert told["kind"][6:9] == ["star", "galaxy", "star"]
    assert told["mag_psf"][0] == pytest.approx(told["mag"][0] + 0.002, abs=1e-4)
    assert told["share_psf"][5] == 0.6


def test_sources_of_before_say_nothing_of_it(browser: Browser) -> None:
    frame = make(of_before(full_table(WCS, SHAPE)))

    told = browser.get(f"/frames/{frame.id}/sources.json").get_json()["sources"]

    assert len(told["mag"]) == len(told["kind"]) == 100
    assert set(told["kind"]) == set(told["mag_psf"]) == set(told["share_psf"]) == {None}


def test_part_of_the_picture_has_its_sources(browser: Browser, frame: Frame) -> None:
    table = source_files.read(frame)

    found = browser.get(f"/frames/{frame.id}/sources.json?x0=100&x1=250&y0=50&y1=150").get_json()

    x, y = table["x_pix"], table["y_pix"]
    inside = (x >= 100) & (x <= 250) & (y >= 50) & (y <= 150)
    assert set(found["sources"]["number"]) == set(table["number"][inside].tolist())
    assert (found["total"], found["within"]) == (100, np.count_nonzero(inside))


def test_of_too_many_sources_the_brightest_come(
    browser: Browser, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_sky, "MOST_SOURCES", 20)

    found = browser.get(f"/frames/{frame.id}/sources.json").get_json()

    assert found["sources"]["number"] == list(range(20))
    assert found["within"] == 100


def test_one_source_is_found_by_its_number(browser: Browser, frame: Frame) -> None:
    found = browser.get(f"/frames/{frame.id}/sources.json?number=42").get_json()
    none = browser.get(f"/frames/{frame.id}/sources.json?number=4242").get_json()

    assert found["sources"]["number"] == [42]
    assert none["sources"]["number"] == []


@pytest.mark.parametrize(
    "query",
    ["x0=1", "x0=1&x1=nan&y0=1&y1=2", "x0=5&x1=1&y0=0&y1=1", "x0=a&x1=b&y0=c&y1=d", "number=x"],
)
def test_unfit_part_is_refused(browser: Browser, frame: Frame, query: str) -> None:
    assert browser.get(f"/frames/{frame.id}/sources.json?{query}").status_code == 400


def test_answers_are_kept_by_nobody_else(browser: Browser, frame: Frame) -> None:
    headers = browser.get(f"/frames/{frame.id}/sources.json").headers

    assert "private" in headers["Cache-Control"]


@pytest.mark.parametrize("address", ["sky/", "sources.json", "missed.json"])
def test_frame_whose_sources_were_not_kept_says_what_to_do(browser: Browser, address: str) -> None:
    bare = make_solved(WCS, None)

    answer = browser.part(f"/frames/{bare.id}/{address}", "")

    assert answer.status_code == 404
    assert "no sources are kept" in answer.text
    assert "flask sources" in answer.text


@pytest.mark.parametrize("address", ["sky/", "sources.json", "missed.json"])
def test_damaged_file_of_sources_is_told_and_breaks_nothing(
    browser: Browser, frame: Frame, address: str
) -> None:
    source_files.path_of(frame).write_bytes(b"PAR1 no more")

    answer = browser.part(f"/frames/{frame.id}/{address}", "")

    assert answer.status_code == 404
    assert "cannot be read" in answer.text
    assert "process its block again" in answer.text
    assert browser.get(f"/frames/{frame.id}/").status_code == 200


@pytest.mark.parametrize("address", ["sky/", "sources.json", "missed.json"])
def test_frame_of_others_is_not_there(app: Flask, frame: Frame, staff: User, address: str) -> None:
    settings.change("access", "visibility", "members", by=staff)
    with transaction():
        frame.proposal = Proposal(code="2026B-7", title="of others")
    stranger = browser_of(app, make_user("stranger"))

    answer = stranger.part(f"/frames/{frame.id}/{address}", "")

    assert answer.status_code == 404
    assert answer.text == f"there is no frame {frame.id}"


def test_stars_of_the_catalogue_that_were_missed_are_told(
    browser: Browser, frame: Frame, tmp_path: Path
) -> None:
    table = source_files.read(frame)
    x, y = float(table["x_pix"][0]), float(table["y_pix"][0])
    load_catalogue(tmp_path, [(x, y, 15.0), (200.5, 299.4, 14.25)])

    found = browser.get(f"/frames/{frame.id}/missed.json").get_json()

    assert (found["catalogue"], found["band"]) == ("demo", "r")
    assert found["stars"] == {
        "x": [pytest.approx(200.5, abs=0.02)],
        "y": [pytest.approx(299.4, abs=0.02)],
        "mag": [14.25],
    }
