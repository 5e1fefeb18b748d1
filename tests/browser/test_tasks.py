"""A task from a file dropped on the page to its magnitudes, in a real browser."""

import base64
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.services import refcats
from reduction.simulate import NightParams, simulate_night
from tests.browser.conftest import Watch
from tests.browser.test_walk import sign_in
from tests.faults.program import Program

pytestmark = pytest.mark.slow
# Lets a file fall on the page, as a hand would that holds one.
_DROP = """([name, content]) => {
    const held = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
    held.items.add(new File([bytes], name));
    for (const type of ["dragenter", "dragover", "drop"]) {
        const over = new DragEvent(type, { dataTransfer: held, bubbles: true, cancelable: true });
        document.querySelector("[data-drop]").dispatchEvent(over);
    }
}"""


@pytest.fixture(scope="module")
def image(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A science frame nobody has reduced, whose stars the site's catalogue knows."""
    folder = tmp_path_factory.mktemp("night")
    truth = simulate_night(folder / "raw", folder / "truth", params=NightParams.small())
    with program.context():
        refcats.load_files(refcats.Request("gaiadr3syn", [truth.refcat], preset="simulated"))
    return next((folder / "raw").rglob("*demo*-r-001.fits"))


def wide_by(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def top_of(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["y"]


def state(page: Page) -> str:
    return page.locator("h1 .tag").inner_text()


def test_dropped_image_is_corrected_measured_and_deleted(
    page: Page, watch: Watch, image: Path
) -> None:
    # A file falls on the form; the form says which.
    sign_in(page, "/tasks/")
    page.get_by_role("link", name="New task").click()
    expect(page.get_by_text("Drop a FITS file here")).to_be_visible()
    page.wait_for_load_state()  # the script that catches files is there
    page.evaluate(_DROP, [image.name, base64.b64encode(image.read_bytes()).decode()])
    expect(page.locator("[data-drop-name]")).to_have_text(image.name)
    page.get_by_label("Title").fill("Demo field")
    page.get_by_role("button", name="Make the task", exact=True).click()

    # What the header was read as, to be corrected before anything runs.
    expect(page.get_by_role("heading", name=re.compile("^Demo field"))).to_be_visible()
    inspect = page.locator("#inspect")
    gain = inspect.get_by_label("Gain")
    expect(gain).to_have_attribute("placeholder", "1.5")
    expect(inspect.get_by_label("Saturation")).to_have_value("60000")
    picture = page.locator(".task-image img")
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 100
    gain.fill("lots")
    page.get_by_role("button", name="Inspect", exact=True).click()
    expect(inspect.get_by_text("must be a number, not 'lots'")).to_be_visible()
    watch.wrong.clear()  # the browser notes the refusal on its console
    gain.fill("1.6")

    # It runs before one's eyes, and the page shows what came of it by itself.
    page.get_by_role("button", name="Inspect and measure").click()
    results = page.locator(".results")
    expect(results).to_contain_text("Zero point", timeout=600_000)
    assert state(page) == "measured"
    expect(results).to_contain_text(re.compile(r"\d\d\.\d{3} ± 0\.\d{3} mag"))
    expect(results).to_contain_text("1.6 e a unit")
    assert page.locator(".marks circle").count() > 10
    page.get_by_text("Log", exact=True).last.click()
    expect(page.locator("#photometry .log")).to_contain_text("photometry is done")

    # The marks can be hidden; the sources are a table that is put in order.
    page.locator("label[for=marks-on]").click()
    expect(page.locator(".marks")).to_be_hidden()
    page.get_by_role("link", name="All of them").click()
    page.get_by_role("link", name="Magnitude", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Magnitude")
    page.go_back()
    page.go_back()

    # One more look at the image, in other colours.
    page.get_by_role("link", name="Look closer").click()
    page.get_by_label("Colours").select_option("viridis")
    expect(page).to_have_url(re.compile("cmap=viridis"))
    expect(page.locator(".picture img")).to_have_js_property("complete", True)
    page.get_by_label("Search").fill("FILTER")
    expect(page.locator("#cards tbody tr:visible")).to_have_count(1)

    # Nothing sticks out on a phone; a question comes before anything is deleted.
    page.get_by_role("link", name=re.compile("^Task ")).click()
    page.set_viewport_size({"width": 390, "height": 844})
    assert wide_by(page) <= 0
    assert top_of(page, ".found") < top_of(page, ".task-image") < top_of(page, "#inspect")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name=re.compile("^Demo field"))).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("is deleted")).to_be_visible()
    assert watch.wrong == []


def test_task_goes_its_way_without_a_script(
    chromium: Browser, origin: str, watch: Watch, image: Path
) -> None:
    context = chromium.new_context(base_url=origin, java_script_enabled=False)
    context.set_default_timeout(60_000)
    page = context.new_page()
    watch.follow(page)
    sign_in(page, "/tasks/upload/")

    page.locator("input[type=file]").set_input_files(image)
    page.get_by_label("Photometry").check()
    page.get_by_label("Inspect").check()
    page.get_by_role("button", name="Make the task", exact=True).click()

    # The page loads itself anew until the steps are over.
    expect(page.locator(".results")).to_contain_text("Zero point", timeout=600_000)
    page.get_by_text("Repair the image").click()
    page.get_by_label("x from").fill("10")
    page.get_by_role("button", name="Crop").click()
    expect(page.get_by_text("The image is cropped.")).to_be_visible()
    page.get_by_text("Title and sharing").click()
    page.get_by_label("Title").fill("By hand")
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.get_by_role("heading", name=re.compile("^By hand"))).to_be_visible()
    page.get_by_role("button", name="Duplicate").click()
    expect(page.get_by_role("heading", name=re.compile(r"^By hand \(copy\)"))).to_be_visible()

    page.goto("/tasks/")
    page.get_by_label("Search").fill("hand copy")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("[name=ids]").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("1 task is deleted.")).to_be_visible()
    context.close()
    assert watch.wrong == []


def test_file_that_is_no_image_is_refused_where_one_stands(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.fits"
    broken.write_bytes(b"this is no image")
    sign_in(page, "/tasks/upload/")

    page.locator("input[type=file]").set_input_files(broken)
    page.get_by_label("Title").fill("as typed")
    page.get_by_role("button", name="Make the task", exact=True).click()

    expect(page.locator("#messages .problem")).to_contain_text("cannot be used")
    expect(page.get_by_label("Title")).to_have_value("as typed")


def test_frame_of_the_archive_becomes_a_task(
    page: Page, watch: Watch, raw_folder: Path, image: Path
) -> None:
    sign_in(page)
    raw_folder.mkdir(exist_ok=True)
    (raw_folder / image.name).write_bytes(image.read_bytes())
    page.goto("/frames/")
    for _ in range(240):
        if page.get_by_role("link", name=image.name).count():
            break
        page.wait_for_timeout(500)
        page.reload()
    page.get_by_role("link", name=image.name).click()

    page.get_by_role("button", name="Process as a task").click()

    expect(page.get_by_text("correct what is wrong")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile(f"frame {image.name}"))).to_be_visible()
    assert watch.wrong == []
