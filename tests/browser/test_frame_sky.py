"""The sources of a frame over its picture and in its plots, in a real browser."""

import re
import time

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from app import paths
from reduction import fitsio
from reduction.image import Image
from tests.app.services.solvedframes import make_solved
from tests.app.services.test_missed_stars import PLACE, WCS, load_catalogue
from tests.browser.conftest import Watch
from tests.browser.test_walk import sign_in
from tests.faults.program import Program
from tests.reduction.photometry.fulltable import full_table
from tests.reduction.photometry.sourcefiles import SHAPE

pytestmark = pytest.mark.slow

N_STARS = 60
# What is drawn over a grey picture has colour: how many of its pixels have.
COLOURED = """canvas => {
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let n = 0;
    for (let i = 0; i < data.length; i += 4) {
        const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
        if (Math.max(r, g, b) - Math.min(r, g, b) > 40) n += 1;
    }
    return n;
}"""
# Where on the screen the brightest star of a plot is, and its number.
BRIGHTEST = """plot => {
    plot.scrollIntoView({ block: "center" });
    const path = plot.querySelector("path.small");
    const [, x, y] = /M([\\d.]+) ([\\d.]+)/.exec(path.getAttribute("d"));
    const at = new DOMPoint(+x, +y).matrixTransform(plot.getScreenCTM());
    return { x: at.x, y: at.y, number: +path.dataset.stars.split(" ")[0] };
}"""


@pytest.fixture(scope="module")
def frame_id(program: Program, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A frame of stars whose places and catalogue are known; one star was missed."""
    table = full_table(WCS, SHAPE, N_STARS)
    rng = np.random.default_rng(4)
    data = rng.normal(100, 5, SHAPE).astype(np.float32)
    rows, columns = np.rint(table["y_pix"]).astype(int), np.rint(table["x_pix"]).astype(int)
    data[rows, columns] += 5000
    with program.context():
        frame = make_solved(
            WCS,
            table,
            ra_deg=PLACE[0],
            dec_deg=PLACE[1],
            rotation_deg=30.0,
            scale_arcsec=WCS.scale_arcsec,
            wcs_rms_arcsec=0.05,
            limit_mag=20.0,
            unit="electron",
            on_sky={"wcs": WCS.as_lists(), "catalogue": "demo"},
        )
        path = paths.current().data / frame.path
        image = Image(data, np.full_like(data, 25), np.zeros(SHAPE, np.uint16), "electron")
        fitsio.write_product(path, image, [("RECIPE", "x", "")])
        load_catalogue(tmp_path_factory.mktemp("stars"), [(200.0, 150.0, 14.0)])
        return frame.id


def coloured(page: Page) -> int:
    found: int = page.locator(".viewer canvas").evaluate(COLOURED)
    return found


def wait_for_colour(page: Page, more_than: int) -> int:
    for _ in range(600):
        if (found := coloured(page)) > more_than:
            return found
        page.wait_for_timeout(100)
    pytest.fail(f"only {found} pixels of the picture are coloured")


def come_late(route: Route) -> None:
    """Let a file come when the picture has long been drawn."""
    time.sleep(1)
    route.continue_()


def test_sources_are_drawn_over_the_picture_and_told_one_by_one(
    page: Page, watch: Watch, frame_id: int
) -> None:
    sign_in(page, f"/frames/{frame_id}/")
    expect(page.locator("[data-high]")).not_to_have_value("")
    assert coloured(page) == 0

    page.get_by_label("Sources", exact=True).check()
    expect(page.locator("[data-said]")).to_have_text(f"{N_STARS} sources")
    circles = wait_for_colour(page, 1000)
    page.get_by_label("its stars not found").check()
    wait_for_colour(page, circles)

    # The pointer is told where on the sky it is.
    canvas = page.locator(".viewer canvas")
    canvas.hover()
    expect(page.locator("[data-sky]")).to_contain_text(re.compile(r"02:22:.* −22:2.*35\.\d+°"))

    # A star of a plot is chosen in the picture, and marked in the other plots.
    page.get_by_role(
        "heading", name="Astrometry, zero point and stars"
    ).scroll_into_view_if_needed()
    plot = page.locator(".of-magnitude svg")
    expect(plot).to_be_visible()
    star = plot.evaluate(BRIGHTEST)
    page.mouse.move(star["x"], star["y"])
    expect(plot.locator("circle.hovered")).to_have_count(1)
    page.mouse.click(star["x"], star["y"])
    facts = page.locator("[data-star]")
    expect(facts).to_contain_text(f"{star['number'] + 1} in brightness")
    expect(facts).to_contain_text("Magnitude")
    expect(page.locator("circle.chosen")).to_have_count(6)

    # It is in the middle of the picture now: a click there chooses it, one beside it none.
    canvas.click()
    expect(facts).to_contain_text(f"{star['number'] + 1} in brightness")

    # What was switched on stays so.
    page.reload()
    expect(page.get_by_label("Sources", exact=True)).to_be_checked()
    wait_for_colour(page, 1000)
    assert watch.wrong == []


def test_plots_have_a_page_of_their_own_that_leads_to_the_star(
    page: Page, watch: Watch, frame_id: int
) -> None:
    sign_in(page, f"/frames/{frame_id}/sky/")
    plot = page.locator(".of-depth svg")
    expect(plot).to_be_visible()
    star = plot.evaluate(BRIGHTEST)
    page.route("**/overlay.js*", come_late)

    page.mouse.click(star["x"], star["y"])

    expect(page).to_have_url(re.compile(rf"/frames/{frame_id}/#star-{star['number']}$"))
    expect(page.locator("[data-star]")).to_contain_text(f"{star['number'] + 1} in brightness")
    assert watch.wrong == []


def test_plots_fit_a_phone(page: Page, watch: Watch, frame_id: int) -> None:
    sign_in(page, f"/frames/{frame_id}/sky/")
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    expect(page.locator("svg.drawing").first).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert watch.wrong == []
