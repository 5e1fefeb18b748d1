import re
from datetime import date

import pytest

from app import config, paths
from app.db import db, transaction
from app.models import Job, Proposal, ScannedFile, StoredSetting, User
from tests.app.pages.conftest import Browser
from tests.factories import make_block, make_camera, make_frame


def test_empty_archive_says_where_frames_come_from(browser: Browser) -> None:
    page = browser.text("/")

    assert "No frames yet" in page
    assert str(config.current().raw) in page
    assert "the next look is in 10 s" in page


def test_empty_archive_that_is_not_watched_says_so(browser: Browser) -> None:
    with transaction():
        db.session.add(StoredSetting(section="scan", item="watch", value=False))

    assert "it is not watched" in browser.text("/")


def test_calendar_shows_the_newest_month_with_frames(browser: Browser) -> None:
    make_frame("bias", night=date(2025, 3, 2))
    make_frame("science", kind_doubt="names no object")

    page = browser.text("/nights/")

    assert "November 2026" in page
    assert "/night/2026-11-20/" in page
    assert "1 science" in page
    assert "1 to look at" in page
    assert "/nights/?month=2025-03" in page


def test_calendar_of_december_ends_with_the_year(browser: Browser) -> None:
    make_frame("bias", night=date(2025, 12, 31))
    make_frame("dark", night=date(2026, 1, 1))

    page = browser.text("/nights/?month=2025-12")

    assert "/night/2025-12-31/" in page
    assert "/night/2026-01-01/" not in page


def test_month_that_is_none_does_not_exist(browser: Browser) -> None:
    for month in ("2026-13", "x", "0000-01", "0001-01", "9999-12"):
        assert browser.get(f"/nights/?month={month}").status_code == 404


def test_calendar_tells_of_files_that_became_no_frame(browser: Browser) -> None:
    with transaction():
        db.session.add(ScannedFile(path="x", size=1, mtime_ns=1, state="quarantined"))

    assert "1 quarantined" in browser.text("/nights/")


def test_night_lists_raw_frames_with_what_was_made_of_them(browser: Browser) -> None:
    camera = make_camera("STL-1001")
    raw = make_frame("science", camera_id=camera.id, object_name="NGC 2420")
    product = make_frame("science", level=2, missing=["no flat in r within 30 days"])
    block = make_block("sci", [raw])
    with transaction():
        block.entries[0].product_id = product.id

    page = browser.text("/night/2026-11-20/")

    for text in (raw.file_name, "NGC 2420", "STL-1001", f"/blocks/{block.id}/"):
        assert text in page
    assert "reduced, incomplete" in page
    assert "no flat in r within 30 days" in page
    assert product.file_name not in page


def test_night_names_the_files_beside_its_frames_that_are_none(browser: Browser) -> None:
    make_frame("science")
    with transaction():
        db.session.add(
            ScannedFile(
                path="2026-11-20/cut.fits",
                size=1,
                mtime_ns=1,
                state="quarantined",
                reason="it ends in the middle of the image",
            )
        )

    page = browser.text("/night/2026-11-20/")

    assert "1 file beside these frames is no frame of any night" in page
    assert "2026-11-20/cut.fits" in page
    assert "it ends in the middle of the image" in page
    assert "/quarantine/?name_has=2026-11-20/cut.fits" in page


def test_raw_rows_link_to_what_was_made_of_them(browser: Browser) -> None:
    raw, bias = make_frame("science"), make_frame("bias")
    product, master = make_frame(level=2), make_frame("bias", level=1)
    block, of_bias = make_block("sci", [raw]), make_block("bias", [bias])
    with transaction():
        block.entries[0].product_id = product.id
        of_bias.master_id = master.id

    of_raw, of_master = rows_of(browser.text("/night/2026-11-20/"))

    assert f'href="/frames/{product.id}/">→ reduced</a>' in of_raw
    assert f'href="/frames/{master.id}/">→ master</a>' in of_master


def test_frame_left_out_of_its_master_says_so_and_why(browser: Browser) -> None:
    good, odd, master = make_frame("bias"), make_frame("bias"), make_frame("bias", level=1)
    block = make_block("bias", [good, odd])
    with transaction():
        block.master_id = master.id
        block.entries[1].left_out = "its level is 65535.0 ADU"

    of_good, of_odd = rows_of(browser.text("/night/2026-11-20/"))
    page = browser.text(f"/frames/{odd.id}/")

    assert ("→ master" in of_good, "left out" in of_good) == (True, False)
    assert ("→ master" in of_odd, '<span class="tag bad">left out</span>' in of_odd) == (
        False,
        True,
    )
    why = f"left out of bias block {block.id}: its level is 65535.0 ADU"
    assert why in of_odd
    assert why in page
    (only,) = rows_of(browser.text("/night/2026-11-20/?problems=1"))
    assert odd.file_name in only


