from pathlib import Path

import numpy as np
import pytest
from flask import Flask

from app import paths
from app.db import db, transaction
from app.models import Frame, FrameParent, Job, Proposal, User
from reduction import fitsio
from reduction.flags import PixelFlag
from reduction.image import Image
from tests.app.pages.conftest import Browser
from tests.factories import make_block, make_frame, make_user


@pytest.fixture
def product_path(app: Flask) -> Path:
    data = np.full((40, 60), 100, dtype=np.float32)
    mask = np.zeros(data.shape, dtype=np.uint16)
    mask[5, 7] = PixelFlag.BAD
    path = paths.current().data / "PROCESSED" / "one.fits"
    path.parent.mkdir(parents=True)
    fitsio.write_product(path, Image(data, data * 0 + 4, mask, "electron"), [("RECIPE", "x", "")])
    return path


@pytest.fixture
def reduced(product_path: Path) -> Frame:
    return make_frame(
        path="PROCESSED/one.fits", file_name="one.fits", level=2, nx=60, ny=40, unit="electron"
    )


@pytest.fixture
def settled() -> Frame:
    """A science frame of a proposal that has people."""
    with transaction():
        proposal = Proposal(code="2026B-0001", pi=make_user("pi"))
        db.session.add(proposal)
        db.session.flush()
        number = proposal.id
    return make_frame("science", proposal_id=number)


def test_page_shows_values_with_card_rule_and_doubt(browser: Browser) -> None:
    origin = {"card": "GAIN = 0 / driver", "rule": "as it stands", "doubt": None}
    frame = make_frame(
        gain_e_per_adu=1.25,
        origins={"gain_e_per_adu": origin},
        doubts={"gain_e_per_adu": "some drivers write the setting here"},
        header_text="OBJECT  = 'M 42    '           / what it is",
    )

    page = browser.text(f"/frames/{frame.id}/")

    for text in (
        "GAIN = 0 / driver",
        "as it stands",
        "some drivers write the setting here",
        "1.25",
    ):
        assert text in page


def test_page_shows_the_cards_of_the_header(browser: Browser, reduced: Frame) -> None:
    page = browser.text(f"/frames/{reduced.id}/")

    assert "<code>RECIPE</code>" in page
    assert "<code>EXTNAME</code>" in page


def test_missing_calibration_is_loud(browser: Browser, reduced: Frame) -> None:
    with transaction():
        reduced.missing = ["no flat in r within 30 days"]

    page = browser.text(f"/frames/{reduced.id}/")

    assert '<p class="problem">no flat in r within 30 days</p>' in page
    assert "incomplete" in page


def test_provenance_is_linked_both_ways_with_the_job_that_did_it(
    browser: Browser, observer: User, reduced: Frame
) -> None:
    raw, flat = make_frame(), make_frame("flat", level=1)
    block = make_block("sci", [raw])
    with transaction():
        block.entries[0].product_id = reduced.id
        for parent, role in ((raw, "raw"), (flat, "flat")):
            db.session.add(FrameParent(child_id=reduced.id, parent_id=parent.id, role=role))
        job = Job(function="blocks.process_block", arguments={"block_id": block.id})
        job.owner_id = observer.id
        db.session.add(job)

    below = browser.text(f"/frames/{reduced.id}/")
    above = browser.text(f"/frames/{raw.id}/")

    assert f"/frames/{raw.id}/" in below
    assert f"/frames/{flat.id}/" in below
    assert f"log of job {job.id}" in below
    assert f"/frames/{reduced.id}/" in above


def test_page_stands_when_the_file_is_gone(
    browser: Browser, reduced: Frame, product_path: Path
) -> None:
    product_path.unlink()

    page = browser.text(f"/frames/{reduced.id}/")

    assert "its file is not there now" in page


def test_viewer_is_described_and_gets_its_tiles(browser: Browser, reduced: Frame) -> None:
    found = browser.get(f"/frames/{reduced.id}/picture.json?stretch=linear").get_json()
    tile = browser.get(
        f"/frames/{reduced.id}/tiles/SCI/0/0/0.png?stretch=asinh&cmap=magma_r&low=90&high=110"
    )

    assert (found["nx"], found["ny"], found["levels"], found["tile"]) == (60, 40, 1, 256)
    assert found["planes"] == ["SCI", "VAR", "DQ"]
    assert set(found["flags"]) == {flag.name for flag in PixelFlag}
    assert (tile.status_code, tile.mimetype) == (200, "image/png")
    assert tile.data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "query", ["low=5", "low=9&high=1", "low=nan&high=1", "low=x&high=y", "cmap=mauve", "stretch=x"]
)
def test_unfit_look_of_a_tile_is_refused(browser: Browser, reduced: Frame, query: str) -> None:
    assert browser.get(f"/frames/{reduced.id}/tiles/SCI/0/0/0.png?{query}").status_code == 400


def test_plane_nobody_has_is_refused(browser: Browser, reduced: Frame) -> None:
    assert browser.get(f"/frames/{reduced.id}/picture.json?plane=XYZ").status_code == 400
    assert browser.get(f"/frames/{reduced.id}/tiles/XYZ/0/0/0.png").status_code == 400


