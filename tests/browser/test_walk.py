"""An observer's way through a night, in a real browser before the whole program."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from reduction.simulate import NightParams, simulate_night
from tests.browser.conftest import Watch

pytestmark = pytest.mark.slow

PARAMS = NightParams.small()
NIGHT = PARAMS.night.isoformat()
PAGES = (
    "/nights/",
    f"/night/{NIGHT}/",
    "/blocks/",
    f"/blocks/plan/?night={NIGHT}",
    "/jobs/",
    "/tasks/",
    "/tasks/upload/",
    "/quarantine/",
    "/settings/",
    "/account/",
    "/people/",
    "/people/1/",
    "/people/groups/",
    "/people/audit/",
    "/people/proposals/",
    "/docs/",
)


def sign_in(page: Page, address: str = "/") -> None:
    page.goto(address)
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("night-sky-7")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    # The page is shown before its deferred scripts have run: a click until then goes unheard.
    page.wait_for_load_state()


@pytest.fixture(scope="module")
def night(program: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small night, simulated beside RAW, so that it can arrive there when a test wants it."""
    folder = tmp_path_factory.mktemp("night")
    simulate_night(folder / "raw", folder / "truth", params=PARAMS)
    return folder / "raw"


def arrive(night: Path, raw_folder: Path, pattern: str = "*") -> None:
    """Let the files of a night appear in RAW."""
    for path in sorted(night.rglob(f"{pattern}.fits")):
        target = raw_folder / path.relative_to(night)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def test_observer_walks_from_sign_in_to_a_reduced_frame(
    page: Page, watch: Watch, night: Path, raw_folder: Path
) -> None:
    # An empty archive says what to do, and fills by itself as files arrive.
    sign_in(page)
    expect(page.get_by_text("No frames yet")).to_be_visible()
    arrive(night, raw_folder)
    cell = page.get_by_role("link", name=re.compile(f"Night of {NIGHT}"))
    expect(cell).to_be_visible()

    # The night: every frame with its picture; the filter asks only for the table.
    cell.click()
    rows = page.locator("#frames tbody tr")
    expect(rows.first).to_be_visible()
    picture = rows.first.locator("img")
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 50
    page.get_by_label("Kind").select_option("bias")
    expect(rows).to_have_count(PARAMS.n_bias)
    page.get_by_label("File name").fill("bias-00")
    page.get_by_label("Kind").select_option("")
    expect(rows).to_have_count(PARAMS.n_bias)
    expect(page).to_have_url(re.compile("name_has=bias-00"))

    # The plan says what each science frame would get before anything runs.
    page.get_by_role("link", name="Plan", exact=True).click()
    expect(page.get_by_text("to be made").first).to_be_visible()
    page.get_by_role("button", name="Make and process all").click()
    expect(page.locator("#messages")).to_contain_text("jobs are in the queue")

    # The queue empties before one's eyes: nothing here reloads the page.
    page.get_by_role("link", name="Queue").click()
    page.evaluate("window.isTheSamePage = true")
    expect(page.get_by_text("Nothing is waiting")).to_be_visible(timeout=600_000)
    assert page.evaluate("window.isTheSamePage") is True
    expect(page.locator(".state-failed")).to_have_count(0)
    page.locator("td a").first.click()
    expect(page.locator(".log")).to_contain_text("attempt 1")

    # A block and its master.
    page.get_by_role("link", name="Blocks").click()
    page.get_by_role("link", name=re.compile(r"^bias \d")).first.click()
    expect(page.get_by_role("heading", name=re.compile("^Bias block"))).to_be_visible()
    expect(page.locator("#block tbody tr")).to_have_count(PARAMS.n_bias)
    page.get_by_label("Comment").fill("as good as last year's")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Comment")).to_have_value("as good as last year's")

    # A reduced frame: its picture, the values under the pointer, and where it came from.
    page.goto(f"/night/{NIGHT}/?kind=science")
    of_bias = page.get_by_label("Kind").locator("option[value=bias]")
    expect(of_bias).to_have_text(f"bias ({PARAMS.n_bias})")
    page.get_by_label("Level").select_option("2")
    expect(of_bias).to_have_text("bias (0)")
    page.get_by_label("Level").select_option("0")
    expect(of_bias).to_have_text(f"bias ({PARAMS.n_bias})")
    page.get_by_role("link", name=re.compile("^→ reduced")).first.click()
    look_at_the_picture(page)
    page.get_by_label("Search").fill("RECIPE")
    expect(page.locator("#cards tbody tr:visible").first).to_contain_text("RECIPE")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes().startswith(b"SIMPLE  =")
    page.locator(".chain .role", has_text="raw").locator("xpath=..").get_by_role("link").click()
    expect(page.get_by_role("heading", name="What the header was read as")).to_be_visible()
    expect(page.locator(".chain .role", has_text="as raw")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out")).to_be_visible()
    assert watch.wrong == []


def look_at_the_picture(page: Page) -> None:
    canvas, read = page.locator(".viewer canvas"), page.locator("[data-pixel]")
    expect(page.locator("[data-high]")).not_to_have_value("")
    canvas.hover()
    expect(read).to_contain_text(re.compile(r"x \d+, y \d+ .* e⁻ .* ± "))
    before = read.inner_text()
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="1:1").click()
    page.get_by_label("Stretch").select_option("asinh")
    page.get_by_label("Colours").select_option("viridis")
    wait_for_tiles(page)
    canvas.focus()
    page.keyboard.press("ArrowRight")
    canvas.hover(position={"x": 200, "y": 200})
    expect(read).not_to_have_text(before)
    page.get_by_label("Plane").select_option("DQ")
    expect(page.locator("[data-legend]")).to_contain_text("cosmic ray")


def wait_for_tiles(page: Page) -> None:
    """Return once the canvas shows stars: green is bright at the bright end of viridis."""
    brightest_green = """canvas => canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data
        .reduce((most, value, i) => i % 4 === 1 && value > most ? value : most, 0)"""
    for _ in range(600):
        if page.locator(".viewer canvas").evaluate(brightest_green) > 200:
            return
        page.wait_for_timeout(100)
    pytest.fail("the picture stayed dark")


def test_every_page_fits_a_phone_and_breaks_no_rule(
    context: BrowserContext, page: Page, watch: Watch
) -> None:
    sign_in(page)
    page.set_viewport_size({"width": 390, "height": 844})

    too_wide = []
    for address in PAGES:
        page.goto(address)
        page.wait_for_timeout(300)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            too_wide.append((address, width))

    assert too_wide == []
    assert watch.wrong == []


def test_documentation_is_shown_offline(page: Page, watch: Watch) -> None:
    sign_in(page, "/docs/")

    expect(page.get_by_role("heading", name=re.compile("^Coelostat"))).to_be_visible()
    page.get_by_text("Goodman archive").first.click()
    expect(page.get_by_text("/api/files/header/").first).to_be_visible()

    assert watch.wrong == []


def test_theme_is_remembered(page: Page, watch: Watch) -> None:
    sign_in(page)
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")

    page.get_by_role("button", name="Theme").click()
    page.get_by_role("button", name="Theme").click()
    page.reload()

    expect(root).to_have_attribute("data-theme", "red")
    assert watch.wrong == []


def test_turning_pages_quickly_uses_up_no_live_streams(page: Page, watch: Watch) -> None:
    sign_in(page)

    for _ in range(6):
        page.goto("/jobs/")
        page.goto("/nights/")

    assert watch.wrong == []


def test_keyboard_alone_reaches_the_content(page: Page) -> None:
    sign_in(page)

    page.goto("/jobs/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "content"
