"""The whole program, and a real Chromium that watches for what must not happen."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.faults.program import Program, served
from tests.realdata import IN_CI

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
expect.set_options(timeout=60_000)  # a machine that also runs the other tests is slow
SETTINGS = """
[server]
workers = 1
worker_memory_mb = 6000
stop_wait_s = 3
[site]
timezone = "America/Santiago"
[scan]
interval_s = 1
settle_s = 1
"""


@dataclass
class Watch:
    """What a page did that no page of ours may do."""

    origin: str
    wrong: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("console", lambda m: self._note(m.type in {"error", "warning"}, "console", m.text))
        page.on("pageerror", lambda error: self._note(True, "script", str(error)))
        page.on("request", lambda r: self._note(not self._is_ours(r.url), "request", r.url))

    def _is_ours(self, url: str) -> bool:
        return url.startswith((f"{self.origin}/", "data:", f"blob:{self.origin}"))

    def _note(self, is_wrong: bool, what: str, text: str) -> None:
        if "willReadFrequently" in text:  # advice on how this test itself reads the picture
            return
        if is_wrong:  # a violated content security policy is an error on the console
            self.wrong.append(f"{what}: {text}")


@pytest.fixture(scope="module")
def program(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Program]:
    """The program with a worker and an empty RAW that it watches."""
    with served(tmp_path_factory.mktemp("program"), pytestconfig, SETTINGS, workers=1) as made:
        yield made


@pytest.fixture(scope="module")
def origin(program: Program) -> str:
    return f"http://127.0.0.1:{program.port}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        if IN_CI:
            pytest.fail("COELOSTAT_CI=1 but there is no chromium")
        pytest.skip("there is no chromium (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def watch(origin: str) -> Watch:
    return Watch(origin)


@pytest.fixture
def context(chromium: Browser, origin: str) -> Iterator[BrowserContext]:
    context = chromium.new_context(
        base_url=origin, viewport={"width": 1280, "height": 900}, color_scheme="dark"
    )
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    page = context.new_page()
    watch.follow(page)
    return page


@pytest.fixture
def raw_folder(program: Program) -> Path:
    return program.instance / "raw"