def test_pixel_tells_values_and_flag_names(browser: Browser, reduced: Frame) -> None:
    found = browser.get(f"/frames/{reduced.id}/pixel.json?x=7&y=5").get_json()

    assert found == {
        "x": 7,
        "y": 5,
        "unit": "electron",
        "sci": 100.0,
        "var": 4.0,
        "dq": 1,
        "flags": ["BAD"],
    }


@pytest.mark.parametrize("query", ["", "x=1", "x=a&y=1", "x=99&y=1", "x=-1&y=1"])
def test_pixel_that_is_none_is_refused(browser: Browser, reduced: Frame, query: str) -> None:
    assert browser.get(f"/frames/{reduced.id}/pixel.json?{query}").status_code == 400


def test_download_is_the_file_itself(browser: Browser, reduced: Frame, product_path: Path) -> None:
    with browser.get(f"/frames/{reduced.id}/download/") as response:
        content = response.data

    assert content == product_path.read_bytes()
    assert "attachment" in response.headers["Content-Disposition"]
    assert "one.fits" in response.headers["Content-Disposition"]


def test_frame_is_validated_and_commented(browser: Browser, reduced: Frame) -> None:
    browser.post(f"/frames/{reduced.id}/valid/")
    response = browser.post(f"/frames/{reduced.id}/comment/", comment=" clouds ")
    page = browser.text(response.headers["Location"])

    db.session.refresh(reduced)
    assert (reduced.is_valid, reduced.comment) == (False, "clouds")
    assert "The comment is saved." in page
    assert "Mark as valid" in page


def test_frame_that_is_none_has_no_page(browser: Browser) -> None:
    response = browser.get("/frames/999/")

    assert response.status_code == 404
    assert "there is no frame 999" in response.text


def test_values_have_the_names_people_use_and_logicals_are_those_of_fits(
    browser: Browser, reduced: Frame
) -> None:
    page = browser.text(f"/frames/{reduced.id}/")

    assert ">exposure, s</th>" in page
    assert "exptime" not in page
    assert "<code>T</code>" in page
    assert "<code>True</code>" not in page


def test_one_science_frame_is_reduced_alone_and_no_other_kind(browser: Browser) -> None:
    science, bias = make_frame("science"), make_frame("bias")
    place = f"/frames/{science.id}/reduce/"
    assert place in browser.text(f"/frames/{science.id}/")
    assert "/reduce/" not in browser.text(f"/frames/{bias.id}/")

    browser.post(place)
    refused = browser.post(f"/frames/{bias.id}/reduce/")

    job = db.session.query(Job).one()
    assert (job.function, job.arguments["frames"]) == ("blocks.process_block", 1)
    assert refused.status_code == 400
    assert "can be used as science frames" in refused.text


def test_long_string_stands_whole_in_the_header(browser: Browser) -> None:
    cards = "CALMISS = 'no dark of 120 s &'\nCONTINUE  'within 30 days' / what it lacks"
    frame = make_frame(header_text=cards)

    page = browser.text(f"/frames/{frame.id}/")

    assert "<code>no dark of 120 s within 30 days</code></td><td>what it lacks</td>" in page
    assert "CONTINUE" not in page


def test_other_peoples_frame_has_no_button_that_reduces_it(
    browser: Browser, staff_browser: Browser, settled: Frame
) -> None:
    place = f"/frames/{settled.id}/reduce/"

    assert place not in browser.text(f"/frames/{settled.id}/")
    assert browser.post(place).status_code == 403
    assert place in staff_browser.text(f"/frames/{settled.id}/")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"unusable": "a colour cube"}, "a colour cube"),
        ({"is_valid": False}, "it was set invalid"),
        ({"kind_doubt": "names no object"}, "its kind is doubtful: names no object"),
    ],
)
def test_a_frame_that_cannot_be_reduced_says_why_beside_the_button(
    browser: Browser, values: dict[str, object], reason: str
) -> None:
    frame = make_frame("science", **values)

    page = browser.text(f"/frames/{frame.id}/")

    assert f"/frames/{frame.id}/reduce/" not in page
    assert '<button disabled aria-describedby="not-reduced">Reduce</button>' in page
    assert f'id="not-reduced">It cannot be reduced: {reason}.<' in page
    assert "not-reduced" not in browser.text(f"/frames/{make_frame('bias', **values).id}/")


def test_steps_done_name_what_was_done_on_the_sky_too(browser: Browser) -> None:
    done = make_frame(
        level=2,
        steps_done=["bias", "flat"],
        n_sources=12,
        sky_state="solved",
        zero_point_mag=22.0,
    )
    lost = make_frame(level=2, steps_done=["bias"], n_sources=3, sky_state="unsolved")

    assert "<dd>bias, flat, sources, astrometry, zero point</dd>" in browser.text(
        f"/frames/{done.id}/"
    )
    assert "<dd>bias, sources</dd>" in browser.text(f"/frames/{lost.id}/")
