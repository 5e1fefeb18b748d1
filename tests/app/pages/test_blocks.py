from datetime import date

from app.db import db, transaction
from app.models import Block, Job, User
from tests.app.pages.conftest import Browser
from tests.factories import make_block, make_camera, make_frame


def make_biases(count: int = 3) -> None:
    camera = make_camera()
    for _ in range(count):
        make_frame("bias", camera_id=camera.id)


def test_plan_shows_blocks_choices_and_what_stays_aside(browser: Browser) -> None:
    make_biases()
    camera = make_camera("Other")
    science = make_frame("science", camera_id=camera.id, object_name="M 67")
    doubtful = make_frame("flat", camera_id=camera.id, kind_doubt="may be a sky frame")

    page = browser.text("/blocks/plan/?night=2026-11-20")

    assert "3 bias of Simulated" in page
    assert "thin" in page
    assert f"/frames/{science.id}/" in page
    assert "no flat" in page
    assert f"/frames/{doubtful.id}/" in page
    assert "may be a sky frame" in page
    assert db.session.query(Block).count() == 0


def test_plan_takes_the_newest_night_by_itself(browser: Browser) -> None:
    make_biases()

    assert "3 bias of Simulated" in browser.text("/blocks/plan/")


def test_plan_of_nothing_says_so(browser: Browser) -> None:
    assert "There are no frames yet" in browser.text("/blocks/plan/")
    assert "no raw frames of 2026-11-20" in browser.text("/blocks/plan/?night=2026-11-20")
    assert browser.get("/blocks/plan/?night=soon").status_code == 400


def test_plan_is_made_without_being_processed(browser: Browser) -> None:
    make_biases()

    browser.post("/blocks/plan/2026-11-20/make/")

    assert db.session.query(Block).one().kind == "bias"
    assert db.session.query(Job).count() == 0


def test_block_made_by_hand_is_shown_at_once(browser: Browser, observer: User) -> None:
    make_biases()

    response = browser.post("/blocks/", kind="bias", start="2026-11-20", end="2026-11-20")

    block = db.session.query(Block).one()
    assert response.headers["Location"] == f"/blocks/{block.id}/"
    assert block.owner_id == observer.id
    assert "bias_" in browser.text(f"/blocks/{block.id}/")


def test_last_night_may_be_left_out(browser: Browser) -> None:
    make_biases()

    browser.post("/blocks/", kind="bias", start="2026-11-20", end="")

    assert db.session.query(Block).one().end_night == db.session.query(Block).one().start_night


def test_all_bands_become_one_group(browser: Browser) -> None:
    camera = make_camera()
    for band in ("g", "r"):
        make_frame("flat", camera_id=camera.id, band=band)

    response = browser.post("/blocks/", kind="flat", start="2026-11-20", all_bands="1")
    page = browser.text(response.headers["Location"])

    group = db.session.query(Block).filter_by(is_group=True).one()
    assert len(group.children) == 2
    assert all(f"/blocks/{child.id}/" in page for child in group.children)


def test_block_that_would_be_empty_is_refused_with_the_reason(browser: Browser) -> None:
    response = browser.post("/blocks/", kind="bias", start="2026-11-20")

    assert response.status_code == 400
    assert "no bias frames of 2026-11-20 match" in response.text


def test_unfit_kind_or_date_is_refused(browser: Browser) -> None:
    kind = browser.post("/blocks/", kind="lunch", start="2026-11-20")
    day = browser.post("/blocks/", kind="bias", start="20 Nov")
    missing = browser.post("/blocks/", kind="bias")

    assert [answer.status_code for answer in (kind, day, missing)] == [400, 400, 400]
    assert "must be one of bias" in kind.text
    assert "2026-11-20" in day.text


def test_list_is_filtered_by_kind_and_night(browser: Browser) -> None:
    bias = make_block("bias", [make_frame("bias")])
    flat = make_block("flat", [make_frame("flat")], band="r")

    page = browser.text("/blocks/?kind=flat&night=2026-11-20")
    part = browser.part("/blocks/?kind=flat", "blocks").text

    assert f"/blocks/{flat.id}/" in page
    assert f"/blocks/{bias.id}/" not in page
    assert "<html" not in part
    assert "No blocks" in browser.text("/blocks/?night=2020-01-01")


def test_block_shows_why_a_frame_was_left_out(browser: Browser) -> None:
    block = make_block("flat", [make_frame("flat")], band="r")
    block.entries[0].left_out = "saturated: its median is 64000 ADU"
    db.session.commit()

    page = browser.text(f"/blocks/{block.id}/")

    assert "left out" in page
    assert "saturated: its median is 64000 ADU" in page


