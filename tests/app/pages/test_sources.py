"""The page that tells what all nights have at a place of the sky."""

import re
from datetime import timedelta

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.models import User
from app.services import source_files, star_groups
from reduction.photometry.kinds import SourceKind
from tests.app.services.solvedframes import FIRST, make_showing, make_solved
from tests.conftest import sign_in
from tests.reduction.photometry.sourcefiles import frame_at, of_before, table_of

PLACE = (10.0, 20.0)
HERE = {"ra": "00:40:00", "dec": "+20:00:00", "radius": "5"}
WCS = frame_at(PLACE)


@pytest.fixture
def browser(app: Flask, observer: User) -> FlaskClient:
    return sign_in(app.test_client(), observer)


def test_without_a_place_the_page_asks_for_one(browser: FlaskClient) -> None:
    page = browser.get("/sources/")

    assert page.status_code == 200
    assert "Give a place" in page.text
    assert "sources.js" not in page.text


def test_a_place_has_a_line_for_every_frame_that_shows_it_with_its_nearest_source(
    browser: FlaskClient,
) -> None:
    x, y = WCS.pixel(np.array([10.0, 10.0]), np.array([20.0 + 2 / 3600, 20.0]))
    both = make_solved(WCS, table_of(WCS, x, y, mags=np.array([15.0, 16.25])), mid_utc=FIRST)
    bare = make_solved(WCS, table_of(WCS, np.empty(0), np.empty(0)), limit_mag=19.5)

    page = browser.get("/sources/", query_string=HERE).text

    assert "<b>2</b> sources within 5″ of 10.000000 +20.000000 on <b>2</b> frames" in page
    assert f'href="/frames/{both.id}/#source-1"' in page  # the second of its frame is nearer
    assert "16.250 ± 0.500" in page
    assert "15.000" not in page
    row = page[page.index(f'href="/frames/{bare.id}/"') :]
    assert "nothing" in row
    assert "19.50" in row


def test_light_curve_is_of_one_star_where_there_are_several(browser: FlaskClient) -> None:
    x, y = WCS.pixel(np.array([10.0, 10.0]), np.array([20.0, 20.0 + 3 / 3600]))
    star, other = np.array([16.25]), np.array([15.0])
    both = make_solved(WCS, table_of(WCS, x, y, mags=np.array([16.25, 15.0])), mid_utc=FIRST)
    alone = make_solved(WCS, table_of(WCS, x[1:], y[1:], mags=other), mid_utc=FIRST)
    make_solved(WCS, table_of(WCS, x[:1], y[:1], mags=star), mid_utc=FIRST)

    page = browser.get("/sources/", query_string=HERE).text

    assert "There are 2 different sources in this circle" in page
    assert "0.0″ from the middle, found on 2 of 3 frames" in page
    assert page.count("16.250 ± 0.500") == 2 * 2  # of apertures, and by the profile
    assert "15.000 ±" not in page
    row = page[page.index(f'href="/frames/{alone.id}/"') :].split("</tr>")[0]
    assert "nothing" in row
    meant = re.search(r'data-meant="([^"]*)"', page)
    assert meant is not None
    assert f"&#34;{both.id}&#34;: " in meant[1]
    assert f"&#34;{alone.id}&#34;" not in meant[1]
    link = re.search(r'href="(/sources/[^"]*)">3.0″ away, on 2 frames', page)
    assert link is not None
    there = browser.get(link[1].replace("&amp;", "&")).text
    assert there.count("15.000 ± 0.500") == 2 * 2


def test_one_star_alone_needs_no_word_about_others(browser: FlaskClient) -> None:
    make_showing(*PLACE, WCS)

    assert "different sources" not in browser.get("/sources/", query_string=HERE).text


def test_what_is_no_star_is_said_to_be_none_and_older_frames_say_nothing(
    browser: FlaskClient,
) -> None:
    x, y = WCS.pixel(np.array([10.0]), np.array([20.0]))
    table = table_of(WCS, x, y, mags=np.array([17.125]))
    table.columns["kind"][:] = SourceKind.WIDE
    table.columns["mag"][:] = 16.0
    make_solved(WCS, table, mid_utc=FIRST)
    make_solved(WCS, of_before(table), mid_utc=FIRST)

    page = browser.get("/sources/", query_string=HERE).text

    newer, older = page[page.index("<tbody>") :].split("</tr>")[:2]
    assert "a galaxy, or stars that are not parted" in newer
    assert "17.125 ± 0.500" in newer
    assert "galaxy" not in older
    assert "17.125" not in older
    assert "16.000 ± 0.500" in older


