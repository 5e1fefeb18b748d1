"""What no text is, in every field of every form about people: a page that says so, never a 500."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from flask import Flask

from app.models import User
from app.services import accounts, browser_sessions, groups, invitations
from tests.app.pages.conftest import CSRF, Browser, browser_of
from tests.factories import make_user

BAD = {"NUL": "a\0b", "long": "x" * 100_000, "half a character": "\ud800", "lines": "a\r\nb"}
TYPED = {"text", "email", "password", "hidden", "search", ""}
# The page of each form about people.
PAGES = ("/account/", "/people/", "/people/2/", "/people/groups/", "/people/groups/1/")
# Fields whose text is looked for or compared, not kept: what is not found is answered as such.
COMPARED = {"username": {303}, "back": {303, 400}, "action": {303, 400}}


class Forms(HTMLParser):
    """The forms of a page that change something: where they go and what they send."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((found.get("action", ""), {}))
        is_typed = tag == "select" or (tag == "input" and found.get("type", "") in TYPED)
        if is_typed and self.forms and found.get("name"):
            self.forms[-1][1][found["name"]] = found.get("value", "")


@pytest.fixture
def boss_browser(app: Flask) -> Browser:
    boss = make_user("boss", is_staff=True, is_superuser=True)
    ada = make_user("ada")
    assert ada.id == 2
    accounts.issue_token(ada)
    browser_sessions.start(ada)
    groups.add_member(groups.create("class", by=boss), ada, by=boss)
    groups.create("team", by=boss)
    return browser_of(app, boss)


def fields_of(browser: Browser, address: str) -> Iterator[tuple[str, dict[str, str], str]]:
    for action, fields in Forms(browser.text(address)).forms:
        if not action or action == "/sign-out/" or "csrf_token" not in fields:
            continue
        for name in fields:
            if name != "csrf_token":
                yield action, fields, name


@pytest.mark.parametrize("bad", BAD)
def test_every_field_refuses_what_is_no_text(boss_browser: Browser, bad: str) -> None:
    tried = set()
    wrong = []
    for page in PAGES:
        for action, fields, name in fields_of(boss_browser, page):
            sent = fields | {"csrf_token": CSRF, name: BAD[bad]}
            status = send(boss_browser, action, sent)
            tried.add((action, name))
            if status != 400 and not is_fine(bad, name, status):
                wrong.append((action, name, status))

    assert len(tried) > 25
    assert wrong == []


def send(browser: Browser, action: str, fields: dict[str, str]) -> int:
    # A half character has no UTF-8; browsers that are made to send one send these three bytes.
    data = {name: text.encode("utf-8", "surrogatepass") for name, text in fields.items()}
    body = b"&".join(name.encode() + b"=" + quoted(value) for name, value in data.items())
    kind = "application/x-www-form-urlencoded"
    return browser.client.post(action, data=body, content_type=kind).status_code


def quoted(value: bytes) -> bytes:
    return re.sub(rb"[^A-Za-z0-9]", lambda m: b"%%%02X" % m[0][0], value)


def is_fine(bad: str, name: str, status: int) -> bool:
    """The server reads what is not UTF-8 as signs that are text; some fields are looked up."""
    return status < 500 and (bad == "half a character" or name in COMPARED)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_sign_in_and_welcome_answer_without_an_error(app: Flask, staff: User, bad: str) -> None:
    link = f"/welcome/{invitations.invite(accounts.create_user('guest'), by=None)}/"
    browser = Browser(app.test_client())
    with browser.client.session_transaction() as session:
        session["csrf"] = CSRF

    answers = [
        send(browser, "/sign-in/", {"csrf_token": CSRF, "username": bad, "password": "x"}),
        send(browser, "/sign-in/", {"csrf_token": CSRF, "username": "staff", "password": bad}),
        send(browser, "/sign-in/", {"csrf_token": bad, "username": "staff", "password": "x"}),
        send(
            browser, "/sign-in/", {"csrf_token": CSRF, "next": bad, "username": "", "password": ""}
        ),
        send(browser, link, {"csrf_token": CSRF, "password": bad, "again": ""}),
        send(browser, link, {"csrf_token": bad, "password": bad, "again": bad}),
    ]

    refused = {400} if "\0" in bad else {400, 401}
    assert set(answers) <= refused
    assert accounts.find_user("guest").password_hash is None
