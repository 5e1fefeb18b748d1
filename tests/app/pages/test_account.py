import re

from flask import Flask

from app.models import User
from app.services import accounts
from tests.app.pages.conftest import Browser, browser_of
from tests.conftest import client_of
from tests.factories import make_user

PASSWORD = "night-sky-7"


def test_new_token_is_shown_once_and_works(browser: Browser, observer: User) -> None:
    page = browser.post("/account/tokens/", name="notebook").text
    later = browser.text("/account/")

    found = re.search("[0-9a-f]{40}", page)
    assert found is not None
    assert accounts.user_of_token(found[0]) == observer
    assert found[0] not in later
    assert found[0][:8] in later
    assert "notebook" in later


def test_token_is_revoked_by_its_owner_only(app: Flask, browser: Browser, observer: User) -> None:
    key = accounts.issue_token(observer)
    token = accounts.tokens_of(observer)[0]
    other = browser_of(app, make_user("other"))

    refused = other.post(f"/account/tokens/{token.id}/revoke/")
    alive = accounts.user_of_token(key)
    browser.post(f"/account/tokens/{token.id}/revoke/")

    assert refused.status_code == 404
    assert alive == observer
    assert accounts.user_of_token(key) is None


def test_password_is_changed_and_other_browsers_are_signed_out(
    app: Flask, browser: Browser, observer: User
) -> None:
    elsewhere = browser_of(app, observer)

    response = browser.post(
        "/account/password/", old=PASSWORD, new="another-night", again="another-night"
    )

    assert response.status_code == 303
    assert accounts.authenticate("observer", "another-night").id == observer.id
    assert browser.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302


def test_password_form_says_what_is_wrong(browser: Browser, observer: User) -> None:
    differ = browser.post("/account/password/", old=PASSWORD, new="another-night", again="other")
    wrong = browser.post("/account/password/", old="x", new="another-night", again="another-night")
    short = browser.post("/account/password/", old=PASSWORD, new="short", again="short")

    assert [answer.status_code for answer in (differ, wrong, short)] == [400, 400, 400]
    assert "The two new passwords differ" in differ.text
    assert "not your present password" in wrong.text
    assert "too short" in short.text
    assert accounts.authenticate("observer", PASSWORD) == observer


def test_token_cannot_change_the_password(app: Flask, observer: User) -> None:
    response = client_of(app, observer).post("/account/password/", data={"old": PASSWORD})

    assert response.status_code == 403


def test_staff_add_someone_who_can_sign_in(staff_browser: Browser) -> None:
    response = staff_browser.post("/people/", username="night.owl", password="moonless-7")

    assert response.status_code == 303
    assert accounts.authenticate("night.owl", "moonless-7").is_staff is False
    assert "night.owl" in staff_browser.text("/people/")


def test_form_keeps_what_was_typed_but_no_password(staff_browser: Browser) -> None:
    response = staff_browser.post("/people/", username="two words", password="moonless-7")

    assert response.status_code == 400
    assert "Enter a valid username" in response.text
    assert 'value="two words"' in response.text
    assert "moonless-7" not in response.text


def test_account_is_closed_and_opened(staff_browser: Browser, observer: User) -> None:
    staff_browser.post(f"/people/{observer.id}/active/", active="0")
    closed = observer.is_active
    staff_browser.post(f"/people/{observer.id}/active/", active="1")

    assert closed is False
    assert observer.is_active is True


def test_observers_see_and_change_no_people(browser: Browser, staff: User) -> None:
    seen = browser.get("/people/")
    added = browser.post("/people/", username="me2", password="moonless-7", is_staff="1")
    closed = browser.post(f"/people/{staff.id}/active/", active="0")

    assert [answer.status_code for answer in (seen, added, closed)] == [403, 403, 403]
    assert "/people/" not in browser.text("/nights/")