def test_programs_get_the_same_search(browser: FlaskClient, client: FlaskClient) -> None:
    make_showing(*PLACE, WCS)
    page = browser.get("/sources/", query_string=HERE | {"band": "r"}).text
    links = [
        link.replace("&amp;", "&") for link in re.findall(r'href="(/api/sources/[^"]*)"', page)
    ]

    csv, json = (client.get(link) for link in links)

    assert len(csv.text.splitlines()) == 2
    assert json.get_json()["count"] == 1
    assert "band=r" in links[0]


def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(browser: FlaskClient) -> None:
    page = browser.get("/sources/", query_string=HERE | {"ra": "<north>"})

    assert page.status_code == 400
    assert 'id="wrong-ra"' in page.text
    assert 'value="&lt;north&gt;"' in page.text
    assert 'value="+20:00:00"' in page.text
    assert browser.get("/sources/?ra=1").status_code == 400
    assert browser.get("/sources/?ra=1&dec=2&colour=red").status_code == 400


def test_a_band_nobody_knows_is_told_at_its_field(browser: FlaskClient) -> None:
    make_showing(*PLACE, WCS)

    page = browser.get("/sources/", query_string=HERE | {"band": "green"})

    assert page.status_code == 400
    assert "&#39;green&#39; is no band that is known here" in page.text


def test_a_place_nobody_looked_at_says_so(browser: FlaskClient) -> None:
    page = browser.get("/sources/", query_string=HERE).text

    assert "No reduced frame that you may see shows this place" in page


def test_frames_whose_sources_were_not_kept_are_told_with_what_to_do(browser: FlaskClient) -> None:
    bare = make_solved(WCS, None)
    make_showing(*PLACE, WCS)

    page = browser.get("/sources/", query_string=HERE).text

    assert "The sources of 1 more frame were not kept" in page
    assert f'href="/frames/{bare.id}/"' in page
    assert "flask sources index" in page


def test_many_frames_come_in_pages(browser: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [make_showing(*PLACE, WCS, mid_utc=FIRST + timedelta(hours=n)) for n in range(3)]

    first = browser.get("/sources/", query_string=HERE | {"limit": "2"}).text
    link = re.search(r'class="button" href="([^"]*)"', first)
    assert link is not None
    second = browser.get(link[1].replace("&amp;", "&")).text

    assert f'href="/frames/{made[2].id}/' not in first
    assert f'href="/frames/{made[2].id}/' in second
    assert f'href="/frames/{made[0].id}/' not in second


def test_star_of_the_first_page_is_that_of_the_pages_after_it(browser: FlaskClient) -> None:
    # On the later frames another is nearer to the middle; the last does not show the star.
    x, y = WCS.pixel(np.array([10.0, 10.0]), np.array([20.0 + 2 / 3600, 20.0 - 1 / 3600]))
    mags = np.array([16.25, 15.0])
    for hour, rows in enumerate((slice(0, 1), slice(0, 2), slice(1, 2))):
        table = table_of(WCS, x[rows], y[rows], mags=mags[rows])
        make_solved(WCS, table, mid_utc=FIRST + timedelta(hours=hour))

    first = browser.get("/sources/", query_string=HERE | {"limit": "1"}).text
    second = browser.get(next_page(first) + "&limit=1").text
    third = browser.get(next_page(second)).text

    assert "16.250 ± 0.500" in first
    assert "16.250 ± 0.500" in second
    assert "15.000 ±" not in second
    assert "15.000 ±" not in third
    assert "was found on none of these" in third
    assert "was found on none of these" not in second
    assert "star=" not in "".join(re.findall(r'href="(/api/sources/[^"]*)"', second))


def next_page(page: str) -> str:
    link = re.search(r'class="button" href="([^"]*)"', page)
    assert link is not None
    return link[1].replace("&amp;", "&")


@pytest.mark.parametrize("star", ["north", "10", "10 nan", "inf 20", "10 91", "1 2 3"])
def test_place_of_a_star_that_is_none_is_refused(browser: FlaskClient, star: str) -> None:
    page = browser.get("/sources/", query_string=HERE | {"star": star})

    assert page.status_code == 400
    assert "star: must be a place in degrees" in page.text


def test_a_crowd_beyond_what_is_put_together_is_counted_as_more(
    browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(star_groups, "_MOST_ROWS", 3)
    north = np.arange(4) * 30 / 3600
    x, y = WCS.pixel(np.full(4, 10.0), 20.0 + north)
    make_solved(WCS, table_of(WCS, x, y), mid_utc=FIRST)

    page = browser.get("/sources/", query_string=HERE | {"radius": "100"}).text

    assert "There are more than 2 different sources in this circle" in page


def test_a_damaged_file_does_not_break_the_page(browser: FlaskClient) -> None:
    frame = make_showing(*PLACE, WCS)
    source_files.path_of(frame).write_bytes(b"PAR1")

    page = browser.get("/sources/", query_string=HERE)

    assert page.status_code == 200
    assert "were not kept" in page.text
