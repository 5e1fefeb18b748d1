"""The list of people, for staff, and the link by which a new one sets a password."""

import re

from app.models import User
from app.services import accounts, invitations, settings
from tests.app.pages.conftest import Browser
from tests.factories import make_user

LINK = re.compile(r"http://localhost/welcome/([\w-]+)/")


def key_in(text: str) -> str:
    """The key of the link on a page."""
    found = LINK.search(text)
    assert found is not None
    return found[1]


def test_staff_add_someone_who_can_sign_in(staff_browser: Browser) -> None:
    response = staff_browser.post("/people/", username="night.owl", password="moonless-7")

    assert response.status_code == 303
    assert accounts.authenticate("night.owl", "moonless-7").is_staff is False
    assert "night.owl" in staff_browser.text("/people/")


def test_someone_without_a_password_gets_a_link_that_is_shown_once(
    staff_browser: Browser,
) -> None:
    page = staff_browser.post("/people/", username="amy", email="amy@example.org").text

    amy = accounts.find_user("amy")
    assert invitations.invited(key_in(page)) == amy
    assert "no password yet" in staff_browser.text("/people/")
    person = staff_browser.text(f"/people/{amy.id}/")
    assert LINK.search(person) is None
    assert "a link is good until" in person


def test_link_has_the_address_the_site_says(staff_browser: Browser, staff: User) -> None:
    settings.change("site", "url", "https://dome.example/reduce/", by=staff)

    page = staff_browser.post("/people/", username="amy").text

    assert "https://dome.example/reduce/welcome/" in page


def test_form_keeps_what_was_typed_but_no_password(staff_browser: Browser) -> None:
    response = staff_browser.post("/people/", username="two words", password="moonless-7")

    assert response.status_code == 400
    assert "Enter a valid username" in response.text
    assert 'value="two words"' in response.text
    assert "moonless-7" not in response.text


def test_list_is_searched(staff_browser: Browser, observer: User) -> None:
    make_user("ada", email="ada@example.org")

    found = staff_browser.text("/people/?q=ADA&role=observer&state=open")
    none = staff_browser.text("/people/?q=zzz")

    assert ("ada@example.org" in found, ">observer</a>" in found) == (True, False)
    assert "Nobody fits this search" in none