def test_reduced_row_says_its_level_once_and_its_numbers(browser: Browser) -> None:
    make_frame(level=2, fwhm_pix=3.0, scale_arcsec=0.5, zero_point_mag=22.123)

    (row,) = rows_of(browser.text("/night/2026-11-20/?level=reduced"))

    assert row.count("reduced</") == 1
    assert "FWHM 1.50″" in row
    assert "zero point 22.12" in row


def test_counts_of_the_kinds_are_those_of_the_level(browser: Browser) -> None:
    make_frame("bias")
    make_frame("science")
    make_frame("science")
    make_frame("science", level=2)

    raw, reduced = (browser.text(f"/night/2026-11-20/?level={n}") for n in (0, 2))

    assert "science (2)" in raw
    assert "bias (1)" in raw
    assert "science (1)" in reduced
    assert "bias (0)" in reduced


def rows_of(page: str) -> list[str]:
    """The rows of the table of frames, without its heading."""
    return re.findall(r"<tr.*?</tr>", page, re.DOTALL)[1:]


def test_what_is_wrong_with_every_frame_is_said_once_above_them(browser: Browser) -> None:
    for n in range(3):
        make_frame("science", kind_doubt=f"names no object (it is {n})")

    page = browser.text("/night/2026-11-20/")

    assert page.count("names no object") == 1
    assert '<span class="tag bad">all 3 frames</span> <span class="why">names no object' in page
    assert page.count('<span class="tag warn">doubtful</span>') == 3


def test_what_is_wrong_with_some_frames_stands_in_their_rows_in_short(browser: Browser) -> None:
    dark = "no dark of 30 s within 30 days (the nearest is of 60 s)"
    for n in range(5):
        missing = [dark] if n < 3 else ["no flat in r", "no bias"] if n == 3 else []
        make_frame("science", level=0, missing=missing)

    page = browser.text("/night/2026-11-20/")

    assert "said-once" not in page
    short = f'<small class="muted" title="{dark}">no dark</small>'
    assert [row.count(short) for row in rows_of(page)].count(1) == 3
    assert [row.count('<small class="why">no flat in r</small>') for row in rows_of(page)] == [
        int("no bias" in row) for row in rows_of(page)
    ]


def test_the_problem_of_a_single_frame_is_told_whole_in_its_row(browser: Browser) -> None:
    make_frame("science", unusable="a colour cube (three planes)")

    page = browser.text("/night/2026-11-20/")

    assert "said-once" not in page
    assert '<br><small class="why">a colour cube (three planes)</small>' in page


def test_filter_gives_only_the_table(browser: Browser) -> None:
    bias, science = make_frame("bias"), make_frame("science")

    part = browser.part("/night/2026-11-20/?kind=bias&name_has=", "frames").text

    assert bias.file_name in part
    assert science.file_name not in part
    assert "<html" not in part


def test_filter_that_matches_nothing_says_so(browser: Browser) -> None:
    make_frame("bias")

    assert "No frame of this night matches" in browser.text("/night/2026-11-20/?name_has=zzz")


def test_unknown_level_is_refused(browser: Browser) -> None:
    assert browser.get("/night/2026-11-20/?level=9").status_code == 400


def test_night_is_written_as_a_date(browser: Browser) -> None:
    response = browser.get("/night/yesterday/")

    assert response.status_code == 404
    assert "nights are written 2026-11-20" in response.text


def test_frames_without_a_time_have_a_page(browser: Browser) -> None:
    frame = make_frame(night=None, start_utc=None)

    assert frame.file_name in browser.text("/night/undated/")


def test_times_are_given_in_utc_and_in_the_zone_of_the_site(browser: Browser) -> None:
    with transaction():
        zone = StoredSetting(section="site", item="timezone", value="America/Santiago")
        db.session.add(zone)
    make_frame("science")

    page = browser.text("/night/2026-11-20/")

    assert "22:00:" in page
    assert "19:00 -03" in page


def test_zone_that_does_not_exist_breaks_no_page(browser: Browser) -> None:
    with transaction():
        db.session.add(StoredSetting(section="site", item="timezone", value="Mars/Olympus"))
    make_frame("science")

    assert "22:00:" in browser.text("/night/2026-11-20/")


