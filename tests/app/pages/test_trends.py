"""The pages and the JSON of how nights went, and marks where frames are listed."""

import re
from datetime import timedelta

import pytest
from flask import Flask

from app.db import transaction
from app.models import FrameParent, User
from app.services import quality, settings
from app.services.quality import MARKS, Thresholds
from tests.app.pages.conftest import Browser
from tests.app.services.skyframes import NIGHT, make_night, make_sky_frame
from tests.factories import make_camera, make_frame

ADDRESS = f"/night/{NIGHT}/trends/"


def mark() -> None:
    found = quality.judge_nights(NIGHT, NIGHT, Thresholds.of(settings.snapshot()))
    with transaction():
        quality.store(found)


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_page_of_a_night_has_what_the_plots_show_in_tables_too(browser: Browser) -> None:
    make_night()
    wide = make_sky_frame(fwhm_pix=14.0)
    mark()

    page = browser.text(ADDRESS)

    assert f'data-trends="/night/{NIGHT}/trends.json"' in page
    assert page.count("data-value=") == 7
    assert wide.file_name in page
    assert "7.00" in words(page)
    assert "24.000 ± 0.003 0.15, usual 0.000 9 of 9" in words(page)
    assert MARKS["wide"] in page


def test_a_camera_that_took_all_frames_is_named_once(browser: Browser) -> None:
    make_night(3, camera_id=make_camera("STL-1001").id)

    page = browser.text(ADDRESS)

    assert "Frames 3 of STL-1001" in words(page)
    assert 'data-label="Camera" class="camera"' not in page
    assert 'data-label="Sky, mag arcsec⁻²"' in page


def test_the_plots_are_given_columns_of_one_length(browser: Browser) -> None:
    make_night(3)

    answer = browser.get(f"/night/{NIGHT}/trends.json").get_json()

    assert answer["night"] == str(NIGHT)
    assert {len(column) for column in answer["columns"].values()} == {3}
    assert set(answer["values"]) <= set(answer["columns"])
    assert answer["values"]["fwhm_arcsec"] == {"label": "FWHM", "unit": "arcsec", "digits": 2}
    assert answer["extinction"][0]["night"] == str(NIGHT)


def test_a_night_without_frames_on_the_sky_says_what_to_do(browser: Browser) -> None:
    page = browser.text(ADDRESS)

    assert "No frame of this night has been put on the sky yet" in page
    assert "data-trends" not in page
    assert "Trends" not in words(browser.text(f"/night/{NIGHT}/"))


def test_what_is_no_night_is_not_found(browser: Browser) -> None:
    for name in ("undated", "2026-13-01", "x"):
        assert browser.get(f"/night/{name}/trends/").status_code == 404
        assert browser.get(f"/night/{name}/trends.json").status_code == 404


def test_nights_are_shown_from_the_newest_back_or_as_asked(browser: Browser) -> None:
    make_night(2)
    make_night(2, NIGHT - timedelta(days=20))

    page = browser.text("/nights/trends/")
    some = browser.get(f"/nights/trends.json?from={NIGHT - timedelta(days=5)}").get_json()
    older = browser.get(f"/nights/trends.json?to={NIGHT - timedelta(days=5)}").get_json()

    assert f'from={NIGHT - timedelta(days=20)}&amp;to={NIGHT}"' in page
    assert some["columns"]["night"] == [str(NIGHT)]
    assert older["columns"]["night"] == [str(NIGHT - timedelta(days=20))]
    assert {row["night"] for row in some["extinction"]} == {str(NIGHT)}


def test_a_site_without_frames_has_a_page_that_says_so(browser: Browser) -> None:
    assert "No frame has been put on the sky yet" in browser.text("/nights/trends/")
    assert browser.get("/nights/trends.json").get_json()["columns"] == {}


@pytest.mark.parametrize("query", ["from=soon", "from=2026-02-30", "from=2020-01-01", "to=1800-1"])
def test_dates_that_are_none_or_too_far_apart_are_refused(browser: Browser, query: str) -> None:
    make_night(1)

    assert browser.get(f"/nights/trends/?{query}").status_code == 400
    assert browser.get(f"/nights/trends.json?{query}").status_code == 400


def test_the_list_of_frames_is_filtered_by_mark(browser: Browser) -> None:
    make_night()
    wide = make_sky_frame(fwhm_pix=14.0)
    mark()

    page = browser.text("/frames/?mark=wide")
    listed = browser.get("/frames/?mark=wide&format=json").get_json()["results"]

    assert [(frame["id"], frame["quality"]) for frame in listed] == [(wide.id, ["wide"])]
    assert "9.fits" not in browser.text("/frames/?mark=clouds")
    assert page.count("<tr") == 2
    assert f'title="{MARKS["wide"]}">wide</a>' in page


@pytest.mark.parametrize("address", ["/frames/?mark=odd", f"/night/{NIGHT}/?mark=odd"])
def test_a_mark_there_is_none_of_is_refused_with_those_there_are(
    browser: Browser, address: str
) -> None:
    response = browser.get(address)

    assert response.status_code == 400
    assert "must be one of unsolved, bad_astrometry" in response.text


def test_a_nights_frames_are_filtered_by_mark_raw_ones_by_what_became_of_them(
    browser: Browser,
) -> None:
    make_night()
    raw, other = make_frame(), make_frame()
    wide = make_sky_frame(fwhm_pix=14.0)
    with transaction():
        wide.parents = [FrameParent(parent_id=raw.id, role="raw")]
    mark()

    whole = browser.text(f"/night/{NIGHT}/")
    found = browser.part(f"/night/{NIGHT}/?mark=wide", "frames").text
    reduced = browser.part(f"/night/{NIGHT}/?mark=wide&level=2", "frames").text

    assert '<option value="wide">wide (1)</option>' in whole
    assert f'href="{ADDRESS}"' in whole
    assert raw.file_name in found
    assert other.file_name not in found
    assert "1 frame" in words(reduced)
    assert wide.file_name in reduced


def test_the_page_of_a_frame_says_what_its_marks_mean(browser: Browser) -> None:
    make_night()
    bad = make_sky_frame(fwhm_pix=14.0, zero_point_mag=23.0)
    mark()

    page = words(browser.text(f"/frames/{bad.id}/"))

    assert f"clouds {MARKS['clouds']} wide {MARKS['wide']}" in page
    assert "Trends of the night" in page


def test_a_changed_threshold_marks_frames_anew(
    app: Flask, staff: User, staff_browser: Browser
) -> None:
    make_night()

    response = staff_browser.post("/settings/", section="quality", fwhm_arcsec="1")

    assert response.status_code == 303
    assert "quality marks of all frames" in staff_browser.text("/jobs/")
