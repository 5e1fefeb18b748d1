from app.db import db, transaction
from app.models import ScannedFile
from app.services import raw_files
from tests.app.pages.conftest import Browser
from tests.factories import make_frame


def make_file(path: str, **values: object) -> ScannedFile:
    defaults = {"size": 2880, "mtime_ns": 1, "state": "quarantined", "reason": "no END card"}
    with transaction():
        file = ScannedFile(path=path, **(defaults | values))
        db.session.add(file)
    return file


def test_every_file_in_trouble_is_listed_with_its_reason(browser: Browser) -> None:
    make_file("2026-11-20/broken.fits")
    make_file("2026-11-20/growing.fits", state="waiting", reason="")
    make_file("2026-11-20/twice.fits", state="duplicate", reason="same content as once.fits")
    gone = make_file("2026-11-20/gone.fits", state="missing", reason="no longer in RAW")
    make_frame(file_id=gone.id)
    make_file("2026-11-20/good.fits", state="registered", reason="")

    page = browser.text("/quarantine/")

    for text in ("broken.fits", "no END card", "growing.fits", "still growing", "gone.fits"):
        assert text in page
    assert "same content as once.fits" in page
    assert "good.fits" not in page


def test_one_state_is_shown_alone(browser: Browser) -> None:
    make_file("a.fits")
    make_file("b.fits", state="waiting")

    page = browser.text("/quarantine/?state=waiting")

    assert "b.fits" in page
    assert "a.fits" not in page
    assert browser.get("/quarantine/?state=lost").status_code == 400


def test_search_finds_a_file_and_its_frame(browser: Browser) -> None:
    file = make_file("2026-11-20/NGC2420_001.fits", state="registered", reason="")
    frame = make_frame(file_id=file.id)

    page = browser.text("/quarantine/?name_has=ngc2420")

    assert "2026-11-20/NGC2420_001.fits" in page
    assert f"/frames/{frame.id}/" in page


def test_search_for_a_file_never_seen_says_what_to_check(browser: Browser) -> None:
    page = browser.text("/quarantine/?name_has=lost.fits")

    assert "No file whose path holds “lost.fits” was ever seen" in page
    assert ".fits" in page
    assert "RAW is looked at every 10 s" in page


def test_long_list_goes_on(browser: Browser) -> None:
    with transaction():
        db.session.add_all(
            ScannedFile(path=f"{n}.fits", size=1, mtime_ns=1, state="quarantined")
            for n in range(raw_files.PAGE + 1)
        )

    page = browser.text("/quarantine/")

    assert "Older files" in page
    before = page.rpartition("before=")[2].partition('"')[0]
    assert "0.fits" in browser.text(f"/quarantine/?before={before}")


def test_no_trouble_is_said_too(browser: Browser) -> None:
    make_file("a.fits", state="registered", reason="")

    assert "No file is in trouble: all 1 are registered" in browser.text("/quarantine/")


def test_files_that_moved_or_were_cleared_away_are_no_trouble(browser: Browser) -> None:
    lost = make_file("lost.fits", state="missing", code="missing", reason="no longer in RAW")
    make_frame(file_id=lost.id)
    make_file("moved.fits", state="missing", code="moved", reason="It was moved to new.fits.")
    make_file("link.fits", state="missing", code="missing", reason="no longer in RAW")

    trouble, missing = browser.text("/quarantine/"), browser.text("/quarantine/?state=missing")

    assert "lost.fits" in trouble
    assert "moved.fits" not in trouble
    assert "link.fits" not in trouble
    assert missing.count("file-missing") == 1
    assert '<span class="tag">moved</span>' in missing
    assert '<span class="tag">cleared away</span>' in missing
    assert "1 missing" in browser.text("/")
