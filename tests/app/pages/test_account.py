import re
from datetime import timedelta

from flask import Flask

from app.db import transaction, utcnow
from app.models import User
from app.services import accounts, browser_sessions
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


def test_token_changes_nothing_of_the_account(app: Flask, observer: User) -> None:
    client = client_of(app, observer)
    fields = {"first_name": "Thief", "email": "thief@example.org", "name": "for ever"}

    answers = [client.post(f"/account/{what}/", data=fields) for what in ("profile", "tokens")]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert (observer.email, len(accounts.tokens_of(observer))) == ("", 1)


def test_observers_change_their_names_and_staff_the_address_too(
    browser: Browser, observer: User
) -> None:
    fields = {"first_name": "Ada", "last_name": "Lovelace"}

    done = browser.post("/account/profile/", **fields)
    address = browser.post("/account/profile/", **fields, email="ada@example.org")
    page = browser.text("/account/")
    with transaction():
        observer.is_staff = True
    wrong = browser.post("/account/profile/", **fields, email="nonsense")
    right = browser.post("/account/profile/", **fields, email="ada@example.org")

    answers = (done, address, wrong, right)
    assert [answer.status_code for answer in answers] == [303, 403, 400, 303]
    assert 'name="email"' not in page
    assert 'value="nonsense"' in wrong.text
    assert (observer.display_name, observer.email) == ("Ada Lovelace", "ada@example.org")


def test_token_lives_for_the_days_one_says(browser: Browser, observer: User) -> None:
    browser.post("/account/tokens/", name="week", days="7")
    wrong = [browser.post("/account/tokens/", days=days) for days in ("0", "-1", "soon", "1e99")]

    (token,) = accounts.tokens_of(observer)
    assert token.expires_at is not None
    assert timedelta(days=7) - (token.expires_at - utcnow()) < timedelta(minutes=1)
    assert [answer.status_code for answer in wrong] == [400] * 4


def test_other_browser_is_ended_by_its_owner_only(
    app: Flask, browser: Browser, observer: User
) -> None:
    elsewhere, other = browser_of(app, observer), browser_of(app, make_user("other"))
    row = browser_sessions.of(observer)[0]
    page = browser.text("/account/")

    refused = other.post(f"/account/browsers/{row.id}/end/")
    alive = elsewhere.get("/account/").status_code
    browser.post(f"/account/browsers/{row.id}/end/")

    assert page.count("Firefox on Linux") == 2
    assert page.count("this one</span>") == 1
    assert (refused.status_code, alive) == (404, 200)
    assert elsewhere.get("/account/").status_code == 302
    assert browser.get("/account/").status_code == 200