def test_frames_of_another_proposal_are_not_shown(browser: Browser) -> None:
    with transaction():
        proposal = Proposal(code="2026B-0001")
        db.session.add(proposal)
        db.session.add(StoredSetting(section="access", item="visibility", value="members"))
    hidden = make_frame(proposal_id=proposal.id)

    night = browser.text("/night/2026-11-20/")
    frame = browser.get(f"/frames/{hidden.id}/")
    thumbnail = browser.get(f"/frames/{hidden.id}/thumbnail.png")

    assert hidden.file_name not in night
    assert (frame.status_code, thumbnail.status_code) == (404, 404)


def test_processing_a_night_queues_its_blocks(browser: Browser, observer: User) -> None:
    camera = make_camera()
    for _ in range(3):
        make_frame("bias", camera_id=camera.id)

    response = browser.post("/night/2026-11-20/process/", back="/night/2026-11-20/")
    page = browser.text("/night/2026-11-20/")

    assert (response.status_code, response.headers["Location"]) == (303, "/night/2026-11-20/")
    assert "1 job is in the queue" in page
    job = db.session.query(Job).one()
    assert (job.owner_id, job.function) == (observer.id, "blocks.process_block")


def test_processing_a_night_without_frames_says_that_nothing_is_due(browser: Browser) -> None:
    browser.post("/night/2026-11-20/process/")

    assert "Nothing is due" in browser.text("/night/2026-11-20/")


def test_scan_is_queued_and_shown(browser: Browser, observer: User) -> None:
    response = browser.post("/scan/")

    job = db.session.query(Job).one()
    assert response.headers["Location"] == f"/jobs/{job.id}/"
    assert job.owner_id == observer.id


def test_form_leads_back_to_no_other_server(browser: Browser) -> None:
    response = browser.post("/night/2026-11-20/process/", back="https://evil.example/")

    assert response.headers["Location"] == "/night/2026-11-20/"


def test_text_from_headers_is_never_markup(browser: Browser) -> None:
    frame = make_frame(object_name="<script>alert(1)</script>", comment="<b>bold</b>")

    for address in ("/night/2026-11-20/", f"/frames/{frame.id}/"):
        page = browser.text(address)
        assert "<script>alert" not in page
        assert "<b>bold" not in page


def test_calendar_and_night_say_which_calibrations_are_missing(browser: Browser) -> None:
    raw = make_frame("science")
    product = make_frame(
        "science", level=2, missing=["no bias: x", "no flat in band B: y (no flat in B)"]
    )
    block = make_block("sci", [raw])
    with transaction():
        block.entries[0].product_id = product.id

    assert "incomplete: no bias, no flat" in browser.text("/")
    of_raw = browser.text("/night/2026-11-20/")
    of_reduced = browser.text("/night/2026-11-20/?level=reduced")

    assert "reduced, incomplete" in of_raw
    assert f"/frames/{product.id}/" in of_raw
    assert f'/blocks/{block.id}/">sci {block.id}' in of_reduced
    assert ">incomplete<" in of_reduced


@pytest.mark.parametrize(("word", "kinds"), [("raw", 1), ("masters", 1), ("reduced", 1), ("", 3)])
def test_level_may_be_given_as_a_word(browser: Browser, word: str, kinds: int) -> None:
    make_frame("science")
    make_frame("bias", level=1)
    make_frame("science", level=2)

    for address in ("/night/2026-11-20/", "/frames/"):
        page = browser.text(f"{address}?level={word}")
        assert page.count('<td class="thumb">') == kinds


def test_complete_reduced_frame_says_that_it_is_reduced(browser: Browser) -> None:
    make_frame("science", level=2)

    assert '<span class="tag good">reduced</span>' in browser.text("/night/2026-11-20/?level=2")


def test_calendar_says_that_raw_is_not_there(browser: Browser) -> None:
    raw = paths.current().raw
    assert "Is its disk mounted?" not in browser.text("/nights/")

    raw.rename(raw.with_name("unmounted"))

    assert f"The RAW folder {raw} is not there. Is its disk mounted?" in browser.text("/nights/")


def test_numbers_behind_the_choices_are_of_what_the_other_boxes_leave(browser: Browser) -> None:
    make_frame("bias", file_name="a.fits")
    make_frame("bias", file_name="b.fits", kind_doubt="names no object")
    make_frame("science", file_name="c.fits")

    named = browser.text("/night/2026-11-20/?name_has=a.fits")
    doubtful = browser.text("/night/2026-11-20/?problems=1")

    assert "bias (1)" in named
    assert "science (0)" in named
    assert "raw (1)" in named
    assert "bias (1)" in doubtful
    assert "raw (3)" in browser.text("/night/2026-11-20/")
