"""A proposal from its first form to a guest who came in by mail, in a real browser."""

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import mailserver
from tests.browser.conftest import Watch
from tests.browser.test_walk import sign_in
from tests.faults.program import Program
from tests.mailserver import Post

pytestmark = pytest.mark.slow
WIDE, NARROW = 1280, 390


def wait_for_mail(post: Post) -> str:
    deadline = time.monotonic() + 30
    while not post.arrived:
        assert time.monotonic() < deadline, "no mail came"
        time.sleep(0.05)
    [(to, message)] = post.arrived
    assert to == "guest@server.net"
    return str(message.get_content())


def fits(page: Page) -> bool:
    """Whether nothing sticks out at the side."""
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width <= 0


def test_guest_put_on_a_proposal_gets_a_link_by_mail_and_finds_the_proposal(
    page: Page, watch: Watch, chromium: Browser, program: Program, origin: str
) -> None:
    post = Post()
    with mailserver.running(post) as port:
        with program.context():
            mailserver.set_up(port, **{"site.url": origin})
        sign_in(page, "/people/proposals/")

        # Staff make a proposal, its investigator puts a guest on it.
        page.get_by_label("Code").fill("2026B-0042")
        page.get_by_label("Principal investigator").fill("admin")
        page.get_by_label("Title").fill("Variable stars")
        page.get_by_role("button", name="Make it").click()
        expect(page.get_by_role("heading", name="2026B-0042")).to_be_visible()
        page.get_by_label("E-mail", exact=True).fill("guest@server.net")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("A link to choose a password goes to them by mail")).to_be_visible()
        expect(page.get_by_text("not yet signed in")).to_be_visible()
        text = wait_for_mail(post)

    # The guest follows the link on a telephone, and is in.
    link = re.search(rf"{origin}/welcome/\S+/", text)
    assert link is not None
    telephone = chromium.new_context(base_url=origin, viewport={"width": NARROW, "height": 800})
    guest = telephone.new_page()
    watch.follow(guest)
    guest.goto(link[0])
    guest.get_by_label("Password").fill("night-sky-8")
    guest.get_by_label("The same again").fill("night-sky-8")
    guest.get_by_role("button", name="Set the password").click()
    guest.get_by_role("link", name="Proposals").click()
    guest.get_by_role("link", name="2026B-0042").click()
    expect(guest.get_by_text("Variable stars")).to_be_visible()
    assert guest.get_by_role("button", name="Add", exact=True).count() == 0
    assert fits(guest)
    telephone.close()

    # Who came in is marked so no more; at every width nothing sticks out.
    page.reload()
    expect(page.get_by_text("not yet signed in")).to_have_count(0)
    for width in (WIDE, NARROW):
        page.set_viewport_size({"width": width, "height": 900})
        assert fits(page)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("guest is no longer on 2026B-0042.")).to_be_visible()
    assert watch.wrong == []
