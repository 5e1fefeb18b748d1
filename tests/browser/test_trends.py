"""The plots of a night's numbers, in a real browser."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from app.db import transaction
from app.services import quality, settings
from app.services.quality import Thresholds
from tests.app.services.skyframes import NIGHT, make_night, make_sky_frame
from tests.browser.conftest import Watch
from tests.browser.test_walk import sign_in
from tests.faults.program import Program

pytestmark = pytest.mark.slow
NARROW = {"width": 390, "height": 844}
# Pixels of a canvas that are of about one colour.
_COUNT = """(canvas, wanted) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let i = 0; i < data.length; i += 4) {
        const near = wanted.every((value, c) => Math.abs(data[i + c] - value) < 12);
        found += data[i + 3] > 200 && near ? 1 : 0;
    }
    return found;
}"""
_RED, _TEAL = [221, 138, 60], [53, 162, 160]  # of the bands r and g
_SHARE_OF_WIDTH = 0.5


@pytest.fixture(scope="module")
def night(program: Program) -> None:
    """Frames in two bands, one of them under clouds."""
    with program.context():
        make_night(6)
        make_night(6, band="g", zero_point_mag=23.5)
        make_sky_frame(zero_point_mag=22.5)
        found = quality.judge_nights(NIGHT, NIGHT, Thresholds.of(settings.snapshot()))
        with transaction():
            quality.store(found)


def drawn(plot: Locator, colour: list[int]) -> int:
    found: int = plot.locator("canvas").evaluate(_COUNT, colour)
    return found


def hover(page: Page, plot: Locator) -> None:
    box = plot.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * _SHARE_OF_WIDTH, box["y"] + box["height"] / 2)


@pytest.mark.usefixtures("night")
def test_a_nights_plots_show_tell_and_lead_to_frames(page: Page, watch: Watch) -> None:
    sign_in(page, f"/night/{NIGHT}/")
    page.get_by_role("link", name="Trends").click()
    plots = page.locator(".plot")
    expect(plots.locator("canvas")).to_have_count(7)
    table = page.locator(".table-box.tall")
    assert table.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    zero_point = plots.nth(3)
    assert drawn(zero_point, _RED) > 50
    assert drawn(zero_point, _TEAL) > 50

    page.get_by_role("checkbox", name="g", exact=True).uncheck()
    page.wait_for_timeout(300)  # drawn in the next frame of the screen
    assert drawn(zero_point, _TEAL) == 0
    assert drawn(zero_point, _RED) > 50
    page.get_by_role("checkbox", name="g", exact=True).check()

    hover(page, zero_point)
    expect(page.locator("[data-told]")).to_have_text(
        re.compile(r"\d+\.fits, 2\d:\d\d:00 UTC, [gr]: Zero point 2\d\.\d{3} mag")
    )
    assert watch.wrong == []
    page.mouse.down()
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"/frames/\d+/$"))  # which has no file, and so no picture


@pytest.mark.usefixtures("night")
def test_plots_fit_a_narrow_screen_and_follow_the_theme(page: Page, watch: Watch) -> None:
    sign_in(page, f"/night/{NIGHT}/trends/")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    expect(page.locator(".plot canvas")).to_have_count(7)
    before = page.locator(".plot canvas").first.evaluate("canvas => canvas.toDataURL()")

    page.get_by_role("button", name="Theme").click()

    expect(page.locator(".plot canvas")).to_have_count(7)
    page.wait_for_timeout(300)  # drawn in the next frame of the screen
    after = page.locator(".plot canvas").first.evaluate("canvas => canvas.toDataURL()")
    assert before != after
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0
    assert watch.wrong == []


@pytest.mark.usefixtures("night")
def test_nights_plots_lead_to_the_night(page: Page, watch: Watch) -> None:
    sign_in(page, "/nights/")
    page.get_by_role("link", name="Trends").click()
    expect(page.locator(".plot canvas")).to_have_count(6)
    page.wait_for_timeout(300)

    hover(page, page.locator(".plot").first)
    page.mouse.down()
    page.mouse.up()

    expect(page).to_have_url(re.compile(rf"/night/{NIGHT}/trends/$"))
    assert watch.wrong == []