def test_block_is_processed_validated_and_commented(browser: Browser, observer: User) -> None:
    block = make_block("bias", [make_frame("bias")])

    browser.post(f"/blocks/{block.id}/process/")
    browser.post(f"/blocks/{block.id}/comment/", comment="warm dewar")
    browser.post(f"/blocks/{block.id}/valid/")

    db.session.refresh(block)
    job = db.session.query(Job).one()
    assert (job.arguments["block_id"], job.owner_id) == (block.id, observer.id)
    assert (block.comment, block.is_valid) == ("warm dewar", False)


def test_step_that_does_not_exist_yet_is_refused_by_name(browser: Browser) -> None:
    block = make_block("sci", [make_frame()])

    response = browser.post(f"/blocks/{block.id}/process/", code="co")

    assert response.status_code == 400
    assert "does not exist yet" in response.text


def test_empty_block_cannot_be_processed(browser: Browser) -> None:
    block = make_block("bias")

    response = browser.post(f"/blocks/{block.id}/process/")

    assert response.status_code == 409
    assert "has no frames" in response.text


def test_block_whose_products_lack_something_is_not_shown_as_good(browser: Browser) -> None:
    raw = make_frame("science")
    product = make_frame("science", level=2, missing=["no flat in band B: x", "no bias: y"])
    block = make_block("sci", [raw], status=1)
    group = make_block("sci", is_group=True, status=1)
    with transaction():
        block.entries[0].product_id = product.id
        block.parent_id = group.id

    for address in ("/blocks/", f"/blocks/{block.id}/", f"/blocks/{group.id}/"):
        page = browser.text(address)
        assert "incomplete: no bias, no flat" in page
        assert '<span class="tag good">processed' not in page


def test_plan_names_the_blocks_of_other_nights_it_needs(browser: Browser) -> None:
    camera = make_camera()
    make_frame("science", camera_id=camera.id)
    make_frame("bias", camera_id=camera.id, night=date(2026, 11, 10))

    page = browser.text("/blocks/plan/?night=2026-11-20")

    assert "1 bias of 2026-11-10 (10 days older, thin) would do" in page
    assert "Blocks of other nights that this one needs" in page


def test_who_did_what_is_on_the_page_of_block_and_frame(browser: Browser, observer: User) -> None:
    frame = make_frame("science")
    block = make_block("sci", [frame])

    browser.post(f"/blocks/{block.id}/comment/", comment="clouds")
    answer = browser.post(f"/blocks/{block.id}/valid/")
    browser.post(f"/frames/{frame.id}/valid/")

    page = browser.text(f"/blocks/{block.id}/")
    assert answer.status_code == 303
    assert f"{observer.display_name} commented: clouds" in page
    assert f"{observer.display_name} set invalid" in page
    assert "what was reduced stays" in page
    assert f"{observer.display_name} set invalid" in browser.text(f"/frames/{frame.id}/")


def test_what_all_results_of_a_block_lack_is_said_once(browser: Browser) -> None:
    raws = [make_frame("science") for _ in range(2)]
    block = make_block("sci", raws)
    lacking = [
        make_frame("science", level=2, missing=[f"no flat in r (none of {n} s)"]) for n in (3, 60)
    ]
    with transaction():
        for entry, product in zip(block.entries, lacking, strict=True):
            entry.product_id = product.id

    page = browser.text(f"/blocks/{block.id}/")

    assert page.count("no flat in r") == 1
    assert '<span class="tag bad">all 2 results</span> <span class="why">no flat in r' in page


def test_what_some_results_of_a_block_lack_stands_in_their_rows(browser: Browser) -> None:
    raws = [make_frame("science") for _ in range(3)]
    block = make_block("sci", raws)
    products = [
        make_frame("science", level=2, missing=["no flat in r"] * (n < 2)) for n in (0, 1, 2)
    ]
    with transaction():
        for entry, product in zip(block.entries, products, strict=True):
            entry.product_id = product.id

    page = browser.text(f"/blocks/{block.id}/")

    assert "said-once" not in page
    assert page.count('<small class="muted" title="no flat in r">no flat</small>') == 2


def test_what_all_frames_of_a_plan_would_lack_is_said_once(browser: Browser) -> None:
    for _ in range(3):
        make_frame("science")

    page = browser.text("/blocks/plan/?night=2026-11-20").partition("What each science frame")[2]

    assert page.count('<span class="tag bad">all 3 frames</span> <span class="why">no flat') == 1
    assert page.count('class="why">no ') == page.count("all 3 frames")
    assert page.count(">none</span>") == 3 * page.count("all 3 frames")


def test_what_some_frames_of_a_plan_would_lack_stands_in_their_rows(browser: Browser) -> None:
    for band in ("r", "r", "g", "g"):
        make_frame("science", band=band)

    page = browser.text("/blocks/plan/?night=2026-11-20").partition("What each science frame")[2]

    assert page.count(">no flat</span>") == 4
    assert page.count('title="no flat in g') == page.count('title="no flat in r') == 2
